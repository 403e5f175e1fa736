"""How far two texts are the same from either end."""

from itertools import takewhile

from hypothesis import given
from hypothesis import strategies as st

from playhead.core.alike import common_back, common_front

TEXTS = st.text("ab", max_size=12)


def equal_from_the_front(one: str, two: str) -> int:
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False))))


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_it_is_what_comparing_each_character_says(front: str, a: str, b: str, back: str) -> None:
    """Of text and of bytes, from the front and from the back, within the limit."""
    one, two = front + a + back, front + b + back
    told = equal_from_the_front(one, two)
    assert common_front(one, two) == common_front(one.encode(), two.encode()) == told
    for limit in range(min(len(one), len(two)) + 1):
        told = min(limit, equal_from_the_front(one[::-1], two[::-1]))
        assert common_back(one, two, limit) == common_back(one.encode(), two.encode(), limit) == told
