"""`playhead export`: a cassette of a session, one sealed file that can be shared and kept in git."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from playhead.cassette.making import cassette_bytes, write_whole
from playhead.cassette.opening import open_recording
from playhead.cassette.signing import SigningKey
from playhead.cassette.writing import portable_environment
from playhead.cli.options import open_store, say, store_option
from playhead.cli.render import harmless, things, wrapped
from playhead.core.ids import shown
from playhead.errors import UsageError
from playhead.sessions.address import find
from playhead.sessions.scan import findings

if TYPE_CHECKING:
    from playhead.sessions.model import Recording


@click.command(
    "export",
    short_help="Write a session into one portable, sealed file: a cassette.",
    epilog="""\b
Examples:
  playhead export last                            a cassette in text, NAME.rw, for git
  playhead export refund -o tests/refund.rw
  playhead export refund --format rw -o refund.rw the compact form
  playhead export refund --encrypt age1...        for one reader
""",
)
@click.argument("session", metavar="SESSION")
@click.option(
    "-o", "--output", metavar="FILE", help="The file to write; - is stdout. Default: the session's name, .rw."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["rw", "rw-text"]),
    help="rw-text (default): lines of JSON, which differ line by line in git. rw: compact.",
)
@click.option(
    "--sign",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="KEYFILE",
    help="Sign it with this Ed25519 private key (OpenSSH or PEM).",
)
@click.option(
    "--encrypt",
    "recipients",
    multiple=True,
    metavar="WHOM",
    help="Encrypt it: `passphrase`, an age or ssh recipient, or a file of recipients; may be repeated.",
)
@click.option("--edited", is_flag=True, help="Take a cassette as it stands although it was edited since it was sealed.")
@store_option
def command(
    *,
    session: str,
    output: str | None,
    form: str | None,
    sign: Path | None,
    recipients: tuple[str, ...],
    edited: bool,
    store: Path | None,
) -> int:
    """Write SESSION into one portable, sealed file that replays, inspects and verifies as the session does.

    SESSION may be a cassette itself, to change its form. Exit code 1: there are secrets in it, and nothing was written.
    """
    found = find(open_store(store), session)
    if found.remark:
        say(found.remark)
    signer = SigningKey.read(sign) if sign is not None else None
    recording = open_recording(found.path, edited=edited)
    place = _place(output, recording)
    header = recording.header
    shared = replace(recording, header=replace(header, environment=portable_environment(header.environment)))
    if found_in_it := findings(shared):
        say(f"playhead: not exported, for what looks like {len(found_in_it)} secrets:")
        for item in found_in_it[:20]:
            say(harmless(f"  {item}"))
        say(f"  next:     playhead scan {session} lists them all; record again without them, or without --redact off")
        return 1
    data = cassette_bytes(recording, compact=form == "rw", signer=signer, recipients=recipients)
    if place is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_whole(place, data)
    _tell(recording, place, len(data))
    return 0


def _place(output: str | None, recording: Recording) -> Path | None:
    """The file to write; None = stdout. One that was not named is never written over."""
    if output is not None:
        return None if output == "-" else Path(output)
    place = Path(f"{recording.header.name or shown(recording.header.id)}.rw")
    if place.exists():
        raise UsageError(
            "There is a file of that name.",
            code="output-exists",
            where=str(place),
            todo=f"name it to replace it: -o {place}",
        )
    return place


def _tell(recording: Recording, place: Path | None, size: int) -> None:
    """Where it is, and what in it a person may not want to share."""
    header = recording.header
    if place is not None:
        click.echo(str(place))
    say(f"playhead: {things(len(recording.exchanges), 'exchange')}, {size:,} bytes, {recording.status}")
    names = ", ".join(portable_environment(header.environment)) or "none"
    say(f"playhead: it holds the command ({harmless(' '.join(header.command))[:200]}), the folder it ran in")
    say(f"playhead:   ({harmless(header.cwd)}), prompts, answers and output, and these variables:")
    for line in wrapped(names, *["playhead:     "] * 2):
        say(line)
    for reason in recording.incomplete:
        say(f"playhead: incomplete: {harmless(reason)}")
