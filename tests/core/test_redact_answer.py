"""Answers in every framing and coding: what may be on disk at any moment, and what it reads as in the end."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.core.message import decode_content, parse_answer, parse_request
from playhead.core.redact import Redactor
from tests.core.secrets import innocent, pem, shaped

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = shaped()[0].secret
CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
CHAINS: dict[str, Callable[[bytes], bytes]] = {
    **CODERS,
    "gzip, br": lambda text: brotli.compress(gzip.compress(text)),
    "deflate,identity, gzip": lambda text: gzip.compress(zlib.compress(text)),
    "zstd, gzip, gzip": lambda text: gzip.compress(gzip.compress(CODERS["zstd"](text))),
}


class Disk:
    """What a recorder would have written, read by read."""

    def __init__(self) -> None:
        self.answer = Redactor().message().answer()
        self.written = b""
        self.reads = 0

    def take(self, pieces: list[bytes], *, whole: bool = True) -> list[bytes]:
        """The answer's reads as a reader would get them, at the end."""
        for number, piece in enumerate(pieces):
            out, held = self.answer.feed(piece, last=whole and number == len(pieces) - 1)
            assert held == self.answer.held
            self.written += out
        rest = self.answer.close()
        self.written += rest
        return self.answer.instead if self.answer.instead is not None else [self.written]


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(at, len(data)) for at in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


def answer(body: bytes, *, coding: str = "", kind: str = "application/json", chunks: int = 0) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n" % kind.encode()
    if coding:
        head += b"Content-Encoding: %b\r\n" % coding.encode()
    if not chunks:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    pieces = [body[at : at + chunks] for at in range(0, len(body), chunks)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def contents(data: bytes) -> bytes:
    """Everything a partial answer on disk says, decoded as far as it goes."""
    return data + parse_answer(data, redacted=True).body


@pytest.mark.parametrize("chunks", [0, 7, 1000])
@pytest.mark.parametrize("coding", CHAINS)
def test_a_coded_answer_without_a_secret_is_kept_to_the_byte(coding: str, chunks: int) -> None:
    """At every split, with the held bytes resolved by the end."""
    text = json.dumps({"content": "some words " * 30, "ids": [t.decode("latin-1") for t in innocent()[:9]]}).encode()
    raw = answer(CHAINS[coding](text), coding=coding, chunks=chunks)
    for step in (1, 13, len(raw)):
        disk = Disk()
        assert disk.take([raw[at : at + step] for at in range(0, len(raw), step)]) == [raw]


@pytest.mark.parametrize("chunks", [0, 9, 1000])
@pytest.mark.parametrize("coding", CHAINS)
def test_no_part_of_a_secret_in_a_coding_is_ever_on_disk(coding: str, chunks: int) -> None:
    """Read byte by byte; and the answer that takes its place is whole and of the same framing and coding."""
    text = json.dumps({"content": "before " * 9 + KEY.decode() + " behind" * 9}).encode()
    raw = answer(CHAINS[coding](text), coding=coding, chunks=chunks)
    for step in (1, 31, len(raw)):
        disk = Disk()
        reads = [raw[at : at + step] for at in range(0, len(raw), step)]
        instead = disk.take(reads)
        assert len(instead) == len(reads)
        assert KEY[8:20] not in contents(disk.written)
        message = parse_answer(b"".join(instead))
        assert message.whole
        assert message.encoding == ""
        assert KEY[8:20] not in message.body
        assert b"<redacted:anthropic-key:1...." in message.body
        assert len(message.body) == len(text)


def flushed(coding: str, texts: list[bytes]) -> list[bytes]:
    """A stream in a coding, flushed behind every event, as servers do."""
    if coding == "br":
        packer = brotli.Compressor()
        return [packer.process(t) + packer.flush() for t in texts] + [packer.finish()]
    if coding == "zstd":
        coder = zstandard.ZstdCompressor().compressobj()
        return [coder.compress(t) + coder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for t in texts] + [coder.flush()]
    deflater = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    return [deflater.compress(t) + deflater.flush(zlib.Z_SYNC_FLUSH) for t in texts] + [deflater.flush()]


def events(shape: str, pieces: list[str]) -> list[bytes]:
    """One event of a provider for each piece of text."""
    texts = {
        "openai": lambda t: {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": t}}]},
        "tool": lambda t: {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 1, "function": {"arguments": t}}]}}]},
        "anthropic": lambda t: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}},
        "input": lambda t: {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": t}},
        "responses": lambda t: {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": t},
        "gemini": lambda t: {"candidates": [{"content": {"parts": [{"text": t}]}, "index": 0}]},
        "ollama": lambda t: {"model": "m", "message": {"role": "assistant", "content": t}, "done": False},
    }  # fmt: skip
    frame = b"%b\n" if shape == "ollama" else b"event: x\ndata: %b\n\n"
    return [frame % json.dumps(texts[shape](piece)).encode() for piece in pieces]


SHAPES = ("openai", "tool", "anthropic", "input", "responses", "gemini", "ollama")


def joined(shape: str, body: bytes) -> str:
    """The text that a client reads."""
    found = []
    for line in body.split(b"\n"):
        at = line.find(b"{")
        if at >= 0:
            try:
                stack = [json.loads(line[at:])]
            except ValueError:
                continue
            while stack:
                value = stack.pop()
                if isinstance(value, dict):
                    stack += reversed(value.values())
                    found += [
                        v
                        for k, v in value.items()
                        if isinstance(v, str) and k in ("content", "arguments", "text", "partial_json", "delta")
                    ]
                elif isinstance(value, list):
                    stack += reversed(value)
    return "".join(found)


@pytest.mark.parametrize("coding", ["", *CODERS])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_secret_over_many_events(shape: str, coding: str) -> None:
    """Three letters an event: nothing of it on disk at any read; the text reads the token; events stay events."""
    text = "the key is " + KEY.decode() + " and that is all"
    pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
    plain = events(shape, pieces)
    coded = flushed(coding, plain) if coding else plain
    kind = "application/x-ndjson" if shape == "ollama" else "text/event-stream"
    head = answer(b"", kind=kind, coding=coding, chunks=1).removesuffix(b"0\r\n\r\n")
    reads = [head, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in coded if piece), b"0\r\n\r\n"]
    disk = Disk()
    for number, read in enumerate(reads):
        disk.written += disk.answer.feed(read, last=number == len(reads) - 1)[0]
        so_far = joined(shape, b"\n".join(contents(disk.written).split(b"\n")[:-1]).partition(b"\r\n\r\n")[2])
        assert "ant-api" not in so_far
        assert KEY.decode()[20:26] not in so_far
    final = b"".join(disk.answer.instead) if disk.answer.instead is not None else disk.written
    message = parse_answer(final)
    assert message.whole
    said = joined(shape, message.body)
    assert said.startswith("the key is <redacted:anthropic-key:1...")
    assert said.endswith("> and that is all")
    assert len(said) == len(text)


