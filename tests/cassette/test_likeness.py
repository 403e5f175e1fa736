"""Values told by their likeness to another: exact, and as short as what is new."""

from __future__ import annotations

import contextlib
import json
import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.cassette.growing import grown
from playhead.cassette.likeness import NotTold, hear, tell
from playhead.cassette.limits import Budget
from playhead.cassette.making import cassette_bytes
from playhead.cassette.payload import STYLES, Serialiser, Unshown, as_json, hide, serialise, show
from playhead.cassette.shared import SharedBodies
from playhead.cassette.stream import hide_answer, show_answer, unit_ends
from playhead.core.events import Ending, Flag
from playhead.core.tape import Target
from playhead.journal.bodies.spans import common_prefix
from playhead.sessions.header import Header
from playhead.sessions.model import Chunk, RecordedExchange, Recording
from tests.cassette.recordings import answers, bodies, chunked, messages, values

if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD = b"POST /v1/messages HTTP/1.1\r\nHost: a.example\r\n\r\n"


@st.composite
def pairs(draw: Callable[..., Any]) -> tuple[Any, Any]:
    """Two values of which one is often made out of the other's parts."""
    base = draw(st.lists(messages, max_size=6) | values)
    if not isinstance(base, list) or draw(st.booleans()):
        return base, draw(values)
    value = [draw(st.sampled_from(base) | messages) for _ in range(draw(st.integers(0, 8)))] if base else []
    return base, draw(st.sampled_from([value, base[:-1] + value, {"a": value}, value + base[1:]]))


@given(pair=pairs())
def test_what_is_told_is_heard(pair: tuple[Any, Any]) -> None:
    """Whatever the base; to the last space, kind of number and order of keys. What cannot be told says so."""
    base, value = pair
    try:
        told = json.loads(json.dumps(tell(value, base)))
    except NotTold:
        assert '"$"' in json.dumps(value)
        return
    assert json.dumps(hear(told, base, Budget(1 << 20))) == json.dumps(value)


@given(body=bodies | st.binary(max_size=50))
def test_what_is_shown_is_hidden_again(body: bytes) -> None:
    """A body is JSON, text or base64, by what gives its bytes back."""
    assert hide(json.loads(json.dumps(show(body)))) == body


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a": 1}\n',
        b'{"a":1.0e5}',
        b"[1 ,2]",
        b'{"a":"\\/"}',
        b'{"a":"\\u00e4"}',
        b"{",
        b"\xff",
        b'["\\ud800"]',
        b"[NaN]",
        b"[-0]",
        b"[1e999]",
    ],
)
def test_bodies_that_json_would_not_give_back(body: bytes) -> None:
    """Doubled keys, spaces, spellings of numbers and characters."""
    assert hide(json.loads(json.dumps(show(body)))) == body


@given(raw=answers)
def test_an_answer_is_given_back(raw: bytes) -> None:
    """Head, chunked framing and events undone and done again; its parts cover it."""
    assert hide_answer(json.loads(json.dumps(show_answer(raw))), Budget(1 << 20)) == raw
    ends = unit_ends(raw)
    assert ends[-1] == len(raw)
    assert ends == sorted(set(ends))


def test_a_stream_is_a_template_and_its_words() -> None:
    """Each word stands once, and nothing of the frame around it twice."""
    events = [
        b'data: {"id":"c-1","delta":{"content":%s},"n":%d}\n\n' % (json.dumps(word).encode(), n)
        for n, word in enumerate(["Hel", "lo", ' "wor', "ld\n"])
    ]
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw += b"".join(b"%x\r\n%b\r\n" % (len(e), e) for e in [*events, b"data: [DONE]\n\n"]) + b"0\r\n\r\n"
    shown = show_answer(raw)
    assert shown["chunked"] == "events"
    assert shown["events"] == [
        {
            "each": ['data: {"id":"c-1","delta":{"content":"', '"},"n":', "}\n\n"],
            "of": [["Hel", "0"], ["lo", "1"], [' \\"wor', "2"], ["ld\\n", "3"]],
        },
        "data: [DONE]\n\n",
    ]


@given(first=bodies, second=bodies, more=st.lists(messages, max_size=3))
def test_a_body_that_grew_is_what_it_would_be_parsed_whole(first: bytes, second: bytes, more: list[Any]) -> None:
    """By whatever it grew, or did not."""
    shown = as_json(first)
    candidates = [second, first]
    if shown is not None and isinstance(shown["json"], dict) and isinstance(shown["json"].get("messages"), list):
        longer = {**shown["json"], "messages": [*shown["json"]["messages"], *more]}
        with contextlib.suppress(Unshown):  # half a character, in a style that does not escape it
            candidates.append(hide({**shown, "json": longer}))
    base = grown(first, None, 0)
    for body in candidates:
        found = grown(body, base, common_prefix(first, body))
        whole = as_json(body)
        if found is not None:
            assert whole is not None
            assert json.dumps(found.value) == json.dumps(whole["json"])
            assert found.style == whole.get("style", "compact")
            assert hide({"json": found.value, "style": found.style}) == body
            array = found.value[found.key]
            assert [
                json.loads(body[a:b].lstrip(b", "))
                for a, b in zip([found.start, *found.ends], found.ends, strict=False)
            ] == array


