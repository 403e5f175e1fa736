"""HTTP messages from recorded bytes: framing, codings, damage."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from playhead.core.message import dechunk, decode_content, header, parse_answer, parse_head, parse_request

BODY = b'{"model": "gpt-5", "text": "' + b"round and round " * 40 + b'"}'


def framed(body: bytes, sizes: list[int]) -> bytes:
    """`body` in chunks of the given sizes, the rest in one."""
    out, at = b"", 0
    for size in [*sizes, len(body)]:
        piece = body[at : at + size]
        at += len(piece)
        if piece:
            out += b"%x\r\n%b\r\n" % (len(piece), piece)
    return out + b"0\r\n\r\n"


def deflated(body: bytes, wbits: int) -> bytes:
    """`body` as a zlib (15) or bare (-15) stream."""
    packer = zlib.compressobj(wbits=wbits)
    return packer.compress(body) + packer.flush()


CODED = {
    "gzip": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY[:100]) + gzip.compress(BODY[100:]),
    "deflate": deflated(BODY, 15),
    "Deflate": deflated(BODY, -15),
    "br": brotli.compress(BODY),
    "zstd": zstandard.ZstdCompressor().compress(BODY),
    "gzip, br": brotli.compress(gzip.compress(BODY)),
    "identity": BODY,
}


def test_head_keeps_order_case_and_folded_lines():
    """Names keep their case, repeated names stay apart, a folded value is joined."""
    line, headers = parse_head(b"GET / HTTP/1.1\r\nA: 1\r\na: 2\r\nLong: x\r\n  y\r\nno-colon\r\n\r\n")
    assert line == "GET / HTTP/1.1"
    assert headers == [("A", "1"), ("a", "2"), ("Long", "x y")]
    assert header(headers, "a") == "1, 2"


def test_request_with_length():
    """Method, target and body of an ordinary POST."""
    request = parse_request(b"POST /v1/x?a=b HTTP/1.1\r\nContent-Length: 4\r\n\r\n", b"body")
    assert (request.method, request.target, request.body, request.whole) == ("POST", "/v1/x?a=b", b"body", True)


def test_request_cut_in_its_body_is_not_whole():
    """A body shorter than announced is said to be cut."""
    assert not parse_request(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", b"body").whole


def test_request_with_a_redacted_body_is_whole():
    """After redaction the announced length no longer holds."""
    assert parse_request(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", b"body", redacted=True).whole


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=12))
def test_any_chunking_gives_the_body(body: bytes, sizes: list[int]):
    """Frames never show in the body, wherever they are."""
    assert dechunk(framed(body, sizes)) == (body, [], True)


def test_chunk_extensions_and_trailers():
    """Extensions are dropped, trailers kept."""
    answer = parse_answer(
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a="b;c"\r\nabc\r\n2 \r\nde\r\n0\r\nX-Sum: 9\r\n\r\n'
    )
    assert (answer.body, answer.trailers, answer.whole) == (b"abcde", [("X-Sum", "9")], True)


@pytest.mark.parametrize("cut", range(1, 26))
def test_a_cut_chunked_body_keeps_what_came(cut: int):
    """At every cut byte: a prefix of the body, and not whole."""
    data = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    body, _, whole = dechunk(data[:-cut])
    assert b"hello world".startswith(body)
    assert not whole


@pytest.mark.parametrize("token", [b"<redacted:openai-key:1>", b"<redacted:k:1>"])
def test_redacted_chunks_are_found_again(token: bytes):
    """A chunk made longer or shorter by redaction does not lose the ones after it."""
    data = framed(b'{"a": "' + b"s" * 20 + b'", "b": 1}' + b"tail", [30]).replace(b"s" * 20, token)
    body, _, whole = dechunk(data, redacted=True)
    assert (body, whole) == (b'{"a": "' + token + b'", "b": 1}tail', True)


@pytest.mark.parametrize("size", [b"ffffffffffffffff", b"-5", b"zz", b"", b"0x5", b"fffffffffffffffffffffffffffffff"])
def test_hostile_chunk_lines(size: bytes):
    """A chunk line that is no size, or a huge one, ends the body without harm."""
    body, _, whole = dechunk(size + b"\r\nabc\r\n0\r\n\r\n")
    assert not whole
    assert len(body) <= 13


@pytest.mark.parametrize("coding", sorted(CODED))
def test_codings_are_undone(coding: str):
    """Every coding a client may use, and two over one another."""
    assert decode_content(CODED[coding], coding) == (BODY, "", True)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_cut_coding_in_an_answer_gives_what_decodes(coding: str):
    """Half an answer is readable and said to be half."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\n\r\n%b" % (coding.encode(), CODED[coding][:-3])
    answer = parse_answer(raw)
    assert not answer.whole
    assert BODY.startswith(answer.body)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_damaged_coding_in_a_request_stays_encoded(coding: str):
    """Two damaged requests must not look equal because both decode to the same beginning."""
    cut = CODED[coding][:-3]
    request = parse_request(b"POST / HTTP/1.1\r\nContent-Encoding: %b\r\n\r\n" % coding.encode(), cut)
    assert (request.body, request.encoding) == (cut, coding)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_stays_encoded(coding: str):
    """A body that would decode beyond the limit is left as it is."""
    zeros = bytes(3 << 20)
    bomb = {
        "gzip": gzip.compress(zeros),
        "deflate": zlib.compress(zeros),
        "br": brotli.compress(zeros),
        "zstd": zstandard.ZstdCompressor().compress(zeros),
    }[coding]
    assert decode_content(bomb, coding, limit=1 << 20) == (bomb, coding, True)