def test_clean_events_pass_at_once() -> None:
    """Lines that end no word that could begin a key are not held, and come out as they are."""
    disk = Disk()
    disk.written += disk.answer.feed(answer(b"", kind="text/event-stream", chunks=1).removesuffix(b"0\r\n\r\n"))[0]
    for event in events("openai", [" wonderful", " words,", " quite", " harmless\n", " indeed"]):
        read = b"%x\r\n%b\r\n" % (len(event), event)
        out, held = disk.answer.feed(read)
        assert (out, held) == (read, 0)


def test_texts_of_different_places_are_not_joined() -> None:
    """Two choices side by side: half a key in each is no key."""
    halves = [(0, "sk-ant-api03-"), (1, KEY.decode()[13:60]), (0, " is how keys begin")]
    body = b"".join(
        b"data: %b\n\n" % json.dumps({"choices": [{"index": n, "delta": {"content": t}}]}).encode() for n, t in halves
    )
    raw = answer(body, kind="text/event-stream", chunks=50)
    assert Disk().take(cut(raw, [100, 200])) == [raw]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.lists(st.integers(0, 140), max_size=20),
    st.lists(st.integers(0, 4000), max_size=8),
    st.sampled_from([0, 17, 300]),
)
def test_events_cut_anywhere(shape: str, cuts: list[int], reads: list[int], chunks: int) -> None:
    """Texts, chunks and reads cut where they like: no event shows a part, and lengths stay."""
    text = "my key: " + KEY.decode() + " ok"
    body = b"".join(events(shape, [p.decode() for p in cut(text.encode(), cuts)]))
    kind = "application/x-ndjson" if shape == "ollama" else "text/event-stream"
    raw = answer(body, kind=kind, chunks=chunks)
    out = b"".join(Disk().take(cut(raw, reads)))
    assert len(out) == len(raw)
    said = joined(shape, parse_answer(out).body)
    assert said.startswith("my key: <redacted:")
    assert said.endswith("> ok")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("coding", CODERS)
