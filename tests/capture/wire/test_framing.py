"""Message ends are found wherever the bytes are split."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.capture.wire.framing import (
    CHUNKED,
    UNTIL_CLOSE,
    AnswerStart,
    BadFramingError,
    Chunks,
    head_end,
    read_answer,
    read_request,
)


def answer(fields: bytes, *, status: bytes = b"200 OK", version: bytes = b"1.1") -> bytes:
    return b"HTTP/" + version + b" " + status + b"\r\n" + fields + b"\r\n"


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"GET / HTTP/1.1\r\nA: b\r\n\r\nbody", 24),
        (b"GET / HTTP/1.1\nA: b\n\nbody\r\n\r\n", 21),
        (b"GET / HTTP/1.1\r\nA: b\r\n\r\n\n\nbody", 24),
        (b"GET / HTTP/1.1\r\nA: b\r\n", -1),
        (b"", -1),
    ],
)
def test_a_head_ends_at_its_blank_line(data, end):
    """CRLF heads, bare LF heads, and neither mistaken for the other by what follows."""
    assert head_end(data) == end


@pytest.mark.parametrize(
    ("fields", "length", "closes"),
    [
        (b"", 0, False),
        (b"Content-Length: 12\r\n", 12, False),
        (b"content-length:12 \r\nCONTENT-LENGTH: 12\r\n", 12, False),
        (b"Content-Length: 7, 7\r\n", 7, False),
        (b"Transfer-Encoding: gzip, Chunked\r\nContent-Length: 3\r\n", CHUNKED, False),
        (b"X-Content-Length: 5\r\n", 0, False),
        (b"Connection: Close\r\n", 0, True),
        (b"Connection: upgrade, close\r\n", 0, True),
    ],
)
def test_request_framing(fields, length, closes):
    """Lengths, codings and the wish to close, in any case, once or repeated."""
    request = read_request(b"POST /x HTTP/1.1\r\n" + fields + b"\r\n")
    assert (request.method, request.target, request.length, request.closes) == (b"POST", b"/x", length, closes)


@pytest.mark.parametrize(
    "head",
    [
        b"POST /x HTTP/2.0\r\n\r\n",
        b"POST /x\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: 0x3\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: \r\n\r\n",
    ],
)
def test_what_is_no_request(head):
    """A head whose end of message cannot be known is refused."""
    with pytest.raises(BadFramingError):
        read_request(head)


@pytest.mark.parametrize(
    ("head", "to_head", "length", "closes"),
    [
        (answer(b""), False, UNTIL_CLOSE, True),
        (answer(b"Content-Length: 4\r\n"), False, 4, False),
        (answer(b"Content-Length: 4\r\n"), True, 0, False),
        (answer(b"Content-Length: 4\r\n", status=b"304 Not Modified"), False, 0, False),
        (answer(b"", status=b"204 No Content"), False, 0, False),
        (answer(b"", status=b"204"), False, 0, False),
        (answer(b"Transfer-Encoding: chunked\r\n"), False, CHUNKED, False),
        (answer(b"Transfer-Encoding: chunked\r\n"), True, 0, False),
        (answer(b"Content-Length: 4\r\n", version=b"1.0"), False, 4, True),
        (answer(b"Content-Length: 4\r\nConnection: keep-alive\r\n", version=b"1.0"), False, 4, False),
        (answer(b"Content-Length: 4\r\nConnection: close\r\n"), False, 4, True),
    ],
)
def test_answer_framing(head, to_head, length, closes):
    """HEAD, 204 and 304 have no body; HTTP/1.0 closes unless it says otherwise."""
    read = read_answer(head, to_head=to_head)
    assert (read.length, read.closes) == (length, closes)


CHUNKED_BODIES = st.builds(
    lambda chunks, extension, trailers: (
        b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
        + b"0\r\n"
        + b"".join(b"X-T%d: %d\r\n" % (n, n) for n in range(trailers))
        + b"\r\n"
    ),
    st.lists(st.binary(min_size=1, max_size=60), max_size=5),
    st.sampled_from([b"", b";a=b", b' ; a="x;y"']),
    st.integers(0, 2),
)


@given(body=CHUNKED_BODIES, rest=st.binary(max_size=20), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_chunks_end_where_they_end_however_split(body, rest, cuts):
    """The end of a chunked body is found at the same byte for every way of splitting it."""
    data = body + rest
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks, taken = Chunks(), 0
    for begin, end in itertools.pairwise(edges):
        taken = begin + chunks.scan(data[begin:end])
        if chunks.is_done:
            break
    assert chunks.is_done
    assert taken == len(body)


@pytest.mark.parametrize("data", [b"zz\r\n", b"-1\r\n", b"\r\n", b"+5\r\n", b"1" * 20_000])
def test_bad_chunks(data):
    """A chunk without a proper size is refused, as is a first line without an end."""
    with pytest.raises(BadFramingError):
        Chunks().scan(data)


@given(cut=st.integers(0, 200), interim=st.integers(0, 2))
def test_interim_answers_are_passed_over_however_split(cut, interim):
    """The final head is found behind any 1xx heads, split anywhere."""
    data = answer(b"Link: <x>\r\n", status=b"103 Early Hints") * interim + answer(b"Content-Length: 3\r\n")
    start = AnswerStart(to_head=False)
    cut = min(cut, len(data))
    end = start.read(data[:cut])
    if start.head is None:
        end = cut + start.read(data[cut:] + b"abc")
    assert end == len(data)
    assert start.head.length == 3


def test_a_101_names_the_protocol():
    """After a 101 the bytes are the named protocol's."""
    start = AnswerStart(to_head=False)
    head = answer(b"Upgrade: WebSocket\r\nConnection: Upgrade\r\n", status=b"101 Switching Protocols")
    assert start.read(head + b"\x81\x00") == len(head)
    assert start.upgrade == "websocket"
