"""The first difference: named where it is, shown around its first character."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.matching.compare import ABSENT, Difference, first_difference, similarity
from tests.matching.requests import SAMPLES, canon


def difference(one: Any, other: Any) -> Difference:
    """The difference between two bodies, which must exist."""
    found = first_difference(canon(one), canon(other))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("one", "other", "path", "expected", "observed"),
    [
        ({"a": 1}, {"a": 2}, "$.a", "1", "2"),
        ({"a": 1}, {"a": 1.0}, "$.a", "1", "1.0"),
        ({"a": 1}, {"a": "1"}, "$.a", "1", '"1"'),
        ({"a": True}, {"a": "true"}, "$.a", "true", '"true"'),
        ({"a": True}, {"a": False}, "$.a", "true", "false"),
        ({"a": [None]}, {"a": ["x"]}, "$.a[0]", "null", '"x"'),
        ({"a": None}, {"a": 0}, "$.a", ABSENT, "0"),
        ({"a": 1}, {}, "$.a", "1", ABSENT),
        ({"a": {"b": [1, {"c": "x"}]}}, {"a": {"b": [1, {"c": "y"}]}}, "$.a.b[1].c", '"x"', '"y"'),
        ({"a b": 1, 'q"': 2}, {"a b": 2, 'q"': 2}, '$["a b"]', "1", "2"),
        ({"": 1}, {"": 2}, '$[""]', "1", "2"),
        ([1, 2], [1, 3], "$[1]", "2", "3"),
        ({"a": {"x": 1}}, {"a": [1]}, "$.a", '{"x": 1}', "[1]"),
        ({"name": 1}, {"nam": 1}, "$.nam", ABSENT, "1"),
        (b"abc", b"abd", "$", '"abc"', '"abd"'),
        (b"\xff\x00", b"\xff\x01", "$", None, None),
        (b"", {"a": 1}, "$", ABSENT, '{"a": 1}'),
    ],
)
def test_paths_and_values(one: Any, other: Any, path: str, expected: str | None, observed: str | None):
    """The path of what differs, and both sides as JSON."""
    found = difference(one, other)
    assert found.path == path
    assert expected is None or (found.expected, found.observed) == (expected, observed)


ITEMS = [{"n": number, "text": f"message {number}"} for number in range(6)]


@pytest.mark.parametrize("at", range(7))
def test_an_inserted_element_is_named_at_its_index(at: int):
    """One insertion does not cascade into every later element."""
    more = copy.deepcopy(ITEMS)
    more.insert(at, {"n": 99, "text": "new"})
    found = difference({"m": ITEMS}, {"m": more})
    assert (found.path, found.expected) == (f"$.m[{at}]", ABSENT)
    assert "99" in found.observed
    back = difference({"m": more}, {"m": ITEMS})
    assert (back.path, back.observed) == (f"$.m[{at}]", ABSENT)


def test_an_insertion_with_a_later_change():
    """The insertion is named although a later element differs too."""
    more = [*copy.deepcopy(ITEMS), {"n": 7, "text": "end"}]
    more.insert(2, {"n": 99, "text": "new"})
    assert difference({"m": ITEMS}, {"m": more})[:2] == ("$.m[2]", ABSENT)


def test_a_change_inside_an_element_is_followed():
    """Equal lengths: the difference is inside the element."""
    other = copy.deepcopy(ITEMS)
    other[3]["text"] = "message III"
    assert difference({"m": ITEMS}, {"m": other}).path == "$.m[3].text"


@given(st.text(min_size=0, max_size=200), st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=200))
def test_the_caret_stands_under_the_first_differing_character(prefix: str, one: str, other: str):
    """Both excerpts agree before the column and differ at it, and hold nothing that moves a terminal."""
    if one[0] == other[0]:
        other = chr(ord(other[0]) % 0xD000 + 1) + other
        if one[0] == other[0]:
            return
    found = difference({"t": prefix + one}, {"t": prefix + other})
    assert found.path == "$.t"
    assert found.expected[: found.column] == found.observed[: found.column]
    assert found.expected[found.column :] != found.observed[found.column :]
    assert all(character.isprintable() for character in found.expected + found.observed)
    assert len(found.expected) < 1100


def test_long_texts_are_cut_around_the_difference():
    """Ten thousand equal characters do not hide the one that differs."""
    text = "lorem ipsum " * 900
    found = difference({"t": text + "A" + text}, {"t": text + "B" + text})
    assert found.expected.startswith("…")
    assert found.expected.endswith("…")
    assert found.expected[found.column] == "A"
    assert found.observed[found.column] == "B"
    assert len(found.expected) < 100


def test_surroundings_come_before_the_body():
    """Another host is said first, whatever else differs."""
    found = first_difference(canon({"a": 1}, "https://h.example/p"), canon({"a": 2}, "https://g.example/p"))
    assert found is not None
    assert (found.path, found.expected, found.observed) == ("$.host", '"h.example"', '"g.example"')


def test_equal_requests_have_no_difference():
    """None, and likeness 1."""
    assert first_difference(canon({"a": 1}), canon({"a": 1})) is None
    assert similarity(canon({"a": 1}), canon({"a": 1})) == 1.0


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_nearest_of_many_is_the_request_it_came_from(name: str):
    """A request with one changed prompt is nearer to its original than to any other recorded one, and never quite 1."""
    url, body = SAMPLES[name]
    changed = copy.deepcopy(body)
    changed["added"] = "a new parameter"
    recorded = {key: canon(value, where) for key, (where, value) in SAMPLES.items()}
    live = canon(changed, url)
    likeness = {key: similarity(each, live) for key, each in recorded.items()}
    assert max(likeness, key=likeness.__getitem__) == name
    assert 0.5 < likeness[name] < 1.0


def test_a_changed_line_of_a_long_prompt_is_still_near():
    """Long texts are compared by their lines."""
    prompt = "\n".join(f"rule {number}: do the thing {number} times" for number in range(200))
    one, other = canon({"system": prompt}), canon({"system": prompt.replace("rule 77:", "rule LXXVII:")})
    far = canon({"system": "\n".join(f"law {number}: never do the deed {number}" for number in range(200))})
    assert similarity(one, other) > 0.9
    assert similarity(one, far) < 0.3
