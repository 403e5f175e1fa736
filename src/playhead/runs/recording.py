"""What record and fork write beside the engine: the launcher's segment of a session, and its sealing."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from playhead.core.events import EventKind
from playhead.errors import DamagedRecording
from playhead.journal.disk import SYSTEM
from playhead.journal.segment import SegmentWriter

if TYPE_CHECKING:
    from pathlib import Path

    from playhead.core.redact import Redactor, Stream
    from playhead.journal.store import Store
    from playhead.runs.launcher import ExitStatus
    from playhead.sessions.header import Header

_RESERVE_BYTES = 8192


class LauncherSegment:
    """The launcher's own segment: the header, the standard streams, what was not captured, how the run ended.

    It never raises for a failing disk. A few kilobytes are kept back on disk, so that even a full one takes the mark
    that says from where the recording has holes. With `fsync` the header and what the command reads are on the device
    before they count; what it prints is synced in the background by the engine, and at the end.
    """

    def __init__(self, folder: Path, header: Header, redactor: Redactor, *, playhead: str) -> None:
        self.folder = folder
        self.troubles: list[str] = []
        self._redactor = redactor
        self._streams: dict[int, Stream] = {}
        self._reserve = folder / "reserve"
        self._reserve.write_bytes(b"\0" * _RESERVE_BYTES)
        self._syncs = header.durability == "fsync"
        held = "off" if header.durability == "off" else "write"
        self._writer = SegmentWriter(folder / "launcher.seg", "launcher", durability=held, playhead=playhead)
        self._writer.append(EventKind.SESSION, 0, json.dumps(header.to_json()).encode())
        if self._syncs:
            self._writer.sync()
            for named in (folder, folder.parent, folder.parent.parent):
                SYSTEM.sync_folder(named)

    def stdio(self, fd: int, data: bytes) -> None:
        """Record a piece of a standard stream, before it is passed on; b"" at the end of input."""
        stream = self._streams.get(fd)
        if stream is None:
            stream = self._streams[fd] = self._redactor.stream()
        if not data:
            self._flush(fd)
            self._write(EventKind.STDIO, fd)
            return
        clean = stream.feed(data).data
        if clean:  # redaction may hold all of a piece back, and an empty record is the end of input
            self._write(EventKind.STDIO, fd, clean)

    def not_captured(self, host: str, reason: str, size: int = 0) -> None:
        self._write(EventKind.NOT_CAPTURED, 0, meta={"host": host, "reason": reason, "bytes": size})

    def trouble(self, reason: str) -> None:
        """Mark the recording incomplete from here on, by all means."""
        self.troubles.append(reason)
        self._reserve.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._writer.append_again(EventKind.INCOMPLETE, meta={"reason": reason[:1000]})
            if self._syncs:
                self._writer.sync()

    def close(self, status: ExitStatus) -> None:
        """Write how the run ended, and close."""
        for fd in self._streams:
            self._flush(fd)
        meta = {"code": status.code, "signal": status.signal, "duration_s": round(status.duration_s, 6)}
        self._write(EventKind.EXIT, 0, meta=meta)
        if self._writer.failed is None:
            try:
                self._writer.sync()
            except OSError as error:
                self.trouble(f"the recording could not be written: {error.strerror or error}")
        with contextlib.suppress(OSError):
            self._writer.close()
        self._reserve.unlink(missing_ok=True)

    def _flush(self, fd: int) -> None:
        rest = self._streams[fd].close()
        if rest:
            self._write(EventKind.STDIO, fd, rest)

    def _write(self, kind: EventKind, subject: int, body: bytes = b"", *, meta: dict[str, Any] | None = None) -> None:
        if (not body and kind is EventKind.STDIO and subject != 0) or self._writer.failed is not None:
            return
        try:
            self._writer.append(kind, subject, body, meta=meta)
            if self._syncs and kind is EventKind.STDIO and subject == 0:
                self._writer.sync()
        except OSError as error:
            self.trouble(f"the recording could not be written: {error.strerror or error}")


def seal(store: Store, session: str) -> str:
    """Merge an ended session into its one file. Returns why that failed, "" when it did not: an unsealed session is
    as good, and larger. Who interrupts it is in a hurry, and still hears how the run went."""
    try:
        store.seal(session, wait=True)
    except OSError as error:
        why = error.strerror or str(error)
    except DamagedRecording as error:
        why = error.what
    except KeyboardInterrupt:
        why = "interrupted"
    else:
        return ""
    return (
        f"the session stays in parts: {why} ({os.fspath(store.sessions)}). It is whole; playhead gc makes it one file"
    )