@pytest.mark.parametrize("style", [(",", ":"), (", ", ": ")])
def test_of_a_body_that_only_grew_nothing_is_parsed_again(style: tuple[str, str]) -> None:
    """Its array is the last thing in it or not; a number that goes on is another one."""
    for rest in ({}, {"model": "m"}):
        first, second = (
            json.dumps({"messages": [{"n": n} for n in range(size)], **rest}, separators=style).encode()
            for size in (3, 5)
        )
        base = grown(first, None, 0)
        found = grown(second, base, common_prefix(first, second))
        assert base is not None
        assert found is not None
        assert all(a is b for a, b in zip(base.value["messages"], found.value["messages"], strict=False))
    numbers = grown(b'{"a":[1,12]}', None, 0)
    longer = grown(b'{"a":[1,123,4]}', numbers, len(b'{"a":[1,12'))
    assert longer is not None
    assert longer.value == {"a": [1, 123, 4]}


@pytest.mark.parametrize("style", sorted(STYLES))
def test_elements_that_were_serialised_before_give_the_same_bytes(style: str) -> None:
    """In objects that share them, by any style, and when there is no room to keep them."""
    elements = [
        {"role": "user", "n": n, "t": 'größe \u4e2d " \\ \n', "of": [None, {"x": [1.5, True]}]} for n in range(9)
    ]
    shared = [
        {"model": "m", "messages": [*elements[:size], size, "text", []], "k": {"messages": [1]}} for size in range(9)
    ]
    kept, none_kept, bodies = Serialiser(), Serialiser(), SharedBodies()
    for number, value in enumerate([*shared, *reversed(shared), {}, {"messages": []}, 7, [1, elements], "text"], 1):
        none_kept._size = 1 << 40
        assert kept(value, style) == none_kept(value, style) == serialise(value, style)
        if isinstance(value, dict):
            bodies.put(number, value, style, number - 1)
            assert bodies.body(number) == serialise(value, style)


