"""Divergence reports: golden text of every class, and the summary's JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.matching.compare import first_difference
from playhead.matching.divergence import Divergence, DivergenceClass, describe, render
from tests.matching.requests import LONG_AGO, SAMPLES, canon

ASKED = "POST api.openai.com/v1/chat/completions, gpt-5-mini, 5 messages"
GOLDEN = {
    "changed": (
        Divergence(
            DivergenceClass.CHANGED,
            step=4,
            path="$.messages[2].content",
            expected='"Weather in Paris?"',
            observed='"Weather in Porto?"',
            nearest="7f3a2b9c:4",
            asked=ASKED,
            nearest_asked=ASKED,
            column=13,
            likeness=0.987,
            masks=("date@1", "uuid@1"),
        ),
        """\
diverged at step 4: the run asked something else than the recording
  asked:    POST api.openai.com/v1/chat/completions, gpt-5-mini, 5 messages
  closest:  7f3a2b9c:4 (98 % alike) POST api.openai.com/v1/chat/completions, gpt-5-mini, 5 messages
  at:       $.messages[2].content
  expected: "Weather in Paris?"
  seen:     "Weather in Porto?"
                         ^
  class:    changed: a request of this step was recorded, with other contents
  masks:    date@1, uuid@1
  next:     playhead inspect 7f3a2b9c:4""",
    ),
    "extra": (
        Divergence(DivergenceClass.EXTRA, lane="python.0/node.0", nearest="7f3a2b9c:7", asked=ASKED, likeness=0.4),
        """\
diverged at no recorded step, lane python.0/node.0: the run asked more than the recording
  asked:    POST api.openai.com/v1/chat/completions, gpt-5-mini, 5 messages
  closest:  7f3a2b9c:7 (40 % alike)
  class:    extra: no recorded request is left that this could be
  next:     playhead inspect 7f3a2b9c:4""",
    ),
    "missing": (
        Divergence(DivergenceClass.MISSING, step=9, expected=ASKED, nearest="7f3a2b9c:9"),
        """\
diverged at step 9: the run did not ask what the recording did
  closest:  7f3a2b9c:9
  expected: POST api.openai.com/v1/chat/completions, gpt-5-mini, 5 messages
  class:    missing: this recorded request never came
  next:     playhead inspect 7f3a2b9c:4""",
    ),
    "reordered": (
        Divergence(
            DivergenceClass.REORDERED,
            step=5,
            asked=ASKED,
            expected="step 4 first",
            observed="step 5",
            nearest="7f3a2b9c:5",
        ),
        """\
diverged at step 5: the run asked in another order than the recording
  asked:    POST api.openai.com/v1/chat/completions, gpt-5-mini, 5 messages
  closest:  7f3a2b9c:5
  expected: step 4 first
  seen:     step 5
  class:    reordered: recorded, but at another place in the order
  next:     playhead inspect 7f3a2b9c:4""",
    ),
    "exhausted": (
        Divergence(
            DivergenceClass.EXHAUSTED,
            step=3,
            asked=ASKED,
            expected="2 times",
            observed="3 times",
            nearest="7f3a2b9c:3",
            likeness=1.0,
        ),
        """\
diverged at step 3: the run repeated a request more often than the recording
  asked:    POST api.openai.com/v1/chat/completions, gpt-5-mini, 5 messages
  closest:  7f3a2b9c:3 (100 % alike)
  expected: 2 times
  seen:     3 times
  class:    exhausted: all recorded answers to this request are used up
  next:     playhead inspect 7f3a2b9c:4""",
    ),
    "leaked": (
        Divergence(DivergenceClass.LEAKED, observed="203.0.113.9:5432 from python.0 (pid 812)"),
        """\
