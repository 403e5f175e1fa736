"""`playhead verify`: check that a recording is what was written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from playhead.cassette.opening import is_cassette_file
from playhead.cli.cassette_check import verify_cassette
from playhead.cli.options import json_option, open_store, say, store_option
from playhead.cli.render import harmless, pretty_json, things
from playhead.errors import DamagedRecording, UsageError
from playhead.journal.contents import read_contents
from playhead.sessions.address import find
from playhead.sessions.reader import read_recording

if TYPE_CHECKING:
    from playhead.journal.contents import Contents
    from playhead.sessions.model import Recording


@click.command("verify", short_help="Check that a recording is what was written.")
@click.argument("session", metavar="SESSION|FILE")
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PUBFILE",
    help="A cassette must be signed by this Ed25519 public key (OpenSSH or PEM).",
)
@json_option
@store_option
def command(*, session: str, key: Path | None, as_json: bool, store: Path | None) -> None:
    """Check every checksum of a recording, that no record is missing, and that every request can be read back.

    Exit code 0: all of it is what was written (a recorder that was killed leaves a shorter recording, not a wrong
    one). 3: something is not.
    """
    found = find(open_store(store), session)
    if found.remark:
        say(found.remark)
    if is_cassette_file(found.path):
        verify_cassette(found.path, key, as_json=as_json)
        return
    if key is not None:
        raise UsageError(
            "Only cassettes are signed.",
            code="not-signed",
            where=str(found.path),
            todo="leave --key out, or name a .rw file",
        )
    contents = read_contents(found.path)
    recording = read_recording(found.path)
    damage = _damage(contents, recording)
    unclosed = [s.segment for s in contents.segments if not s.closed]
    torn = sum(s.torn for s in contents.segments)
    if as_json:
        click.echo(
            pretty_json(
                {
                    "session": recording.header.id,
                    "path": str(found.path),
                    "intact": not damage,
                    "status": recording.status,
                    "sealed": contents.sealed,
                    "records": sum(len(s.events) for s in contents.segments),
                    "exchanges": len(recording.exchanges),
                    "in_doubt": recording.in_doubt,
                    "damage": damage,
                    "torn_bytes": torn,
                    "unclosed_segments": unclosed,
                }
            )
        )
    else:
        records = sum(len(s.events) for s in contents.segments)
        click.echo(
            f"{recording.header.id}: {records} records, {things(len(recording.exchanges), 'exchange')}, {recording.status}"
        )
        if torn or (unclosed and not contents.being_written):
            click.echo(
                f"  the recorder was killed: segment {harmless(', '.join(unclosed))} ends early ({torn} torn bytes left out)"
            )
        for reason in recording.incomplete:
            click.echo(f"  incomplete: {harmless(reason)}")
        if recording.doubt:
            click.echo(f"  in doubt: {recording.doubt}")
    if damage:
        raise DamagedRecording(
            "This recording is damaged.",
            code="recording-damaged",
            where=str(found.path),
            expected="every record with its checksum",
            seen="; ".join(damage[:5]) + (f"; and {len(damage) - 5} more" if len(damage) > 5 else ""),
            todo="restore the file from a copy; the other records can still be inspected",
        )
    if not as_json:
        click.echo("  intact")


def _damage(contents: Contents, recording: Recording) -> list[str]:
    """All that is not what was written, in words."""
    damage = [
        f"{d.problem} in segment {d.segment} at byte {d.offset}" if d.segment else f"{d.problem} (at byte {d.offset})"
        for d in contents.damage
    ]
    damage += recording.unreadable
    for exchange in recording.exchanges:  # what stays in its file until it is asked for is asked for now
        try:
            _ = len(exchange.body), len(exchange.chunks)  # and let go, so that the next is read faster
        except DamagedRecording as error:
            damage.append(f"{error.where}: {error.seen}")
    return damage
