"""One segment: an append-only file of records with a single writer. Writer and reader of the format live here.

A record is `<I length> <I crc32>` followed by `length` bytes that the CRC covers as stored:

    u8 kind, u8 flags, u16 meta length, u32 seq, u32 subject, u64 t_ns (monotonic) | meta (JSON) | body

All integers are little-endian. The first record of a segment is SEGMENT, whose meta names the format. A kill costs
at most the record being written: readers stop at a torn tail. A record that is wrong while ones behind it are whole is
damage: it is named and passed over, never guessed.

FORMAT_VERSION history: 0 unstable, before the format was settled; not read any more. 1 the first that later versions
read.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from playhead.core.clock import monotonic_ns, wall_ns
from playhead.core.events import Event, EventKind
from playhead.journal.commit import GroupCommit
from playhead.journal.disk import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from playhead.journal.disk import Disk

FORMAT_VERSION = 1
MAX_RECORD = 64 << 20
_encode = json.JSONEncoder(separators=(",", ":")).encode  # made once: `json.dumps` makes one for each record

_FRAME = Struct("<II")
_FIXED = Struct("<BBHIIQ")
_HEAD = Struct("<IIBBHIIQ")
_SEQ = Struct("<I")
_SEQ_AT = 12  # offset of seq in a record
_LOST_AT_MOST = 64  # records behind damage that are tried as the next whole one
_SEARCHED = 4 << 20  # bytes behind damage in which it is looked for
_KINDS = {int(kind): kind for kind in EventKind}


class SegmentWriter:
    """The single writer of one segment file (mode 0600, created new, locked while it is open).

    `append` returns once the record is in the page cache (`write`) or in this process's memory (`off`). With `fsync`
    and a `resume` (see GroupCommit) it returns as soon, and `when_durable` tells when the device has it; without
    `resume` the device has it when `append` returns. After an OSError the file is cut back to its last whole record
    and the writer refuses more; `sync_failed` hears of a sync that failed behind a caller's back.
    """

    def __init__(
        self,
        path: Path,
        segment: str,
        *,
        durability: str = "write",
        playhead: str = "",
        resume: Callable[[Callable[[], None]], object] | None = None,
        disk: Disk = SYSTEM,
    ) -> None:
        self.path = path
        self.segment = segment
        self.seq = 0
        self.failed: OSError | None = None
        self.sync_failed: Callable[[OSError], None] = lambda _error: None
        self.waits = durability == "fsync" and resume is not None
        self._sync = durability == "fsync" and resume is None
        self._held: list[bytes] | None = [] if durability == "off" else None
        self._size = 0
        self._disk = disk
        self._put = disk.write
        self._fd = disk.create(path)
        self._group = (
            GroupCommit(lambda: disk.sync(self._fd), resume, self._not_synced) if self.waits and resume else None
        )
        if durability == "fsync":
            disk.sync_folder(path.parent)  # a file without a name is lost as well
        self.append(
            EventKind.SEGMENT,
            meta={
                "segment": segment,
                "format": FORMAT_VERSION,
                "playhead": playhead,
                "pid": os.getpid(),
                "wall_ns": wall_ns(),
                "mono_ns": monotonic_ns(),
            },
        )

    def append(
        self,
        kind: EventKind,
        subject: int = 0,
        body: bytes = b"",
        *,
        meta: dict[str, Any] | bytes | None = None,
        flags: int = 0,
        t_ns: int = 0,
    ) -> int:
        """Write one record and return its seq. `meta` may be JSON already encoded. Raises OSError, with EMSGSIZE for a
        record that no reader would take (nothing is written, the writer goes on)."""
        if meta is None:
            meta_bytes = b""
        elif isinstance(meta, bytes):
            meta_bytes = meta
        else:
            meta_bytes = _encode(meta).encode() if meta else b"{}"
        length = _FIXED.size + len(meta_bytes) + len(body)
        if len(meta_bytes) > 0xFFFF or length > MAX_RECORD:
            raise OSError(errno.EMSGSIZE, f"a record of {length} bytes is too large")
        seq = self.seq
        data = _FIXED.pack(kind, flags, len(meta_bytes), seq, subject, t_ns or monotonic_ns()) + meta_bytes + body
        record = _FRAME.pack(length, crc32(data)) + data
        if self._held is not None:
            self._held.append(record)
            if len(self._held) >= 256:
                self._flush()
        else:
            self._write(record)
        self.seq = seq + 1
        return seq

    def _write(self, record: bytes) -> None:
        if self.failed is not None:
            raise self.failed
        try:
            written = self._put(self._fd, record)
            while written < len(record):  # a disk that fills up takes a part, then refuses the rest
                written += self._put(self._fd, record[written:])
            if self._sync:
                self._disk.sync(self._fd)
        except OSError as error:
            self.failed = error
            with contextlib.suppress(OSError):  # the reader stops at the torn record all the same
                self._disk.truncate(self._fd, self._size)
            raise
        self._size += written

    @property
    def settled(self) -> bool:
        """Whether nothing waits to be durable."""
        return self._group is None or self._group.settled

    def when_durable(self, then: Callable[[], None]) -> None:
        """Call `then` once all that was appended is as durable as it was asked to be: at once, but for a group commit.
        What waits is called in the order in which it came, also after a sync that failed."""
        if self._group is None:
            then()
        else:
            self._group.when_durable(self._size, then)

    def sync(self) -> None:
        """Return once all that was appended is on the device. Raises OSError; the writer refuses more then."""
        try:
            self._disk.sync(self._fd)
        except OSError as error:
            self.failed = error
            raise

    def _not_synced(self, error: OSError) -> None:
        self.failed = error
        self.sync_failed(error)

    def append_again(self, kind: EventKind, subject: int = 0, *, meta: dict[str, Any]) -> int:
        """Write one record although an earlier one failed, for a last word on a disk that has room again."""
        self.failed = None
        return self.append(kind, subject, meta=meta)

    def _flush(self) -> None:
        if self._held:
            data, self._held = b"".join(self._held), []
            self._write(data)

    def close(self) -> None:
        """Write CLOSED, sync, unlock. Errors of a writer that failed before are not raised again."""
        if self._fd < 0:
            return
        try:
            if self._group is not None:
                self._group.close()
            if self.failed is None:
                self.append(EventKind.CLOSED)
                if self._held is not None:
                    self._flush()
                self._disk.sync(self._fd)
        finally:
            self._disk.close(self._fd)
            self._fd = -1
            if self._group is not None:
                self._group.release()

    def settle(self) -> None:
        """Write what `off` keeps in memory. Raises OSError."""
        self._flush()

    def forget(self) -> None:
        """Close the file in a forked child that is not the writer; writes nothing."""
        self._disk.close(self._fd)
        self._fd = -1


class Damage(NamedTuple):
    """A record that is not what was written: where in the segment, and what is wrong with it."""

    segment: str
    offset: int
    problem: str


@dataclass(slots=True)
class SegmentContents:
    """All whole records of one segment, in order, and what is not whole."""

    segment: str
    events: list[Event]
    size: int
    good_bytes: int
    damage: list[Damage] = field(default_factory=list)

    @property
    def torn(self) -> int:
        """Bytes behind the last whole record."""
        return self.size - self.good_bytes

    @property
    def closed(self) -> bool:
        """Whether the writer ended in order."""
        return bool(self.events) and self.events[-1].kind is EventKind.CLOSED


def is_being_written(path: Path) -> bool:
    """Whether a live process holds the writer's lock of this segment file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(paths: Iterable[Path], *, wait: bool) -> Iterator[None]:
    """Hold the writers' locks of these segments: nobody writes them, and nobody else who asks here seals or removes
    them. Raises BlockingIOError when somebody else has one and we are not to wait; OSError when one is not there."""
    fds: list[int] = []
    try:
        for path in paths:
            fds.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))  # noqa: PERF401  those opened before one that is not there are closed
        for fd in fds:
            fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        for fd in fds:
            os.close(fd)


