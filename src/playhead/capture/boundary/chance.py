"""What is random is drawn from the run's seed: `os.urandom`, and with it `secrets`, `uuid4`, `SystemRandom` and the seeds
that generators take of themselves (`boundary.generators`). Nothing of it stands on the tape but `uuid1` and `getnode`,
which read the clock and the machine.

Each lane of each process has a stream of its own, so that threads do not race for draws, and a forked child does not
repeat its parent: draw n of a lane is BLAKE2b (RFC 7693), keyed with the seed, of process, path of the lane, n and number
of the block. Code inside a boundary draws from the system, since it does not run again. OpenSSL, which makes the keys of
TLS, never asks Python.
"""

from __future__ import annotations

import os
from _operator import index
from sys import _getframe

from playhead.capture.boundary import active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.capture.boundary.patches import Patches

_BLOCK = 64
_KEY = 32  # bytes of the key that `multiprocessing` draws as it is imported
_NAME = 8
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"


class Stream:
    """The run's seed, and what is drawn from it."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed

    def draw(self, size: int) -> bytes:
        """The next bytes of the lane that runs."""
        lane = active.current()
        lane.drawn += 1
        return self.named(f"{lane.path}\0{lane.drawn}", size)

    def named(self, name: str, size: int) -> bytes:
        """The bytes of that name, in this process always the same."""
        from _blake2 import blake2b  # here: an agent that draws nothing needs none

        stem = f"{active.process}\0{name}\0".encode()
        blocks = [blake2b(stem + at.to_bytes(8, "little"), key=self._seed).digest() for at in range(-(-size // _BLOCK))]
        return b"".join(blocks)[:size]


def is_drawn() -> bool:
    """Whether what runs now draws from the run's seed."""
    return active.tape is not None and not active.inside.get()


def install(put: Patches, when_imported: Any) -> None:
    """Wrap `os.urandom` and what is derived from it, when the run has a seed."""
    try:
        seed = bytes.fromhex(active.seed)
    except ValueError:
        return
    if not seed or len(seed) > _BLOCK:
        return
    stream = Stream(seed)
    put.wrap(os, "urandom", lambda real: _urandom(stream, real))
    if hasattr(os, "getrandom"):
        put.wrap(os, "getrandom", lambda real: _getrandom(stream, real))
    when_imported("uuid", lambda module: _patch_uuid(put, module))

    def random_came(module: Any) -> None:
        from playhead.capture.boundary import generators

        generators.patch_random(put, module, stream)

    def numpy_came(module: Any) -> None:
        from playhead.capture.boundary import generators

        generators.patch_numpy(put, module, stream)

    when_imported("tempfile", lambda module: _patch_tempfile(put, module))
    when_imported("random", random_came)
    when_imported("numpy.random", numpy_came)


def _urandom(stream: Stream, real: Callable[[int], bytes]) -> Callable[[int], bytes]:
    def urandom(size: int, /) -> bytes:
        count = index(size)
        if count < 0 or not is_drawn():
            return real(size)
        if count == _KEY and _getframe(1).f_globals.get("__name__") == "multiprocessing.process":
            return stream.named("authkey", count)  # as it is imported, by whichever lane is the first, or by a tool
        return stream.draw(count)

    return urandom


def _patch_tempfile(put: Patches, module: Any) -> None:
    put.put(module, "_name_sequence", _Names())

    def make(real: Callable[[], str]) -> Callable[[], str]:
        def default() -> str:  # found once, by a file of any name, and kept: a tool may be the one who asks
            token = active.inside.set(True)
            try:
                return real()
            finally:
                active.inside.reset(token)

        return default

    put.wrap(module, "_get_default_tempdir", make)
    put.wrap(module, "_exists", lambda real: lambda name: not _is_again() and real(name))
    put.put(module, "_os", _MadeBefore())


def _is_again() -> bool:
    """Whether what runs is told what it drew before: a name that it makes may have been left there by the recorded run."""
    return active.tape is not None and not active.tape.live and not active.inside.get()


class _MadeBefore:
    """`os` for `tempfile`, which in a replay takes what the recorded run has left under a name for what it makes."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        try:
            os.mkdir(path, mode)  # noqa: PTH102  as `tempfile` does
        except FileExistsError:
            if not _is_again():
                raise

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT and _is_again():
            flags = flags & ~os.O_EXCL | os.O_TRUNC
        return os.open(path, flags, mode)


class _Names:
    """Names of temporary files, as `tempfile` makes them, but of who asks: its own generator is shared by threads and tools."""

    def __iter__(self) -> _Names:
        return self

    def __next__(self) -> str:
        number, name = int.from_bytes(os.urandom(_NAME), "little"), ""
        for _ in range(_NAME):
            number, at = divmod(number, len(_LETTERS))
            name += _LETTERS[at]
        return name


def _getrandom(stream: Stream, real: Callable[..., bytes]) -> Callable[..., bytes]:
    def getrandom(size: int, flags: int = 0) -> bytes:
        count = index(size)
        if count < 0 or not is_drawn():
            return real(size, flags)
        return stream.draw(count)

    return getrandom


def _patch_uuid(put: Patches, module: Any) -> None:
    safeties = list(module.SafeUUID)

    def make_uuid1(real: Callable[..., Any]) -> Callable[..., Any]:
        def uuid1(node: Any = None, clock_seq: Any = None) -> Any:
            if active.tape is None or active.inside.get():
                return real(node, clock_seq)

            def ask() -> int:
                made = real(node, clock_seq)
                number: int = made.int * len(safeties) + safeties.index(made.is_safe)
                return number

            number, safety = divmod(active.read("uuid1", ask), len(safeties))
            return module.UUID(int=number, is_safe=safeties[safety])

        return uuid1

    def make_getnode(real: Callable[[], int]) -> Callable[[], int]:
        def getnode() -> int:
            node: int = active.read("getnode", real)
            return node

        return getnode

    put.wrap(module, "uuid1", make_uuid1)
    put.wrap(module, "getnode", make_getnode)
