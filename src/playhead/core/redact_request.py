"""A request's body inside its content coding: undone within bounds, redacted, and coded again when it held a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playhead.core.redact_framing import Deframer, Undecodable, coded_like, decoder

if TYPE_CHECKING:
    from collections.abc import Callable

DECODED_AT_MOST = 64 << 20
"""A body that says more than this is judged as it came on the wire."""


def without_coding(head: bytes, body: bytes, coding: str, redact: Callable[[bytes], bytes]) -> bytes:
    """`body` (framed and coded as `head` says) without its secrets; the same object when it has none."""
    undo = decoder(coding.lower())
    if undo is None:
        return redact(body)
    chunked = b"chunked" in head.lower().partition(b"\ntransfer-encoding:")[2].partition(b"\n")[0]
    payload = b"".join(body[a:b] for a, b in Deframer(chunked=chunked).feed(body))
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in undo.feed(payload):
            size += len(piece)
            if size > DECODED_AT_MOST:
                return redact(body)
            pieces.append(piece)
    except Undecodable:
        return redact(body)
    text = b"".join(pieces)
    clean = redact(text)
    if clean is text or clean == text:
        return body
    coded = coded_like(payload, coding.lower(), clean)
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(coded), coded) if chunked else coded
