"""Bodies in chunks: what is judged is the payload, wherever the sender cut it, and the framing is never taken for text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.core.message import parse_request
from playhead.core.redact import Redactor
from tests.core.secrets import Planted, innocent, pem, planted
from tests.core.test_redact import NAMES, PLANTED, PROSE, mixtures
from tests.core.test_redact_answer import Disk, cut

KEY = planted()[0].secret
URL = b"postgresql://app:s3cr-t!pw@db.internal:5432/x"
PEM = pem(newline="\r\n").encode()


def chunked(pieces: list[bytes], trailers: bytes = b"") -> bytes:
    """A body in chunked transfer coding, cut as given."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n%b\r\n" % trailers


def head(kind: str) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind.encode()


def stored(reads: list[bytes], *, kind: str = "text/plain", whole: bool = True) -> bytes:
    """What is written of the body of an answer that was read like this."""
    written = b"".join(Disk().take([head(kind), *reads], whole=whole))
    assert written.startswith(head(kind))
    return written[len(head(kind)) :]


def payload(body: bytes, pieces: list[bytes]) -> bytes:
    """The payload of `body`, of which is asserted that it is framed as these pieces were."""
    said, at = b"", 0
    for piece in pieces:
        if piece:
            line = b"%x\r\n" % len(piece)
            assert body[at : at + len(line)] == line
            at += len(line) + len(piece)
            assert body[at : at + 2] == b"\r\n"
            said += body[at - len(piece) : at]
            at += 2
    assert body[at:] == b"0\r\n\r\n"
    return said


def looks_framed() -> st.SearchStrategy[bytes]:
    """Text of the kinds that could be taken for framing, some of it secret."""
    secret = [KEY, URL, PEM, b"password=hunter2!x&b=1", b'{"password": "hunter2!x"}', b"api_key=" + KEY, b" " + KEY]
    pieces = st.one_of(
        st.sampled_from(secret),
        st.sampled_from([item.text for item in PLANTED if len(item.text) < 300]),
        st.sampled_from(innocent()[:12]),
        st.sampled_from(
            [b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"0\r\n\r\n", b"\r\n5\r\n", b"a=1&b=2", b"\r\nbeef;x\r\n"]
        ),
        st.from_regex(rb"[0-9a-f]{1,8}", fullmatch=True),
        st.from_regex(rb"\r\n[0-9A-F]{1,8}\r\n", fullmatch=True),
    )
    return st.lists(pieces, max_size=8).map(b"".join)


def left(data: bytes) -> list[bytes]:
    """Planted secrets that a scan of the whole does find, but are there."""
    clean = Redactor().message().body(data)
    found = [*(item.secret for item in PLANTED), PEM, b"s3cr-t!pw", b"hunter2!x"]
    return [secret for secret in found if secret in data and secret not in clean]


@settings(max_examples=400, deadline=None)
@given(
    looks_framed(),
    st.sampled_from([1, 2, 3, 8, 64, 1000]),
    st.lists(st.integers(0, 900), max_size=6),
    st.sampled_from(["text/plain", "application/x-www-form-urlencoded", "application/json", "text/event-stream"]),
)
def test_an_answer_in_small_chunks(text: bytes, size: int, reads: list[int], kind: str) -> None:
    """Of any text: the framing stays to the byte, no secret stays, and where there is none everything does."""
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    body = chunked(pieces)
    said = payload(stored(cut(body, reads), kind=kind), pieces)
    assert len(said) == len(text)
    for secret in left(text):
        assert secret not in said
    if Redactor().message().body(text) is text and kind != "text/event-stream":
        assert said == text


