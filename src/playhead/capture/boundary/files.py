"""Files that the agent's own code opens for reading.

Outside the workspace (the directory in which the agent was started) what was read is kept, once for each content, and a
replay is given that content through a real file object; a file that was missing is missing again. Inside the workspace
the agent reads the files that are there, and a replay says which of them have another content than the recorded ones;
except those that something else than the agent's own code has changed while it ran (a program, a tool), which a replay may
not do again: they are kept like those outside.
Left alone are files that the process itself has written, the interpreter's and libraries' own, devices, `/proc` and `/sys`.

Which of these it is, is a value of the lane that opens the file: in a replay the files may lie otherwise.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import stat
from functools import partial

from playhead.capture.boundary import active, patches
from playhead.core.boundary import Call, Outcome
from playhead.core.clock import wall_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.capture.boundary.patches import Patches
    from playhead.core.boundary import BoundaryTape

KEPT_AT_MOST = 4 << 20
"""Bytes of a file outside the workspace that are kept; of a larger one its digest is, and a replay reads the file."""

_BLOCK = 1 << 20
NEVER = tuple(
    f"{folder}{os.sep}"
    for folder in ("/proc", "/sys", "/dev", "/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/etc/zoneinfo")
)
"""What lies there is no file that could be kept, or belongs to the machine: C code opens time zones for whoever names one."""


_CLOCK_NS = 20_000_000
"""By how much the time at which a file was changed may lie behind the clock: Linux takes that of its last tick."""

AS_IT_LIES, COMPARED, KEPT = 0, 1, 2
"""What a replay does with a file that the agent opens for reading."""


class Files:
    """The files of this process. `real` is the `open` that was there, `since_ns` when the agent began."""

    def __init__(self, workspace: str, real: Callable[..., Any], since_ns: int) -> None:
        self._inside = workspace.rstrip(os.sep) + os.sep
        self._real = real
        self._since_ns = since_ns - _CLOCK_NS
        # by this process; and its numbers once something else may have changed it
        self.written: dict[str, tuple[int, ...] | None] = {}
        self._contents: dict[str, bytes] = {}  # outside the workspace, by digest
        self._met: set[str] = set()

    def open(self, tape: BoundaryTape, given: Any, mode: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What `open` gives the agent for that path; None for one that is to be opened where it lies. Raises OSError,
        Diverged."""
        path = _absolute(given)
        if "x" in mode:
            is_new = tape.value(active.current(), "file.new", lambda: not os.path.lexists(path))
            if tape.live:
                return None
            if not is_new:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(given))
            return self._real(path, mode.replace("x", "w"), *arguments, **named)  # the recorded run has made it
        if any(letter in mode for letter in "wa+"):
            return None
        content = self.content(tape, given)
        if content is None:
            return None
        fd = nameless(content)
        try:
            opened = self._real(
                fd, mode, *arguments, **{k: v for k, v in named.items() if k not in ("opener", "closefd")}
            )
        except BaseException:
            os.close(fd)
            raise
        raw = opened
        for inner in ("buffer", "raw"):
            raw = getattr(raw, inner, raw)
        raw.name = os.fspath(given)
        return opened

    def moved(self, path: str | bytes, to: str | bytes) -> None:
        """This process gave that file another name."""
        before, after = _absolute(path), _absolute(to)
        if before in self.written:
            self.written[after] = self.written.pop(before)

    def writes(self, path: str, *, is_new: bool) -> None:
        """This process opens that file for writing; `is_new` if nothing of what was in it stays."""
        if is_new or not os.path.lexists(path):
            self.written[path] = None

    def others_act(self) -> None:
        """What this process has written so far may be changed by a program."""
        for path, seen in list(self.written.items()):
            if seen is None:
                self.written[path] = _signature(path)

    def content(self, tape: BoundaryTape, given: Any) -> bytes | None:
        """What a replay gives for that file, which the agent opens for reading. Raises OSError as it was, or Diverged."""
        path = _absolute(given)
        if path.startswith(NEVER) or not patches.is_agents(path):
            return None
        lane = active.current()
        # one that is not on the tape is said by its path
        how = tape.value(lane, "file", lambda: self._how(path)) if tape.live or tape.is_next(lane, "file") else KEPT
        if how == AS_IT_LIES:
            return None
        try:
            return self._told(tape, path, is_kept=how == KEPT)
        except OSError as error:
            error.filename = os.fspath(given)
            raise

    def _how(self, path: str) -> int:
        try:
            found = os.stat(path)  # noqa: PTH116  pathlib is five milliseconds of every start
        except OSError:
            return KEPT  # that it is missing
        except ValueError:  # no path at all: `open` says so
            return AS_IT_LIES
        if not stat.S_ISREG(found.st_mode):
            return AS_IT_LIES
        if path in self.written and self.written[path] in (None, _signature(path)):
            return AS_IT_LIES
        if not path.startswith(self._inside) or found.st_ctime_ns >= self._since_ns:
            return KEPT
        if path in self._met:
            return AS_IT_LIES
        self._met.add(path)
        return COMPARED

    def _told(self, tape: BoundaryTape, path: str, *, is_kept: bool) -> bytes | None:
        """The content of the file as it was; None for one that is to be read where it lies. Raises OSError as it was, or
        Diverged."""
        from playhead.capture.boundary.encode import Unreadable, read, read_raised

        asked = Call(active.current(), "file", path, b"{}")
        tape.ask(asked)
        if tape.live:
            tape.settle(asked, self._seen(tape, path, is_kept=is_kept))
            return None
        outcome = tape.settle(asked, None)
        try:
            if outcome.raised:
                raise read_raised(outcome.body)
            digest, content = read(outcome.body)
        except Unreadable as why:
            raise tape.refuse(asked, str(why)) from None
        if content is not None:
            self._contents[digest] = content.encode() if isinstance(content, str) else content
        if not is_kept or digest not in self._contents:
            self._compare(tape, path, digest)
            return None
        return self._contents[digest]

    def _seen(self, tape: BoundaryTape, path: str, *, is_kept: bool) -> Outcome:
        """Digest of the file, and its content when that is kept and was not before."""
        from playhead.capture.boundary.encode import write, write_raised

        inside = active.inside.set(True)
        try:
            digest, content = self._look(tape, path)
        except OSError as error:
            return Outcome(raised=True, body=write_raised(error))
        finally:
            active.inside.reset(inside)
        if not is_kept or content is None or digest in self._contents:
            return Outcome(raised=False, body=write([digest, None]))
        self._contents[digest] = b""
        try:
            return Outcome(raised=False, body=write([digest, content.decode()]))  # text, in which secrets are found
        except UnicodeDecodeError:
            return Outcome(raised=False, body=write([digest, content]))

    def _compare(self, tape: BoundaryTape, path: str, digest: str) -> None:
        """Say that a file is another one than it was. What the agent makes of it is judged where it shows."""
        inside = active.inside.set(True)
        try:
            now, _ = self._look(tape, path)
        except OSError as error:
            now = error.strerror or str(error)
        finally:
            active.inside.reset(inside)
        if now != digest:
            active.say(f"{path} is not the file that was recorded (SHA-256 {digest[:12]}…, now {now[:12]}…)")

    def _look(self, tape: BoundaryTape, path: str) -> tuple[str, bytes | None]:
        """Digest and content of a file without its secrets: no hash of a secret is kept, and another key in a file of
        settings makes it no other file. Of one that is too large to be kept, the digest of its bytes and None."""
        from hashlib import sha256

        found = sha256()
        blocks: list[bytes] = []
        size = 0
        with self._real(path, "rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                found.update(block)
                size += len(block)
                if size <= KEPT_AT_MOST:
                    blocks.append(block)
        if size > KEPT_AT_MOST:
            return found.hexdigest(), None
        content = b"".join(blocks)
        clean = tape.clean(content)
        return (found if clean is content else sha256(clean)).hexdigest(), content


def _absolute(path: Any) -> str:
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100  pathlib is five milliseconds of every start


def _signature(path: str) -> tuple[int, ...]:
    """Of a file that is there: other numbers when it was changed."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_ctime_ns


def nameless(content: bytes) -> int:
    """A descriptor of a file of that content, at its beginning."""
    fd = _nameless()
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _nameless() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("playhead")
    import tempfile

    inside = active.inside.set(True)
    try:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    finally:
        active.inside.reset(inside)


def is_plain(path: str) -> bool:
    """Whether it is a regular file, or none is there."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116  pathlib is five milliseconds of every start
    except OSError:
        return True
    except ValueError:  # no path at all: `open` says so
        return False


files: Files | None = None
"""Those of this process, once they are on the tape."""


def others_act() -> None:
    """A program begins to run, which may change files."""
    if files is not None:
        files.others_act()


def moved(path: Any, to: Any) -> None:
    """The agent gave a file another name."""
    if files is not None and isinstance(path, (str, bytes)) and isinstance(to, (str, bytes)):
        files.moved(path, to)


def install(put: Patches, when_imported: Any) -> None:  # noqa: ARG001
    """Wrap `open`, which is `io.open` too and by which `pathlib` opens, and `os.open`."""
    global files  # noqa: PLW0603  one a process
    try:
        workspace = os.getcwd()  # noqa: PTH109
    except OSError:
        return
    real = builtins.open
    files = here = Files(workspace, real, wall_ns())

    def opened(file: Any, mode: Any = "r", *arguments: Any, **named: Any) -> Any:
        tape = active.tape
        if (
            tape is None
            or active.inside.get()
            or isinstance(file, int)
            or not isinstance(mode, str)
            or named.get("opener") is not None
        ):
            return real(file, mode, *arguments, **named)
        writes = any(letter in mode for letter in "wax+")
        is_agents = patches.asks_for_agent()
        if not writes and not is_agents:
            return real(file, mode, *arguments, **named)
        if writes:
            here.writes(_absolute(file), is_new="w" in mode or "x" in mode)
        served = here.open(tape, file, mode, arguments, named) if is_agents else None
        return real(file, mode, *arguments, **named) if served is None else served

    put.stand_in(builtins, "open", opened, "open")
    put.put(io, "open", builtins.open)
    put.wrap(os, "open", partial(_opening, here))


def _opening(here: Files, real: Any) -> Any:
    def open_(path: Any, flags: int, *arguments: Any, **named: Any) -> Any:
        tape = active.tape
        if tape is None or active.inside.get() or named:
            return real(path, flags, *arguments, **named)
        if flags & (os.O_WRONLY | os.O_RDWR):
            here.writes(_absolute(path), is_new=bool(flags & (os.O_TRUNC | os.O_EXCL)))
        if flags & _NOT_READ or not patches.asks_for_agent():
            return real(path, flags, *arguments)
        content = here.content(tape, path)
        return real(path, flags, *arguments) if content is None else nameless(content)

    return open_


_NOT_READ = os.O_WRONLY | os.O_RDWR | os.O_CREAT | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", 0)
"""Flags of `os.open` for something else than to read a file."""
