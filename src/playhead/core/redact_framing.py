"""Transfer framing and content codings as they arrive: where a body's own bytes stand, and what they say.

Formats: RFC 9112 section 7.1 (chunks), RFC 1951, 1950 and 1952 (deflate, zlib, gzip), RFC 7932 (brotli), RFC 8878 (zstd).
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

SLICE = 1 << 18  # decoded bytes that are in memory at once
_SIZE_LINE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[^\n]{0,4096}\n")
_PLAIN_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")


class Undecodable(ValueError):
    """The bytes are not in the coding that the head names."""


class Deframer:
    """Where the payload of a chunked body is. Offsets count from the body's first byte; without `chunked` all of it is."""

    def __init__(self, *, chunked: bool) -> None:
        self.ended = False
        self._chunked = chunked
        self._at = 0
        self._left = 0  # of the chunk's data
        self._line: bytes | None = b"" if chunked else None  # of a size line that is not complete

    def one(self, data: bytes) -> tuple[int, int] | None:
        """Take the next bytes if they are payload and nothing else, or one whole chunk: where in `data` the payload is. None,
        and nothing is taken, if they are not."""
        if not self._chunked:
            self._at += len(data)
            return 0, len(data)
        if self._line != b"" or self.ended:
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
        while here < len(data) and not self.ended:
            if self._line is None:
                taken = min(self._left, len(data) - here)
                yield base + here, base + here + taken
                here += taken
                self._left -= taken
                if not self._left:
                    self._line = b"\r"  # the line's end behind the data comes first
                continue
            stop = data.find(b"\n", here)
            if stop < 0:
                self._line += data[here : here + 8192]
                return
            line = self._line + data[here : stop + 1]
            here = stop + 1
            if line.strip(b"\r\n") == b"":
                self._line = b""
                continue
            match = _SIZE_LINE.match(line.lstrip(b"\r"))
            if match is None:
                self.ended = True
                return
            self._left = int(match[1], 16)
            self._line = None if self._left else b""
            self.ended = not self._left


class Judge(Protocol):
    """Takes bytes and gives them back later, as many as it took (but for what was never whole, at its end)."""

    @property
    def held(self) -> int: ...

    def feed(self, data: bytes) -> bytes:
        """Take a read; what is decided."""

    def close(self) -> bytes:
        """What was held back."""


class Dechunked:
    """A chunked body whose payload alone is judged; its size lines stay where they are."""

    def __init__(self, inner: Judge) -> None:
        self._inner = inner
        self._deframer = Deframer(chunked=True)
        self._pending = bytearray()
        self._base = 0  # where `_pending` begins in the body
        self._places: deque[tuple[int, int]] = deque()  # payload that is not decided: (start, end) in the body

    @property
    def held(self) -> int:
        return len(self._pending)

    def feed(self, data: bytes) -> bytes:
        """Take a read; what is decided."""
        start = self._base + len(self._pending)
        self._pending += data
        for first, last in self._deframer.feed(data):
            self._places.append((first, last))
            self._put(self._inner.feed(data[first - start : last - start]))
        return self._let_go()

    def close(self) -> bytes:
        """What was held back, but for the payload that was never whole and all behind it."""
        self._put(self._inner.close())
        return self._let_go()

    def _put(self, judged: bytes) -> None:
        done = 0
        while done < len(judged):
            start, end = self._places.popleft()
            taken = min(end - start, len(judged) - done)
            at = start - self._base
            self._pending[at : at + taken] = judged[done : done + taken]
            done += taken
            if start + taken < end:
                self._places.appendleft((start + taken, end))

    def _let_go(self) -> bytes:
        count = self._places[0][0] - self._base if self._places else len(self._pending)
        done = bytes(self._pending[:count])
        del self._pending[:count]
        self._base += count
        return done


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