class Talk:
    """A conversation of an agent, and its recording: one exchange for each `ask`."""

    def __init__(self, seed: int = 1) -> None:
        self.dice = random.Random(seed)
        self.recording = Recording(Header("7f3a2b9c41d0e655", 1, ["agent"], "/"), 10**9)
        self.new = 0

    def words(self, count: int) -> str:
        text = " ".join("".join(self.dice.choices("abcdefghijklmnop", k=6)) for _ in range(count))
        self.new += len(text)
        return text

    def message(self) -> dict[str, Any]:
        return {"role": "user", "content": [{"type": "text", "text": self.words(60)}]}

    def ask(self, body: Any, answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n") -> None:
        number = len(self.recording.exchanges) + 1
        data = json.dumps(body, separators=(",", ":")).encode()
        exchange = RecordedExchange(
            number,
            Target("https", "a.example", 443),
            "proxy",
            1,
            True,
            "http/1.1",
            10**9 + number,
            3 * number,
            asked_order=3 * number + 1,
        )
        exchange.head, exchange.read_body = _HEAD, lambda: data
        exchange.chunks = [Chunk(10**9 + number, answer, 3 * number + 2, int(Flag.FIRST | Flag.LAST))]
        exchange.ending, exchange.ended_ns, exchange.ended_order, exchange.ended_flags = (
            Ending.COMPLETE,
            10**9 + number,
            3 * number + 2,
            3,
        )
        self.recording.exchanges.append(exchange)

    def asks(self) -> list[bytes]:
        """The lines of its requests."""
        return [line for line in cassette_bytes(self.recording).splitlines() if line.startswith(b'{"ask"')]

    def sent(self) -> int:
        return sum(len(exchange.body) for exchange in self.recording.exchanges)


def _append(talk: Talk, said: list[Any], system: str) -> dict[str, Any]:
    said += [talk.message(), talk.message()]
    return {"model": "m", "system": system, "messages": said}


def _rolling_mark(talk: Talk, said: list[Any], system: str) -> dict[str, Any]:
    said += [talk.message(), talk.message()]
    marked = {**said[-1], "content": [{**said[-1]["content"][0], "cache_control": {"type": "ephemeral"}}]}
    return {"messages": [*said[:-1], marked], "system": system, "tools": [system, system]}


def _cleared(talk: Talk, said: list[Any], system: str) -> dict[str, Any]:
    said += [talk.message(), talk.message()]
    shown = [{**m, "content": "[cleared]"} if n < len(said) - 12 and n % 2 else m for n, m in enumerate(said)]
    return {"system": system, "messages": shown}


def _window(talk: Talk, said: list[Any], system: str) -> dict[str, Any]:
    said += [talk.message(), talk.message()]
    return {"system": system, "messages": [said[0], *said[1:][-16:]]}


def _clock(talk: Talk, said: list[Any], system: str) -> dict[str, Any]:
    said += [talk.message(), talk.message()]
    return {"system": f"It is {talk.dice.random()} o'clock. {system}", "messages": said}


@pytest.mark.parametrize("way", [_append, _rolling_mark, _cleared, _window, _clock])
def test_a_request_costs_what_is_new_in_it(way: Callable[..., Any]) -> None:
    """Appending, a mark that rolls, results that are cleared, a window, a clock in the prompt: 60 steps take at most
    1.8 times their new text, and the second half no more than the first."""
    talk = Talk()
    said: list[Any] = []
    system = talk.words(300)
    for _ in range(60):
        talk.ask(way(talk, said, system))
    lines = talk.asks()
    assert sum(map(len, lines)) <= 1.8 * talk.new
    assert sum(map(len, lines[30:])) <= 1.1 * sum(map(len, lines[:30]))
    assert talk.sent() > 6 * talk.new  # the control: whole bodies cost many times as much


def test_four_agents_in_turn() -> None:
    """Each is like its own last request."""
    talk = Talk()
    systems = [talk.words(300) for _ in range(4)]
    said: list[list[Any]] = [[] for _ in range(4)]
    for number in range(80):
        talk.ask(_append(talk, said[number % 4], systems[number % 4]))
    assert sum(map(len, talk.asks())) <= 1.8 * talk.new


def test_a_recording_made_again_differs_in_the_lines_that_differ() -> None:
    """Another second half and other moments: of what was said, only the second half; moments stand apart, at the end."""
    texts = []
    for version in (1, 2):
        talk = Talk()
        said: list[Any] = []
        system = talk.words(100)
        for number in range(10):
            if number == 5:
                talk.dice = random.Random(version)
            talk.ask(
                _append(talk, said, system),
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%03d" % (number + 100 * version * (number > 5)),
            )
            exchange = talk.recording.exchanges[-1]
            exchange.opened_ns += version * number * 10**6
            exchange.chunks[0] = exchange.chunks[0]._replace(t_ns=exchange.opened_ns + version * 10**6)
            exchange.ended_ns = exchange.chunks[0].t_ns
        texts.append(cassette_bytes(talk.recording).splitlines())
    first, second = texts
    assert len(first) == len(second)
    differ = [json.loads(a) for a, b in zip(first, second, strict=True) if a != b]
    said_anew = [line for line in differ if "when" not in line and "seal" not in line]
    assert {line.get("ask") or line.get("answer") for line in said_anew} == {6, 7, 8, 9, 10}
    kinds = [next(iter(json.loads(line))) for line in first]
    assert kinds[kinds.index("when") :] == ["when"] * 11 + ["seal"]


def test_line_ends_of_a_check_out_do_not_break_the_seal(tmp_path: Any) -> None:
    """git may put a carriage return before each line feed."""
    from playhead.cassette.opening import read_cassette

    talk = Talk()
    talk.ask({"messages": [talk.message()]})
    file = tmp_path / "it.rw"
    file.write_bytes(cassette_bytes(talk.recording).replace(b"\n", b"\r\n"))
    assert read_cassette(file).seal.intact


def test_chunks_of_another_shape_stay_as_they_are() -> None:
    """Upper-case sizes, extensions, trailers: the framing is kept verbatim."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for body in (
        b"A\r\n0123456789\r\n0\r\n\r\n",
        b"3;x=1\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\r\nX: y\r\n\r\n",
        b"3\r\nab",
    ):
        shown = show_answer(head + body)
        assert "chunked" not in shown
        assert hide_answer(shown, Budget(0)) == head + body
    assert show_answer(head + chunked(b"abcdef", 4))["chunked"] == [4, 2]


@pytest.mark.parametrize("event", ['"' + '\\"' * 10**6, "x" * 10**6, '"' * 10**6, "\r\n" * 5 * 10**5, "1." * 5 * 10**5])
def test_odd_streams_take_time_by_their_length(event: str) -> None:
    """Quotes that are not closed, events that do not end: megabytes of them are told at once, exactly."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + event.encode()
    began = time.process_time()
    assert hide_answer(show_answer(raw), Budget(1 << 30)) == raw
    assert unit_ends(raw)[-1] == len(raw)
    assert time.process_time() - began < 20  # by its square it would be hours
