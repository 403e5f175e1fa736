"""HTTP/1.1 messages as a journal holds them, parsed after the fact.

Owns framing (content-length, chunks, end of connection) and content codings (gzip, deflate, and brotli or zstandard
where their modules are installed). Input is a recording, so it may be cut, damaged or hostile: nothing here raises for
what the bytes say, decompression is bounded, and `whole` tells whether the message was there to its end.
Formats: RFC 9112 (framing), RFC 9110 section 8.4 (codings).
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

DECODED_LIMIT = 256 << 20  # bytes; a body that would decode to more stays encoded
_SLICE = 1 << 10  # bytes fed at once to decoders without an output bound
_MEMBER_BOUND = 1000  # gzip members in one body; each costs a copy of what follows it
_CODING_BOUND = 8  # codings applied to one body; more is an attack, not a message
_CHUNK_LINE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
_NEXT_CHUNK = re.compile(rb"\r\n[0-9A-Fa-f]{1,8}[ \t]*(?:;[^\r\n]*)?\r\n")
_TOKEN = b"<redacted:"  # how redaction's tokens begin
_STATUS_LINE = re.compile(r"HTTP/\d(?:\.\d)? +(\d{3})(?: +(.*))?$")

Headers = list[tuple[str, str]]


class RequestMessage(NamedTuple):
    """A request. `target` is path?query as sent; `body` is without framing and codings; `encoding` names the codings
    that could not be undone ("" when none is left)."""

    method: str
    target: str
    headers: Headers
    body: bytes
    encoding: str = ""
    whole: bool = True


class AnswerMessage(NamedTuple):
    """An answer. `status` is 0 when no status line was read; `encoding` as in `RequestMessage`."""

    status: int
    reason: str
    headers: Headers
    body: bytes
    encoding: str = ""
    whole: bool = True
    trailers: Headers = []  # noqa: RUF012 - read only, as every field of a NamedTuple


class Unframed(NamedTuple):
    """A body without its transfer framing."""

    body: bytes
    trailers: Headers
    whole: bool


class Decoded(NamedTuple):
    """A body without those content codings that could be undone; `left` names the others, in header order."""

    body: bytes
    left: str
    whole: bool


def header(headers: Headers, name: str) -> str:
    """All values of a header, joined by a comma; "" when it is absent. `name` in lower case."""
    return ", ".join(value for key, value in headers if key.lower() == name)


def parse_head(head: bytes) -> tuple[str, Headers]:
    """The start line and the header fields in order, names in their own case. Folded lines are joined."""
    lines = head.decode("latin-1").replace("\r\n", "\n").rstrip("\n").split("\n")
    return lines[0] if lines else "", _fields(lines[1:])


def _fields(lines: list[str]) -> Headers:
    headers: Headers = []
    for line in lines:
        if not line:
            break
        if line[0] in " \t" and headers:
            name, value = headers[-1]
            headers[-1] = (name, f"{value} {line.strip()}")
            continue
        name, colon, value = line.partition(":")
        if colon:
            headers.append((name.strip(), value.strip()))
    return headers


def parse_request(head: bytes, body: bytes, *, redacted: bool = False, limit: int = DECODED_LIMIT) -> RequestMessage:
    """The request whose head and framed body were recorded. A body whose coding does not undo cleanly stays encoded, so
    that two requests never look equal because both were damaged. `redacted`: lengths on the wire no longer hold."""
    line, headers = parse_head(head)
    method, _, rest = line.partition(" ")
    target, _, _ = rest.rpartition(" ") if " " in rest else (rest, "", "")
    if "chunked" in header(headers, "transfer-encoding").lower():
        body, _, whole = dechunk(body, redacted=redacted)
    else:
        length = _length(headers)
        whole = redacted or length is None or len(body) >= length
    decoded = decode_content(body, header(headers, "content-encoding"), limit=limit)
    if not decoded.whole:
        decoded = Decoded(body, header(headers, "content-encoding"), whole=True)
    return RequestMessage(method, target, headers, decoded.body, decoded.left, whole)


def parse_answer(
    raw: bytes, *, method: str = "GET", redacted: bool = False, limit: int = DECODED_LIMIT
) -> AnswerMessage:
    """The final answer in the bytes of one exchange; interim 1xx answers are skipped (101 is final). `method` is the
    question's, because HEAD has a length and no body. A cut coding yields what could be decoded, `whole` False."""
    while True:
        head, found, rest = _split_head(raw)
        line, headers = parse_head(head)
        match = _STATUS_LINE.match(line)
        if match is None:
            return AnswerMessage(0, "", [], b"", "", whole=False)
        status, reason = int(match[1]), (match[2] or "").strip()
        if not found:
            return AnswerMessage(status, reason, headers, b"", "", whole=False)
        if status >= 200 or status == 101:
            break
        raw = rest
    if method == "HEAD" or status in (204, 304):
        return AnswerMessage(status, reason, headers, b"")
    if status == 101:
        return AnswerMessage(status, reason, headers, rest)
    length = _length(headers)
    if "chunked" in header(headers, "transfer-encoding").lower():
        framed = dechunk(rest, redacted=redacted)
    elif length is None or redacted:
        framed = Unframed(rest, [], whole=True)
    else:
        framed = Unframed(rest[:length], [], whole=len(rest) >= length)
    decoded = decode_content(framed.body, header(headers, "content-encoding"), limit=limit)
    return AnswerMessage(
        status, reason, headers, decoded.body, decoded.left, framed.whole and decoded.whole, framed.trailers
    )


