"""`playhead init`: make the store and the local CA ahead of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from playhead.capture.wire.authority import Authority
from playhead.cli.options import open_store, say, store_option
from playhead.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path


@click.command("init", short_help="Make the store and the local CA ahead of time.")
@store_option
def command(*, store: Path | None) -> None:
    """Make the store and the local certificate authority ahead of time. Optional: `record` does it by itself.

    An authority that has expired or cannot be read is replaced by a new one.
    """
    place = open_store(store)
    try:
        authority = Authority.open(place.authority)
    except SetupError as error:
        if error.code not in ("ca-expired", "ca-unreadable"):
            raise
        say(f"{error.what} A new one takes its place.")
        authority = Authority.renew(place.authority)
    click.echo(f"store      {place.root}")
    click.echo(f"authority  {authority.certificate_path}")
    click.echo(
        "\nNothing to install: `playhead record` has the recorded command trust this authority, and nobody else.\n"
        "For the rare client that reads no variable, add the file above to that client's own list of\n"
        "trusted certificates. The system's list is never touched."
    )
