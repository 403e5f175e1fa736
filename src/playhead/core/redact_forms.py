"""Redaction of values in their stored form, in which bytes stand as base64: the bytes are judged, and not their letters.

Of base64 the rules see runs of letters: a key between bytes that are no text is not found in it, and some run of a picture
looks like a token. So what is between the quotes is decoded and judged by itself, at its own length (an array keeps its
shape), and the rest without it.
"""

from __future__ import annotations

import binascii

from playhead.core.late import late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from playhead.core.redact import Redactor

# quotes inside of text are escaped, and dicts with a `$` of their own are marked as such: this is a form, and no text
_FORM = late(rb'\{"\$":"(?:bytes|bytearray|ndarray|numpy)",[^{}]{0,400}?"b64":"([A-Za-z0-9+/]*={0,2})"')
_HOLE = b"\x01"  # which JSON writes as an escape


def clean_forms(redactor: Redactor, data: bytes) -> bytes:
    """`data`, JSON of stored forms, without its secrets; `data` itself, the same object, when it has none."""
    scope = redactor.message()
    outer: list[bytes] = []
    texts: list[bytes] = []
    at = 0
    for form in _FORM.finditer(data):
        start, end = form.span(1)
        text = data[start:end]
        try:
            raw = binascii.a2b_base64(text, strict_mode=True) if text else b""
        except binascii.Error:
            continue  # not written by us
        clean = scope.stream(same_length=True).feed(raw, last=True).data
        texts.append(text if clean == raw else binascii.b2a_base64(clean, newline=False))
        outer.append(data[at:start])
        at = end
    outer.append(data[at:])
    parts = redactor.apart(_HOLE.join(outer)).split(_HOLE)
    if len(parts) != len(outer) or not texts or data.find(_HOLE) >= 0:
        return redactor.apart(data)  # the name of a secret took one with it
    cleaned = parts[0] + b"".join([each for pair in zip(texts, parts[1:], strict=True) for each in pair])
    return data if cleaned == data else cleaned
