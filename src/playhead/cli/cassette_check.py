"""What `playhead verify` says of a cassette: its seal, its signature, and whether every request can be read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from playhead.cassette.opening import changes, not_as_sealed, read_cassette
from playhead.cassette.seal import signed_message
from playhead.cassette.signing import fingerprint, read_public_key, signed_by
from playhead.cli.render import harmless, pretty_json, things
from playhead.errors import DamagedRecording, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from playhead.cassette.opening import Cassette

_BODIES = 64 << 30  # bytes of requests that are given back; more than any recording of a cassette's size has


def verify_cassette(path: Path, key: Path | None, *, as_json: bool) -> None:
    """Print what holds of a cassette. Raises DamagedRecording when something does not, UsageError without a signature
    where one is asked for."""
    wanted = read_public_key(key) if key is not None else None
    cassette = read_cassette(path)
    problem = _body_problem(cassette)
    signature = cassette.seal.signature
    signer = signed_by(signature, signed_message(cassette.seal.head)) if signature is not None else None
    false = signature is not None and (signer is None or (wanted is not None and signer != wanted))
    recording = cassette.recording
    if as_json:
        click.echo(
            pretty_json(
                {
                    "session": recording.header.id,
                    "path": str(path),
                    "intact": cassette.seal.intact and not false and not problem,
                    "status": recording.status,
                    "sealed": True,
                    "form": cassette.form,
                    "encrypted": cassette.encrypted,
                    "exchanges": len(recording.exchanges),
                    "seal": cassette.seal.head,
                    "edited": [{"line": line, "step": step or None} for line, step in cassette.edited],
                    "damage": [text for text in (changes(cassette), problem) if text],
                    "signed_by": fingerprint(signer) if signer is not None else None,
                    "signature": None if signature is None else "false" if false else "true",
                }
            )
        )
    else:
        encrypted = ", encrypted" if cassette.encrypted else ""
        click.echo(
            f"{recording.header.id}: cassette ({cassette.form}{encrypted}), {things(len(recording.exchanges), 'exchange')}, "
            f"{recording.status}"
        )
        for reason in recording.incomplete:
            click.echo(f"  incomplete: {harmless(reason)}")
        if recording.header.edited:
            steps = ", ".join(str(step) for step in recording.header.edited[:20] if step) or "other lines"
            click.echo(f"  edited by hand since it was recorded: steps {steps}")
    if not cassette.seal.intact:
        raise not_as_sealed(cassette)
    if problem:
        raise DamagedRecording(
            "This cassette cannot be read.",
            code="cassette-damaged",
            where=str(path),
            seen=problem,
            todo="restore it from a copy; nothing was changed",
        )
    if false:
        raise DamagedRecording(
            "The signature of this cassette is false." if signer is None else "Somebody else signed this cassette.",
            code="cassette-signature",
            where=str(path),
            expected=f"a signature by {fingerprint(wanted)}" if wanted is not None else "one that its own key made",
            seen="one that no key it names made" if signer is None else f"one by {fingerprint(signer)}",
            todo="do not trust it; ask whom you have it from",
        )
    if wanted is not None and signer is None:
        raise UsageError(
            "This cassette is not signed.",
            code="not-signed",
            where=str(path),
            expected=f"a signature by {fingerprint(wanted)}",
            todo="export it again with --sign, or leave --key out",
        )
    if not as_json:
        who = "" if signer is None else f", signed by {fingerprint(signer)}"
        unsure = "" if signer is None or wanted is not None else " (whose key that is, --key PUBFILE tells)"
        click.echo(f"  intact{who}{unsure}")


def _body_problem(cassette: Cassette) -> str:
    """Why a request cannot be read back, "" when all can."""
    total = 0
    for exchange in cassette.recording.exchanges:
        try:
            total += len(exchange.body)
        except DamagedRecording as error:
            return f"step {exchange.number}: {error.seen}"
        if total > _BODIES:
            return f"its requests unfold to more than {_BODIES} bytes"
    return ""