def read_segment(data: bytes, segment: str, metas: list[bytes] | None = None) -> SegmentContents:
    """Decode a segment. Never raises: what cannot be decoded is in `damage` or is the torn tail. `metas` gets the meta
    of each event as it is stored."""
    events: list[Event] = []
    damage: list[Damage] = []
    good = 0
    expected_seq = 0
    for offset, end, event in _records(data, segment):
        if event is None:
            damage.append(Damage(segment, offset, f"checksum mismatch in {end - offset} bytes"))
            continue
        if event.seq != expected_seq and not damage:
            damage.append(Damage(segment, offset, f"sequence {event.seq} where {expected_seq} was due"))
        expected_seq = event.seq + 1
        events.append(event)
        if metas is not None:
            metas.append(data[offset + _HEAD.size : end - len(event.body)])
        good = end
    return SegmentContents(segment, events, len(data), good, [d for d in damage if d.offset < good])


def _records(data: bytes, segment: str) -> Iterator[tuple[int, int, Event | None]]:
    """(offset, end, event or None where bytes are wrong) until nothing whole follows."""
    position = due = 0
    view = memoryview(data)
    budget = 4 * len(data)  # bytes summed in search of whole records: hostile data must not cost more than reading it
    while position + _HEAD.size <= len(data):
        found = _record_at(data, view, position, segment)
        if found is not None:
            end, event = found
            yield position, end, event
            position, due = end, event.seq + 1
            continue
        further, spent = _next_whole(data, view, position, due, budget)
        if further is None:
            return
        budget -= spent
        yield position, further, None
        position = further


