"""Request bodies: whatever was encoded is read back, and hostile recipes are refused."""

from __future__ import annotations

import json
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.journal.bodies import Bodies, DeltaEncoder, common_prefix, common_suffix


def stored(bodies: dict[int, bytes], clean: bool = True) -> dict[int, bytes]:
    """The stored forms, encoded in the order of the dictionary."""
    encoder = DeltaEncoder()
    return {number: encoder.encode(number, body, clean=clean).stored for number, body in bodies.items()}


def read_back(encoded: dict[int, bytes]) -> Bodies:
    reader = Bodies()
    for number, form in encoded.items():
        reader.put(number, form)
    return reader


PIECE = st.binary(max_size=60) | st.sampled_from([b"", b"\xff\x00", b'{"role":"user"}', b"a" * 200])
EDIT = st.tuples(st.sampled_from(["append", "edit", "cut", "new", "same"]), st.integers(0, 500), PIECE)


def edited(body: bytes, how: str, at: int, piece: bytes) -> bytes:
    at = min(at, len(body))
    if how == "append":
        return body + piece
    if how == "edit":
        return body[:at] + piece + body[at + len(piece) :]
    if how == "cut":
        return body[:at]
    return body if how == "same" else piece


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 3), EDIT), max_size=40),
    order=st.randoms(use_true_random=False),
    clean=st.booleans(),
)
def test_any_series_of_four_agents_comes_back(steps: list, order, clean: bool) -> None:
    """Growing, edited, cut, replaced and empty bodies of interleaved agents, in any order of storing and reading."""
    latest = dict.fromkeys(range(4), b'{"messages":[' * 3)
    bodies: dict[int, bytes] = {}
    for number, (agent, edit) in enumerate(steps, 1):
        latest[agent] = bodies[number] = edited(latest[agent], *edit)
    numbers = list(bodies)
    order.shuffle(numbers)  # of requests under way together the later one may be complete first
    reader = read_back(stored({number: bodies[number] for number in numbers}, clean))
    order.shuffle(numbers)
    for number in numbers:
        assert reader.get(number) == bodies[number]


def test_a_conversation_costs_what_is_new_also_when_four_are_interleaved() -> None:
    """400 steps that each add a message to one of four conversations take a few times the last bodies, not their square."""
    talks: dict[int, list[str]] = {agent: [f"You are agent {agent}. " * 40] for agent in range(4)}
    bodies = {}
    for step in range(1, 401):
        talk = talks[step % 4]
        talk.append(f"message {step}: " + "word " * 20)
        bodies[step] = json.dumps({"model": "m", "messages": talk, "stream": True}).encode()
    encoded = stored(bodies)
    unique = sum(len(bodies[n]) for n in range(397, 401))
    assert sum(map(len, encoded.values())) < 2 * unique
    assert read_back(encoded).get(400) == bodies[400]


def test_a_cleared_tool_result_in_the_middle_costs_little() -> None:
    """Both sides of the edit come from the base."""
    before = b"a" * 50_000 + b"tool result" + b"b" * 50_000
    after = b"a" * 50_000 + b"[cleared]" + b"b" * 50_000
    encoded = stored({1: before, 2: after})
    assert len(encoded[2]) < 40
    assert read_back(encoded).get(2) == after


def test_clean_prefix_speaks_only_of_bodies_that_redaction_left_alone() -> None:
    """A base that lost a secret vouches for nothing."""
    encoder = DeltaEncoder()
    encoder.encode(1, b"history with <redacted:x:1> and more", clean=False)
    assert encoder.clean_prefix(b"history with <redacted:x:1> and more") == 0
    encoder.encode(2, b"history that is clean", clean=True)
    assert encoder.clean_prefix(b"history that is new") == len(b"history that is ")


@pytest.mark.parametrize(
    ("forms", "asked"),
    [
        ({}, 1),
        ({1: b""}, 1),
        ({1: b"\0" * 11}, 1),
        ({1: pack("<III", 1, 0, 0)}, 1),
        ({1: pack("<III", 2, 0, 0), 2: pack("<III", 1, 0, 0)}, 1),
        ({1: pack("<III", 2, 0, 0), 2: pack("<III", 1, 0, 0)}, 2),
        ({2: pack("<III", 1, 5, 0)}, 2),
        ({1: pack("<III", 0, 0, 0) + b"abc", 2: pack("<III", 1, 4, 0)}, 2),
        ({1: pack("<III", 0, 0, 0) + b"abc", 2: pack("<III", 1, 2, 2)}, 2),
        ({1: pack("<III", 0, 0, 0) + b"abc", 2: pack("<III", 1, 2**32 - 1, 2**32 - 1)}, 2),
        ({1: pack("<III", 0, 3, 0)}, 1),
    ],
)
def test_hostile_recipes_are_refused(forms: dict[int, bytes], asked: int) -> None:
    """Missing bases, circles and lengths beyond a base are ValueErrors, in `check` as in `get`."""
    reader = read_back(forms)
    with pytest.raises(ValueError, match="exchange"):
        reader.get(asked)
    with pytest.raises(ValueError, match="exchange"):
        reader.check(asked)


def test_bodies_that_would_double_at_every_step_are_refused() -> None:
    """A base counted as prefix and as suffix may not make a body longer than both: 20 small records stay small."""
    forms = {1: pack("<III", 0, 0, 0) + b"x" * 1000}
    for number in range(2, 22):
        forms[number] = pack("<III", number - 1, 1000 * 2 ** (number - 2), 1000 * 2 ** (number - 2))
    with pytest.raises(ValueError, match="past the end"):
        read_back(forms).get(21)


@settings(max_examples=200, deadline=None)
@given(forms=st.dictionaries(st.integers(1, 6), st.binary(max_size=40), max_size=6), asked=st.integers(1, 6))
def test_hostile_bytes_give_a_body_or_a_value_error(forms: dict[int, bytes], asked: int) -> None:
    """Nothing else, and it always ends; `check` and `get` agree."""
    reader = read_back(forms)
    try:
        reader.check(asked)
    except ValueError:
        with pytest.raises(ValueError, match="exchange"):
            reader.get(asked)
    else:
        assert isinstance(reader.get(asked), bytes)


@settings(max_examples=150, deadline=None)
@given(head=st.binary(max_size=50), a=st.binary(max_size=50), b=st.binary(max_size=50), tail=st.binary(max_size=50))
def test_prefix_and_suffix_are_the_longest(head: bytes, a: bytes, b: bytes, tail: bytes) -> None:
    """As counted byte by byte, also across the blocks they are compared in."""
    for scale in (1, 1700):
        x, y = head * scale + a + tail * scale, head * scale + b + tail * scale
        limit = min(len(x), len(y))
        prefix = next((i for i in range(limit) if x[i] != y[i]), limit)
        suffix = next((i for i in range(limit) if x[-1 - i] != y[-1 - i]), limit)
        assert common_prefix(x, y) == prefix
        assert common_suffix(x, y, limit) == suffix
