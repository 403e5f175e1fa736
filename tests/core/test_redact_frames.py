"""Websocket messages: masked, in fragments, compressed, and a secret over several of them."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest

from playhead.core.redact import Redactor
from tests.core.secrets import shaped

KEY = shaped()[0].secret
MASK = b"\x01\x02\x03\x04"


def frame(payload: bytes, *, first: int = 0x81, key: bytes = b"") -> bytes:
    size = len(payload)
    masked = 128 if key else 0
    if size < 126:
        length = bytes((masked | size,))
    elif size < 65536:
        length = bytes((masked | 126,)) + size.to_bytes(2, "big")
    else:
        length = bytes((masked | 127,)) + size.to_bytes(8, "big")
    if key:
        payload = bytes(c ^ key[n % 4] for n, c in enumerate(payload))
    return bytes((first,)) + length + key + payload


def messages(data: bytes, *, takeover: bool = True) -> list[bytes]:
    """What a peer reads: whole messages, unmasked and inflated; control frames apart."""
    found: list[bytes] = []
    parts, packed, inflate = b"", False, zlib.decompressobj(wbits=-15)
    while data:
        first, second = data[0], data[1]
        size, at = second & 127, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        key = data[at : at + 4] if second & 128 else b""
        at += len(key)
        payload = data[at : at + size]
        assert len(payload) == size
        if key:
            payload = bytes(c ^ key[n % 4] for n, c in enumerate(payload))
        data = data[at + size :]
        if first & 8:
            continue
        packed = packed or bool(first & 0x40)
        parts += payload
        if first & 0x80:
            if packed:
                parts = inflate.decompress(parts + b"\x00\x00\xff\xff")
                if not takeover:
                    inflate = zlib.decompressobj(wbits=-15)
            found.append(parts)
            parts, packed = b"", False
    return found


def upgraded(extension: str = "") -> Any:
    """An answer that has switched to websocket."""
    answer = Redactor().message().answer()
    extra = f"Sec-WebSocket-Extensions: {extension}\r\n" if extension else ""
    head = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n{extra}\r\n".encode()
    assert answer.feed(head) == (head, 0)
    return answer


def read(side: Any, data: bytes, step: int) -> bytes:
    out = b""
    for at in range(0, len(data), step):
        fed = side.feed(data[at : at + step])
        out += fed if isinstance(fed, bytes) else fed.data
    return out + side.close()


@pytest.mark.parametrize("step", [1, 7, 100000])
@pytest.mark.parametrize("client", [False, True])
def test_clean_frames_are_kept_to_the_byte(client: bool, step: int) -> None:
    """Text, fragments with a ping between, binary, large, close."""
    key = MASK if client else b""
    data = b"".join(
        [
            frame(b'{"type": "hello"}', key=key),
            frame(b"first ", first=0x01, key=key),
            frame(b"ping", first=0x89, key=key),
            frame(b"second", first=0x80, key=key),
            frame(bytes(range(256)) * 300, first=0x82, key=key),
            frame(b"\x03\xe8", first=0x88, key=key),
        ]
    )
    answer = upgraded()
    assert read(answer.sent if client else answer, data, step) == data


@pytest.mark.parametrize("step", [1, 7, 100000])
@pytest.mark.parametrize("client", [False, True])
def test_a_secret_in_frames(client: bool, step: int) -> None:
    """In one frame, and cut between two; the other messages keep their bytes."""
    key = MASK if client else b""
    before, after = frame(b'{"n": 1}', key=key), frame(b'{"n": 2}', key=key)
    text = b'{"token": "%b"}' % KEY
    answer = upgraded()
    data = before + frame(text[:40], first=0x01, key=key) + frame(b"", first=0x89, key=key)
    data += frame(text[40:], first=0x80, key=key) + frame(text, key=key) + after
    out = read(answer.sent if client else answer, data, step)
    assert out.startswith(before)
    assert out.endswith(after)
    said = messages(out)
    assert [len(one) for one in said] == [8, len(text), len(text), 8]
    assert said[1] == said[2]
    assert said[1].startswith(b'{"token": "<redacted:anthropic-key:1..')


@pytest.mark.parametrize("extension", ["", "permessage-deflate", "permessage-deflate; server_no_context_takeover"])
def test_a_secret_over_messages_in_any_compression(extension: str) -> None:
    """A realtime answer of three letters a message: nothing undecided is let go, and all of it can be read."""
    text = "the key is " + KEY.decode() + " and that is all. And then some more words."
    takeover = "no_context" not in extension
    said = [
        json.dumps({"type": "response.output_text.delta", "output_index": 0, "delta": text[at : at + 3]}).encode()
        for at in range(0, len(text), 3)
    ]
    packer = zlib.compressobj(wbits=-15)
    answer, out = upgraded(extension), b""
    for one in said:
        if extension:
            if not takeover:
                packer = zlib.compressobj(wbits=-15)
            packed = (packer.compress(one) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
            out += answer.feed(frame(packed, first=0xC1)).data
        else:
            out += answer.feed(frame(one)).data
        so_far = "".join(json.loads(m)["delta"] for m in messages(out, takeover=takeover))
        assert "ant-api" not in so_far
        assert KEY.decode()[20:26] not in so_far
    out += answer.close()
    whole = "".join(json.loads(m)["delta"] for m in messages(out, takeover=takeover))
    assert whole.startswith("the key is <redacted:anthropic-key:1..")
    assert whole.endswith("> and that is all. And then some more words.")
    assert len(messages(out, takeover=takeover)) == len(said)


def test_a_message_that_is_never_whole_is_not_stored() -> None:
    """Half of it may be half of a secret."""
    answer = upgraded()
    whole = frame(b'{"n": 1}')
    assert read(answer, whole + frame(KEY)[:60], 11) == whole


@pytest.mark.parametrize("step", [1, 10, 100000])
def test_header_blocks_of_http_2_are_blotted_out(step: int) -> None:
    """Of both sides; other frames are kept to the byte, a secret in DATA apart."""

    def h2_frame(kind: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3, "big") + bytes((kind, 4, 0, 0, 0, 1)) + payload

    block = b"\x82\x86\x0f\x08\x9d" + bytes(range(100, 140))
    text = b'{"key": "%b"}\n' % KEY
    said = h2_frame(4, b"") + h2_frame(1, block) + h2_frame(9, block) + h2_frame(0, b"plain text\n")
    blotted = said.replace(block, bytes(len(block)))
    answer = Redactor(bodies=False).message().answer(h2=True)
    assert read(answer.sent, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + said, step)[24:] == blotted
    assert read(answer, said, step) == blotted
    out = read(Redactor().message().answer(h2=True), said + h2_frame(0, text), step)
    assert len(out) == len(said) + 9 + len(text)
    assert KEY[8:20] not in out
