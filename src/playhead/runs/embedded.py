"""A block of a program on a tape, without the launcher: `playhead.record` and `playhead.replay` in a process that nobody
else has put on one.

The same events in the same files as of a run below the launcher. What is on the tape is what runs in the block, with the
tasks, threads and programs that it starts; whatever else the process does goes past it. The boundaries are put in place
when the block begins and taken away when it ends. One block at a time, since there is one clock and one `random` a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playhead import __version__
from playhead.capture.boundary import active
from playhead.capture.boundary.wire import resume
from playhead.capture.environment import key_names
from playhead.capture.hooks.python.sitecustomize import Finder
from playhead.core.clock import monotonic_ns, wall_ns
from playhead.core.ids import is_name, new_session_id
from playhead.core.redact import RULE_PACK_VERSION, Redactor, credential_arguments, credential_values
from playhead.errors import PlayheadError, SetupError, UsageError
from playhead.journal.segment import SegmentWriter
from playhead.runs.carried import SEGMENT, RecordedWire
from playhead.runs.inner import said_inside, troubles_inside
from playhead.runs.launcher import ExitStatus
from playhead.runs.machine import platform_name
from playhead.runs.recording import LauncherSegment, seal
from playhead.runs.taped import Taped
from playhead.sessions.header import Header

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from playhead.capture.boundary.wire import Wire
    from playhead.journal.store import Store

MAIN = "0"
"""The process of the block among those of its session."""

_turn = threading.Lock()


class Block:
    """What the calling context does from `begin` to `end` is on a tape: that of a recording that goes into `folder`, or of one
    that lies there."""

    def __init__(self, mode: str, folder: Path, *, seed: str, redact: str, durability: str) -> None:
        self._mode, self._folder = mode, folder
        self._seed, self._redact, self._durability = seed, redact, durability
        self._pid = os.getpid()
        self._finder = Finder()
        self._is_over = False
        self._task: asyncio.Task[Any] | None = None
        self._station: Any = None
        self.taped: Taped

    def begin(self, wire: Wire | None = None) -> None:
        """`wire` is where its HTTP goes. Raises SetupError where a block cannot be on a tape, and UsageError when another one is."""
        loop = _running_loop()
        if not _turn.acquire(blocking=False):
            raise UsageError(
                "Another block of this program is being recorded or replayed.",
                code="block-open",
                expected="one block at a time: there is one clock and one random in a process",
                todo="put one playhead.record() around all of it: within, further ones are steps of its session",
            )
        try:
            self.taped = Taped(
                self._mode,
                str(self._folder),
                MAIN,
                self._when_imported,
                seed=self._seed,
                redact=self._redact,
                durability=self._durability,
                in_part=True,
            )
        except BaseException:
            _turn.release()
            raise
        try:
            self.taped.wire = wire
            sys.meta_path.insert(0, self._finder)
            self.taped.begin()
            self.taped.install()
            self.taped.patches.put_where_imported()
            if loop is not None:
                self._take_up(loop)
            if wire is not None:
                wire.check()
        except BaseException:
            self.end(None)
            raise

    def _when_imported(self, name: str, patch: Callable[[Any], None]) -> None:
        def apply(module: Any) -> None:
            if not self._is_over:
                patch(module)

        self._finder.when_imported(name, apply)

    def _take_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """The block begins in a loop that runs already: its deliveries are the tape's from here on."""
        from playhead.capture.boundary import stations

        self._task = asyncio.current_task(loop)
        self._station = stations.take_up(loop, self.taped.tape, self._rescue)
        self._station.others.update(each for each in asyncio.all_tasks(loop) if each is not self._task)

    def _rescue(self) -> None:
        """The block has left its tape while it waits in a loop that is not its own: it must go on, to hear so."""
        if self._task is not None:
            self._task.cancel()

    @property
    def was_rescued(self) -> bool:
        """Whether the block left its tape while it waited in a loop that is not its own."""
        return self._station is not None and bool(self._station.has_raised)

    @property
    def is_parents(self) -> bool:
        """Whether this is a forked child in which the block of its parent ends."""
        return os.getpid() != self._pid

    def end(self, error: BaseException | None) -> None:
        """Nothing is on a tape any more, and nothing of ours is left in the process."""
        taped = self.taped
        if active.whole is taped.tape:
            taped.patches.over()
        taped.close()
        self._is_over = True
        taped.patches.undo()
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(self._finder)
        active.say_by(str)
        active.seed = ""
        if self.was_rescued and isinstance(error, asyncio.CancelledError):
            self._task.uncancel()  # type: ignore[union-attr]
        _turn.release()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread. Raises SetupError for one whose deliveries nobody can order."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    if isinstance(loop, asyncio.BaseEventLoop):
        return loop
    raise SetupError(
        "A block cannot be recorded in this event loop.",
        code="loop-foreign",
        expected="a loop of asyncio's own",
        seen=f"{type(loop).__module__}.{type(loop).__qualname__}",
        todo="run the program with asyncio.run(main()), without uvloop",
    )