def test_an_unknown_coding_is_named():
    """What cannot be undone stays, and its name is kept."""
    assert decode_content(b"abc", "dcb, identity") == (b"abc", "dcb", True)
    assert decode_content(gzip.compress(b"abc"), "dcb, gzip") == (b"abc", "dcb", True)


def test_many_codings_are_refused():
    """A header that names a hundred codings is not followed."""
    assert decode_content(b"abc", ", ".join(["gzip"] * 100)).body == b"abc"


def test_a_gzip_of_many_members_is_refused():
    """Fifty thousand empty members would cost a copy of the rest each."""
    body = gzip.compress(b"") * 50_000
    assert decode_content(body, "gzip") == (body, "gzip", True)


def test_interim_answers_are_skipped():
    """100 and 103 come before the answer; 101 is one."""
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    answer = parse_answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + final)
    assert (answer.status, answer.body, answer.whole) == (200, b"hi", True)
    assert parse_answer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00").body == b"\x81\x00"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_answers_without_body(method: str, status: int):
    """A length does not make a body where HTTP has none."""
    answer = parse_answer(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status, method=method)
    assert (answer.body, answer.whole) == (b"", True)


def test_an_answer_ended_by_its_connection():
    """Without length or chunks the body is the rest."""
    assert parse_answer(b"HTTP/1.0 200 OK\r\n\r\nall of it").body == b"all of it"


@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes):
    """Recordings are hostile input."""
    parse_answer(raw)
    parse_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n" + raw)
    parse_request(raw, raw)


@pytest.mark.parametrize("raw", [b"", b"\r\n\r\n", b"garbage", b"HTTP/1.1 20", b"\x16\x03\x01\x00"])
def test_no_answer_at_all(raw: bytes):
    """No status line: status 0, not whole."""
    assert parse_answer(raw)[:1] == (0,)
    assert not parse_answer(raw).whole


def test_cut_in_the_head():
    """A head without its end still tells the status."""
    answer = parse_answer(b"HTTP/1.1 429 Too Many Requests\r\nRetry-Af")
    assert (answer.status, answer.reason, answer.whole) == (429, "Too Many Requests", False)
