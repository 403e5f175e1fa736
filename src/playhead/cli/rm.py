"""`playhead rm`: really delete sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from playhead.cli.options import open_store, say, store_option
from playhead.core.ids import shown
from playhead.errors import SetupError, UsageError
from playhead.sessions.address import find
from playhead.sessions.index import catalogue

if TYPE_CHECKING:
    from pathlib import Path


@click.command("rm", short_help="Really delete sessions.")
@click.argument("sessions", nargs=-1, required=True, metavar="SESSION...")
@store_option
def command(*, sessions: tuple[str, ...], store: Path | None) -> None:
    """Delete sessions: their files and every trace in the catalogue. There is no way back."""
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
        for session in found:
            if place.is_being_written(session):
                raise UsageError(
                    f"Session {shown(session)} is being written.",
                    code="session-open",
                    where=str(place.path(session)),
                    todo="end the recording first",
                )
        for session in found:
            try:
                place.remove(session)
            except OSError as error:
                raise SetupError(
                    f"Session {shown(session)} could not be deleted.",
                    code="store-unusable",
                    where=str(place.path(session)),
                    seen=error.strerror or str(error),
                    todo="fix the permissions of the store",
                ) from None
            index.forget(session)
            click.echo(f"deleted {session}")
