"""Request bodies of sealed files: the same as of open ones, by whatever way they are reached."""

from __future__ import annotations

import random
import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.core.events import EventKind
from playhead.journal.asked import AskedBodies, Request, read_spans, write_spans
from playhead.journal.bodies import Bodies, Encoder, split
from playhead.journal.columns import Cursor, column, steps, varint
from playhead.journal.frames import FrameFile, Kind
from playhead.journal.sealed import Sealed
from playhead.journal.sealing import write_sealed
from tests.journal.tapes import ID, segment_of

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = st.integers(0, 2**64 - 1)


@given(values=st.lists(WHOLE | st.integers(0, 300), max_size=50))
def test_columns_of_steps_come_back(values: list[int]) -> None:
    """Any numbers of 64 bits, in any order."""
    assert list(Cursor(steps(values, 7)).steps(len(values), 7)) == values


@given(values=st.lists(st.integers(-(2**62), 2**62) | st.integers(-3, 3), max_size=50), after=st.binary(max_size=3))
def test_columns_come_back(values: list[int], after: bytes) -> None:
    """And the cursor stands behind them."""
    cursor = Cursor(column(values) + after)
    assert list(cursor.column(len(values))) == values
    assert cursor.take(len(after)) == after


@given(data=st.binary(max_size=40), count=st.integers(0, 100))
def test_any_bytes_as_columns_are_a_value_error_or_numbers(data: bytes, count: int) -> None:
    """Nothing else."""
    for read in (Cursor(data).column, Cursor(data).steps):
        try:
            assert len(read(count)) == count
        except ValueError:
            continue


SPANS = st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 5000)), max_size=30)


@given(spans=SPANS)
def test_spans_come_back(spans: list[tuple[int, int]]) -> None:
    """And outside their stream they are refused."""
    assert read_spans(write_spans(spans), 10_000) == spans
    if spans:
        with pytest.raises(ValueError, match="outside"):
            read_spans(write_spans(spans), max(start + length for start, length in spans) - 1)


@given(data=st.binary(max_size=60))
def test_any_bytes_as_spans_are_a_value_error_or_spans_of_the_stream(data: bytes) -> None:
    """Bounded in number and reach."""
    try:
        spans = read_spans(data, 1000)
    except ValueError:
        return
    assert all(start >= 0 and length > 0 and start + length <= 1000 for start, length in spans)


def talk(dice: random.Random, steps: int) -> list[bytes]:
    """Bodies of a conversation that grows, is edited early now and then, and once begins anew."""
    parts = [b"[" + dice.randbytes(30).hex().encode()]
    out = []
    for step in range(steps):
        parts.append(b"," + dice.randbytes(dice.randrange(5, 400)).hex().encode())
        if step % 7 == 3:
            parts[dice.randrange(len(parts))] = b",cleared"
        if step == steps // 2:
            parts = parts[:1] + parts[-3:]
        out.append(b"".join(parts) + b"]")
    return out


def sealed_talk(path: Path, bodies: list[bytes]) -> Path:
    encoder = Encoder()
    events = []
    for number, body in enumerate(bodies, 1):
        events.append((EventKind.OPEN, number, {}, b"", 0, number))
        events.append((EventKind.REQUEST, number, {"head": 2}, b"\r\n" + encoder.encode(number, body), 0, number))
    write_sealed(path, ID, [("engine", segment_of("engine", events))])
    return path


def test_every_body_is_the_same_from_any_side(tmp_path: Path) -> None:
    """One after the other, at random, cold, with the index and without."""
    bodies = talk(random.Random(3), 150)
    path = sealed_talk(tmp_path / "a.tape", bodies)
    assert len(FrameFile(path).frames[Kind.EXTENTS]) == 1
    forward = Sealed(path).bodies(0)
    assert [forward.get(n) for n in range(1, 151)] == bodies
    for number in (150, 1, 77, 33, 34, 35, 149):
        assert Sealed(path).bodies(0).get(number) == bodies[number - 1]
    data = path.read_bytes()
    last = FrameFile(path).frames[Kind.INDEX][0].offset
    path.write_bytes(data[: last + 3])
    without = Sealed(path)
    assert not without.sound
    assert [without.bodies(0).get(n) for n in (150, 1, 77)] == [bodies[149], bodies[0], bodies[76]]


