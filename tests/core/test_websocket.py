"""Frames, messages and how many were said, however reads cut them."""

from __future__ import annotations

import zlib
from base64 import b64encode
from hashlib import sha1

from hypothesis import given
from hypothesis import strategies as st

from playhead.core import websocket
from playhead.core.websocket import BINARY, CLOSE, PING, PONG, TEXT, Control, Message, Reader, Said, accepting, frame

KEY = b"\x01\x02\x03\x04"
PIECE = st.tuples(st.sampled_from([TEXT, BINARY, CLOSE, PING, PONG]), st.lists(st.binary(max_size=200), max_size=3))


def framed(pieces: list[tuple[int, list[bytes]]]) -> bytes:
    """Messages in as many frames as they have parts, control frames in one."""
    out = b""
    for opcode, parts in pieces:
        if opcode & 8:
            out += frame(0x80 | opcode, b"".join(parts)[:125], KEY)
        else:
            parts = parts or [b""]
            for at, part in enumerate(parts):
                out += frame((0x80 if at == len(parts) - 1 else 0) | (0 if at else opcode), part, KEY)
    return out


@given(st.lists(PIECE, max_size=6), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_what_was_said_does_not_depend_on_the_reads(pieces: list[tuple[int, list[bytes]]], steps: list[int]) -> None:
    """Messages, closes, pings and pongs, and their number, from reads of any sizes."""
    data = framed(pieces)
    reader, said = Reader(None, client=True), Said()
    found: list[tuple[int, bytes]] = []
    count = 0
    at = 0
    while at < len(data):
        for step in steps:
            piece = data[at : at + step]
            at += step
            found += [
                (each.opcode, each.text if isinstance(each, Message) else each.payload) for each in reader.feed(piece)
            ]
            count = said.feed(piece)
            assert count == sum(opcode not in (PING, PONG) for opcode, _ in found)
    whole = [(opcode, b"".join(parts)[:125] if opcode & 8 else b"".join(parts)) for opcode, parts in pieces]
    assert found == whole
    spans = list(websocket.frames(data, 0))
    assert [start for start, _, _ in spans] == [0, *(end for _, end, _ in spans)][: len(spans)]
    assert not spans or spans[-1][1] == len(data)
    assert all(opcode >= 0 for _, _, opcode in spans)


@given(st.binary(min_size=1, max_size=100_000))
def test_a_frame_that_is_cut_off_counts_as_one_without_an_opcode(payload: bytes) -> None:
    """Wherever it is cut."""
    data = frame(0x82, payload)
    for end in {1, 2, len(data) - 1}:
        assert list(websocket.frames(data[:end], 0)) == [(0, end, -1)]


def test_control_frames_between_the_frames_of_a_message_belong_to_it_too() -> None:
    """They come at once, and stand in it as they came."""
    ping = frame(0x80 | PING, b"p")
    data = frame(TEXT, b"on") + ping + frame(0x80, b"e")
    control, message = Reader(None, client=False).feed(data)
    assert control == Control(PING, b"p", ping, is_between=True)
    assert isinstance(message, Message)
    assert (message.text, bytes(message.raw), bytes(message.controls)) == (b"one", data, ping)


def test_a_message_that_is_too_long_is_read_as_empty_and_the_next_is_whole() -> None:
    """Also where both share a compression context."""
    packer = zlib.compressobj(wbits=-15)

    def packed(text: bytes) -> bytes:
        return frame(0xC1, (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4])

    data = packed(b"x" * (websocket.LONGEST_MESSAGE * 2 + 1)) + packed(b"x" * 50 + b" next")
    first, second = Reader(websocket.Deflate(True, True), client=False).feed(data)
    assert isinstance(first, Message)
    assert isinstance(second, Message)
    assert (first.text, first.is_left_out, bytes(first.raw)) == (b"", True, frame(0x81, b""))
    assert (second.text, second.is_left_out) == (b"x" * 50 + b" next", False)


def test_a_recorded_answer_accepts_another_key() -> None:
    """RFC 6455 1.3 has the example."""
    asked = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    answer = b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n"
    other = answer % b64encode(sha1(b"other", usedforsecurity=False).digest())
    assert accepting(other, asked) == answer % b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert accepting(other, b"GET / HTTP/1.1\r\n\r\n") == other
