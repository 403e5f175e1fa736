"""`playhead search`: find steps by the words in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from playhead.cli import render
from playhead.cli.options import json_option, open_store, store_option
from playhead.core.clock import rfc3339
from playhead.core.ids import shown
from playhead.errors import UsageError
from playhead.journal.catalogue import HIT
from playhead.journal.wording import expression
from playhead.sessions.index import ask

if TYPE_CHECKING:
    from pathlib import Path

    from playhead.journal.catalogue import Hit


@click.command("search", short_help="Find steps by the words in them.")
@click.argument("query", nargs=-1, required=True, metavar="QUERY...")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many steps.")
@json_option
@store_option
def command(*, query: tuple[str, ...], limit: int, as_json: bool, store: Path | None) -> None:
    """Steps in which all words of QUERY occur, newest session first: prompts, answers, tool names, arguments and
    results, errors, plain HTTP. A message counts in the step that first sent it.

    \b
    playhead search refund order           both words
    playhead search '"refund order"'       these words together
    playhead search 'refund*'              words that begin so
    playhead search 'refund OR return'     either
    playhead search 'refund NOT 8821'      without
    """
    text = " ".join(query)
    if expression(text) is None:
        raise UsageError(
            "There is no word to look for.",
            code="bad-query",
            seen=text[:100],
            expected='words, "words together", the beginning of a word*, OR, NOT',
            todo="playhead search refund",
        )
    hits = ask(open_store(store), lambda index: index.search(text, limit=limit))
    if as_json:
        click.echo(render.pretty_json([_to_json(hit) for hit in hits]))
        return
    if not hits:
        click.echo("No step has that.", err=True)
        return
    for hit in hits:
        facts = " · ".join(f for f in (hit.name, hit.model or hit.kind, render.ago(rfc3339(hit.started_ns))) if f)
        address = click.style(f"{shown(hit.session)}:{hit.step}", bold=True)
        click.echo(f"{address}  {click.style(_line(facts), dim=True)}")
        click.echo(
            "    " + "".join(click.style(_line(t), fg="yellow", bold=True) if m else _line(t) for t, m in _cut(hit))
        )


def _line(text: str) -> str:
    return render.harmless(text.replace("\n", " ").replace("\t", " "))


def _cut(hit: Hit) -> list[tuple[str, bool]]:
    """The snippet in pieces, each with whether it is what was looked for."""
    pieces = []
    for at, piece in enumerate(hit.snippet.split(HIT[0])):
        found, mark, rest = piece.partition(HIT[1])
        if at and mark:
            pieces += [(found, True), (rest, False)]
        else:
            pieces.append((piece, False))
    return [each for each in pieces if each[0]]


def _to_json(hit: Hit) -> dict[str, Any]:
    text, found = "", []
    for piece, is_hit in _cut(hit):
        if is_hit:
            found.append([len(text), len(text) + len(piece)])
        text += piece
    return {
        "session": hit.session,
        "step": hit.step,
        "name": hit.name or None,
        "kind": hit.kind,
        "model": hit.model,
        "title": hit.title,
        "started": rfc3339(hit.started_ns),
        "snippet": text,
        "hits": found,
    }