diverged at no recorded step: the run reached past the tape
  seen:     203.0.113.9:5432 from python.0 (pid 812)
  class:    leaked: a connection went where no recording could answer
  next:     playhead inspect 7f3a2b9c:4""",
    ),
}


@pytest.mark.parametrize("kind", [each.value for each in DivergenceClass])
def test_golden_report(kind: str):
    """The report of each class, word for word."""
    divergence, expected = GOLDEN[kind]
    assert render(divergence, "playhead inspect 7f3a2b9c:4") == expected


def of_two_texts(one: str, other: str) -> str:
    """The report of a text that became another; "" = absent."""
    difference = first_difference(canon({"t": one} if one else {}), canon({"t": other} if other else {}))
    assert difference is not None
    path, expected, observed, column, likeness = difference
    return render(
        Divergence(DivergenceClass.CHANGED, 1, "main", path, expected, observed, column=column, likeness=likeness), ""
    )


@pytest.mark.parametrize(
    ("one", "other", "is_hinted"),
    [
        ("about <Order object at 0x7f6dd4718290>: x", "about <Order object at 0x7f36895f8350>: x", True),
        ("<O at 0x7f6dd4718290> in May", "<O at 0x7f6dd4718290> in June", False),
        ("at 0x7f6dd4718290", "at home", False),
        ("mask 0x7f6dd4718290", "mask 0x7f36895f8350", False),
    ],
)
def test_an_address_in_memory_is_named_as_the_cause(one: str, other: str, is_hinted: bool):
    """Only where the addresses are what differs."""
    assert ("hint:     an object's address in memory" in of_two_texts(one, other)) == is_hinted


def test_no_caret_stands_under_what_is_not_there():
    """The control has one."""
    assert "^" not in of_two_texts("a", "")
    assert "^" not in of_two_texts("", "a")
    assert "^" in of_two_texts("a", "b")


def test_summary_json():
    """Exactly the keys that the summary promises."""
    assert GOLDEN["changed"][0].to_json() == {
        "class": "changed",
        "step": 4,
        "lane": "main",
        "path": "$.messages[2].content",
        "expected": '"Weather in Paris?"',
        "observed": '"Weather in Porto?"',
        "nearest": "7f3a2b9c:4",
    }
    assert GOLDEN["leaked"][0].to_json() == {
        "class": "leaked",
        "step": None,
        "lane": "main",
        "path": None,
        "expected": None,
        "observed": "203.0.113.9:5432 from python.0 (pid 812)",
        "nearest": None,
    }


@given(st.text(min_size=1, max_size=400), st.text(max_size=400), st.text(max_size=3000))
def test_at_most_25_lines_with_the_difference_in_the_first_10(one: str, other: str, asked: str):
    """However long the request, the report is short, the difference is near its top and the caret under it."""
    difference = first_difference(canon({"t": "x" * 5000 + one}), canon({"t": "x" * 5000 + other}))
    if difference is None:
        return
    divergence = Divergence(
        DivergenceClass.CHANGED,
        1,
        path=difference.path,
        expected=difference.expected,
        observed=difference.observed,
        nearest="7f3a2b9c:1",
        asked=asked,
        nearest_asked=asked,
        column=difference.column,
        likeness=difference.similarity,
    )
    lines = render(divergence, "playhead inspect 7f3a2b9c:1").split("\n")
    assert len(lines) <= 25
    seen = next(number for number, line in enumerate(lines) if line.startswith("  seen:"))
    assert seen < 10
    assert lines[seen + 1].index("^") == len("  seen:     ") + difference.column


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai-chat", "POST api.openai.com/v1/chat/completions, gpt-5-mini, 5 messages"),
        ("openai-responses", "POST api.openai.com/v1/responses, gpt-5, 3 input items"),
        ("anthropic", "POST api.anthropic.com/v1/messages, claude-opus-4-5, 3 messages"),
        (
            "gemini",
            "POST generativelanguage.googleapis.com/v1beta/models/gemini-3-pro:streamGenerateContent, 3 contents",
        ),
        (
            "bedrock-converse",
            "POST bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse, 1 message",
        ),
        ("ollama", "POST localhost:11434/api/chat, qwen3:8b, 2 messages"),
    ],
)
def test_what_was_asked(name: str, expected: str):
    """One line that a person recognises the request by."""
    url, body = SAMPLES[name]
    assert describe(canon(body, url, facts=LONG_AGO)) == expected