def test_a_request_in_a_coding(coding: str, chunked: bool) -> None:
    """Undone, redacted and coded again; untouched when there is nothing."""
    head = b"POST /x HTTP/1.1\r\nContent-Encoding: %b\r\n" % coding.encode()
    head += b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"\r\n"
    for text in (b'{"prompt": "nothing here"}', b'{"prompt": "use %b now"}' % KEY):
        coded = CODERS[coding](text)
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(coded), coded) if chunked else coded
        _, clean = Redactor().message().request(head, body)
        expected = text.replace(KEY, b"<redacted:anthropic-key:1>")
        assert parse_request(head, clean, redacted=True).body == expected
        assert (clean is body) is (KEY not in text)


def test_a_bomb_and_a_broken_coding_are_stored_as_they_came() -> None:
    """Neither costs memory, neither raises."""
    bomb = gzip.compress(bytes(80 << 20))
    raw = answer(bomb, coding="gzip")
    assert Disk().take([raw[at : at + 65536] for at in range(0, len(raw), 65536)]) == [raw]
    broken = answer(b"this is no gzip at all", coding="gzip")
    assert Disk().take([broken]) == [broken]
    unknown = answer(b"xyz", coding="rot13")
    assert Disk().take([unknown]) == [unknown]


def test_a_cut_coded_answer_with_a_secret() -> None:
    """The connection broke: what was read is there, without its secret, and as cut as it was."""
    coded = b"".join(flushed("gzip", [b'{"a": "%b"}' % KEY, b"more and more"]))
    raw = answer(coded, coding="gzip")[:-12]
    instead = Disk().take(cut(raw, [300]), whole=False)
    message = parse_answer(b"".join(instead))
    assert b"<redacted:anthropic-key:1" in message.body
    assert KEY[8:20] not in message.body


def test_private_keys_over_events() -> None:
    """Longer than anything that may be held: its lines are replaced one by one."""
    key = pem(lines=20)
    body = b"".join(events("openai", [key[at : at + 11] for at in range(0, len(key), 11)]))
    out = b"".join(Disk().take(cut(answer(body, kind="text/event-stream"), list(range(0, 90000, 700)))))
    said = joined("openai", parse_answer(out).body)
    for line in key.split("\n")[1:-1]:
        assert line[:20] not in said
    assert random.Random(1).choice(key.split("\n")[1:-1]) not in said


@pytest.mark.parametrize("coding", CHAINS)
def test_a_secret_in_a_request_in_codings_is_found(coding: str) -> None:
    """Undone in the reverse of the header's order, and coded again in it."""
    body = CHAINS[coding](json.dumps({"content": KEY.decode()}).encode())
    head = f"POST /x HTTP/1.1\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    clean = Redactor().message().request(head, body)[1]
    undone = decode_content(clean, coding)
    assert undone.left == ""
    assert undone.body == b'{"content": "<redacted:anthropic-key:1>"}'


@pytest.mark.parametrize("indent", [None, 2])
def test_a_secret_over_the_elements_of_a_list_of_events_is_found(indent: int | None) -> None:
    """As Gemini streams without `alt=sse`: chunk by chunk, read at any bytes; without a secret it is kept to the byte."""
    for text in ("It is " + KEY.decode() + ", right?", "There are 12 monkeys in the tree. " * 3):
        parts = [text[at : at + 5] for at in range(0, len(text), 5)]
        listed = [{"candidates": [{"content": {"parts": [{"text": part}]}}]} for part in parts]
        body = b"[" + b"\n,\r\n".join(json.dumps(item, indent=indent).encode() for item in listed) + b"\n]"
        raw = answer(body, chunks=90)
        for step in (29, 150, len(raw)):
            stored = b"".join(Disk().take([raw[at : at + step] for at in range(0, len(raw), step)]))
            said = "".join(
                item["candidates"][0]["content"]["parts"][0]["text"] for item in json.loads(parse_answer(stored).body)
            )
            assert len(stored) == len(raw)
            assert (stored == raw) == (KEY.decode() not in text)
            assert KEY.decode()[8:] not in said
