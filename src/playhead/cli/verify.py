"""`playhead verify`: check that a recording is what was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from playhead.cli.options import json_option, open_store, say, store_option
from playhead.cli.render import harmless, pretty_json
from playhead.errors import DamagedRecording
from playhead.journal.store import read_contents
from playhead.sessions.address import find
from playhead.sessions.reader import read_recording

if TYPE_CHECKING:
    from pathlib import Path


@click.command("verify", short_help="Check that a recording is what was written.")
@click.argument("session", metavar="SESSION|FILE")
@json_option
@store_option
def command(*, session: str, as_json: bool, store: Path | None) -> None:
    """Check every checksum of a recording, that no record is missing, and that every request can be read back.

    Exit code 0: all of it is what was written (a recorder that was killed leaves a shorter recording, not a wrong
    one). 3: something is not.
    """
    found = find(open_store(store), session)
    if found.remark:
        say(found.remark)
    contents = read_contents(found.path)
    recording = read_recording(found.path)
    damage = [f"{d.problem} in segment {d.segment} at byte {d.offset}" for d in contents.damage]
    damage += recording.unreadable
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
                    "damage": damage,
                    "torn_bytes": torn,
                    "unclosed_segments": unclosed,
                }
            )
        )
    else:
        records = sum(len(s.events) for s in contents.segments)
        click.echo(
            f"{recording.header.id}: {records} records, {len(recording.exchanges)} exchanges, {recording.status}"
        )
        if torn or (unclosed and not contents.being_written):
            click.echo(
                f"  the recorder was killed: segment {harmless(', '.join(unclosed))} ends early ({torn} torn bytes left out)"
            )
        for reason in recording.incomplete:
            click.echo(f"  incomplete: {harmless(reason)}")
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
