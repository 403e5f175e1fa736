"""`playhead import`: a session of the store out of a cassette."""

from __future__ import annotations

from pathlib import Path

import click

from playhead.cassette.admission import admit
from playhead.cassette.opening import is_cassette_file, open_recording
from playhead.cli.options import open_store, say, store_option
from playhead.core.ids import shown
from playhead.errors import IncompatibleRecording


@click.command("import", short_help="Take a cassette into the store.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--edited", is_flag=True, help="Take it as it stands although it was edited since it was sealed.")
@store_option
def command(*, file: Path, edited: bool, store: Path | None) -> None:
    """Make a session of the store out of a cassette, with the same content and, where it is free, the same id.

    A cassette that is there already changes nothing. One that somebody edited is refused, unless --edited says that
    you know: the session then says which of its steps were edited.
    """
    place = open_store(store)
    if file.exists() and not is_cassette_file(file):
        raise IncompatibleRecording(
            "This file is no cassette.",
            code="not-a-cassette",
            where=str(file),
            expected="a .rw file, from playhead export",
            todo="a .tape file needs no import: give its path where a SESSION is asked for",
        )
    recording = open_recording(file, edited=edited)
    admitted = admit(place, recording)
    if admitted.known:
        say(f"playhead: session {shown(admitted.id)} was there already, and is the same")
    if admitted.renamed:
        say(f"playhead: another recording has the id {shown(recording.header.id)}: this one is {shown(admitted.id)}")
    click.echo(admitted.id)