def _record_at(data: bytes, view: memoryview, position: int, segment: str) -> tuple[int, Event] | None:
    """The end of the record at `position` and the record, or None when it is not whole."""
    length, crc, kind, flags, meta_length, seq, subject, t_ns = _HEAD.unpack_from(data, position)
    start = position + _FRAME.size
    end = start + length
    body_start = position + _HEAD.size + meta_length
    known = _KINDS.get(kind)
    if known is None or not _FIXED.size <= length <= MAX_RECORD or end > len(data) or body_start > end:
        return None
    if crc32(view[start:end]) != crc:
        return None
    meta = _decode_meta(data[position + _HEAD.size : body_start])
    if meta is None:
        return None
    return end, Event(known, seq, t_ns, subject, flags, meta, data[body_start:end], segment)


def _next_whole(data: bytes, view: memoryview, position: int, due: int, budget: int) -> tuple[int | None, int]:
    """Where the next whole record begins behind damage at `position`, and the bytes summed to find out. Seqs have no
    gap, so it is looked for by the seqs that may follow the lost one."""
    spent = 0
    for seq in range(due + 1, due + 1 + _LOST_AT_MOST):
        wanted = _SEQ.pack(seq & 0xFFFFFFFF)
        at = data.find(wanted, position + 1 + _SEQ_AT, position + _SEARCHED)
        while at >= 0:
            candidate = at - _SEQ_AT
            if candidate + _HEAD.size <= len(data):
                length = _HEAD.unpack_from(data, candidate)[0]
                if candidate + _FRAME.size + length <= len(data):
                    spent += min(length, MAX_RECORD)
                    if spent > budget:
                        return None, spent
                    if _record_at(data, view, candidate, "") is not None:
                        return candidate, spent
            at = data.find(wanted, at + 1, position + _SEARCHED)
    return None, spent


def _decode_meta(raw: bytes) -> dict[str, Any] | None:
    if not raw:
        return {}
    try:
        meta = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return meta if isinstance(meta, dict) else None
