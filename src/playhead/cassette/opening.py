"""Opens recordings of every kind: sessions of the store, and cassettes by their file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from playhead.cassette.form import TEXT_BEGIN, Broken, OtherFormat, is_cassette, unpacked
from playhead.cassette.limits import MAX_TEXT, Budget, UnfoldsTooFar
from playhead.cassette.locking import is_locked, unlock
from playhead.cassette.reading import Reader, Unreadable
from playhead.cassette.seal import NotSealed, Seal, unsealed
from playhead.cassette.writing import FORMAT
from playhead.errors import DamagedRecording, IncompatibleRecording
from playhead.journal.store import Store, default_root
from playhead.sessions.address import find
from playhead.sessions.reader import read_recording
from playhead.sessions.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from playhead.sessions.model import Recording

_NONSENSE = (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, IndexError)


@dataclass(frozen=True, slots=True)
class Cassette:
    """A cassette that was read: its recording, its seal, and where it was changed since it was sealed."""

    path: Path
    recording: Recording
    seal: Seal
    form: str  # "text" or "compact"
    encrypted: bool
    edited: list[tuple[int, int]]  # (line, exchange it speaks of, 0 = none)


def open_session(address: str = "last", *, store: Path | None = None) -> Session:
    """The session under an address: an id, a prefix, a name, `last`, `last~N`, or a path to a recording or a cassette.

    Raises SessionNotFound, DamagedRecording, IncompatibleRecording, or SetupError for a cassette that stays locked.
    """
    found = find(Store.open(store or default_root(os.environ)), address)
    return Session(open_recording(found.path))


def open_recording(path: Path, *, edited: bool = False) -> Recording:
    """The recording in a session file, a folder or a cassette. With `edited`, a cassette is taken as it stands although
    somebody changed it; its header then says which steps. Raises as `open_session`."""
    if not is_cassette_file(path):
        return read_recording(path)
    cassette = read_cassette(path)
    if not cassette.seal.intact and not edited:
        raise not_as_sealed(cassette)
    return cassette.recording


def is_cassette_file(path: Path) -> bool:
    """Whether a file begins as a cassette does, locked or not."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            start = file.read(64)
    except OSError:
        return False
    return is_cassette(start) or is_locked(start)


def read_cassette(path: Path, environ: Mapping[str, str] = os.environ) -> Cassette:
    """Decode a cassette, whether it is as it was sealed or not. Raises DamagedRecording, IncompatibleRecording, and
    SetupError for one that stays locked."""
    where = str(path)
    try:
        if path.stat().st_size > MAX_TEXT:
            raise _too_large(where, f"a file of {path.stat().st_size} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise DamagedRecording(
            "This recording cannot be read.",
            code="recording-unreadable",
            where=where,
            seen=error.strerror or str(error),
            todo="check the file's permissions and the disk",
        ) from None
    locked = is_locked(data)
    if locked:
        data = unlock(data, where, environ)
    form = "text" if data.startswith(TEXT_BEGIN) else "compact"
    if not is_cassette(data):
        raise _damaged(where, "it begins like no cassette")
    try:
        recording, seal, edited = decoded(unpacked(data))
    except OtherFormat as error:
        raise _other_format(where, str(error)) from None
    except Broken as error:
        raise _damaged(where, str(error)) from None
    except UnfoldsTooFar as error:
        raise _too_large(where, str(error)) from None
    except NotSealed as error:
        raise _damaged(f"{where}, line {error.line}" if error.line else where, str(error)) from None
    return Cassette(path, recording, seal, form, locked, edited)


class _OtherLine(OtherFormat):
    """The first line says another format."""


def decoded(text: bytes) -> tuple[Recording, Seal, list[tuple[int, int]]]:
    """The recording, seal and edited lines of a text form. Raises NotSealed, UnfoldsTooFar, OtherFormat."""
    budget, seal = Budget(len(text)), Seal()
    reader = Reader(budget)
    number = 0
    steps: dict[int, int] = {}
    try:
        for number, line in unsealed(text, budget, seal):
            if number == 1 and line.get("cassette") != FORMAT:
                raise _OtherLine(str(line.get("cassette"))[:20])
            step = reader.line(line)
            if seal.edited[-1:] == [number]:
                steps[number] = step
        if not seal.whole:
            raise NotSealed(number, "the file ends without its seal")
        number = 0
        recording = reader.recording()
    except (NotSealed, UnfoldsTooFar, OtherFormat):
        raise
    except _NONSENSE as error:
        raise NotSealed(number or next(iter(seal.edited), 0), _unread(error, seal)) from None
    if not seal.intact:
        recording.header.edited.extend(sorted({*steps.values(), *recording.header.edited} or {0}))
    return recording, seal, list(steps.items())


def _unread(error: Exception, seal: Seal) -> str:
    """Why lines make no sense, and which of them somebody changed, which is why."""
    why = str(error) if isinstance(error, Unreadable) else f"{type(error).__name__}: {error}"
    changed = ", ".join(map(str, seal.edited[:8]))
    return why[:200] + (f"; changed since it was sealed: line {changed}" if changed else "")


def not_as_sealed(cassette: Cassette) -> DamagedRecording:
    """The error for a cassette that somebody changed."""
    return DamagedRecording(
        "This cassette is not as it was sealed: somebody changed it.",
        code="cassette-edited",
        where=str(cassette.path),
        expected=f"the seal {cassette.seal.head[:16]}",
        seen=changes(cassette),
        todo=f"restore it; or take it as it stands, marked as edited: playhead import --edited {cassette.path}",
    )


def changes(cassette: Cassette) -> str:
    """What differs from what was sealed, in words."""
    places = [f"line {line}" + (f" (step {step})" if step else "") for line, step in cassette.edited]
    more = f" and {len(places) - 8} more" if len(places) > 8 else ""
    return "; ".join(
        [*([f"changed: {', '.join(places[:8])}{more}"] if places else []), *filter(None, [cassette.seal.restrung])]
    )


def _damaged(where: str, seen: str) -> DamagedRecording:
    return DamagedRecording(
        "This cassette cannot be read.",
        code="cassette-damaged",
        where=where,
        expected="lines of JSON, the last of them a seal",
        seen=seen,
        todo="restore it from a copy; nothing was changed",
    )


def _too_large(where: str, seen: str) -> DamagedRecording:
    return DamagedRecording(
        "This cassette would take more memory than a cassette may.",
        code="cassette-too-large",
        where=where,
        expected=f"at most {MAX_TEXT} bytes of text",
        seen=seen,
        todo="do not trust where it came from; nothing was unpacked. Larger sessions travel as .tape files",
    )


def _other_format(where: str, seen: Any) -> IncompatibleRecording:
    return IncompatibleRecording(
        "This cassette was written in a format that this Playhead does not read.",
        code="format-version",
        where=where,
        expected=f"format {FORMAT}",
        seen=f"format {seen}"[:100],
        todo="a newer Playhead wrote it: pip install -U playhead",
    )
