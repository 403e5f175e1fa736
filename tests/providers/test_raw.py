"""Reading JSON that nobody vouches for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.providers import raw


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, 0),
        (7, 7),
        (12.0, 12),
        (12.5, None),
        (-1, None),
        (True, None),
        ("3", None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        ([], None),
    ],
)
def test_counts(value: Any, count: int | None) -> None:
    """Whole numbers of at least 0 and nothing else."""
    assert raw.as_count(value) == count


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_what_json_writes_is_read(value: Any) -> None:
    """Encoding and decoding are inverse on what JSON has."""
    assert raw.decoded(raw.encoded(value)) == value
    assert raw.decoded(json.dumps(value).encode()) == value


def test_types_or_their_empty_values() -> None:
    """Each reader gives its own type, whatever it is given."""
    for odd in (None, 1, "x", [1], {"a": 1}):
        assert isinstance(raw.as_object(odd), dict)
        assert isinstance(raw.as_list(odd), list)
        assert isinstance(raw.as_text(odd), str)
    assert raw.as_objects([1, {"a": 1}, None]) == [{"a": 1}]
    assert (raw.as_name(""), raw.as_name("x"), raw.as_name(3)) == (None, "x", None)
    assert (raw.first(None, 0, 1), raw.first(None)) == (0, None)
    assert (raw.total(None, 1, 2), raw.total(None), raw.total()) == (3, None, None)


def test_what_is_not_json_is_none() -> None:
    """Torn, empty, not UTF-8, too deep."""
    for text in (b"", b"{", b"\xff", b"[" * 100_000):
        assert raw.decoded(text) is None
    assert raw.encoded({1j}) == ""


def test_headers_compare_without_case() -> None:
    """The first of several."""
    assert raw.header([("X-A", "1"), ("x-a", "2")], "x-a") == "1"
    assert raw.header([], "x-a") == ""
