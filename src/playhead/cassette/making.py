"""Makes cassettes of recordings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from playhead.cassette.form import packed
from playhead.cassette.limits import MAX_TEXT, UnfoldsTooFar
from playhead.cassette.locking import lock
from playhead.cassette.opening import decoded
from playhead.cassette.seal import sealed
from playhead.cassette.writing import lines_of
from playhead.errors import InternalError, SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from playhead.cassette.seal import Signer
    from playhead.sessions.model import Recording


def cassette_bytes(
    recording: Recording,
    *,
    compact: bool = False,
    signer: Signer | None = None,
    recipients: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> bytes:
    """A cassette of `recording`: the text form or the compact one, signed and encrypted as asked.

    Raises UsageError for a recording that makes no cassette (it is being written, it is damaged, it is too large) or a
    recipient that is none, SetupError where a key or a library is missing.
    """
    _check(recording)
    text = _bounded(sealed(lines_of(recording), signer))
    _check_reading_back(recording, text)
    data = packed(text) if compact else text
    return lock(data, recipients, environ) if recipients else data


def write_whole(path: Path, data: bytes) -> None:
    """Write beside `path` and rename: the file is there whole or not at all. Mode 0600 where it is new; a link is
    followed. Raises SetupError."""
    place = Path(os.path.realpath(path))
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        mode = place.stat().st_mode & 0o777 if place.exists() else 0o600
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(place)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SetupError(
            "The cassette cannot be written.",
            code="output-unwritable",
            where=str(path),
            seen=error.strerror or str(error),
            todo="name another file: -o FILE",
        ) from None


def _check(recording: Recording) -> None:
    where = recording.header.id
    if recording.being_written:
        raise UsageError(
            "This session is being written.", code="session-open", where=where, todo="end the recording first"
        )
    damaged = len(recording.damage) + len(recording.unreadable)
    if damaged:
        raise UsageError(
            "This recording is damaged: a cassette of it would pass for a whole one.",
            code="export-damaged",
            where=where,
            seen=f"{damaged} damaged records",
            todo=f"playhead verify {where[:8]} names them; restore the file from a copy",
        )


def _bounded(lines: Iterable[bytes]) -> bytes:
    text = bytearray()
    for line in lines:
        text += line
        if len(text) > MAX_TEXT:
            raise _too_large(f"more than {MAX_TEXT} bytes of text")
    return bytes(text)


def _check_reading_back(recording: Recording, text: bytes) -> None:
    """What is shared must say what was recorded, to the byte, and be readable within a reader's limits."""
    try:
        back, _, _ = decoded(text)
    except UnfoldsTooFar as error:
        raise _too_large(str(error)) from None
    pairs = zip(recording.exchanges, back.exchanges, strict=True)
    wrong = [a.number for a, b in pairs if (a.head, a.body, a.answer) != (b.head, b.body, b.answer)]
    if wrong or any(recording.output(fd) != back.output(fd) for fd in range(3)):
        raise InternalError(
            "This cassette would not say what was recorded.",
            code="internal",
            where=recording.header.id,
            seen=f"step {wrong[0]} differs" if wrong else "a standard stream differs",
            todo="please report it with the session; nothing was written",
        )


def _too_large(seen: str) -> UsageError:
    return UsageError(
        "This session is too large for a cassette.",
        code="export-too-large",
        expected=f"at most {MAX_TEXT} bytes of text",
        seen=seen,
        todo="share the .tape file itself: it is as portable, and larger",
    )
