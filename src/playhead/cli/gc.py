"""`playhead gc`: delete old sessions, and tidy the store."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING

import click

from playhead.cli import render
from playhead.cli.options import json_option, moment_ns, open_store, say, store_option
from playhead.core.clock import rfc3339
from playhead.core.ids import shown
from playhead.errors import PlayheadError, UsageError
from playhead.sessions.index import catalogue
from playhead.sessions.removal import remove
from playhead.sessions.tidy import clear, half_written, held, leftovers, superfluous

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from playhead.journal.store import Store
    from playhead.sessions.tidy import Held

_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*(?:([kmgt])i?)?b?\Z", re.IGNORECASE)
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@click.command("gc", short_help="Delete old sessions, and tidy the store.")
@click.option("--older-than", metavar="T", help="Delete sessions begun before: 30d, 4w, or 2026-11-21.")
@click.option("--max-size", metavar="S", help="Then delete the oldest until sessions take at most: 500MB, 2GB.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--reindex", is_flag=True, help="Make the catalogue again from the recordings.")
@json_option
@store_option
def command(
    *, older_than: str | None, max_size: str | None, dry_run: bool, reindex: bool, as_json: bool, store: Path | None
) -> None:
    """Delete what --older-than and --max-size say, for good as `rm` does; without them no session is deleted.

    Always: sessions whose recorder was killed become one file each, recordings are compressed as far as it goes,
    half-written files are cleared away, what deleted sessions left in the catalogue is overwritten. A session that is being written is left alone.
    """
    before_ns = None if older_than is None else moment_ns(older_than)
    most = None if max_size is None else _bytes(max_size)
    place = open_store(store)
    with catalogue(place, anew=reindex and not dry_run, progress=_progress if reindex else None) as index:
        sessions = held(place, index)
        doomed = superfluous(sessions, before_ns=before_ns, max_size=most)
        going = {each.id for each in doomed}
        unsealed = [session for session in leftovers(place) if session not in going]
        sealed = []
        saved = 0
        if not dry_run:
            remove(place, index, going, lambda _: None)
            for session in unsealed:
                with contextlib.suppress(PlayheadError, OSError):  # it stays as it is, which is as good
                    place.seal(session)
                    sealed.append(session)
            clear(half_written(place))
            saved = _compress(place, [each.id for each in sessions if each.id not in going])
            index.compact()
            sessions = [*doomed, *held(place, index)]
        indexed = index.count()
    if as_json:
        document = {
            "dry_run": dry_run,
            "deleted": [
                {"session": e.id, "name": e.name or None, "created": rfc3339(e.created_ns), "bytes": e.size}
                for e in doomed
            ],
            "freed_bytes": sum(each.size for each in doomed),
            "kept": len(sessions) - len(doomed),
            "kept_bytes": sum(each.size for each in sessions) - sum(each.size for each in doomed),
            "sealed": unsealed if dry_run else sealed,
            "compressed_bytes": saved,
            "indexed": indexed,
        }
        click.echo(render.pretty_json(document))
        return
    _talk(sessions, doomed, unsealed if dry_run else sealed, dry_run=dry_run)
    if saved:
        click.echo(f"compressed recordings by another {render.size(saved)}")
    if reindex and not dry_run:
        click.echo(f"indexed {indexed} sessions")


def _compress(store: Store, sessions: Sequence[str]) -> int:
    """Take recordings that were sealed in haste to the highest compression; the bytes that saved."""
    saved = 0
    for session in sessions:
        with contextlib.suppress(PlayheadError, OSError):  # it stays as it is, which is as good
            before = store.path(session).stat().st_size
            if store.recompress(session):
                saved += before - store.path(session).stat().st_size
    return saved


def _talk(sessions: Sequence[Held], doomed: Sequence[Held], sealed: Sequence[str], *, dry_run: bool) -> None:
    would = "would delete" if dry_run else "deleted"
    for each in doomed:
        click.echo(
            f"{would} {shown(each.id)}  {rfc3339(each.created_ns)}  {render.size(each.size)}  {render.harmless(each.name)}".rstrip()
        )
    for session in sealed:
        click.echo(f"{'would seal' if dry_run else 'sealed'} {shown(session)}")
    freed = sum(each.size for each in doomed)
    kept = sum(each.size for each in sessions) - freed
    click.echo(
        f"{len(sessions) - len(doomed)} sessions, {render.size(kept)} kept; {render.size(freed)} {'to free' if dry_run else 'freed'}"
    )


def _progress(left: int) -> None:
    if sys.stderr.isatty() and left % 20 == 0:
        say(f"\r{left} sessions to read  \033[A")


def _bytes(text: str) -> int:
    match = _SIZE.match(text.strip())
    if match is None:
        raise UsageError(
            f"{text!r} is no size.", code="bad-size", expected="bytes: 500MB, 2GB", todo="playhead gc --max-size 2GB"
        )
    return int(float(match[1]) * _BYTES[(match[2] or "").lower()])
