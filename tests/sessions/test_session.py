"""Sessions as people ask about them: steps, sums and the JSON that CONTRACT fixes."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import ref

import pytest

from playhead.core.boundary import Outcome
from playhead.core.events import Ending, EventKind
from playhead.core.tape import Connection, Route
from playhead.errors import UsageError
from playhead.journal.store import Store
from playhead.sessions.call import RecordedCall
from playhead.sessions.index import catalogue
from playhead.sessions.reader import read_recording
from playhead.sessions.session import Session
from tests.sessions.tapes import ID, Tape, chat, request, said

if TYPE_CHECKING:
    from pathlib import Path

HEADER_KEYS = {"session", "name", "created", "command", "status", "parent", "tags", "usage", "cost_usd"}
STEP_KEYS = {
    *("step", "kind", "lane", "title", "provider", "model", "started_s", "duration_s", "ttft_s", "status", "usage"),
    *("cost_usd", "stop_reason", "parents", "origin"),
}
USAGE_KEYS = {"input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"}


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    return Tape(Store.open(tmp_path / "store"), name="refund", tags={"team": "billing"})


def read(tape: Tape) -> Session:
    return Session(read_recording(tape.close()))


def test_inspect_and_list_have_the_keys_of_the_contract(tape: Tape) -> None:
    """Every key, its type, and usage with the same keys everywhere; a list has headers without steps."""
    tape.exchange(chat("hi"), said("ho"))
    tape.exchange(b"", b"HTTP/1.1 204 No Content\r\n\r\n", path="/shop/1", method="GET", host="shop.example")
    tape.exit()
    session = read(tape)
    whole = json.loads(json.dumps(session.to_json()))
    assert set(whole) >= HEADER_KEYS | {"steps"}
    assert (whole["session"], whole["name"], whole["created"]) == (ID, "refund", "2026-11-21T10:03:43.120Z")
    assert (whole["command"], whole["status"], whole["parent"]) == (["python", "agent.py"], "ok", None)
    # gpt-5-mini: 7 tokens in at $0.25 and 4 cached at $0.025 a million, 7 out at $2
    assert (whole["tags"], whole["cost_usd"]) == ({"team": "billing"}, (7 * 0.25 + 4 * 0.025 + 7 * 2) / 1e6)
    assert set(whole["usage"]) == USAGE_KEYS
    for step in whole["steps"]:
        assert set(step) >= STEP_KEYS
        assert isinstance(step["parents"], list)
    llm, http = whole["steps"]
    assert set(llm["usage"]) == USAGE_KEYS
    assert (llm["step"], llm["kind"], llm["lane"], llm["provider"]) == (1, "llm", "main", "openai")
    assert (llm["model"], llm["stop_reason"]) == ("gpt-5-mini-2026-01-01", "stop")
    assert (llm["title"], llm["status"], llm["origin"]) == ("ho", "ok", "recorded")
    assert (http["kind"], http["provider"], http["model"], http["usage"]) == ("http", None, None, None)
    assert http["title"] == "GET shop.example/shop/1 204"
    with catalogue(tape.store) as index:
        (listed,) = [row.header for row in index.newest()]
    assert set(listed) >= HEADER_KEYS
    assert "steps" not in listed
    assert {key: listed[key] for key in HEADER_KEYS} == {key: whole[key] for key in HEADER_KEYS}


def test_usage_is_the_sum_of_what_is_known(tape: Tape) -> None:
    """Counts that no step reported are null, not zero."""
    for _ in range(2):
        tape.exchange(chat("hi"), said("ho"))
    tape.exchange(chat("hi"), said("no", status="500 Internal Server Error")[:40])
    session = read(tape)
    usage = session.usage.to_json()
    assert (usage["input_tokens"], usage["cached_input_tokens"], usage["output_tokens"]) == (22, 8, 14)
    assert usage["cache_write_tokens"] is None


def test_an_answer_that_is_retrieved_again_is_counted_once(tape: Tape) -> None:
    """Polling a response repeats its usage; equal ids of two questions (some servers have but one) do not mean that."""
    body = json.dumps(
        {"id": "resp_123456", "object": "response", "status": "completed", "model": "gpt-5", "output": []}
        | {"usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}}
    ).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    tape.exchange(b'{"model": "gpt-5", "input": "x"}', answer, path="/v1/responses")
    tape.exchange(b'{"model": "gpt-5", "input": "y"}', answer, path="/v1/responses")
    for _ in range(2):
        tape.exchange(b"", answer, path="/v1/responses/resp_123456", method="GET")
    session = read(tape)
    assert [step.kind for step in session.steps] == ["llm"] * 4
    assert (session.usage.input_tokens, session.usage.output_tokens) == (10, 4)


def test_counts_are_of_what_was_recorded(tape: Tape) -> None:
    """By kind, route and lane."""
    tape.exchange(chat("hi"), said("ho"))
    tape.exchange(
        b"x", said("ho"), path="/other", host="shop.example", on=Connection(7, ("127.0.0.1", 1), Route.BASE_URL)
    )
    assert read(tape).counts() == {
        "steps": 2,
        "llm_calls": 1,
        "tool_calls": 0,
        "exchanges": 2,
        "lanes": 1,
        "routes": {"base-url": 1, "proxy": 1, "hook": 0},
    }


def test_parents_are_what_a_lane_had_heard_when_it_asked(tape: Tape) -> None:
    """The last completion of its own lane; concurrent requests share theirs; other lanes are no cause."""
    tape.exchange(chat("1"), said("a"))  # step 1
    second, third = tape.ask(chat("2"))[1], tape.ask(chat("3"))[1]
    third.answered(said("c"), last=True)
    second.answered(said("b"), last=True)
    tape.exchange(chat("4"), said("d"))
    tape.lane(2, "python/node#1")
    tape.exchange(chat("5"), said("e"))
    tape.exchange(chat("6"), said("f"))
    session = read(tape)
    assert [s.parents for s in session.steps] == [[], [1], [1], [2], [], [5]]
    assert [s.lane for s in session.steps] == ["main"] * 4 + ["node#1"] * 2
    assert session.counts()["lanes"] == 2


@pytest.mark.parametrize(
    ("reads", "ending", "status", "title"),
    [
        ([said("fine")], Ending.COMPLETE, "ok", "fine"),
        ([b"HTTP/1.1 200 OK\r\n\r\nplain"], Ending.CLOSED, "ok", "200 the body is not the JSON this API answers with"),
        ([], Ending.REFUSED, "error", "refused: connection refused"),
        ([], Ending.RESET, "error", "reset: connection refused"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"], Ending.CUT, "error", "cut: connection refused"),
        ([b"HTTP/1.1 200 OK\r\n\r\n"], Ending.ABANDONED, "aborted", None),
        ([], Ending.ABANDONED, "aborted", "POST api.openai.com/v1/chat/completions"),
        (
            [b'HTTP/1.1 429 Slow\r\nContent-Length: 45\r\n\r\n{"error":{"message":"slow\\ndown","type":"x"}}'],
            Ending.COMPLETE,
            "error",
            "429 slow down",
        ),
    ],
)
def test_how_a_step_ended(tape: Tape, reads: list[bytes], ending: Ending, status: str, title: str | None) -> None:
    """Status and title say it in a word."""
    tape.exchange(chat("hi"), *reads, ending=ending, detail="connection refused")
    (step,) = read(tape).steps
    assert step.status == status
    if title:
        assert step.title == title
    assert "\n" not in step.title
    assert step.to_json()["ending"] == ending.value


def test_a_step_under_way_when_the_recorder_was_killed_is_aborted(tape: Tape) -> None:
    """With what there was of its answer."""
    _, world = tape.ask(chat("hi"))
    world.answered(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhal", last=False)
    tape.ask(chat("never answered"))
    first, second = read(tape).steps
    assert (first.status, second.status) == ("aborted", "aborted")
    assert first.to_json()["ending"] is None
    assert (second.answered, second.response, second.duration_s, second.ttft_s) == (None, None, None, None)
    assert first.exchange.answer.endswith(b"hal")


def test_what_was_asked_and_not_answered_is_in_doubt_once_the_recorder_is_dead(tape: Tape) -> None:
    """Not while it lives, not what was answered, abandoned or failed; and the words say that it may have had effect."""
    tape.exchange(chat("hi"), said("ho"))
    tape.exchange(b"", ending=Ending.ABANDONED)
    tape.exchange(b"", ending=Ending.RESET)
    tape.ask(b'{"amount":5}', path="/pay", host="bank.example")
    alive = Session(read_recording(tape.folder))
    assert alive.recording.in_doubt == []
    assert alive.steps[3].title == "POST bank.example/pay"
    tape.close()
    dead = read(tape)
    assert (dead.recording.in_doubt, dead.summary()["in_doubt"]) == ([4], [4])
    assert dead.steps[3].title == "in doubt: POST bank.example/pay"
    assert dead.recording.doubt == "step 4: asked, and no end of an answer was recorded; it may have taken effect"


def test_of_many_in_doubt_some_are_named(tape: Tape) -> None:
    """Ten, and how many more."""
    for _ in range(12):
        tape.ask(b"{}")
    tape.close()
    assert read(tape).recording.doubt.startswith("steps 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more: asked")


def test_a_step_in_full_and_in_bytes(tape: Tape) -> None:
    """`request` and `response` normalised; with raw the exact bytes, headers and where each read began."""
    answer = said("hello")
    body = chat("hi", tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}], temperature=0.5)
    tape.exchange(body, answer[:30], answer[30:])
    step = read(tape).step(1)
    shown = json.loads(json.dumps(step.to_json(whole=True, raw=True)))
    assert set(shown["request"]) >= {"messages", "tools", "params"}
    assert shown["request"]["messages"][0]["role"] == "user"
    assert set(shown["response"]) >= {"text", "reasoning", "tool_calls"}
    assert shown["response"]["text"] == "hello"
    raw = shown["raw"]
    assert b64decode(raw["request"]["bytes"]) == request(body) + body
    assert b64decode(raw["request"]["bytes"])[raw["request"]["head_length"] :] == body
    assert b64decode(raw["response"]["bytes"]) == answer
    assert raw["request"]["headers"][0] == ["Host", "api.openai.com"]
    assert [(c["offset"], c["length"]) for c in raw["response"]["chunks"]] == [(0, 30), (30, len(answer) - 30)]
    assert "request" not in step.to_json()
    assert "raw" not in step.to_json(whole=True)


def test_plain_http_in_full(tape: Tape) -> None:
    """Method, URL and text of what is no model call."""
    tape.exchange(
        b'{"order": 8821}',
        b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok",
        path="/refund?x=1",
        host="shop.example",
    )
    shown: dict[str, Any] = read(tape).step(1).to_json(whole=True)
    assert shown["request"] == {"method": "POST", "url": "https://shop.example/refund?x=1", "text": '{"order": 8821}'}
    assert shown["response"] == {"status": 201, "text": "ok"}


def test_a_step_that_is_not_there(tape: Tape) -> None:
    """Says which are."""
    with pytest.raises(UsageError) as caught:
        read(tape).step(1)
    assert "no steps" in caught.value.expected
    other = Tape(tape.store, "00" * 8)
    other.exchange(chat("hi"), said("ho"))
    with pytest.raises(UsageError) as caught:
        read(other).step(2)
    assert (caught.value.code, caught.value.expected) == ("no-such-step", "1 to 1")


def test_what_was_not_captured_is_summed_by_host_and_reason(tape: Tape) -> None:
    """And what was captured but cannot be replayed is among it."""
    for size in (10, 5):
        tape.engine.append(EventKind.NOT_CAPTURED, meta={"host": "db:5432", "reason": "not HTTP", "bytes": size})
    _, world = tape.ask(b"", path="/socket", host="ws.example")
    world.answered(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", last=False)
    world.upgraded("other")
    turn, _ = tape.ask(b"")
    assert turn is not None
    tape._world.asked[0].answering.feed(b"\x81\x00")
    session = read(tape)
    assert session.not_captured() == [
        {"host": "db:5432", "reason": "not HTTP", "bytes": 15},
        {"host": "ws.example", "reason": "upgraded: recorded, not replayable yet", "bytes": 36},
    ]


def test_tools_that_the_messages_show_are_named_once(tape: Tape) -> None:
    """They have no boundary of their own and run again in a replay."""
    call = {"id": "c1", "type": "function", "function": {"name": "refund", "arguments": "{}"}}
    for _ in range(2):
        tape.exchange(chat("hi"), said("", content=None, tool_calls=[call, {**call, "id": "c2"}]))
    session = read(tape)
    assert session.tools_shown() == ["refund"]
    assert session.steps[0].title == "-> refund({}), refund({})"


def test_a_title_is_one_short_line(tape: Tape) -> None:
    """However long the model spoke."""
    tape.exchange(chat("hi"), said("word \n\t" * 500))
    title = read(tape).steps[0].title
    assert len(title) <= 100
    assert title.endswith("...")
    assert "\n" not in title


def test_steps_that_are_told_one_by_one_are_not_kept(tape: Tape) -> None:
    """The table of a session holds one step's bodies at a time; costs are the same, found on the way or known."""
    for n in range(5):
        tape.exchange(chat(f"{n}"), said("yes"))
    session = read(tape)
    alive: list[ref[Any]] = []

    def tell(step: Any, cost: float | None) -> float | None:
        alive.append(ref(step))
        return cost

    costs = session.each(tell)
    assert sum(each() is not None for each in alive) <= 1
    assert costs == list(session.costs.values())
    assert costs == session.each(lambda _, cost: cost)
    assert costs[0]


def test_parents_of_very_many_steps_take_time_in_proportion() -> None:
    """20,000 tool calls in a row each have the one before as parent, within seconds and not minutes."""
    call = {"process": "0", "lane": "main", "kind": "tool", "name": "t", "effect": "", "arguments": b"{}"}
    calls = [
        RecordedCall(**call, call=n, number=n, asked_ns=2 * n, told_ns=2 * n + 1, outcome=Outcome(False, b"1"))
        for n in range(1, 20_001)
    ]
    session = Session(SimpleNamespace(exchanges=[], calls=calls, marks=[]))
    began = time.process_time()
    assert [s.parents for s in session.steps] == [[], *([n] for n in range(1, 20_000))]
    assert time.process_time() - began < 5
