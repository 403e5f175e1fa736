"""Comparing what a replay printed with what the recording printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from playhead.matching.masks import DATE, TMP_PATH, UUID, Masks, Pass, RunFacts
from playhead.player.judge import recorded_facts

if TYPE_CHECKING:
    from playhead.sessions.model import Recording

_OUTPUT_RULES = (DATE, UUID, TMP_PATH)
_BEFORE, _AFTER = 40, 60
_TOKEN_NUMBER = re.compile(rb"(<redacted:[a-z0-9-]{2,40}):[0-9]{1,6}\.*>\**")


class Compared(NamedTuple):
    """`masked` names the rules without which they would differ; `report` says where they differ."""

    identical: bool
    masked: list[str]
    report: str = ""


def compare_output(recording: Recording, seen: bytes, live: RunFacts) -> Compared:
    """Standard output of a replay (redacted by the session's rules) against the recording's. Both are equal if they
    differ only in run clocks, uuids and temporary paths, each side masked by its own run's facts; and, where answers or
    input lost secrets, in how the tokens of these are numbered: the replayed command never saw the secrets."""
    expected = recording.output(1)
    if expected != seen and _lost_secrets(recording):
        expected, seen = _TOKEN_NUMBER.sub(rb"\1>", expected), _TOKEN_NUMBER.sub(rb"\1>", seen)
    if expected == seen:
        return Compared(identical=True, masked=[])
    lines_expected, lines_seen = _lines(expected), _lines(seen)
    masks = Masks(disabled=frozenset({"client-id", "issued-id"}))
    pass_expected, pass_seen = Pass(recorded_facts(recording.header), {}, masks), Pass(live, {}, masks)
    masked_expected, masked_seen = pass_expected.leaves(lines_expected), pass_seen.leaves(lines_seen)
    if masked_expected == masked_seen:
        used = {*pass_expected.used, *pass_seen.used}
        return Compared(identical=True, masked=[rule for rule in _OUTPUT_RULES if rule in used])
    return Compared(
        identical=False, masked=[], report=_report(masked_expected, masked_seen, lines_expected, lines_seen)
    )


def _lost_secrets(recording: Recording) -> bool:
    """Whether the command is given tokens where the recorded one was given secrets."""
    given = [recording.output(0), *(word.encode("utf-8", "surrogateescape") for word in recording.header.command)]
    return any(b"<redacted:" in text for text in given) or any(e.lossy for e in recording.exchanges)


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogateescape").split("\n")


def _report(expected: list[str], seen: list[str], raw_expected: list[str], raw_seen: list[str]) -> str:
    """The first line that differs, both sides around the first differing character."""
    shorter = min(len(expected), len(seen))
    at = next((i for i in range(shorter) if expected[i] != seen[i]), shorter)
    one = raw_expected[at] if at < len(raw_expected) else ""
    other = raw_seen[at] if at < len(raw_seen) else ""
    column = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, column - _BEFORE)
    lead = "…" if start else ""
    return "\n".join(
        [
            f"stdout differs from the recording at line {at + 1}, character {column + 1}",
            f"  expected: {lead}{_shown(one, start, at < len(expected))}",
            f"  seen:     {lead}{_shown(other, start, at < len(seen))}",
            " " * (12 + len(lead) + len(_escaped(one[start:column]))) + "^",
        ]
    )


def _shown(line: str, start: int, there: bool) -> str:  # noqa: FBT001
    if not there:
        return "(end of output)"
    end = start + _BEFORE + _AFTER
    return _escaped(line[start:end]) + ("…" if end < len(line) else "")


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