class Recording:
    """A block that is recorded as a session of the store. Raises UsageError and SetupError."""

    def __init__(self, store: Store, name: str, tags: Mapping[str, str], *, redact: str, durability: str) -> None:
        if name and not is_name(name):
            raise UsageError(
                f"{name!r} cannot name a session.",
                code="bad-name",
                where="playhead.record",
                expected="printable text without : / ~ \\, not `last`",
                todo="choose another name",
            )
        self.store = store
        self.id = new_session_id()
        self.name = name
        self.notes: list[str] = []
        is_on = redact != "off"
        values = [*credential_values(os.environ), *credential_arguments(sys.argv)] if is_on else ()
        redactor = Redactor(extra_values=values, bodies=is_on, personal=redact == "pii")
        seed = secrets.token_hex(16)
        header = _header(self.id, name, tags, redactor, seed=seed, redact=redact, durability=durability)
        self._folder = store.begin(self.id)
        try:
            with store.writing():
                self._segment = LauncherSegment(self._folder, header, redactor, playhead=__version__)
                self._began_ns = monotonic_ns()
                self.block = Block("record", self._folder, seed=seed, redact=redact, durability=durability)
                self._wired = SegmentWriter(
                    self._folder / f"{SEGMENT}.seg", SEGMENT, durability=durability, playhead=__version__, resume=resume
                )
                self._wire = RecordedWire(self._wired, redactor=redactor, trouble=self._segment.trouble)
                self.block.begin(self._wire)
        except BaseException:
            self._discard()
            raise

    def _discard(self) -> None:
        with contextlib.suppress(OSError, PlayheadError):
            self.store.remove(self.id)

    @property
    def path(self) -> Path:
        """Where the recording is: a folder while it is written, then one file."""
        file = self.store.file(self.id)
        return file if file.exists() else self._folder

    def end(self, error: BaseException | None) -> None:
        """The block is over, by returning or by raising that. Never raises for the recording's own troubles."""
        self.block.end(error)
        if self.block.is_parents:
            return
        self._wire.finish()
        with contextlib.suppress(OSError):  # the wire has said so
            self._wired.close()
        for trouble in troubles_inside(self._folder):
            self._segment.trouble(trouble)
        self.notes = said_inside(self._folder)
        self._segment.close(ExitStatus(exit_code_of(error), None, (monotonic_ns() - self._began_ns) / 1e9))
        why = seal(self.store, self.id)
        self.notes += [why] if why else []
        from playhead.sessions.index import add
        from playhead.sessions.reader import read_recording
        from playhead.sessions.session import Session

        with contextlib.suppress(PlayheadError):
            add(self.store, Session(read_recording(self.store.path(self.id))))


def exit_code_of(error: BaseException | None) -> int:
    """The exit code that a program would have of a block that ends so."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return int(error is not None)


def _header(
    session: str, name: str, tags: Mapping[str, str], redactor: Redactor, *, seed: str, redact: str, durability: str
) -> Header:
    scope = redactor.message()
    return Header(
        id=session,
        created_ns=wall_ns(),
        command=redactor.argv(sys.orig_argv),
        cwd=str(Path.cwd()),
        name=scope.text(name),
        tags=scope.labels({str(key): str(value) for key, value in tags.items()}),
        environment=redactor.environment(os.environ),
        keys=key_names(os.environ),
        tmpdir=tempfile.gettempdir(),
        zone_s=time.localtime().tm_gmtoff,
        durability=durability,
        redaction=RULE_PACK_VERSION,
        redact=redact,
        route="hook",
        playhead=__version__,
        python=sys.version.split()[0],
        platform=platform_name(),
        seed=seed,
        hash_seed=os.environ.get("PYTHONHASHSEED", ""),
        embedded=True,
    )
