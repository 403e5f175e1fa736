"""The cheap question in front of the rules: whatever it lets pass, the rules would have let pass."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.core import redact
from playhead.core.redact import Redactor
from playhead.core.redact_scan import Scanner
from tests.core.secrets import innocent, planted
from tests.core.test_redact_answer import SHAPES, answer, cut, events

PLANTED = planted()
VALUES = (b"sk-test-abcdefghijklmnop", b"sesame-9 opens", b"Xk3", b"nightingale", b"hunter2/hunter2")
WORDS = (
    b"The agent reads a file, and answers with care: the password is in the vault. Tokens and keys, say they; is it a"
    b' basic secret? I was an api; "quoted" (twice) at 12:30 on 2024-11-21, sk, ghp, eyJ, xox, git, SG. The end.\n\n- one'
    b" two_three four/five six+seven\n1. eight <b>nine</b> <redacted ten-eleven twelve's api_key key= https://x.y/z://u:"
).split(b" ")


def texts() -> st.SearchStrategy[bytes]:
    """What a model might say, some of it secret."""
    pieces = st.one_of(
        st.sampled_from([word + b" " for word in WORDS]),
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(b" ".join),
        st.sampled_from([item.text for item in PLANTED]),
        st.sampled_from([item.secret[:20] for item in PLANTED]),
        st.sampled_from(VALUES),
        st.sampled_from([value[:6] for value in VALUES]),
        st.sampled_from(innocent()[:20]),
        st.sampled_from(
            [b"\\u0073", b"%73", b"\\/", b"\\", b"%", b"\r\n", b"\n", b"-----BEGIN", b"@", b"<~", b"a" * 64 + b"\n"]
        ),
        st.binary(max_size=6),
    )
    return st.lists(pieces, max_size=10).map(b"".join)


def stored(pieces: list[bytes], *, values: tuple[bytes, ...] = VALUES, whole: bool = True, calm: bool = True) -> bytes:
    """What is written of an answer read in these pieces, with the cheap question or without it."""
    until = redact.calm_until
    if not calm:
        redact.calm_until = lambda *_args, **_options: -1
    try:
        judge = Redactor(extra_values=values).message().answer()
        out = [judge.feed(piece, last=whole and piece is pieces[-1]).data for piece in pieces]
        out.append(judge.close())
        return b"".join(out if judge.instead is None else judge.instead)
    finally:
        redact.calm_until = until


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from((*SHAPES, "two")),
    texts(),
    st.lists(st.integers(0, 200), max_size=12),
    st.lists(st.integers(0, 4000), max_size=6),
    st.sampled_from([0, 17, 300, -1]),
    st.sampled_from(["", "gzip"]),
)
def test_events_are_stored_as_the_rules_alone_store_them(
    shape: str, text: bytes, cuts: list[int], reads: list[int], chunks: int, coding: str
) -> None:
    """Any text in events of any shape, cut anywhere; -1 is one chunk and one read for each event, as servers write."""
    from tests.core.test_redact_answer import flushed

    said = [piece.decode("latin-1") for piece in cut(text, cuts)]
    if shape == "two":
        whole = [a + b for a, b in zip(events("openai", said), events("input", said), strict=True)]
    else:
        whole = events(shape, said)
    if coding:
        whole = flushed(coding, whole)
    kind = "application/x-ndjson" if shape == "ollama" else "text/event-stream"
    if chunks < 0:
        head = answer(b"", kind=kind, coding=coding, chunks=1).removesuffix(b"0\r\n\r\n")
        pieces = [head, *(b"%x\r\n%b\r\n" % (len(one), one) for one in whole if one), b"0\r\n\r\n"]
    else:
        pieces = cut(answer(b"".join(whole), kind=kind, coding=coding, chunks=chunks), reads)
    assert stored(pieces) == stored(pieces, calm=False)


@settings(max_examples=250, deadline=None)
@given(texts(), st.lists(st.integers(0, 600), max_size=8), st.sampled_from([0, 1, 40, 500]), st.booleans())
def test_bodies_are_stored_as_the_rules_alone_store_them(
    text: bytes, reads: list[int], chunks: int, whole: bool
) -> None:
    """Any bytes in any framing, cut anywhere, also where the connection breaks."""
    pieces = cut(answer(text, chunks=chunks), reads)
    assert stored(pieces, whole=whole) == stored(pieces, whole=whole, calm=False)


@settings(max_examples=250, deadline=None)
@given(texts(), st.lists(st.integers(0, 600), max_size=8))
def test_standard_streams_are_stored_as_the_rules_alone_store_them(text: bytes, cuts: list[int]) -> None:
    """With tokens of any length, numbered anew."""

    def poured() -> bytes:
        stream = Redactor(extra_values=VALUES).stream()
        return b"".join([*(stream.feed(piece).data for piece in cut(text, cuts)), stream.close()])

    clean = poured()
    until, redact.calm_until = redact.calm_until, lambda *_args, **_options: -1
    try:
        assert clean == poured()
    finally:
        redact.calm_until = until


@settings(max_examples=400, deadline=None)
@given(texts(), st.integers(0, 300), st.booleans())
def test_what_is_called_calm_is_what_the_rules_find_nothing_in(data: bytes, start: int, final: bool) -> None:
    """A proof in both its parts: nothing to be found, and no more let go than what is decided."""
    scanner = Scanner(VALUES)
    start = min(start, max(0, len(data) - 1))
    until = redact.calm_until(scanner, data, start, clear=False, final=final) if data else -1
    if until >= 0:
        assert scanner.spans(data, start) == []
        assert until <= (len(data) if final else scanner.undecided(data, start))


@pytest.mark.parametrize("shape", SHAPES)
def test_events_of_plain_words_are_not_asked_about(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules are not asked at all, so that an event costs what the cheap question costs."""
    asked: list[bytes] = []
    spans = Scanner.spans

    def spy(self: Scanner, data: bytes, start: int = 0, known: tuple[tuple[int, int], ...] = ()) -> object:
        asked.append(data[start:])
        return spans(self, data, start, known)

    monkeypatch.setattr(Scanner, "spans", spy)
    words = " First|,| the| agent| opens| its| files| and| a| report|.\n\n|It| works|!|\n- twelve|12| 4096"
    said = words.split("|") * 3
    pieces = [answer(b"", kind="text/event-stream", chunks=1).removesuffix(b"0\r\n\r\n")]
    pieces += [b"%x\r\n%b\r\n" % (len(one), one) for one in events(shape, said)]

    stored(pieces, values=VALUES[:1])
    assert all(b"First" in piece or piece.endswith(b"\r") or not piece for piece in asked), asked


@pytest.mark.parametrize("cuts", [1, 2, 3])
def test_secrets_in_small_pieces(cuts: int) -> None:
    """Every planted secret, a few letters an event: with the question as without it, and gone."""
    dice = random.Random(cuts)
    for item in PLANTED:
        text = b"so: " + item.text + b" and on"
        edges = [0, *sorted(dice.sample(range(1, len(text)), len(text) // (cuts + 1))), len(text)]
        said = [text[a:b].decode("latin-1") for a, b in pairwise(edges)]
        pieces = [answer(b"", kind="text/event-stream", chunks=1).removesuffix(b"0\r\n\r\n")]
        pieces += [b"%x\r\n%b\r\n" % (len(one), one) for one in events("openai", said)] + [b"0\r\n\r\n"]
        assert stored(pieces) == stored(pieces, calm=False), item.text
