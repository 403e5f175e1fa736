"""The summary of a run: the JSON of `--summary`, and the few lines that people read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from playhead.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

    from playhead.sessions.session import Session


def session_summary(session: Session, *, command: str, exit_code: int, exit_source: str) -> dict[str, Any]:
    """The part that record, replay and fork share; `session` is the one recorded or replayed."""
    header, recording = session.header, session.recording
    counts = session.counts()
    return {
        "command": command,
        "session": header.id,
        "name": header.name or None,
        "exit_code": exit_code,
        "exit_source": exit_source,
        "duration_s": round(recording.duration_s, 6),
        "complete": recording.whole and not session.not_captured(),
        "steps": counts["steps"],
        "llm_calls": counts["llm_calls"],
        "tool_calls": counts["tool_calls"],
        "exchanges": counts["exchanges"],
        "lanes": counts["lanes"],
        "routes": counts["routes"],
        "not_captured": session.not_captured(),
        "usage": session.usage.to_json(),
        "cost_usd": session.cost_usd,
    }


def check_summary(path: Path | None) -> None:
    """Make sure, before anything runs, that a summary can be written there. Raises SetupError."""
    if path is None:
        return
    try:
        with path.open("a"):
            pass
    except OSError as error:
        raise _unwritable(path, error, "name a file that can be written; nothing was run") from None


def write_summary(path: Path | None, summary: dict[str, Any]) -> None:
    """Write a summary where `--summary` says. Raises SetupError."""
    if path is None:
        return
    try:
        path.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise _unwritable(path, error, "the run itself is over, and recorded if it was to be") from None


def _unwritable(path: Path, error: OSError, todo: str) -> SetupError:
    return SetupError(
        "The summary cannot be written.",
        code="summary-unwritable",
        where=str(path),
        seen=error.strerror or str(error),
        todo=todo,
    )
