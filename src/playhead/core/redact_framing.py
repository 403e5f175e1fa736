"""Transfer framing and content codings as they arrive: where a body's own bytes stand, and what they say.

Formats: RFC 9112 section 7.1 (chunks), RFC 1951, 1950 and 1952 (deflate, zlib, gzip), RFC 7932 (brotli), RFC 8878 (zstd).
"""

from __future__ import annotations

import zlib
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from playhead.core.late import late

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BARE_LINE = 24
"""Bytes of a size line and the break in front of it. What is longer says more than a size."""
SLICE = 1 << 18  # decoded bytes that are in memory at once
_SIZE_LINE = late(rb"[ \t]*([0-9A-Fa-f]{0,15})[ \t]*(?:;[^\n]*)?\r?\n?")  # or its beginning
_BREAK = late(rb"\r?\n?")
_LONGEST_LINE = 4096
_PLAIN_SIZE = late(rb"([0-9A-Fa-f]{1,8})\r\n")


class Undecodable(ValueError):
    """The bytes are not in the coding that the head names."""


class Deframer:
    """Where the payload of a chunked body is. Offsets count from the body's first byte; without `chunked` all of it is.
    `rest` is where bytes begin that are no chunks, trailers or what is out of form, -1 as long as there are none; `known` is up
    to where the framing is understood: an unfinished size line may turn out to be anything."""

    __slots__ = ("_at", "_chunked", "_left", "_line", "rest")

    def __init__(self, *, chunked: bool) -> None:
        self.rest = -1
        self._chunked = chunked
        self._at = 0
        self._left = -1  # of the chunk's data; -1 in a line
        self._line = b""  # of a size line, or the break in front of one, that is not complete

    @property
    def known(self) -> int:
        return self._at - len(self._line)

    def one(self, data: bytes) -> tuple[int, int] | None:
        """Take the next bytes if they are one whole chunk: where in `data` its payload is. None, and nothing is taken, if they
        are not."""
        if self._left >= 0 or self._line or self.rest >= 0:
            return None
        match = _PLAIN_SIZE.match(data)
        if match is None:
            return None
        start, size = match.end(), int(match[1], 16)
        if not size or len(data) != start + size + 2 or not data.endswith(b"\r\n"):
            return None
        self._at += len(data)
        return start, start + size

    def feed(self, data: bytes) -> Iterator[tuple[int, int]]:
        """The spans (start, end) of payload in the next bytes."""
        base, here = self._at, 0
        self._at += len(data)
        if not self._chunked:
            if data:
                yield base, self._at
            return
        while here < len(data) and self.rest < 0:
            if self._left > 0:
                taken = min(self._left, len(data) - here)
                yield base + here, base + here + taken
                here += taken
                self._left -= taken
                continue
            begin = base + here - len(self._line)
            stop = data.find(b"\n", here) + 1
            line = self._line + data[here : stop or len(data)]
            self._line = b""
            here = stop or len(data)
            if self._left == 0 and _BREAK.fullmatch(line) is not None:
                self._left = -1 if stop else 0
            elif self._left < 0 and len(line) <= _LONGEST_LINE and (match := _SIZE_LINE.fullmatch(line)) is not None:
                if stop and match[1]:
                    self._left = int(match[1], 16) or -1
                    self.rest = -1 if self._left > 0 else base + stop
                elif stop:
                    self.rest = begin
            else:
                self.rest = begin
            if not stop and self.rest < 0:
                self._line = line


class Judge(Protocol):
    """Takes bytes and gives them back later, as many as it took (but for what was never whole, at its end)."""

    @property
    def held(self) -> int: ...

    def feed(self, data: bytes) -> bytes:
        """Take a read; what is decided."""

    def close(self) -> bytes:
        """What was held back."""


