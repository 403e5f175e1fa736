"""Secrets in other spellings, read a few bytes at a time: nothing of them is let go, and letters are not judged over and over."""

from __future__ import annotations

import base64
import html
import random
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote_to_bytes

import pytest

from playhead.core.redact import Redactor
from playhead.core.redact_scan import Scanner
from tests.core.secrets import pem

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = pem().encode()
LINES = KEY.split(b"\n")[1:-1]
SPELLINGS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "plain": (KEY, bytes),
    "json": (KEY.replace(b"\n", b"\\n"), bytes),
    "percent": (quote(KEY, safe="").encode(), unquote_to_bytes),
    "form": (quote_plus(KEY).encode(), lambda text: unquote_to_bytes(text.replace(b"+", b" "))),
    "percent, every letter": (b"".join(b"%%%02X" % letter for letter in KEY), unquote_to_bytes),
    "escapes": (
        b"".join(b"\\u%04x" % letter for letter in KEY),
        lambda text: re.sub(rb"\\u00(..)", lambda found: bytes([int(found[1], 16)]), text),
    ),
    **{
        f"references, {how}": (
            b"".join(one % letter if each or not chr(letter).isalnum() else b"%c" % letter for letter in KEY),
            lambda text: html.unescape(text.decode()).encode(),
        )
        for how, one, each in [
            ("decimal", b"&#%d;", True),
            ("hexadecimal", b"&#x%x;", True),
            ("padded", b"&#X%04X;", True),
            ("of signs", b"&#%03d;", False),
        ]
    },
}


def poured(text: bytes, sizes: Callable[[], int]) -> bytes:
    stream = Redactor().message().stream()
    out, at = b"", 0
    while at < len(text):
        size = sizes()
        fed = stream.feed(text[at : at + size])
        assert fed.held <= 2400
        out += fed.data
        at += size
    return out + stream.close()


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 11, 50, 200])
@pytest.mark.parametrize("name", SPELLINGS)
def test_a_private_key_in_any_spelling(name: str, size: int) -> None:
    """Reads that cut its escapes anywhere (0: of any size): no sixteen letters of any of its lines are left."""
    spelled, undone = SPELLINGS[name]
    dice = random.Random(size)
    text = b"here it is: " + spelled + b" and on\n"
    out = poured(text, lambda: size or dice.randint(1, 9))
    assert len(out) == len(text)
    said = undone(out)
    assert said.startswith(b"here it is: <redacted:private-key:1")
    assert not [line[at : at + 16] for line in LINES for at in range(0, 48, 8) if line[at : at + 16] in said]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 11, 50, 200])
@pytest.mark.parametrize("ahead", [b"here it is: ", b'"', b"\n", b"data:text/plain;base64,"])
def test_a_private_key_in_base64(ahead: bytes, size: int) -> None:
    """Behind whatever: of its letters nothing is left but what says how a key's first line begins."""
    spelled = base64.b64encode(KEY)
    dice = random.Random(size)
    out = poured(ahead + spelled + b" and on\n", lambda: size or dice.randint(1, 9))
    assert not [at for at in range(len(spelled) - 16) if spelled[at : at + 16] in out]


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize(
    "text",
    [
        *(spelled for spelled, _ in SPELLINGS.values()),
        base64.b64encode(KEY),
        base64.encodebytes(KEY),
        base64.b64encode(b"The agent reads a file and answers. " * 200),
        (b"The agent reads a file and answers. " * 120).hex().encode(),
        quote("The agent reads a/file, and answers.\n" * 100, safe="").encode(),
    ],
    ids=[*SPELLINGS, "base64", "base64 in lines", "base64 of prose", "hex of prose", "percent of prose"],
)
def test_what_waits_is_not_judged_again_for_each_letter(
    text: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in bytes that the rules are asked about: at most what a stream keeps, for each read, and that only where it is
    short; in longer ones a fixed share of them is new."""
    asked: list[int] = []
    spans = Scanner.spans

    def spy(self: Scanner, data: bytes, start: int = 0, known: tuple[tuple[int, int], ...] = ()) -> object:
        asked.append(len(data))
        return spans(self, data, start, known)

    monkeypatch.setattr(Scanner, "spans", spy)
    poured(b"here it is: " + text + b" and on\n", lambda: size)
    long = [one for one in asked if one > 640 + 5]
    assert sum(long) <= 36 * len(text)
    assert len(asked) - len(long) <= len(text) // size + 20
