"""What a session cost, beside what the session cost that it was replayed from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def ledger(session: Mapping[str, Any], original: Mapping[str, Any] | None) -> dict[str, Any]:
    """The object of `cost --json`, from two `list --json` headers. `original` is the session that this one was forked
    from, or itself when it was recorded from nothing; None when that one is gone. `percent` is the share of the
    original cost that was saved; a figure is null when one of the two it is made of is."""
    if original is None:
        source = {"usage": None, "cost_usd": None, "duration_s": None}
        saved = dict.fromkeys(("tokens", "cost_usd", "seconds", "percent"))
    else:
        source = {name: original.get(name) for name in ("usage", "cost_usd", "duration_s")}
        cost = _less(original.get("cost_usd"), session.get("cost_usd"))
        saved = {
            "tokens": _less(_tokens(original), _tokens(session)),
            "cost_usd": cost,
            "seconds": _less(original.get("duration_s"), session.get("duration_s")),
            "percent": None if cost is None or not source["cost_usd"] else round(100 * cost / source["cost_usd"], 2),
        }
    return {
        "session": session["session"],
        "usage": session.get("usage"),
        "cost_usd": session.get("cost_usd"),
        "original": source,
        "saved": saved,
    }


def _tokens(header: Mapping[str, Any]) -> int | None:
    usage = header.get("usage") or {}
    known = [n for n in (usage.get("input_tokens"), usage.get("output_tokens")) if n is not None]
    return sum(known) if known else None


def _less(whole: float | None, part: float | None) -> float | None:
    return None if whole is None or part is None else round(whole - part, 12)
