"""Patterns that are compiled when they are first asked."""

from __future__ import annotations

import copy
import re
import subprocess
import sys

import pytest

from playhead.core.late import late
from playhead.core.redact import Redactor


def test_finds_what_the_pattern_finds() -> None:
    """Every method that rules ask for answers as that of the compiled pattern does."""
    ours, plain = late(rb"a(b+)"), re.compile(rb"a(b+)")
    text = b"xabb ab"
    assert ours.search(text, 3)[1] == plain.search(text, 3)[1]  # type: ignore[index]
    assert ours.match(text) is None
    assert ours.fullmatch(b"abb") is not None
    assert [m.span() for m in ours.finditer(text)] == [m.span() for m in plain.finditer(text)]
    assert (ours.findall(text), ours.sub(b"-", text), ours.split(text)) == (
        plain.findall(text),
        plain.sub(b"-", text),
        plain.split(text),
    )
    assert (ours.pattern, ours.groups) == (plain.pattern, plain.groups)


def test_is_compiled_when_first_asked_and_once() -> None:
    """Making one asks for nothing; a second question does not compile again."""
    asked = []

    def source() -> bytes:
        asked.append(1)
        return rb"x"

    pattern = late(source, re.IGNORECASE)
    assert asked == []
    assert pattern.search(b"X") is not None
    assert pattern.match(b"X") is not None
    assert asked == [1]


def test_a_wrong_pattern_is_told_when_asked() -> None:
    """An error in the source is not swallowed."""
    pattern = late(rb"(")
    with pytest.raises(re.error):
        pattern.search(b"")


def test_can_be_copied() -> None:
    """Copying looks for methods that a pattern's stand-in does not have; it must not take one for a pattern's."""
    assert copy.copy(late(rb"a+")).search(b"baa") is not None


def test_loading_the_rules_compiles_none_of_them() -> None:
    """What every command and every agent loads is text until it is asked."""
    code = (
        "import re, sys\n"
        "seen = []\n"
        "real = re.compile\n"
        "re.compile = lambda *a, **k: (seen.append(sys._getframe(1).f_globals['__name__']), real(*a, **k))[1]\n"
        "import playhead.core.redact\n"
        "print([name for name in seen if name.startswith('playhead')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_prepared_redactor_has_compiled_what_a_call_needs() -> None:
    """After `prepare`, a request and a streamed answer without secrets compile at most two patterns more."""
    code = (
        "import re, playhead.core.late as late\n"
        "from playhead.core.redact import Redactor\n"
        "ours = Redactor(extra_values=[b'abcdefghijkl'])\n"
        "ours.prepare()\n"
        "seen = []\n"
        "real = re.compile\n"
        "late.re = type('R', (), {'compile': lambda *a: (seen.append(a), real(*a))[1]})\n"
        "scope = ours.message()\n"
        "scope.request(b'POST /v1/chat HTTP/1.1\\r\\nHost: a.com\\r\\n\\r\\n', b'{\"content\":\"' + b'Say it, then. ' * 200 + b'\"}')\n"
        "answer = scope.answer()\n"
        'answer.feed(b\'HTTP/1.1 200 OK\\r\\nContent-Length: 26\\r\\n\\r\\n{"content":"a plain word"}\')\n'
        "print(len(seen))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(found.stdout) <= 2


def test_preparing_leaves_no_trace() -> None:
    """Numbers of secrets begin at 1 behind it, as if it had not been."""
    ours, other = Redactor(), Redactor()
    ours.prepare()
    key = b"key sk-ant-api03-" + b"aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0z" * 3
    assert ours.message().body(key) == other.message().body(key) != key