def _split_head(raw: bytes) -> tuple[bytes, bool, bytes]:
    end = raw.find(b"\r\n\r\n")
    if end >= 0:
        return raw[: end + 4], True, raw[end + 4 :]
    end = raw.find(b"\n\n")
    if end >= 0:
        return raw[: end + 2], True, raw[end + 2 :]
    return raw, False, b""


def _length(headers: Headers) -> int | None:
    text = header(headers, "content-length").split(",")[0].strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def dechunk(data: bytes, *, redacted: bool = False) -> Unframed:
    """A chunked body without its frames (extensions dropped, trailers kept). With `redacted`, a chunk may be longer or
    shorter than its line says: the next bytes that can be a chunk line end it."""
    parts: list[bytes] = []
    at = 0
    while True:
        line = _CHUNK_LINE.match(data, at)
        if line is None:
            return Unframed(b"".join(parts), [], whole=False)
        size, at = int(line[1], 16), line.end()
        if size == 0:
            trailers = _fields(data[at:].decode("latin-1").replace("\r\n", "\n").split("\n"))
            ended = data.startswith((b"\r\n", b"\n"), at) or b"\r\n\r\n" in data[at:] or b"\n\n" in data[at:]
            return Unframed(b"".join(parts), trailers, whole=ended)
        end = at + size
        if redacted and (_TOKEN in data[at:end] or not _NEXT_CHUNK.match(data, end)):
            end = _next_chunk(data, at)
        parts.append(data[at:end])
        if end + 2 > len(data):
            return Unframed(b"".join(parts), [], whole=False)
        if data.startswith(b"\r\n", end):
            at = end + 2
        elif data.startswith(b"\n", end):
            at = end + 1
        else:
            return Unframed(b"".join(parts), [], whole=False)


def _next_chunk(data: bytes, start: int) -> int:
    found = _NEXT_CHUNK.search(data, start)
    return found.start() if found else len(data)


def decode_content(body: bytes, codings: str, *, limit: int = DECODED_LIMIT) -> Decoded:
    """Undo the codings of a Content-Encoding value, last applied first, until one is unknown, damaged from its start,
    or decodes to more than `limit` bytes."""
    names = [name.strip().lower() for name in codings.split(",") if name.strip() and name.strip().lower() != "identity"]
    if not body:
        return Decoded(body, "", whole=True)
    if len(names) > _CODING_BOUND:
        return Decoded(body, ", ".join(names), whole=True)
    whole = True
    while names:
        decoder = _DECODERS.get(names[-1])
        undone = decoder(body, limit) if decoder is not None else None
        if undone is None:
            break
        body, clean = undone
        whole = whole and clean
        names.pop()
    return Decoded(body, ", ".join(names), whole)


_Undone = tuple[bytes, bool] | None  # the bytes and whether the coding ended in order; None = leave it encoded


def _gzip(body: bytes, limit: int) -> _Undone:
    parts: list[bytes] = []
    total = 0
    while body:
        if len(parts) == _MEMBER_BOUND:
            return None
        member = zlib.decompressobj(wbits=31)
        try:
            part = member.decompress(body, limit - total + 1)
        except zlib.error:
            return (b"".join(parts), False) if parts else None
        total += len(part)
        if total > limit:
            return None
        parts.append(part)
        if not member.eof:
            return b"".join(parts), False
        body = member.unused_data
    return b"".join(parts), True


def _deflate(body: bytes, limit: int) -> _Undone:
    for wbits in (15, -15):  # RFC 9110 says zlib; some servers send the bare stream
        stream = zlib.decompressobj(wbits=wbits)
        try:
            decoded = stream.decompress(body, limit + 1)
        except zlib.error:
            continue
        return None if len(decoded) > limit else (decoded, stream.eof and not stream.unused_data)
    return None


def _sliced(feed: Callable[[bytes], bytes], body: bytes, limit: int) -> bytes | None:
    parts: list[bytes] = []
    total = 0
    for at in range(0, len(body), _SLICE):
        part = feed(body[at : at + _SLICE])
        total += len(part)
        if total > limit:
            return None
        parts.append(part)
    return b"".join(parts)


def _zstd(body: bytes, limit: int) -> _Undone:
    try:
        import zstandard  # here, because this room loads in the agent, where the module may be absent
    except ImportError:
        return None
    stream: Any = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    try:
        decoded = _sliced(stream.decompress, body, limit)
    except zstandard.ZstdError:
        return None
    return None if decoded is None else (decoded, bool(stream.eof) and not stream.unused_data)


def _brotli(body: bytes, limit: int) -> _Undone:
    try:
        import brotli  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return None
    stream: Any = brotli.Decompressor()
    try:
        decoded = _sliced(stream.process, body, limit)
    except brotli.error:
        return None
    return None if decoded is None else (decoded, bool(stream.is_finished()))


_DECODERS: dict[str, Callable[[bytes, int], _Undone]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
    "br": _brotli,
}
