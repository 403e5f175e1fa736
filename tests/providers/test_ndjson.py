"""JSON values in a row, whatever the split."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from playhead.providers.ndjson import ElementDecoder, LineDecoder
from tests.providers.traffic import cut_up

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{},é\n', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
_CUTS = st.lists(st.integers(0, 300), max_size=20)


def _fed(decoder: LineDecoder | ElementDecoder, body: bytes, cuts: list[int]) -> list[bytes]:
    found: list[bytes] = []
    for piece in cut_up(body, cuts):
        found += decoder.feed(piece)
    return found + decoder.end()


@given(st.lists(_VALUES, max_size=6), _CUTS, st.booleans())
def test_lines_come_out_as_they_went_in(values: list[Any], cuts: list[int], closed: bool) -> None:
    """One value a line, with or without the last line end, cut anywhere."""
    body = b"\r\n".join(json.dumps(value).encode() for value in values) + (b"\n" if closed else b"")
    assert [json.loads(line) for line in _fed(LineDecoder(), body, cuts)] == values


@given(st.lists(_VALUES, max_size=6), _CUTS, st.sampled_from([None, 1, 3]))
def test_elements_come_out_as_they_went_in(values: list[Any], cuts: list[int], indent: int | None) -> None:
    """Elements of an array, with brackets, commas and quotes in their strings, cut anywhere."""
    body = json.dumps(values, indent=indent, ensure_ascii=False).encode()
    assert [json.loads(element) for element in _fed(ElementDecoder(), body, cuts)] == values


def test_elements_of_an_unfinished_array() -> None:
    """What was whole when the stream was cut is whole; the rest is handed over as it stands."""
    assert _fed(ElementDecoder(), b'[{"a": 1},\n{"b": [2, "x]', [3, 11]) == [b'{"a": 1}', b'{"b": [2, "x]']


@given(st.binary(max_size=50), _CUTS)
def test_any_bytes_decode_alike(body: bytes, cuts: list[int]) -> None:
    """Bytes that are no JSON at all decode without raising, and alike for every split."""
    for decoder in (LineDecoder, ElementDecoder):
        assert _fed(decoder(), body, cuts) == _fed(decoder(), body, [])
