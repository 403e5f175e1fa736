"""Files that the agent's own code opens for reading.

Outside the workspace (the directory in which the agent was started) what was read is kept, once for each content, and a
replay is given that content through a real file object; a file that was missing is missing again. Inside the workspace
the agent reads the files that are there, and a replay says which of them have another content than the recorded ones.
Left alone are files that the process itself has written, the interpreter's and libraries' own, devices, `/proc` and `/sys`.
"""

from __future__ import annotations

import builtins
import io
import os
import stat

from playhead.capture.boundary import active, patches
from playhead.core.boundary import Call, Outcome

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


class Files:
    """The files of this process. `real` is the `open` that was there."""

    def __init__(self, workspace: str, real: Callable[..., Any]) -> None:
        self._inside = workspace.rstrip(os.sep) + os.sep
        self._real = real
        self._written: set[str] = set()
        self._contents: dict[str, bytes] = {}  # outside the workspace, by digest
        self._met: set[str] = set()

    def open(self, tape: BoundaryTape, path: str, mode: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What `open` gives for that absolute path. Raises Diverged."""
        if any(letter in mode for letter in "wax+"):
            self._written.add(path)
            return None
        if path in self._written or path.startswith(NEVER) or not patches.is_agents(path) or not is_plain(path):
            return None
        is_kept = not path.startswith(self._inside)
        if not is_kept and path in self._met:
            return None
        self._met.add(path)
        content = self._told(tape, path, is_kept=is_kept)
        return None if content is None else self._serve(content, path, mode, arguments, named)

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

    def _serve(self, content: bytes, path: str, mode: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """A file object of that content under that name."""
        fd = _nameless()
        try:
            os.write(fd, content) if len(content) <= _BLOCK else _write_all(fd, content)
            os.lseek(fd, 0, os.SEEK_SET)
            opened = self._real(
                fd, mode, *arguments, **{k: v for k, v in named.items() if k not in ("opener", "closefd")}
            )
        except BaseException:
            os.close(fd)
            raise
        raw = opened
        for inner in ("buffer", "raw"):
            raw = getattr(raw, inner, raw)
        raw.name = path
        return opened


def _write_all(fd: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]


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


def install(put: Patches, when_imported: Any) -> None:  # noqa: ARG001
    """Wrap `open`, which is `io.open` too; `pathlib` opens by that."""
    try:
        workspace = os.getcwd()  # noqa: PTH109
    except OSError:
        return
    real = builtins.open
    files = Files(workspace, real)

    def opened(file: Any, mode: Any = "r", *arguments: Any, **named: Any) -> Any:
        tape = active.tape
        if (
            tape is not None
            and not active.inside.get()
            and not isinstance(file, int)
            and isinstance(mode, str)
            and named.get("opener") is None
            and patches.asks_for_agent()
        ):
            served = files.open(tape, os.path.abspath(os.fsdecode(file)), mode, arguments, named)  # noqa: PTH100
            if served is not None:
                return served
        return real(file, mode, *arguments, **named)

    put.stand_in(builtins, "open", opened, "open")
    put.put(io, "open", builtins.open)
