"""Redaction of Amazon's event streams: secrets spelled over messages, base64 in them, checksums, reads at any byte."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import TYPE_CHECKING

from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.core.redact import Redactor
from tests.core.secrets import shaped

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = shaped()[0].secret.decode()
NOTE = f"Here you are: {KEY}. That is all, and 7 more words."


def message(payload: bytes, kind: bytes = b"chunk") -> bytes:
    """One message, as Bedrock frames it."""
    headers = b"".join(
        bytes((len(name),)) + name + b"\x07" + struct.pack(">H", len(value)) + value
        for name, value in (
            (b":event-type", kind),
            (b":content-type", b"application/json"),
            (b":message-type", b"event"),
        )
    )
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def invoked(pieces: list[str]) -> bytes:
    """As `InvokeModelWithResponseStream` says pieces of text: base64 of the model's own event."""
    events = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": p}} for p in pieces]
    return b"".join(
        message(json.dumps({"bytes": base64.b64encode(json.dumps(e).encode()).decode(), "p": "abcdef"}).encode())
        for e in events
    )


def conversed(pieces: list[str]) -> bytes:
    """As `ConverseStream` says them."""
    return b"".join(
        message(json.dumps({"contentBlockIndex": 0, "delta": {"text": p}, "p": "abc"}).encode(), b"contentBlockDelta")
        for p in pieces
    )


def stored(body: bytes, sizes: list[int], *, chunk: int = 0) -> bytes:
    """What is written of the body when it is read in pieces of these sizes."""
    framing = b"Transfer-Encoding: chunked\r\n" if chunk else b""
    wire = body
    if chunk:
        parts = [body[at : at + chunk] for at in range(0, len(body), chunk)]
        wire = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n" + framing + b"\r\n"
    answer = Redactor().message().answer()
    out = [answer.feed(head).data]
    at = turn = 0
    while at < len(wire):
        size = sizes[turn % len(sizes)]
        out.append(answer.feed(wire[at : at + size]).data)
        at, turn = at + size, turn + 1
    out.append(answer.close())
    data = b"".join(out)[len(head) :]
    if not chunk:
        return data
    plain = b""
    while data:
        line, _, data = data.partition(b"\r\n")
        plain, data = plain + data[: int(line, 16)], data[int(line, 16) + 2 :]
    return plain


def said(body: bytes) -> str:
    """The text of the messages, read by the SDK's own decoder, which checks their sums."""
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    texts = []
    for event in buffer:
        payload = json.loads(event.payload)
        inner = json.loads(base64.b64decode(payload["bytes"])) if "bytes" in payload else payload
        texts.append(inner["delta"]["text"])
    return "".join(texts)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([invoked, conversed]),
    st.integers(1, 40),
    st.lists(st.integers(3, 400), min_size=1, max_size=5),
    st.sampled_from([0, 7, 100, 4000]),
)
def test_a_secret_over_messages_is_found(
    form: Callable[[list[str]], bytes], step: int, sizes: list[int], chunk: int
) -> None:
    """However the text is cut into messages, these into chunks, and those into reads; all of them stay whole."""
    body = form([NOTE[at : at + step] for at in range(0, len(NOTE), step)])
    out = stored(body, sizes, chunk=chunk)
    text = said(out)
    assert len(out) == len(body)
    assert len(text) == len(NOTE)
    assert text == NOTE.replace(KEY, text[14 : 14 + len(KEY)])
    assert text[14:].startswith("<redacted:anthropic-key:1")


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([invoked, conversed]),
    st.lists(st.text(max_size=30), max_size=8),
    st.lists(st.integers(1, 300), min_size=1, max_size=4),
    st.sampled_from([0, 3, 64]),
)
def test_messages_without_a_secret_are_untouched(
    form: Callable[[list[str]], bytes], pieces: list[str], sizes: list[int], chunk: int
) -> None:
    """To the byte."""
    body = form(pieces)
    assert stored(body, sizes, chunk=chunk) == body


def test_what_is_no_message_is_judged_as_it_is() -> None:
    """A wrong checksum ends the reading of messages, not the search."""
    first, second = conversed(["fine"]), bytearray(conversed(["fine too"]))
    second[8:12] = b"\xff\xff\xff\xff"
    body = first + bytes(second)
    out = stored(body + f"and {KEY} ".encode(), [50])
    assert KEY.encode() not in out
    assert out.startswith(body)


def test_a_message_that_was_never_whole_is_not_stored() -> None:
    """It may hold the half of a secret."""
    body = invoked(["one", f"two {KEY}"])
    assert stored(body[:-5], [64]) == invoked(["one"])
