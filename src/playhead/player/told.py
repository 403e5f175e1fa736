"""What a player inside a process tells of a question and of a divergence: as facts for the report, and in words.

Standard library only: this runs inside the user's agent.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from playhead.core.boundary import Key
    from playhead.player.lanes import RecordedCall


def told_of(call: RecordedCall) -> dict[str, Any]:
    """A recorded question as facts."""
    return {"number": call.number, "kind": call.kind, "name": call.name, "arguments": text_of(call.arguments)}


def waiting_for(key: Key, what: Any) -> str:
    """Who waits, by what is waited for: a call or a turn with its kind, and its place."""
    return " ".join(filter(None, (getattr(what, "kind", ""), getattr(what, "name", ""), f"{key[0]}#{key[1]}")))


def missing_act(key: Key) -> dict[str, Any]:
    """The report of a lock, turn or timer that never came."""
    lane, ordinal = key
    expected = in_its_place({"lane": lane, "n": ordinal})
    return {"class": "missing", "lane": lane, "n": ordinal, "expected": expected, "observed": "it did not come"}


def in_its_place(act: dict[str, Any]) -> str:
    """An act without a name, by its place."""
    return f"act {act['n']} of lane {act['lane']}: a lock, a queue or the like"


def told_due(facts: dict[str, Any]) -> str:
    """What the recording has next, by name and place."""
    due = facts["due"]
    what = " ".join(str(due[name]) for name in ("kind", "name") if due.get(name)) or "act"
    return f"{what} {due['n']} of lane {due['lane']}"


def in_words(facts: dict[str, Any]) -> str:
    """One paragraph: what the program did, and what the recording has in its place."""
    asked = " ".join(str(facts[name]) for name in ("kind", "name") if facts.get(name))
    if facts["class"] == "exhausted":
        return f"playhead: exhausted: the recording has no answer to {asked} in lane {facts['lane']}"
    if facts["class"] == "missing":
        due = facts.get("due")
        if due is None:
            return f"playhead: missing: {asked} in lane {facts['lane']} waits, and the recording has nothing more"
        return (
            f"playhead: missing: the recording has {told_due(facts)} next, and nothing can bring it; "
            f"waiting: {', '.join(facts['waiting']) or 'nobody'}"
        )
    return f"playhead: {facts['class']}: {asked} in lane {facts['lane']} is not what the recording has next"


def text_of(data: bytes) -> str:
    """Arguments as a person reads them."""
    return data.decode("utf-8", "replace")
