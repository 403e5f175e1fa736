"""Redaction of bytes that arrive in pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.core.redact import Redactor, Stream
from tests.core.secrets import Planted, innocent, planted
from tests.core.test_redact import NAMES, PLANTED, PROSE, mixtures


def pour(stream: Stream, pieces: list[bytes]) -> bytes:
    """All that comes out, with the bound on what is held checked at every piece."""
    out = b""
    for piece in pieces:
        data, held = stream.feed(piece)
        assert held <= 256
        assert held == stream.held
        out += data
    return out + stream.close()


@pytest.mark.parametrize("item", PLANTED, ids=NAMES)
def test_every_split_in_two(item: Planted) -> None:
    """At no split point does a stream let go what a whole scan would have replaced."""
    text = PROSE + item.text + PROSE
    whole = Redactor().message().body(text)
    for cut in range(len(PROSE), len(text) - len(PROSE) + 1):
        assert pour(Redactor().stream(), [text[:cut], text[cut:]]) == whole, text[:cut][-30:]


@pytest.mark.parametrize("item", [item for item in PLANTED if len(item.text) < 140][::2], ids=lambda item: item.rule)
def test_every_split_in_three(item: Planted) -> None:
    """Two split points, every pair of them (every third for the second)."""
    whole = Redactor().message().body(item.text)
    for first in range(len(item.text)):
        for second in range(first, len(item.text), 3):
            pieces = [item.text[:first], item.text[first:second], item.text[second:]]
            assert pour(Redactor().stream(), pieces) == whole, pieces


@pytest.mark.parametrize("item", PLANTED, ids=NAMES)
def test_byte_by_byte(item: Planted) -> None:
    """The worst split of all."""
    text = b"a " + item.text + b" z"
    assert pour(Redactor().stream(), [text[i : i + 1] for i in range(len(text))]) == Redactor().message().body(text)


@pytest.mark.parametrize("item", PLANTED, ids=NAMES)
def test_answers_keep_their_length(item: Planted) -> None:
    """Content-Length and chunk sizes stay true: a token is as long as its secret."""
    text = PROSE + item.text + PROSE
    for cut in range(0, len(text), 7):
        out = pour(Redactor().message().stream(same_length=True), [text[:cut], text[cut:]])
        assert len(out) == len(text)
        assert item.secret[-12:] not in out


@pytest.mark.parametrize("item", PLANTED, ids=NAMES)
def test_a_stretched_token_in_the_next_request_reads_as_the_secret_would(item: Planted) -> None:
    """Recorded: the agent echoes the secret. Replayed: it echoes the token. Both requests are equal."""
    served = pour(Redactor().message().stream(), [item.text])
    assert Redactor().message().body(served) == Redactor().message().body(item.text)


def test_clean_pieces_pass_at_once() -> None:
    """Nothing is held at a line's end, and the same object comes out of a first piece."""
    stream = Redactor().message().stream()
    piece = b'data: {"choices":[{"delta":{"content":" wor"}}]}\n\n'
    assert stream.feed(piece).data is piece
    assert stream.feed(piece) == (piece, 0)
    for text in innocent():
        assert stream.feed(text + b"\n") == (text + b"\n", 0)
    assert stream.close() == b""


def test_a_word_that_could_begin_a_key_waits() -> None:
    """`sk-` is held, and let go when the next piece settles it."""
    stream = Redactor().stream()
    assert stream.feed(b"the sk-") == (b"the ", 3)
    assert stream.feed(b"learn library") == (b"sk-learn library", 0)


def test_a_value_the_user_gave_is_found_across_pieces() -> None:
    """Also where it has no shape of its own."""
    value = b"AcmeSecretValue-with-no-known-shape"
    redactor = Redactor(extra_values=[value, b"shortish9"])
    for text in (b"xx" + value + b"yy", b"a shortish9."):
        whole = redactor.message().body(text)
        assert b"<redacted:env:1>" in whole
        for cut in range(len(text)):
            assert pour(redactor.stream(), [text[:cut], text[cut:]]) == whole


def test_an_answers_heads_are_treated_as_heads() -> None:
    """Interim and final head lose cookies, at every split; the body keeps its length."""
    key = planted()[0].secret
    answer = (
        b"HTTP/1.1 103 Early Hints\r\nset-cookie: a=b\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nSet-Cookie: session=abc\r\nContent-Length: %d\r\n\r\n{%s}" % (len(key) + 2, key)
    )
    whole = pour(Redactor().message().answer(), [answer])
    assert b"session=abc" not in whole
    assert whole.count(b"<redacted:header>") == 2
    assert len(whole.partition(b"200 OK")[2].partition(b"\r\n\r\n")[2]) == len(key) + 2
    for cut in range(len(answer)):
        stream = Redactor().message().answer()
        first, _ = stream.feed(answer[:cut])
        assert first + stream.feed(answer[cut:]).data + stream.close() == whole


def test_bytes_that_are_no_answer_are_not_held_for_a_head() -> None:
    """A server that does not speak HTTP is recorded as it came."""
    stream = Redactor().message().answer()
    assert stream.feed(b"\x00\x01 nonsense\n") == (b"\x00\x01 nonsense\n", 0)


@settings(max_examples=150, deadline=None)
@given(mixtures(), st.lists(st.integers(0, 400), max_size=5))
def test_a_stream_gives_what_a_whole_scan_gives(data: bytes, cuts: list[int]) -> None:
    """For any mixture and any cuts no secret gets through, and clean data is unchanged."""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    out = pour(Redactor().message().stream(), pieces)
    assert len(out) == len(data)
    for item in PLANTED:
        if item.secret in data and item.secret not in Redactor().message().body(data):
            assert item.secret not in out
    if Redactor().message().body(data) is data:
        assert out == data


def test_a_fresh_secret_beside_an_earlier_token_keeps_its_number():
    """In one piece, both are numbered once and in order: two different secrets never become one."""
    value = b"w3ather-t0ken-0123456789"
    redactor = Redactor(extra_values=[value])
    stream = redactor.stream()
    out = stream.feed(b"env " + value + b" argv <redacted:env:1> and " + value + b" again\n").data + stream.close()
    assert out == b"env <redacted:env:1> argv <redacted:env:2> and <redacted:env:1> again\n"
    assert out == redactor.message().body(b"env " + value + b" argv <redacted:env:1> and " + value + b" again\n")
