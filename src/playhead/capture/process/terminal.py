"""The user's own terminal while a run holds it: raw, so that every key reaches the child's pty, and always given back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from types import TracebackType

_OUTPUT_FLAGS, _CONTROL_FLAGS, _LOCAL_FLAGS, _CHARACTERS = 1, 2, 3, 6


END_OF_FILE = b"\x04"  # what the key for it types, by default


class Size(NamedTuple):
    """A window: character rows and columns, and pixels (mostly 0)."""

    rows: int
    columns: int
    width: int = 0
    height: int = 0


def window_size(fd: int) -> Size:
    """The window size of the terminal `fd`. Raises OSError when it is none."""
    return Size(*struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8)))


def set_window_size(fd: int, size: Size) -> None:
    """Give the terminal `fd` a size; the kernel sends SIGWINCH to its foreground group if it changed."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", *size))


def suspend_character(fd: int) -> bytes:
    """The character that suspends the foreground group of terminal `fd`, or b"" while it is plain input."""
    attributes = termios.tcgetattr(fd)
    character = attributes[_CHARACTERS][termios.VSUSP]
    return bytes(character) if attributes[_LOCAL_FLAGS] & termios.ISIG and character != b"\0" else b""


def has_job_control() -> bool:
    """Whether whoever started us would notice if we stopped, and could make us go on: a shell in our session."""
    parent = os.getppid()
    try:
        return os.getsid(parent) == os.getsid(0) and os.getpgid(parent) != os.getpgrp()
    except OSError:
        return False


class OuterTerminal:
    """The terminal on our side, `fd`. A context manager: leaving it restores the settings found on entry.

    `takes_input`: our standard input is this terminal, so keys are passed raw to the child's pty. Otherwise only the
    output processing is switched off, because the child's pty has done it already, and Ctrl-C stays a signal.
    A terminal in whose background we run is left alone: changing it would stop us, and it is not ours to read.
    """

    def __init__(self, fd: int, *, takes_input: bool) -> None:
        self.fd = fd
        self._takes_input = takes_input
        self._found: list[object] | None = None

    def in_foreground(self) -> bool:
        """Whether the terminal's foreground group is ours."""
        try:
            return os.tcgetpgrp(self.fd) == os.getpgrp()
        except OSError:
            return True  # not our controlling terminal: no job control stops us

    def hold(self) -> None:
        """Take the terminal if we are in its foreground and do not hold it yet."""
        if self._found is not None or not self.in_foreground():
            return
        try:
            self._found = list(termios.tcgetattr(self.fd))
            changed = termios.tcgetattr(self.fd)
        except termios.error:
            return
        changed[_OUTPUT_FLAGS] &= ~termios.OPOST
        if self._takes_input:
            changed[0] &= ~(
                termios.BRKINT
                | termios.ICRNL
                | termios.IGNBRK
                | termios.IGNCR
                | termios.INLCR
                | termios.INPCK
                | termios.ISTRIP
                | termios.IXON
                | termios.PARMRK
            )
            changed[_CONTROL_FLAGS] = changed[_CONTROL_FLAGS] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
            changed[_LOCAL_FLAGS] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.ISIG)
            changed[_CHARACTERS][termios.VMIN] = 1
            changed[_CHARACTERS][termios.VTIME] = 0
        self._set(changed)

    def give_back(self) -> None:
        """Restore what was found, after what was written has gone out. Safe to call again."""
        if self._found is not None:
            found, self._found = self._found, None
            self._set(found)

    def __enter__(self) -> Self:
        self.hold()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.give_back()

    def _set(self, attributes: list[object]) -> None:
        with contextlib.suppress(termios.error):  # the terminal may have gone
            termios.tcsetattr(self.fd, termios.TCSADRAIN, attributes)  # type: ignore[arg-type]