class Dechunked:
    """A chunked body whose payload alone is judged, by `inner`: the framing stays to the byte. What is no chunk (trailers,
    bytes out of form) and size lines that say more than a size are judged by what `other` makes."""

    def __init__(self, inner: Judge, other: Callable[[], Judge]) -> None:
        self._inner = inner
        self._other = other
        self._rest: Judge | None = None
        self._deframer = Deframer(chunked=True)
        self._begin = 0  # where in the body the next read begins
        self._line = b""  # of the framing, what is not understood yet
        self._parts: deque[tuple[bytes, bool]] = deque()  # what waits, and whether it is payload
        self._size = 0  # of what waits

    @property
    def held(self) -> int:
        return self._size + len(self._line) + (0 if self._rest is None else self._rest.held)

    def feed(self, data: bytes) -> bytes:
        """Take a read; what is decided."""
        one = self._deframer.one(data)
        if one is None:
            return self._feed(data)
        self._begin += len(data)
        start, end = one
        payload = data[start:end]
        judged = self._inner.feed(payload)
        if not self._parts:
            if judged is payload:
                return data
            if len(judged) == len(payload):
                return data[:start] + judged + data[end:]
        self._parts += (data[:start], False), (payload, True), (data[end:], False)
        self._size += len(data)
        return self._let_go(judged)

    def close(self) -> bytes:
        """What was held back, but for the payload that was never whole and all behind it."""
        if self._rest is None:
            judged = self._inner.close()
            self._frame(self._line)
        else:
            judged = b""
            self._frame(self._rest.close())
        self._line = b""
        return self._let_go(judged)

    def _feed(self, data: bytes) -> bytes:
        if self._rest is not None:
            self._frame(self._rest.feed(data))
            return self._let_go(b"")
        start = self._begin - len(self._line)
        whole = self._line + data
        spans = [(first - start, last - start) for first, last in self._deframer.feed(data)]
        self._begin += len(data)
        done = 0
        for first, last in spans:
            self._frame(whole[done:first])
            self._parts.append((whole[first:last], True))
            self._size += last - first
            done = last
        rest = self._deframer.rest
        known = (self._deframer.known if rest < 0 else rest) - start
        self._frame(whole[done:known])
        self._line = whole[known:]
        judged = self._inner.feed(b"".join([whole[first:last] for first, last in spans])) if spans else b""
        if rest >= 0:
            judged += self._inner.close()
            tail, self._line = self._line, b""
            self._rest = self._other()
            self._frame(tail if tail == b"\r\n" else self._rest.feed(tail))
        return self._let_go(judged)

    def _frame(self, data: bytes) -> None:
        """Framing, whose place is behind all that waits."""
        if len(data) > BARE_LINE and self._rest is None:
            other = self._other()
            data = other.feed(data) + other.close()
        if data:
            self._parts.append((data, False))
            self._size += len(data)

    def _let_go(self, judged: bytes) -> bytes:
        """Payload that is judged, in the order in which it waits, with the framing before it; behind it only what is no size
        line of payload that waits."""
        done: list[bytes] = []
        at = 0
        parts = self._parts
        while parts:
            part, is_payload = parts[0]
            size = len(part)
            if is_payload:
                left = len(judged) - at
                if left < size:
                    done.append(judged[at:])
                    parts[0] = (part[left:], True)
                    break
                part = judged[at : at + size]
                at += size
            elif at == len(judged) and len(parts) > 1 and parts[1][1]:
                break
            done.append(part)
            parts.popleft()
        whole = b"".join(done)
        self._size -= len(whole)
        return whole


