"""`playhead rm`: really delete sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from playhead.cli.options import open_store, say, store_option
from playhead.cli.render import harmless
from playhead.core.ids import shown
from playhead.errors import UsageError
from playhead.sessions.address import find
from playhead.sessions.index import catalogue
from playhead.sessions.removal import remove

if TYPE_CHECKING:
    from pathlib import Path


@click.command("rm", short_help="Really delete sessions.")
@click.argument("sessions", nargs=-1, required=True, metavar="SESSION...")
@click.option(
    "--forks", is_flag=True, help="Delete the sessions that were forked from them, too, and those forked from these."
)
@store_option
def command(*, sessions: tuple[str, ...], forks: bool, store: Path | None) -> None:
    """Delete sessions: their files and every trace in the catalogue. There is no way back.

    A fork is a file of its own that holds what it has in common with its parent: it is named, and taken with --forks.
    """
    place = open_store(store)
    found = {}
    for address in sessions:  # all addresses first: a wrong one deletes nothing
        one = find(place, address)
        if not one.id:
            raise UsageError(
                "rm deletes sessions of the store, not files.",
                code="not-in-store",
                where=address,
                todo=f"delete the file yourself: rm {address}",
            )
        if one.remark:
            say(one.remark)
        found[one.id] = one
    with catalogue(place) as index:
        holders = index.descendants(*found)
        doomed = [*found, *(row.id for row in holders)] if forks else list(found)
        for session in doomed:
            if place.is_being_written(session):
                raise UsageError(
                    f"Session {shown(session)} is being written.",
                    code="session-open",
                    where=str(place.path(session)),
                    todo="end the recording first",
                )
        remove(place, index, doomed, lambda session: click.echo(f"deleted {session}"))
    if holders and not forks:
        say("playhead: forks still hold what they have in common with what was deleted:")
        for row in holders:
            say(f"  {row.id}  {harmless(row.name)}".rstrip())
        say(f"to delete them, too: playhead rm {' '.join(row.id[:8] for row in holders)}")
