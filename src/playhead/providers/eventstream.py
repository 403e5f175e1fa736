"""Amazon's binary event stream (`application/vnd.amazon.eventstream`), decoded as it arrives.

A frame is: total length (u32), headers length (u32), CRC-32 of those eight bytes (u32), headers, payload, CRC-32 of all
before it (u32); big-endian. A header is: name length (u8), name, type (u8), value. Source: "Amazon Transcribe streaming,
event stream encoding", and the limits of botocore.eventstream.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

_PRELUDE = struct.Struct(">III")
_LENGTHS = struct.Struct(">H")
_CRC = struct.Struct(">I")
_LARGEST_HEADERS = 128 * 1024
_LARGEST_PAYLOAD = 24 * 1024 * 1024
_FIXED = {2: ">b", 3: ">h", 4: ">i", 5: ">q", 8: ">q"}
_BYTES, _TEXT, _UUID = 6, 7, 9


class Frame(NamedTuple):
    """One message: its headers (values as their type says, a uuid as 16 bytes) and its payload."""

    headers: dict[str, str | int | bool | bytes]
    payload: bytes

    def header(self, name: str) -> str:
        """A text header, empty when absent or not text."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


class FrameDecoder:
    """Feed it bytes split anywhere. `damage` says what was wrong with the first frame that could not be read; nothing
    after it is decoded, because the next frame's start is not known."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self.damage = ""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes."""
        frames: list[Frame] = []
        if self.damage:
            return frames
        self._pending += data
        at = 0
        while len(self._pending) - at >= _PRELUDE.size:
            total, of_headers, crc = _PRELUDE.unpack_from(self._pending, at)
            if zlib.crc32(self._pending[at : at + 8]) != crc:
                self.damage = "the prelude's checksum does not match"
                break
            of_payload = total - of_headers - _PRELUDE.size - _CRC.size
            if of_headers > _LARGEST_HEADERS or not 0 <= of_payload <= _LARGEST_PAYLOAD:
                self.damage = f"impossible lengths: {total} bytes with {of_headers} of headers"
                break
            if len(self._pending) - at < total:
                break
            frame = bytes(self._pending[at : at + total])
            at += total
            if zlib.crc32(frame[:-4]) != _CRC.unpack_from(frame, total - 4)[0]:
                self.damage = "the message's checksum does not match"
                break
            try:
                headers = _headers(frame[_PRELUDE.size : _PRELUDE.size + of_headers])
            except (struct.error, ValueError, IndexError) as error:
                self.damage = f"unreadable headers: {error}"
                break
            frames.append(Frame(headers, frame[_PRELUDE.size + of_headers : -4]))
        del self._pending[:at]
        return frames

    def end(self) -> list[Frame]:
        """Nothing: a frame that was cut says so in `damage`."""
        if self._pending and not self.damage:
            self.damage = f"the stream ends {len(self._pending)} bytes into a message"
        return []


def _headers(data: bytes) -> dict[str, str | int | bool | bytes]:
    headers: dict[str, str | int | bool | bytes] = {}
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        name = data[at + 1 : end].decode()
        kind = data[end]
        at = end + 1
        if kind in {0, 1}:
            headers[name] = kind == 0
            continue
        if kind in _FIXED:
            size = struct.calcsize(_FIXED[kind])
            (headers[name],) = struct.unpack_from(_FIXED[kind], data, at)
        elif kind in {_BYTES, _TEXT}:
            size = _LENGTHS.size + _LENGTHS.unpack_from(data, at)[0]
            value = data[at + _LENGTHS.size : at + size]
            headers[name] = value.decode() if kind == _TEXT else value
        elif kind == _UUID:
            size = 16
            headers[name] = data[at : at + size]
        else:
            raise ValueError(f"header type {kind}")
        at += size
        if at > len(data):
            raise ValueError("a header runs past its end")
    return headers