@settings(max_examples=150, deadline=None)
@given(looks_framed(), st.sampled_from([1, 2, 3, 8]))
def test_each_chunk_a_read(text: bytes, size: int) -> None:
    """As servers write: what is stored says what the same text says that is framed by its length."""
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    reads = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    plain = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(text)
    (unframed,) = Disk().take([plain, *pieces], whole=False)
    assert payload(stored([*reads, b"0\r\n\r\n"]), pieces) == unframed[len(plain) :]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("text", [b"key " + KEY, b"a=1&key=" + KEY, b'{"k":"%b"}' % KEY, PEM, b"see " + URL])
def test_small_chunks_of_hex_letters_are_no_size_lines(text: bytes, size: int) -> None:
    """The fault that was: among payload of one to eight hex letters size lines could not be told from text."""
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    said = payload(stored([chunked(pieces)]), pieces)
    assert b"<redacted:" in said or b"<~" in said
    assert left(text) != []
    assert all(secret not in said for secret in left(text))
    assert KEY[20:40] not in said
    assert b"s3cr-t" not in said


@pytest.mark.parametrize("item", PLANTED, ids=NAMES)
def test_a_secret_across_two_chunks(item: Planted) -> None:
    """The server cut the body in the secret: framing stays as it was, and no part of the secret is left."""
    text = PROSE + item.text + PROSE
    at = text.index(item.secret)
    for where in range(at + 1, at + len(item.secret), 1 if len(item.secret) < 100 else 7):
        pieces = [text[:where], text[where:]]
        assert item.secret[-12:] not in payload(stored([chunked(pieces)]), pieces)


@pytest.mark.parametrize("item", [item for item in PLANTED if len(item.text) < 140][::3], ids=lambda item: item.rule)
def test_chunks_read_at_any_bytes(item: Planted) -> None:
    """Chunks of the coding and reads of the socket cut where they like; what comes out is the same."""
    where = item.text.index(item.secret) + len(item.secret) // 2
    body = chunked([item.text[:where], item.text[where:]])
    whole = stored([body])
    assert len(whole) == len(body)
    for first in range(1, len(body), 2):
        for second in range(first + 1, len(body), 5):
            assert stored([body[:first], body[first:second], body[second:]]) == whole


@settings(max_examples=100, deadline=None)
@given(mixtures(), st.lists(st.integers(0, 400), max_size=4), st.lists(st.integers(0, 500), max_size=4))
def test_framing_survives_any_cuts(data: bytes, chunk_cuts: list[int], read_cuts: list[int]) -> None:
    """Every size line and line end of a chunked answer is where it was."""
    pieces = cut(data, chunk_cuts)
    payload(stored(cut(chunked(pieces), read_cuts)), pieces)


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello\r\n0\r\nX-Key: %b\r\n\r\n" % KEY,
        b"5;note=%b\r\nhello\r\n0\r\n\r\n" % KEY,
        b"5\r\nhello" + KEY + b"\r\n0\r\n\r\n",
        b"no chunks at all, but " + KEY,
        b"ab " + KEY + b"\r\nab\r\n",
        b"5\r\nhello\r\nfeed: " + KEY,
        b"5\r\nhello\r\n" + b"f" * 16 + KEY + b"\r\n",
        b"5;" + b"x " * 2500 + KEY + b"\r\nhello\r\n0\r\n\r\n",
        b"\r\n5\r\nhello\r\n " + KEY,
    ],
)
@pytest.mark.parametrize("step", [1, 7, 9999])
def test_what_is_no_chunk_is_judged_too(body: bytes, step: int) -> None:
    """Trailers, extensions, bytes out of form: read in pieces or at once, nothing is written that was not looked at."""
    reads = [body[at : at + step] for at in range(0, len(body), step)]
    for whole in (True, False):
        out = stored(reads, whole=whole)
        assert len(out) == len(body)
        assert KEY[12:30] not in out
        assert out.startswith(body[: body.index(KEY)])


def test_trailers_without_a_secret_are_kept() -> None:
    """To the byte, as the extensions of a size line are."""
    body = b"5;a=b;why=because+it+is+allowed\r\nhello\r\n0;end\r\nX-Checksum: 0123456789abcdef\r\n\r\n"
    for step in (1, 5, 999):
        assert stored([body[at : at + step] for at in range(0, len(body), step)]) == body


