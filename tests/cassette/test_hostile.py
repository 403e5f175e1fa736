"""A cassette is hostile input: whatever it says, only errors of ours come out, and little memory is taken."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playhead.cassette.form import MAGIC
from playhead.cassette.limits import MAX_TEXT
from playhead.cassette.making import cassette_bytes
from playhead.cassette.opening import open_recording, read_cassette
from playhead.cassette.seal import sealed
from playhead.core.events import Ending, Flag
from playhead.core.tape import Target
from playhead.errors import DamagedRecording, PlayheadError
from playhead.sessions.header import Header
from playhead.sessions.model import Chunk, Lane, RecordedExchange, Recording, StdioChunk
from playhead.sessions.session import Session
from tests.cassette.recordings import chunked

if TYPE_CHECKING:
    from pathlib import Path

ID = "7f3a2b9c41d0e655"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def sample() -> Recording:
    """Two requests, one like the other, answered by streams; a plain one; output."""
    made = Recording(Header(ID, 1, ["agent"], "/"), 10**9)
    made.lanes[1] = Lane(1, "main/1", ["agent"])
    said = [{"role": "user", "content": f"message {n} " + "words " * 20} for n in range(4)]
    bodies = [
        {"model": "m", "messages": said[:3], "prompt": "p" * 400},
        {"model": "m", "messages": said, "prompt": "p" * 300 + "q" * 100},
    ]
    for number, body in enumerate([*bodies, "text"], 1):
        data = json.dumps(body).encode() if isinstance(body, dict) else b"\xff\xfe"
        exchange = RecordedExchange(
            number,
            Target("https", "a.example", 443),
            "proxy",
            1,
            False,
            "http/1.1",
            10**9,
            number * 10,
            asked_order=number * 10 + 1,
        )
        exchange.head, exchange.read_body = (
            b"POST /v1/messages HTTP/1.1\r\nHost: a.example\r\n\r\n",
            lambda data=data: data,
        )
        events = b"".join(b'data: {"t":"%d"}\n\n' % n for n in range(6))
        for n, piece in enumerate((HEAD, chunked(events, 15))):
            exchange.chunks.append(Chunk(10**9 + n, piece, number * 10 + 2 + n, int(Flag.LAST if n else Flag.FIRST)))
        last = exchange.chunks[-1]
        exchange.ending, exchange.ended_ns, exchange.ended_order, exchange.ended_flags = (
            Ending.COMPLETE,
            last.t_ns,
            last.order,
            last.flags,
        )
        made.exchanges.append(exchange)
    made.stdio = [StdioChunk(10**9, 1, b"out\n"), StdioChunk(10**9, 0, b"")]
    made.has_exit, made.exit_code = True, 0
    return made


LINES = [
    {key: value for key, value in json.loads(line).items() if key != "sum"}
    for line in cassette_bytes(sample()).splitlines()[:-1]
]


def resealed(lines: list[Any]) -> bytes:
    return b"".join(sealed(lines))


def use(path: Path) -> None:
    """All that reading commands do with it."""
    session = Session(read_cassette(path).recording)
    session.to_json()
    for step in session.steps:
        step.to_json(whole=True, raw=True)
        assert isinstance(step.exchange.body, bytes)


def survives(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        use(path)
    except PlayheadError as error:
        assert error.exit_code == 3
        assert error.code in ("cassette-damaged", "cassette-too-large", "format-version", "not-a-recording"), error


def refused(path: Path, data: bytes, code: str, *, megabytes: int = 64) -> None:
    """Refused with this code, having taken little memory."""
    path.write_bytes(data)
    del data
    tracemalloc.start()
    try:
        with pytest.raises(PlayheadError) as error:
            use(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.value.code == code, error.value
    assert peak < megabytes << 20


_SETTINGS = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=150
)


def test_the_sample_is_read(tmp_path: Path) -> None:
    """The control: unchanged, it is intact, by way of the lines as well."""
    path = tmp_path / "it.rw"
    path.write_bytes(resealed(LINES))
    assert read_cassette(path).seal.intact
    use(path)
    assert cassette_bytes(open_recording(path)) == resealed(LINES)


@_SETTINGS
@given(data=st.data())
def test_changed_bytes(tmp_path: Path, data: st.DataObject) -> None:
    """Any bytes of either form replaced, cut out or put in: an error of ours, or a reading that knows of the edit."""
    compact = data.draw(st.booleans())
    whole = cassette_bytes(sample(), compact=compact)
    at = data.draw(st.integers(0, len(whole)))
    until = data.draw(st.integers(at, min(len(whole), at + 40)))
    changed = whole[:at] + data.draw(st.binary(max_size=20)) + whole[until:]
    survives(tmp_path / "it.rw", changed)
    if changed != whole and not compact:
        try:
            cassette = read_cassette(tmp_path / "it.rw")
        except PlayheadError:
            return
        same = changed.replace(b"\r\n", b"\n").strip() == whole.strip()
        assert cassette.seal.intact is same


_odd = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["same", "events", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["$", "each", "of", "a"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@_SETTINGS
@given(data=st.data())
def test_changed_values_under_a_right_seal(tmp_path: Path, data: st.DataObject) -> None:
    """Somebody who wants to deceive seals again: values of other kinds, members and lines left out, doubled, moved."""
    lines = json.loads(json.dumps(LINES))
    for _ in range(data.draw(st.integers(1, 3))):
        line = data.draw(st.sampled_from(lines)) if lines else {}
        inside: Any = line
        while data.draw(st.booleans()):
            below = list(inside.values() if isinstance(inside, dict) else inside)
            below = [each for each in below if isinstance(each, (dict, list)) and each]
            if not below:
                break
            inside = data.draw(st.sampled_from(below))
        if inside:
            key = data.draw(st.sampled_from(list(inside) if isinstance(inside, dict) else list(range(len(inside)))))
            if data.draw(st.booleans()):
                inside[key] = data.draw(_odd)
            elif isinstance(inside, dict):
                inside[data.draw(st.sampled_from(["like", "$", "unknown", "end", "bytes", "order"]))] = data.draw(_odd)
            else:
                del inside[key]
        if data.draw(st.integers(0, 4)) == 0 and lines:
            lines.insert(data.draw(st.integers(0, len(lines))), lines.pop(data.draw(st.integers(0, len(lines) - 1))))
    survives(tmp_path / "it.rw", resealed(lines))


@_SETTINGS
@given(
    lines=st.lists(
        st.dictionaries(
            st.sampled_from(["cassette", "ask", "answer", "when", "stream", "exit", "lane"]), _odd, max_size=3
        ),
        max_size=4,
    )
)
def test_lines_that_say_anything(tmp_path: Path, lines: list[Any]) -> None:
    """Behind a right first line."""
    survives(tmp_path / "it.rw", resealed([LINES[0], *lines]))


def changed(kind: str, number: int, **values: Any) -> bytes:
    """The sample with some values of one line changed, sealed again."""
    lines = json.loads(json.dumps(LINES))
    next(line for line in lines if line.get(kind) == number).update(values)
    return resealed(lines)


def test_a_decompression_bomb(tmp_path: Path) -> None:
    """A small file that claims, or is, more than a cassette may be."""
    import zstandard

    bomb = MAGIC + (1).to_bytes(4, "little") + zstandard.ZstdCompressor(level=1).compress(bytes(MAX_TEXT + 1))
    assert len(bomb) < 64 << 10
    refused(tmp_path / "it.rw", bomb, "cassette-too-large", megabytes=1)


def test_a_frame_that_lies_about_its_size(tmp_path: Path) -> None:
    """Its content is larger than its header says: it is not given room."""
    import zstandard

    big = zstandard.ZstdCompressor(level=1).compress(b"\0" * (10 << 20))
    assert big[4] == 0x80  # a window byte, then the frame's size in 4 bytes (RFC 8878, 3.1.1.1)
    lying = big[:6] + (1000).to_bytes(4, "little") + big[10:]
    assert zstandard.frame_content_size(lying) == 1000
    refused(tmp_path / "it.rw", MAGIC + (1).to_bytes(4, "little") + lying, "cassette-damaged", megabytes=1)


def test_a_stream_that_unfolds_without_end(tmp_path: Path) -> None:
    """A template of a megabyte filled a hundred thousand times; runs of a billion."""
    path = tmp_path / "it.rw"
    template = [{"each": ["x" * 10**6, "y"], "of": [""] * 10**5}]
    refused(path, changed("answer", 1, events=template), "cassette-too-large")
    refused(path, changed("answer", 1, chunked=[[1, 1 << 40]]), "cassette-too-large", megabytes=8)
    refused(path, changed("when", 1, reads=[[1, 1 << 40]]), "cassette-too-large", megabytes=8)
    refused(path, changed("when", 1, order=1 << 62), "cassette-damaged", megabytes=8)


def test_likeness_that_unfolds_without_end(tmp_path: Path) -> None:
    """An array that is taken again and again, each time with something new."""
    asks = [line for line in LINES if "ask" in line]
    wide = {**asks[0], "json": {"a": list(range(200_000))}, "style": "compact"}
    more = [
        {
            "ask": n,
            "to": "https://a:1",
            "route": "proxy",
            "lane": 0,
            "like": n - 1,
            "head": [],
            "json": {"a": [{"$": [0, 200_000]}, n]},
        }
        for n in range(2, 500)
    ]
    refused(tmp_path / "it.rw", resealed([LINES[0], wide, *more]), "cassette-too-large", megabytes=400)


@pytest.mark.parametrize(
    "told",
    [
        [{"$": [0, 1]}, {"$": [0, 1]}],
        [{"$": [1, 1]}, {"$": [0, 1]}],
        [{"$": [0, 9]}],
        [{"$": [-1, 1]}],
        [{"$": [0, -1]}],
    ],
)
def test_no_part_of_a_base_is_used_twice(tmp_path: Path, told: list[Any]) -> None:
    """Nor one that it does not have: so nothing doubles."""
    refused(tmp_path / "it.rw", changed("ask", 2, json={"messages": told}), "cassette-damaged", megabytes=8)


def test_deep_json(tmp_path: Path) -> None:
    """Brackets beyond any depth."""
    deep = b'{"cassette":1,"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
    refused(tmp_path / "it.rw", deep, "cassette-damaged")


def test_many_brackets_are_counted_before_they_are_parsed(tmp_path: Path) -> None:
    """Sixty megabytes of empty arrays would take a gigabyte and a half."""
    path = tmp_path / "it.rw"
    with path.open("wb") as file:
        file.write(b'{"cassette":1,"a":[')
        for _ in range(20):
            file.write(b"[]," * (1 << 20))
        file.write(b'[]]}\n{"seal":""}\n')
    with pytest.raises(PlayheadError) as error:
        read_cassette(path)
    assert error.value.code == "cassette-too-large"


def test_a_newer_format(tmp_path: Path) -> None:
    """Is told from damage, in both forms."""
    path = tmp_path / "it.rw"
    refused(path, changed("cassette", 1, cassette=2), "format-version")
    refused(path, MAGIC + (2).to_bytes(4, "little") + b"whatever", "format-version")


def test_nothing_in_a_cassette_names_a_file(tmp_path: Path) -> None:
    """An id that is a path is refused: sessions of the store are files of that name."""
    for name in ("../../../etc/passwd", "/etc/passwd", "7f3a2b9c41d0e65\0", ""):
        refused(tmp_path / "it.rw", changed("cassette", 1, id=name), "cassette-damaged")


@pytest.mark.parametrize("last", [b"", b'{"seal":"%b","lines":2000000}\n' % (b"0" * 64)])
def test_two_million_lines_that_were_not_sealed_are_refused_at_once(tmp_path: Path, last: bytes) -> None:
    """A packed kilobyte can hold them, with a line at the end that says that they were, or without."""
    path = tmp_path / "many.rw"
    path.write_bytes(b'{"cassette":1}\n' * 1_999_999 + last)
    began = time.process_time()
    with pytest.raises(DamagedRecording):
        open_recording(path)
    assert time.process_time() - began < 5


def test_a_cassette_that_was_edited_throughout_is_read(tmp_path: Path) -> None:
    """Up to the bound: every line of it another than was sealed, and named."""
    lines = [*LINES[:1], *[{"incomplete": f"reason {n}"} for n in range(1000)], *LINES[1:]]
    path = tmp_path / "edited.rw"
    path.write_bytes(resealed(lines).replace(b'"reason ', b'"cause '))
    assert len(read_cassette(path).edited) == 1000