class Decoder(Protocol):
    """Undoes a coding piece by piece. `settled`: all that was fed is undone; `eof`: the coding has ended."""

    @property
    def settled(self) -> bool: ...

    @property
    def eof(self) -> bool: ...

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes say, in slices. Raises Undecodable."""


class _Zlib:
    def __init__(self, coding: str) -> None:
        self.settled, self.eof = True, False
        self._coding = coding
        self._stream: Any = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._stream is None or (self.eof and self._coding == "gzip"):
                is_zlib = data[0] & 15 == 8 and (len(data) < 2 or (data[0] << 8 | data[1]) % 31 == 0)
                self._stream = zlib.decompressobj(wbits=31 if self._coding == "gzip" else 15 if is_zlib else -15)
                self.eof = False
            elif self.eof:
                return
            try:
                text = self._stream.decompress(data, SLICE)
            except zlib.error as error:
                raise Undecodable(str(error)) from None
            if text:
                yield text
            self.eof = self._stream.eof
            data = self._stream.unused_data if self.eof else self._stream.unconsumed_tail


class _Brotli:
    def __init__(self) -> None:
        import brotli  # type: ignore[import-not-found,import-untyped,unused-ignore]

        self.settled, self.eof = True, False
        self._error = brotli.error
        self._stream: Any = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            for at in range(0, len(data), 256):
                text = self._stream.process(data[at : at + 256])
                if text:
                    yield text
        except self._error as error:
            raise Undecodable(str(error)) from None
        self.eof = bool(self._stream.is_finished())


class _Zstd:
    def __init__(self) -> None:
        import zstandard

        self.settled, self.eof = True, False
        self._error = zstandard.ZstdError
        self._module = zstandard
        self._stream: Any = None
        self._blocks = _Blocks()

    def feed(self, data: bytes) -> Iterator[bytes]:
        self.settled = self._blocks.feed(data)
        try:
            while data:
                if self._stream is None:
                    self._stream = self._module.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
                for at in range(0, len(data), 1024):
                    text = self._stream.decompress(data[at : at + 1024])
                    if text:
                        yield text
                    if self._stream.eof:
                        break
                rest = data[at + 1024 :] if self._stream.eof else b""
                data = self._stream.unused_data + rest if self._stream.eof else b""
                self.eof = self._stream.eof
                if self.eof:
                    self._stream = None
        except self._error as error:
            raise Undecodable(str(error)) from None


class _Blocks:
    """Tells whether zstd bytes end with a whole block: a decoder says nothing of a block before its last byte, which may
    hold text as it is."""

    def __init__(self) -> None:
        self._pending = b""
        self._skip = 0
        self._in_frame = self._last = self._checksum = False

    def feed(self, data: bytes) -> bool:
        data = self._pending + data
        while True:
            taken = min(self._skip, len(data))
            data = data[taken:]
            self._skip -= taken
            if self._skip:
                break
            step = self._step(data)
            if step < 0:
                break
            data = data[step:]
        self._pending = data
        return not self._skip and not data

    def _step(self, data: bytes) -> int:
        """Bytes of the next header, -1 when it is not all there."""
        if self._in_frame and self._last:
            self._in_frame = self._last = False
            self._skip = 4 if self._checksum else 0
            return 0
        if self._in_frame:
            if len(data) < 3:
                return -1
            header = int.from_bytes(data[:3], "little")
            self._last = bool(header & 1)
            self._skip = 1 if header >> 1 & 3 == 1 else header >> 3
            return 3
        if len(data) < 5:
            return -1
        if data[1:4] == b"\x2a\x4d\x18":  # a skippable frame
            if len(data) < 8:
                return -1
            self._skip = int.from_bytes(data[4:8], "little")
            return 8
        flags = data[4]
        single = flags >> 5 & 1
        self._checksum = bool(flags & 4)
        self._in_frame = True
        self._skip = (1 - single) + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6]
        return 5


class _Chain:
    """Several codings of one body, the one to undo first in front."""

    def __init__(self, links: list[Decoder]) -> None:
        self._links = links

    @property
    def settled(self) -> bool:
        return all(link.settled for link in self._links)

    @property
    def eof(self) -> bool:
        return all(link.eof for link in self._links)

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield from self._through(data, 0)

    def _through(self, data: bytes, at: int) -> Iterator[bytes]:
        for piece in self._links[at].feed(data):
            if at + 1 == len(self._links):
                yield piece
            else:
                yield from self._through(piece, at + 1)


def decoder(coding: str) -> Decoder | None:
    """A decoder of a Content-Encoding, be it a list of up to eight (RFC 9110 8.4: in the order they were applied); None when
    there is none here."""
    if "," not in coding:
        return _decoder(coding)
    links = [_decoder(one) for one in reversed(_listed(coding))]
    known = [link for link in links if link is not None]
    return _Chain(known) if len(known) == len(links) <= 8 and known else None


def _listed(coding: str) -> list[str]:
    names = [name.strip() for name in coding.split(",")]
    return [name for name in names if name not in ("", "identity")]


def _decoder(coding: str) -> Decoder | None:
    if coding in ("gzip", "x-gzip"):
        return _Zlib("gzip")
    if coding == "deflate":
        return _Zlib("deflate")
    try:
        if coding == "br":
            return _Brotli()
        if coding == "zstd":
            return _Zstd()
    except ImportError:
        pass
    return None


class Encoder:
    """Applies what `decoder` undoes. Every piece can be undone when it has come. `like` is how the coded body began."""

    def __init__(self, coding: str, like: bytes = b"") -> None:
        names = _listed(coding) if "," in coding else [coding]
        self._links = [_Encoder(name, like if name == names[-1] else b"") for name in names]

    def piece(self, text: bytes) -> bytes:
        """The coded form of `text`, to its last byte."""
        for link in self._links:
            text = link.piece(text)
        return text

    def end(self) -> bytes:
        """What ends the coding."""
        rest = b""
        for link in self._links:
            rest = (link.piece(rest) if rest else b"") + link.end()
        return rest


class _Encoder:
    def __init__(self, coding: str, like: bytes = b"") -> None:
        self._flush: tuple[Any, ...] = ()
        self._finish: tuple[Any, ...] = ()
        self._coder: Any
        if coding == "br":
            import brotli

            self._coder = brotli.Compressor(quality=5)
            self._compress = self._coder.process
        elif coding == "zstd":
            import zstandard

            self._coder = zstandard.ZstdCompressor().compressobj()
            self._compress = self._coder.compress
            self._flush, self._finish = (zstandard.COMPRESSOBJ_FLUSH_BLOCK,), (zstandard.COMPRESSOBJ_FLUSH_FINISH,)
        else:
            is_zlib = like[:1] and like[0] & 15 == 8
            wbits = (15 if is_zlib or not like else -15) if coding == "deflate" else 31
            self._coder = zlib.compressobj(wbits=wbits)
            self._compress = self._coder.compress
            self._flush, self._finish = (zlib.Z_SYNC_FLUSH,), (zlib.Z_FINISH,)
        self._is_brotli = coding == "br"

    def piece(self, text: bytes) -> bytes:
        if not text:
            return b""
        return bytes(self._compress(text) + self._coder.flush(*self._flush))

    def end(self) -> bytes:
        return bytes(self._coder.finish() if self._is_brotli else self._coder.flush(*self._finish))


def coded_like(body: bytes, coding: str, text: bytes) -> bytes:
    """`text` in the coding of `body`."""
    encoder = Encoder(coding, body)
    return encoder.piece(text) + encoder.end()
