"""Server-sent events, whatever the split."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from playhead.providers.sse import EventDecoder, ServerEvent, decode_events
from tests.providers.traffic import cut_up, recordings

_LINES = st.lists(
    st.sampled_from(
        [
            "data: a",
            "data:b",
            "data",
            "event: x",
            "id: 7",
            ": note",
            "",
            "",
            "retry: 3",
            "data: é😀",
            "\ufeffdata: z",
            'data: {"a": 1}',
        ]
    ),
    max_size=12,
)
_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def _split(body: bytes, cuts: list[int]) -> list[ServerEvent]:
    decoder = EventDecoder()
    found: list[ServerEvent] = []
    for piece in cut_up(body, cuts):
        found += decoder.feed(piece)
    return found + decoder.end()


@given(_LINES, st.lists(_ENDS, min_size=12, max_size=12), st.lists(st.integers(0, 400), max_size=20))
def test_any_split_gives_the_same_events(lines: list[str], ends: list[str], cuts: list[int]) -> None:
    """Where reads happened to end, inside a line end or a character too, changes nothing."""
    body = "".join(line + end for line, end in zip(lines, ends, strict=False)).encode()
    assert _split(body, cuts) == decode_events(body)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=10))
def test_any_bytes_decode_alike(body: bytes, cuts: list[int]) -> None:
    """Bytes that are no event stream at all decode without raising, and alike for every split."""
    assert _split(body, cuts) == decode_events(body)


def test_fields_are_read_as_the_standard_says() -> None:
    """One leading space goes, data lines join, comments vanish, the id lasts, the type does not."""
    body = b"\xef\xbb\xbfevent: first\nid: 1\ndata:  two\ndata: lines\n: comment\n\ndata\r\n\r\nid: 2\n\ndata: x\r\r"
    assert decode_events(body) == [
        ServerEvent("first", " two\nlines", "1"),
        ServerEvent("", "", "1"),
        ServerEvent("", "x", "2"),
    ]


def test_the_unfinished_last_event_is_not_lost() -> None:
    """A stream without the last blank line still gives its last event, once."""
    decoder = EventDecoder()
    assert decoder.feed(b"data: [DONE]") == []
    assert decoder.end() == [ServerEvent("", "[DONE]", "")]
    assert decoder.end() == []


def test_recorded_streams_split_at_every_byte() -> None:
    """A real stream fed byte by byte gives the events it gives in one piece."""
    streams = [
        told.published.response_body
        for told in recordings()
        if told.published.response_body.startswith((b"data:", b"event:"))
    ]
    assert len(streams) > 250
    for body in sorted(streams, key=len)[:60]:
        assert _split(body, list(range(len(body)))) == decode_events(body)
