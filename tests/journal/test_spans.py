"""What two bodies have in common: true, in order, and nearly all of it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.journal.bodies.spans import common_prefix, common_spans, common_suffix


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
        assert common_prefix(x, y, 0, 0, prefix // 2) == prefix // 2


def check(base: bytes, body: bytes) -> int:
    """Asserts that the spans are true, in order and apart; returns how many bytes they have."""
    a = b = total = 0
    for span in common_spans(base, body):
        assert span.base >= a
        assert span.body >= b
        assert span.length > 0
        a, b = span.base + span.length, span.body + span.length
        assert base[span.base : a] == body[span.body : b]
        total += span.length
    return total


TEXT = st.lists(st.sampled_from([b"ab", b"the same words again. ", b"\n", bytes(range(64)), b"x" * 40]), max_size=40)


@settings(max_examples=300, deadline=None)
@given(base=TEXT, body=TEXT)
def test_spans_of_any_two_bodies_are_true(base: list[bytes], body: list[bytes]) -> None:
    """Repetitive ones above all, in which a probe is found in many places."""
    check(b"".join(base), b"".join(body))


@pytest.mark.parametrize("seed", range(6))
def test_nearly_all_that_is_common_is_found(seed: int) -> None:
    """Twenty edits between long pieces, each of which takes out or puts in much or little: what is missed is less than a
    probe at each. Where both sides of an edit are long, one piece in three may be missed."""
    dice = random.Random(seed)
    for edits, least in (
        (((0, 0), (3, 3), (40, 0), (900, 20), (20_000, 20), (20, 20_000), (0, 900)), 0.985),
        (((900, 900), (20_000, 900), (2000, 20_000), (20, 20)), 0.65),
    ):
        base, body, common = b"", b"", 0
        for _ in range(20):
            piece = dice.randbytes(dice.randint(200, 9000))
            out, new = dice.choice(edits)
            common += len(piece)
            base += piece + dice.randbytes(out)
            body += piece + dice.randbytes(new)
        assert check(base, body) > common * least
