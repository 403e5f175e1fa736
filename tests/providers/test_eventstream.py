"""Amazon's binary event stream, whatever the split and the damage."""

from __future__ import annotations

import struct
import zlib

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from playhead.providers.eventstream import Frame, FrameDecoder
from tests.providers.traffic import cut_up, event_frame, frame, recordings

_STREAM = (
    event_frame("messageStart", {"role": "assistant"})
    + event_frame("contentBlockDelta", {"delta": {"text": "é"}})
    + frame({}, b"")
)


def _fed(body: bytes, cuts: list[int]) -> tuple[list[Frame], str]:
    decoder = FrameDecoder()
    found: list[Frame] = []
    for piece in cut_up(body, cuts):
        found += decoder.feed(piece)
    return found + decoder.end(), decoder.damage


@given(st.lists(st.integers(0, len(_STREAM)), max_size=30))
def test_any_split_gives_the_same_frames(cuts: list[int]) -> None:
    """Where reads happened to end changes nothing."""
    frames, damage = _fed(_STREAM, cuts)
    assert damage == ""
    assert [each.header(":event-type") for each in frames] == ["messageStart", "contentBlockDelta", ""]
    assert (frames, damage) == _fed(_STREAM, [])


def test_recorded_frames_are_those_botocore_reads() -> None:
    """Headers and payloads of every recorded stream equal what Amazon's own SDK decodes."""
    bodies = [
        t.published.response_body
        for t in recordings()
        if t.provider.name == "bedrock" and t.request.stream and t.published.status == 200
    ]
    assert len(bodies) == 44
    for body in bodies:
        theirs = EventStreamBuffer()
        theirs.add_data(body)
        expected = [(each.headers, each.payload) for each in theirs]
        frames, damage = _fed(body, list(range(0, len(body), 7)))
        assert damage == ""
        assert [(each.headers, each.payload) for each in frames] == expected


@given(st.integers(0, len(_STREAM) - 1), st.integers(1, 255))
def test_a_changed_byte_never_passes(place: int, change: int) -> None:
    """Both checksums together see any one byte that differs; the frames before it stay readable."""
    spoilt = bytearray(_STREAM)
    spoilt[place] ^= change
    frames, damage = _fed(bytes(spoilt), [])
    whole, _ = _fed(_STREAM, [])
    assert damage
    assert frames == whole[: len(frames)]
    assert len(frames) < len(whole)


@given(st.integers(1, len(_STREAM) - 1))
def test_a_cut_stream_says_so(length: int) -> None:
    """Cutting gives the whole frames before the cut, and names the damage unless the cut is between two frames."""
    frames, damage = _fed(_STREAM[:length], [])
    ends = [len(_STREAM[:at]) for at in range(len(_STREAM)) if _fed(_STREAM[:at], [])[1] == ""]
    assert bool(damage) == (length not in ends)
    assert frames == _fed(_STREAM, [])[0][: len(frames)]


def test_every_header_type_is_read() -> None:
    """Booleans, four sizes of integer, bytes, text, a time and a uuid."""
    head = b"".join(
        bytes([1]) + name.encode() + kind + value
        for name, kind, value in [
            ("t", b"\x00", b""),
            ("f", b"\x01", b""),
            ("b", b"\x02", b"\xff"),
            ("s", b"\x03", b"\xff\xfe"),
            ("i", b"\x04", b"\x00\x00\x00\x07"),
            ("l", b"\x05", bytes(7) + b"\x08"),
            ("y", b"\x06", b"\x00\x02ab"),
            ("x", b"\x07", b"\x00\x02\xc3\xa9"),
            ("m", b"\x08", bytes(7) + b"\x09"),
            ("u", b"\x09", bytes(range(16))),
        ]
    )
    (one,), damage = _fed(_framed(head), [])
    assert damage == ""
    assert one.headers == {
        "t": True,
        "f": False,
        "b": -1,
        "s": -2,
        "i": 7,
        "l": 8,
        "y": b"ab",
        "x": "é",
        "m": 9,
        "u": bytes(range(16)),
    }


@pytest.mark.parametrize(
    "head", [b"\x01a\x0a", b"\x05a", b"\x01a\x07\x00\x09ab", b"\x01\xff\x00", b"\x01a\x04\x00", b"\x01a\x09\x00"]
)
def test_headers_that_lie_are_damage(head: bytes) -> None:
    """Unknown types, names and values past the end, and names that are no UTF-8, with checksums that fit."""
    frames, damage = _fed(_framed(head), [])
    assert (frames, damage.startswith("unreadable headers")) == ([], True)


def test_impossible_lengths_are_damage_at_once() -> None:
    """A huge length with a fitting checksum is refused without waiting for the bytes."""
    prelude = struct.pack(">II", 0xFFFFFFFF, 4)
    _, damage = _fed(prelude + struct.pack(">I", zlib.crc32(prelude)), [])
    assert damage.startswith("impossible lengths")


def _framed(head: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(head), len(head))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + head
    return message + struct.pack(">I", zlib.crc32(message))