@settings(max_examples=30)
@given(seed=st.integers(0, 1 << 30), ways=st.lists(st.sampled_from(["let go", "hash", "hold", "view"]), min_size=30))
def test_a_body_that_somebody_has_stays_as_it_is_when_the_next_is_read(
    tmp_path_factory: pytest.TempPathFactory, seed: int, ways: list[str]
) -> None:
    """Whether each was let go, with its hash asked for or not, held, or held by a view: what is read is what was sent,
    and its hash is that of its bytes, also where the next is as long or shorter."""
    bodies = talk(random.Random(seed), 25)
    bodies += [bodies[-1][:-9] + b"x" * n + b"]" for n in (8, 8, 7, 9)]
    bodies.append(bodies[-1] + b"y")
    reader = Sealed(sealed_talk(tmp_path_factory.mktemp("talk") / "a.tape", bodies)).bodies(0)
    held: list[tuple[bytes | memoryview, bytes]] = []
    for number, (body, way) in enumerate(zip(bodies, ways, strict=False), 1):
        found = reader.get(number)
        assert found == body
        if way == "hash":
            assert hash(found) == hash(bytes(bytearray(body)))
        if way in ("hold", "view"):
            held.append((found if way == "hold" else memoryview(found), body))
        del found
    assert all(bytes(found) == body for found, body in held)


@pytest.mark.parametrize("is_held", [False, True])
def test_a_body_goes_on_in_the_memory_of_one_that_nobody_has(tmp_path: Path, is_held: bool) -> None:
    """A megabyte that grows by a little takes no second one; held, it does."""
    start = b"[" + random.Random(4).randbytes(1 << 20)
    path = sealed_talk(tmp_path / "a.tape", [start + b"]", start + b"more]"])
    reader = Sealed(path).bodies(0)
    tracemalloc.start()
    try:
        first = reader.get(1)
        if not is_held:
            first = b""
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        assert reader.get(2)[-6:] == start[-1:] + b"more]"
        more = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert (more > 1 << 20) == is_held == bool(first)


def test_no_chain_is_long_and_a_body_touches_no_more_than_it_needs(tmp_path: Path) -> None:
    """From any body to the nearest spans that the file has; without these the chain goes back to the start."""
    bodies = talk(random.Random(4), 200)
    path = sealed_talk(tmp_path / "a.tape", bodies)

    def read(number: int, *, spans: bool) -> int:
        sealed, forms = Sealed(path), []
        asked = sealed.bodies(0)
        form = asked.form
        asked.form = lambda n: forms.append(n) or form(n)
        if not spans:
            asked._spans_of = lambda request: None
        assert asked.get(number) == bodies[number - 1]
        return len(set(forms))

    assert max(read(n, spans=True) for n in range(120, 200, 7)) <= 34
    assert max(read(n, spans=False) for n in range(120, 200, 7)) > 34


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=4))
def test_hostile_operations_are_a_value_error_or_a_body_of_bounded_length(
    seed: int, flips: list[tuple[int, int]]
) -> None:
    """Never another error; and what is intact agrees with the reader of open sessions."""
    dice = random.Random(seed)
    encoder, plain = Encoder(), Bodies()
    ops: dict[int, bytes] = {}
    requests: dict[int, Request] = {}
    stream = b""
    bodies = talk(dice, 12)
    for number, body in enumerate(bodies, 1):
        stored = encoder.encode(number, body)
        plain.put(number, stored)
        ops[number], literal = split(stored)
        requests[number] = Request(number, number, len(stream), len(literal))
        stream += literal
    for at, value in flips:
        number = 1 + at % 12
        data = bytearray(ops[number])
        data[at % len(data)] ^= value
        ops[number] = bytes(data)
    asked = AskedBodies(
        requests, ops.__getitem__, lambda _: None, lambda spans: b"".join(stream[a : a + n] for a, n in spans)
    )
    for number in dice.sample(range(1, 13), 12):
        try:
            body = asked.get(number)
            assert sum(length for _, length in asked.spans(number)) == len(body)
        except ValueError:
            continue
        if not flips:
            assert body == bodies[number - 1] == plain.get(number)


def test_varints_are_read_to_their_end_and_no_further() -> None:
    """One that does not end is refused."""
    values = [0, 1, 127, 128, 300, 2**32, 2**64 - 1]
    cursor = Cursor(b"".join(map(varint, values)))
    assert [cursor.varint() for _ in values] == values
    with pytest.raises(ValueError, match="end"):
        cursor.varint()
    with pytest.raises(ValueError, match="end"):
        Cursor(b"\xff" * 20).varint()
    assert all(a < b for a, b in pairwise(values))
