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

from playhead.capture.boundary import active

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.capture.boundary.patches import Patches

_BLOCK = 64


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

    when_imported("tempfile", lambda module: put.put(module, "_name_sequence", None))  # its generator is made anew
    when_imported("random", random_came)
    when_imported("numpy.random", numpy_came)


def _urandom(stream: Stream, real: Callable[[int], bytes]) -> Callable[[int], bytes]:
    def urandom(size: int, /) -> bytes:
        count = index(size)
        if count < 0 or not is_drawn():
            return real(size)
        return stream.draw(count)

    return urandom


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
