"""A request's body inside its framing and its content coding: undone within bounds, redacted, and put back.

A token is not as long as its secret, so the size lines of chunks that lost one are written anew: what is stored is framed as
truly as what was sent. Chunks of which nothing is left are left out, for a chunk of no bytes would end the body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from playhead.core.redact_framing import BARE_LINE, Deframer, Undecodable, coded_like, decoder

if TYPE_CHECKING:
    from collections.abc import Callable

    Redact = Callable[[bytes], bytes]
    Replacements = Callable[[bytes], list[tuple[int, int, bytes]]]
    """What is to stand for which bytes: (start, end, token), in order and apart."""

DECODED_AT_MOST = 64 << 20
"""A body that says more than this is judged as it came on the wire."""


def without_chunks(body: bytes, replacements: Replacements, redact: Redact) -> bytes:
    """The chunked `body` without its secrets, in the same chunks; the same object when it has none. A secret over several
    chunks leaves its token in the first of them."""
    deframer = Deframer(chunked=True)
    spans = list(deframer.feed(body))
    payload = b"".join([body[start:end] for start, end in spans])
    found = replacements(payload)
    clean: list[bytes] = []
    done = at = 0  # in the body; in the payload
    for start, end in spans:
        lead, piece = body[done:start], _piece(payload, at, at + end - start, found)
        if len(lead) > BARE_LINE:
            lead = redact(lead)
        short = end - start - len(piece)
        if short:
            lead = _resized(lead, short) if piece else lead[: lead.rfind(b"\n", 0, -1) + 1]
        clean += lead, piece
        at += end - start
        done = end if piece or not short else _behind_break(body, end)
    rest = body[done:] if deframer.rest < 0 else body[done : deframer.rest] + redact(body[deframer.rest :])
    whole = b"".join(clean) + rest
    return body if whole == body else whole


def _piece(payload: bytes, start: int, end: int, found: list[tuple[int, int, bytes]]) -> bytes:
    """`payload[start:end]` with the tokens of the secrets that begin in it."""
    pieces: list[bytes] = []
    done = start
    for first, last, token in found:
        if first >= end:
            break
        if last > start:
            pieces.append(payload[done : max(first, done)])
            if first >= start:
                pieces.append(token)
            done = last
    pieces.append(payload[done:end])
    return b"".join(pieces)


def _resized(lead: bytes, short: int) -> bytes:
    """The framing in front of a chunk that lost `short` bytes."""
    begin = lead.rfind(b"\n", 0, -1) + 1
    size = lead[begin:].lstrip(b" \t")
    digits = size[: len(size) - len(size.lstrip(b"0123456789abcdefABCDEF"))]
    return b"%b%x%b" % (lead[:begin], int(digits, 16) - short, size[len(digits) :])


def _behind_break(body: bytes, at: int) -> int:
    """Where the next size line begins behind the data that ends at `at`."""
    return at + 2 if body.startswith(b"\r\n", at) else at + 1 if body.startswith(b"\n", at) else at


def without_coding(body: bytes, coding: str, redact: Redact, replacements: Replacements, *, chunked: bool) -> bytes:
    """`body`, framed and in this coding, without its secrets; the same object when it has none."""
    undo = decoder(coding)
    if undo is not None:
        payload = b"".join([body[start:end] for start, end in Deframer(chunked=chunked).feed(body)])
        pieces: list[bytes] = []
        size = 0
        try:
            for piece in undo.feed(payload):
                size += len(piece)
                if size > DECODED_AT_MOST:
                    break
                pieces.append(piece)
        except Undecodable:
            size = -1
        if 0 <= size <= DECODED_AT_MOST:
            text = b"".join(pieces)
            clean = redact(text)
            if clean is text or clean == text:
                return body
            coded = coded_like(payload, coding, clean)
            return b"%x\r\n%b\r\n0\r\n\r\n" % (len(coded), coded) if chunked else coded
    return without_chunks(body, replacements, redact) if chunked else redact(body)