def sent(body: bytes) -> bytes:
    """What is written of a chunked request's body."""
    request = b"POST /v1/x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    return Redactor().message().request(request, body)[1]


@settings(max_examples=400, deadline=None)
@given(looks_framed(), st.sampled_from([1, 2, 3, 8, 64, 1000]), st.integers(0, 1200))
def test_a_request_in_chunks(text: bytes, size: int, end: int) -> None:
    """What is stored is framed truly and says what the payload says without its secrets, also of a body that was cut off;
    where nothing is found it is the same object."""
    body = chunked([text[at : at + size] for at in range(0, len(text), size)])
    clean = Redactor().message().body(text)
    message = parse_request(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", sent(body))
    assert (message.body, message.whole) == (clean, True)
    if clean is text:
        assert sent(body) is body
    begun = body[:end]
    said = parse_request(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", begun).body
    kept = parse_request(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", sent(begun)).body
    assert kept == Redactor().message().body(said)


def test_chunks_that_lost_nothing_stay_as_they_were() -> None:
    """Their lines to the byte; one that lost a part says its new length, one that lost everything is left out."""
    at = len(KEY) // 3
    body = b"0005;a\r\nhello\r\n%x;b\r\n %b\r\n%X\r\n%b\r\n%x\r\n%b !\r\n0\r\nX-Key: %b\r\n\r\n" % (
        at + 1,
        KEY[:at],
        at,
        KEY[at : at * 2],
        len(KEY) - 2 * at + 2,
        KEY[2 * at :],
        KEY,
    )
    token = b"<redacted:anthropic-key:1>"
    assert sent(body) == b"0005;a\r\nhello\r\n%x;b\r\n %b\r\n2\r\n !\r\n0\r\nX-Key: %b\r\n\r\n" % (
        len(token) + 1,
        token,
        token,
    )


@pytest.mark.parametrize("body", [b"no chunks, but " + KEY, b"5\r\nhello" + KEY, b"5;%b\r\nhello\r\n0\r\n\r\n" % KEY])
def test_a_request_that_is_no_chunks_is_judged_too(body: bytes) -> None:
    """As bytes, where the head promised chunks that are not there."""
    assert KEY[12:30] not in sent(body)
    assert b"<redacted:anthropic-key:1>" in sent(body)


def test_texts_with_lines_of_hex_are_text() -> None:
    """Without chunked coding nothing is framing: such lines are neither passed over nor kept out of what is looked at."""
    text = b"the key:\r\nbeef\r\n" + KEY + b"\r\n5\r\nend"
    assert b"".join(Disk().take(cut(text, [3, 9])))
    clean = Redactor().message().body(text)
    assert re.fullmatch(rb"the key:\r\nbeef\r\n<redacted:anthropic-key:1>\r\n5\r\nend", clean)
    halves = b"sk-ant-api03-\r\nbeef\r\n" + KEY[13:]
    assert Redactor().message().body(halves) is halves  # two lines, neither of which is a key


def test_pieces_of_a_chunk_go_out_when_they_are_decided() -> None:
    """Chunks pass at once where nothing is held, and a size line waits with its chunk."""
    judge = Redactor().message().answer()
    judge.feed(head("text/plain"))
    assert judge.feed(b"5\r\nhello\r\n") == (b"5\r\nhello\r\n", 0)
    assert judge.feed(b"4\r\n sk-\r\n") == (b"4\r\n ", 5)
    assert judge.feed(b"3\r\nand\r\n") == (b"", 13)
    assert judge.feed(b"2\r\n !\r\n0\r\n\r\n", last=True) == (b"sk-\r\n3\r\nand\r\n2\r\n !\r\n0\r\n\r\n", 0)
