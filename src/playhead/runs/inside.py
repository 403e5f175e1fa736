"""What the Pythons of a replay say of themselves, as a part of its verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playhead.sessions.model import Recording


@dataclass(slots=True)
class Inside:
    """Answers served at boundaries inside the agent, divergences there (as `--summary` has them, each with a `report` in
    words), and what was recorded and not played, in words."""

    served: int = 0
    divergences: list[dict[str, Any]] = field(default_factory=list)
    unplayed: list[str] = field(default_factory=list)


def judge_inside(recording: Recording, told: Sequence[dict[str, Any]]) -> Inside:
    """Weigh the reports of the processes against the recording."""
    inside = Inside()
    ended = {}
    for facts in told:
        process = facts["process"]
        if "divergence" in facts:
            inside.divergences.append(_divergence(process, facts["divergence"]))
        elif "end" in facts:
            ended[process] = facts["end"]
            inside.served += facts["end"]["served"]
    for process in recording.inside:
        end = ended.get(process)
        if end is None:
            inside.unplayed.append(f"process {process} of the recording did not run to its end")
            continue
        inside.unplayed += [
            f"not played: {call['kind']} {call['name']} (lane {call['lane']})" for call in end["unplayed"]
        ]
    return inside


def _divergence(process: str, facts: dict[str, Any]) -> dict[str, Any]:
    asked = " ".join(str(facts[name]) for name in ("kind", "name") if facts.get(name))
    due = facts.get("recorded") or facts.get("due") or {}
    expected = str(facts.get("expected") or " ".join(str(due[n]) for n in ("kind", "name", "arguments") if due.get(n)))
    observed = str(facts.get("observed") or f"{asked} {facts.get('arguments', '')}".strip())
    lane = facts["lane"] if process == "0" else f"{process}:{facts['lane']}"
    report = f"{facts['class']} in lane {lane}\n  expected: {expected or 'nothing more'}\n  seen:     {observed}"
    return {
        "class": facts["class"],
        "step": None,
        "lane": lane,
        "path": "",
        "expected": expected,
        "observed": observed,
        "nearest": None,
        "report": report,
    }
