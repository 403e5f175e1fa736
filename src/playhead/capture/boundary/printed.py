"""What a program prints where the agent does not read it: on the agent's own stdout, on a terminal, into a file.

While recording, the program is given a pipe in its place (a terminal in that of a terminal), and what comes is passed on at
once and kept; a replay writes it there again. What it has written before it ended is there when its end is known.
"""

from __future__ import annotations

import _thread
import os
import select
from contextlib import suppress
from time import monotonic

_PIECE = 65536
_TERMINAL_S = 0.5
"""How long a terminal may take to hand over what was written to it."""


class Printed:
    """The outputs of one program: `ends` are what it is to be given for each of `targets`, descriptors that are copied.
    Raises OSError."""

    def __init__(self, targets: list[int]) -> None:
        self._mutex = _thread.allocate_lock()
        self._kept: list[tuple[int, bytes]] = []
        self._sources: dict[int, int] = {}
        self._ended: list[tuple[int, int]] = []
        self._over = _thread.allocate_lock()  # held until all have ended
        self._terminals: set[int] = set()
        self._targets = [os.dup(target) for target in targets]
        self.ends: list[int] = []
        for place, target in enumerate(self._targets):
            source, end = _like(target)
            if os.isatty(end):
                self._terminals.add(source)
            os.set_blocking(source, False)
            self._sources[source] = place
            self.ends.append(end)

    def begin(self) -> None:
        """The program runs and has its ends."""
        self._close_ends()
        self._over.acquire()
        _thread.start_new_thread(self._pass_on, ())

    def give_up(self) -> None:
        """The program could not be started."""
        self._close_ends()
        for source in list(self._sources):
            self._end(source)
        self._close()

    def _close_ends(self) -> None:
        while self.ends:
            os.close(self.ends.pop())

    def taken(self, *, is_over: bool) -> list[tuple[int, bytes]]:
        """What came since the last time, as (place among the targets, bytes); all of it when the program is over."""
        self._drain() if is_over else self._look()
        with self._mutex:
            kept, self._kept = self._kept, []
        return kept

    def come_to_an_end(self, seconds: float) -> bool:
        """Whether nobody has its ends any more, or will not for so long."""
        if not self._over.acquire(timeout=seconds):
            return False
        self._over.release()
        return True

    def live_on(self) -> None:
        """In a process of its own: this one ends, and a program that goes on printing must not die of it."""
        import warnings

        with warnings.catch_warnings():  # of threads; the child needs none of their locks
            warnings.simplefilter("ignore")
            if os.fork():
                return
        self._mutex = _thread.allocate_lock()
        self._pass_on()
        os._exit(0)

    def _pass_on(self) -> None:
        """Until nobody writes any more. This alone waits at the sources, and so this alone closes them: who waits at a
        descriptor holds what it stands for, and once closed it may stand for a pipe of the agent's, which then never ends."""
        while self._sources:
            with suppress(OSError):
                _poll(list(self._sources))
            self._look()
            self._close()
        self._close()
        self._over.release()

    def _drain(self) -> None:
        """A program that left others behind does not close its pipes: what it wrote is there all the same."""
        self._look()
        until = monotonic() + _TERMINAL_S
        while self._terminals & set(self._sources) and monotonic() < until:
            if self._over.acquire(timeout=0.01):
                self._over.release()
            self._look()

    def _look(self) -> None:
        with self._mutex:
            for source, place in list(self._sources.items()):
                while True:
                    try:
                        data = os.read(source, _PIECE)
                    except BlockingIOError:
                        break
                    except OSError:  # how a terminal says that nobody has it open
                        data = b""
                    if not data:
                        self._end(source)
                        break
                    self._kept.append((place, data))
                    with suppress(OSError):
                        write_all(self._targets[place], data)

    def _end(self, source: int) -> None:
        self._ended.append((source, self._targets[self._sources.pop(source)]))

    def _close(self) -> None:
        while self._ended:
            for descriptor in self._ended.pop():
                os.close(descriptor)


def write_all(fd: int, data: bytes) -> None:
    """Write all of it. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _poll(sources: list[int]) -> None:
    waiting = select.poll()
    for source in sources:
        waiting.register(source, select.POLLIN)
    waiting.poll()


def _like(target: int) -> tuple[int, int]:
    """A pair of descriptors, the second of which a program may take for the target."""
    if not os.isatty(target):
        return os.pipe()
    import fcntl
    import termios
    import tty

    source, end = os.openpty()
    tty.setraw(end, termios.TCSANOW)  # the real one adds what terminals add
    size = fcntl.ioctl(target, termios.TIOCGWINSZ, b"\0" * 8)
    fcntl.ioctl(end, termios.TIOCSWINSZ, size)
    return source, end
