"""Text for terminals: nothing recorded reaches one as anything but text."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from playhead.cli.render import ago, count, harmless, numbers, pretty_json, seconds, things, wrapped

if TYPE_CHECKING:
    import pytest

ANY_TEXT = st.text(st.characters(codec=None) | st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), max_size=30)


@given(ANY_TEXT)
def test_no_control_or_direction_character_is_left(text: str) -> None:
    """C0 and C1 but tab and newline, bidi controls, line separators, byte order marks, halves of pairs."""
    shown = harmless(text)
    for c in shown:
        assert c in "\t\n" or unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp"), repr(c)
        assert unicodedata.bidirectional(c) not in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    shown.encode()


def test_what_is_made_visible_reads_as_what_it_was() -> None:
    """And text of any language stays as it is."""
    assert harmless("\x1b[31m\x07\x9b\u202e\ud83d\U000e0041") == "\\e[31m\\x07\\x9b\\u202e\\ud83d\\U000e0041"
    plain = "Grüße, 你好, שלום, ☔👩‍👩‍👧 tab\tline\n"
    assert harmless(plain) is plain


VALUE = st.recursive(
    ANY_TEXT | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(VALUE)
def test_json_is_json_whatever_it_says(value: object) -> None:
    """It reads back as what it was, and holds no control character but the newlines that indent it."""
    text = pretty_json(value)
    assert json.loads(text) == value
    assert harmless(text) == text
    assert "\t" not in text


def test_numbers_for_people() -> None:
    """Unknown is a dash, not a zero."""
    assert [count(n) for n in (None, 0, 12345)] == ["-", "0", "12,345"]
    assert [seconds(s) for s in (None, 0.0, 0.0004, 0.85, 0.9996, 4.24, 59.9, 200.0)] == [
        *("-", "0 ms", "<1 ms", "850 ms", "1.0 s", "4.2 s", "59.9 s", "3 min 20 s")
    ]
    assert [things(n, "step") for n in (0, 1, 1005)] == ["0 steps", "1 step", "1,005 steps"]
    assert [numbers(of) for of in ([], [3], [2, 3, 4, 7, 9, 10])] == ["", "3", "2-4, 7, 9-10"]
    now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    times = ["2026-11-21T11:59:58.000Z", "2026-11-21T11:59:30Z", "2026-11-21T11:50:00Z", "2026-11-21T09:00:00Z"]
    assert [ago(t, now) for t in times] == ["just now", "30 s ago", "10 min ago", "3 h ago"]
    assert ago("2026-11-01T09:00:00Z", now) == "20 d ago"
    assert ago("2027-01-01T00:00:00Z", now) == "just now"


def test_running_text_in_lines_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """As wide as the terminal, between 60 and 100 columns; a word that is longer stays whole, and none is lost."""
    words = [f"NAME_{n}," for n in range(40)] + ["A" * 120, "\x1b[31m"]
    for columns, width in ((20, 60), (80, 80), (300, 100)):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = wrapped(" ".join(words), "first: ", "  ")
        assert max(len(line) for line in lines if "AAA" not in line) in range(width - 8, width + 1)
        assert [line[:2] for line in lines] == ["fi", *["  "] * (len(lines) - 1)]
        assert " ".join(lines).split()[1:] == [*words[:-1], "\\e[31m"]
