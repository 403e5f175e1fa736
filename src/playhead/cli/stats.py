"""`playhead stats`: tokens, cost, latency and errors over many sessions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from playhead.cli import render
from playhead.cli.options import json_option, open_store, store_option
from playhead.core.clock import wall_ns
from playhead.errors import UsageError
from playhead.journal.tally import DAY_NS, Tally
from playhead.sessions.index import ask

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_LABELS = {
    "day": (),
    "provider": ("provider",),
    "model": ("provider", "model"),
    "name": ("name",),
    "tag": ("key", "value"),
}


@click.command("stats", short_help="Tokens, cost, latency and errors, by model, day, provider, name or tag.")
@click.option("--days", type=click.IntRange(1, 36500), default=30, show_default=True, help="The last N days, UTC.")
@click.option(
    "--by",
    multiple=True,
    type=click.Choice(list(_LABELS)),
    help="One line for each; twice with `day` for a line a day and model. Default: model.",
)
@json_option
@store_option
def command(*, days: int, by: tuple[str, ...], as_json: bool, store: Path | None) -> None:
    """Model calls over the last days: how many, tokens, cost, latency, errors; and the sessions they belong to.

    Percentiles are within 4.5 %. Sessions count on the day they began, calls on theirs. A session with two models or
    two tags stands in both lines; the total counts it once.
    """
    by = tuple(dict.fromkeys(by)) or ("model",)
    own = [each for each in by if each != "day"]
    if len(own) > 1:
        raise UsageError(
            f"--by {own[0]} and --by {own[1]} cannot be joined.",
            code="bad-grouping",
            expected="one of day, model, provider, name, tag; or one of them with day",
            todo=f"playhead stats --by day --by {own[0]}",
        )
    since = wall_ns() // DAY_NS - days + 1
    groups, whole = ask(
        open_store(store),
        lambda index: (
            index.tallied(own[0] if own else "day", since_day=since, daily="day" in by),
            index.tallied("day", since_day=since),
        ),
    )
    total = whole.get(("", ""), Tally())
    labels = (*(("day",) if "day" in by else ()), *_LABELS[own[0] if own else "day"])
    ordered = sorted(groups.items(), key=lambda item: _order(item[0], item[1], daily="day" in by))
    lines = [(_named(labels, key), tally) for key, tally in ordered]
    if as_json:
        document = {
            "since": _date(since),
            "days": days,
            "by": list(by),
            "groups": [{**named, **_to_json(tally)} for named, tally in lines],
            "total": _to_json(total),
        }
        click.echo(render.pretty_json(document))
    elif not total["sessions"] and not total["calls"]:
        click.echo(f"No session in the last {days} days.", err=True)
    else:
        _show(labels, [*lines, ({labels[0]: "total"}, total)] if len(lines) != 1 else lines)


def _order(key: tuple[Any, ...], tally: Tally, *, daily: bool) -> tuple[Any, ...]:
    """Newest day first, then what cost most, then what was called most."""
    return (*((-key[0],) if daily else ()), -tally["cost_pico"], -tally["calls"], key)


def _named(labels: Iterable[str], key: tuple[Any, ...]) -> dict[str, str]:
    values = [_date(each) if isinstance(each, int) else each for each in key]
    return dict(zip(labels, values, strict=False))


def _date(day: int) -> str:
    try:
        return datetime.fromtimestamp(day * 86400, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):  # a recording from beyond the calendar
        return f"day {day}"


def _to_json(tally: Tally) -> dict[str, Any]:
    timed = tally.percentile(0.5) is not None
    return {
        "sessions": tally["sessions"],
        "failed_sessions": tally["failed"],
        "calls": tally["calls"],
        "errors": tally["errors"],
        "error_rate": round(tally["errors"] / tally["calls"], 6) if tally["calls"] else None,
        "usage": tally.tokens(),
        "cost_usd": tally.cost_usd,
        "unpriced_calls": tally["unpriced"],
        "latency_s": {
            "mean": round(tally["duration_us"] / 1e6 / tally["calls"], 6) if timed else None,
            "p50": _rounded(tally.percentile(0.5)),
            "p95": _rounded(tally.percentile(0.95)),
        },
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


def _show(labels: tuple[str, ...], lines: list[tuple[dict[str, str], Tally]]) -> None:
    columns = [(label.upper(), "left") for label in labels]
    columns += [
        (title, "right") for title in ("SESSIONS", "CALLS", "IN", "CACHED", "OUT", "COST", "P50", "P95", "ERRORS")
    ]
    rows = []
    for named, tally in lines:
        tokens = tally.tokens()
        cost = render.dollars(tally.cost_usd)
        rows.append(
            [
                *((named.get(label, "") or ("-" if len(named) == len(labels) else ""), "cyan") for label in labels),
                (render.count(tally["sessions"]), ""),
                (render.count(tally["calls"]), ""),
                (render.count(tokens["input_tokens"]), ""),
                (render.count(tokens["cached_input_tokens"]), "dim"),
                (render.count(tokens["output_tokens"]), ""),
                (f"{cost} +?" if tally["priced"] and tally["unpriced"] else cost, ""),
                (render.seconds(tally.percentile(0.5)), ""),
                (render.seconds(tally.percentile(0.95)), ""),
                (f"{100 * tally['errors'] / tally['calls']:.1f}%" if tally["calls"] else "-", ""),
            ]
        )
    render.table(columns, rows, grows=columns[len(labels) - 1][0], spare=("CACHED", "SESSIONS", "P50"))
