"""One segment: an append-only file of records with a single writer, which is here; `journal.records` reads it.

A record is `<I length> <I crc32>` followed by `length` bytes that the CRC covers as stored:

    u8 kind, u8 flags, u16 meta length, u32 seq, u32 subject, u64 t_ns (monotonic) | meta (JSON) | body

All integers are little-endian. The first record of a segment is SEGMENT, whose meta names the format. A kill costs
at most the record being written: readers stop at a torn tail. A record that is wrong while ones behind it are whole is
damage: it is named and passed over, never guessed.

FORMAT_VERSION history: 0 unstable, before the format was settled; not read any more. 1 the first that later versions
read.
"""

from __future__ import annotations

import errno
import os
from struct import Struct
from zlib import crc32

from playhead.core import compact, numbers
from playhead.core.clock import monotonic_ns, wall_ns
from playhead.journal.disk import SYSTEM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from playhead.journal.commit import GroupCommit
    from playhead.journal.disk import Disk

FORMAT_VERSION = 1
MAX_RECORD = 64 << 20

FRAME = Struct("<II")
FIXED = Struct("<BBHIIQ")


class SegmentWriter:
    """The single writer of one segment file (mode 0600, created new, locked while it is open).

    `append` returns once the record is in the page cache (`write`) or in this process's memory (`off`). With `fsync`
    and a `resume` (see GroupCommit) it returns as soon, and `when_durable` tells when the device has it; with `by_hand` it
    is in memory, the page cache has it when the caller's `settle` returns and the device when `sync` does; with neither
    the device has it when `append` returns. After an OSError the file is cut back to its last whole record
    and the writer refuses more; `sync_failed` hears of a sync that failed behind a caller's back.
    """

    def __init__(
        self,
        path: Path | str,
        segment: str,
        *,
        durability: str = "write",
        playhead: str = "",
        resume: Callable[[Callable[[], None]], object] | None = None,
        by_hand: bool = False,
        disk: Disk = SYSTEM,
    ) -> None:
        self.segment = segment
        self.seq = 0
        self.failed: OSError | None = None
        self.sync_failed: Callable[[OSError], None] = lambda _error: None
        self.waits = durability == "fsync" and (by_hand or resume is not None)
        self._sync = durability == "fsync" and not self.waits
        self._held: list[bytes] | None = [] if durability == "off" or (self.waits and by_hand) else None
        self._size = 0
        self._disk = disk
        self._put = disk.write
        self._fd = disk.create(path)
        self._group: GroupCommit | None = None
        if durability == "fsync" and resume is not None:
            from playhead.journal.commit import GroupCommit  # here: most agents need none

            self._group = GroupCommit(lambda: disk.sync(self._fd), resume, self._not_synced)
        if durability == "fsync":
            from pathlib import Path  # here: five milliseconds of every start

            disk.sync_folder(Path(path).parent)  # a file without a name is lost as well
        self.append(
            numbers.SEGMENT,
            meta={
                "segment": segment,
                "format": FORMAT_VERSION,
                "playhead": playhead,
                "pid": os.getpid(),
                "wall_ns": wall_ns(),
                "mono_ns": monotonic_ns(),
            },
        )
        if self.waits:
            self.settle()

    def append(
        self,
        kind: int,
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
            meta_bytes = compact.dump(meta).encode() if meta else b"{}"
        length = FIXED.size + len(meta_bytes) + len(body)
        if len(meta_bytes) > 0xFFFF or length > MAX_RECORD:
            raise OSError(errno.EMSGSIZE, f"a record of {length} bytes is too large")
        seq = self.seq
        data = FIXED.pack(kind, flags, len(meta_bytes), seq, subject, t_ns or monotonic_ns()) + meta_bytes + body
        record = FRAME.pack(length, crc32(data)) + data
        if self._held is not None:
            if self.failed is not None:
                raise self.failed
            self._held.append(record)
            if len(self._held) >= 256:
                self.settle()
        else:
            self._write(record)
        self.seq = seq + 1
        return seq

    def _write(self, record: bytes) -> None:
        """Write one record, or several that were held."""
        if self.failed is not None:
            raise self.failed
        written = 0
        try:
            written = self._put(self._fd, record)
            while written < len(record):  # a disk that fills up takes a part, then refuses the rest
                written += self._put(self._fd, record[written:])
            if self._sync:
                self._disk.sync(self._fd)
        except OSError as error:
            self.failed = error
            self._cut_back(record, 0 if self._sync else written)
            raise
        self._size += written

    def _cut_back(self, records: bytes, written: int) -> None:
        """Of these, of which so many bytes were written, keep the whole ones."""
        whole = 0
        while whole + FRAME.size <= written:
            end = whole + FRAME.size + FRAME.unpack_from(records, whole)[0]
            if end > written:
                break
            whole = end
        self._size += whole
        try:
            self._disk.truncate(self._fd, self._size)
        except OSError:
            return  # the reader stops at the torn record all the same

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
        """Return once all that was written is on the device. Raises OSError; the writer refuses more then."""
        try:
            self._disk.sync(self._fd)
        except OSError as error:
            self.failed = error
            raise

    def _not_synced(self, error: OSError) -> None:
        self.failed = error
        self.sync_failed(error)

    def append_again(self, kind: int, subject: int = 0, *, meta: dict[str, Any]) -> int:
        """Write one record although an earlier one failed, for a last word on a disk that has room again."""
        self.failed = None
        return self.append(kind, subject, meta=meta)

    def close(self) -> None:
        """Write CLOSED, sync, unlock. Errors of a writer that failed before are not raised again."""
        if self._fd < 0:
            return
        try:
            if self._group is not None:
                self._group.close()
            if self.failed is None:
                self.append(numbers.CLOSED)
                self.settle()
                self._disk.sync(self._fd)
        finally:
            self._disk.close(self._fd)
            self._fd = -1
            if self._group is not None:
                self._group.release()

    def settle(self) -> None:
        """Write what is held in memory. Raises OSError."""
        held = self._held
        if held:
            self._held = []
            self._write(b"".join(held))

    def forget(self) -> None:
        """Close the file in a forked child that is not the writer; writes nothing."""
        self._disk.close(self._fd)
        self._fd = -1
