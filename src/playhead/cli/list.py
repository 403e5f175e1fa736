"""`playhead list`: sessions, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from playhead.cli import render
from playhead.cli.options import json_option, moment_ns, open_store, store_option
from playhead.core.ids import shown
from playhead.errors import UsageError
from playhead.sessions.index import ask

if TYPE_CHECKING:
    from pathlib import Path


@click.command("list", short_help="Sessions, newest first.")
@click.option("--tag", "tags", multiple=True, metavar="K=V", help="Only sessions with this tag; may be repeated.")
@click.option(
    "--status",
    type=click.Choice(["ok", "failed", "killed", "incomplete", "open"]),
    help="Only sessions that ended like this.",
)
@click.option("--since", metavar="T", help="Only sessions begun since: 90s, 15min, 2h, 7d, or 2026-11-21[T10:00].")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@json_option
@store_option
def command(
    *, tags: tuple[str, ...], status: str | None, since: str | None, limit: int, as_json: bool, store: Path | None
) -> None:
    """Sessions, newest first."""
    since_ns = None if since is None else moment_ns(since)
    pairs = [_tag(t) for t in tags]
    rows = ask(open_store(store), lambda index: index.newest(limit=limit, status=status, since_ns=since_ns, tags=pairs))
    if as_json:
        click.echo(render.pretty_json([row.header for row in rows]))
        return
    if not rows:
        click.echo("No sessions. Record one: playhead record -- CMD", err=True)
        return
    render.table(
        [
            ("", "left"),
            ("SESSION", "left"),
            ("NAME", "left"),
            ("STEPS", "right"),
            ("TOOK", "right"),
            ("TOKENS", "right"),
            ("COST", "right"),
            ("MODEL", "left"),
            ("WHEN", "left"),
            ("COMMAND", "left"),
        ],
        [
            [
                (render.MARKS[row.status], render.COLOURS[row.status]),
                (shown(row.id), "bold"),
                (row.name, ""),
                (_steps(row.header), ""),
                (render.seconds(row.header.get("duration_s")), ""),
                (_tokens(row.header.get("usage") or {}), ""),
                (render.dollars(row.header.get("cost_usd")), ""),
                (", ".join(row.header.get("models") or []), "cyan"),
                (render.ago(row.header["created"]), "dim"),
                (" ".join(row.header.get("command") or []), "dim"),
            ]
            for row in rows
        ],
        grows="COMMAND",
        spare=("MODEL", "COST", "TOKENS", "TOOK"),
    )


def _steps(header: dict[str, Any]) -> str:
    doubt = len(header.get("in_doubt") or ())
    return str(header.get("step_count", "-")) + (f", {doubt} in doubt" if doubt else "")


def _tokens(usage: dict[str, int | None]) -> str:
    known = [n for n in (usage.get("input_tokens"), usage.get("output_tokens")) if n is not None]
    return render.count(sum(known)) if known else "-"


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(
            f"{text!r} is no tag.", code="bad-tag", expected="KEY=VALUE", todo="playhead list --tag team=billing"
        )
    return key, value
