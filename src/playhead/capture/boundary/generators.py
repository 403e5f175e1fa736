"""The generators of `random` and `numpy.random`, which seed themselves from the run's seed.

Both modules have one generator that all their functions share. Left alone it would be drawn from by threads in the order
of their racing, and by tools, which do not run again. So until the agent seeds it (then it is the agent's, and behaves as
ever), it serves the main thread only: other lanes have each their own, and code inside a boundary has one of the system's.
"""

from __future__ import annotations

import os
from _thread import get_ident
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.capture.boundary.chance import Stream
    from playhead.capture.boundary.patches import Patches

_SEED_BYTES = 32


class Shared:
    """A module's generator. `make` makes another one of that kind from a seed."""

    def __init__(self, shared: Any, make: Callable[[bytes], Any], name: str, stream: Stream) -> None:
        self.shared = shared
        self.is_agents = False  # seeded by the agent
        self._make = make
        self._name = name
        self._stream = stream
        self._outside: Any = None
        self._by_lane: dict[str, Any] = {}
        self.main = get_ident()
        os.register_at_fork(after_in_child=self._forked)

    def pick(self) -> Any:
        """The generator of what runs now, unless it is the shared one in the main thread."""
        if self.is_agents or active.tape is None:
            return self.shared
        if active.inside.get():
            if self._outside is None:
                self._outside = self._make(os.urandom(_SEED_BYTES))  # inside: the system's
            return self._outside
        path = active.current().path
        mine = self._by_lane.get(path)
        if mine is None:
            mine = self._by_lane[path] = self._make(self.seed(path))
        return mine

    def seed(self, path: str = "") -> bytes:
        """What the generator of that lane is seeded with; without, the shared one."""
        return self._stream.named(f"{self._name}\0{path}", _SEED_BYTES)

    def _forked(self) -> None:
        self.main = get_ident()
        self._by_lane = {}
        self._outside = None

    def method(self, name: str) -> Callable[..., Any]:
        """What stands in for a function of the module."""
        mine = getattr(self.shared, name)
        inside = active.inside.get

        def draw(*arguments: Any, **named: Any) -> Any:
            if get_ident() == self.main and not inside():
                return mine(*arguments, **named)
            return getattr(self.pick(), name)(*arguments, **named)

        return draw


def _methods_of(module: Any, shared: Any) -> list[str]:
    return [name for name, value in vars(module).items() if getattr(value, "__self__", None) is shared]


def patch_random(put: Patches, module: Any, stream: Stream) -> None:
    """Seed `random`, and every generator it makes without a seed, from the stream."""
    plain_seed = module.Random.seed
    shared = Shared(module._inst, lambda seed: module.Random(int.from_bytes(seed)), "random", stream)  # noqa: SLF001
    inst = shared.shared

    def seed(self: Any, a: Any = None, version: int = 2) -> None:
        if self is inst:
            shared.is_agents = a is not None
        if a is None and active.tape is not None and not active.inside.get():
            a = int.from_bytes(os.urandom(_SEED_BYTES))
        plain_seed(self, a, version)

    def setstate(state: Any) -> None:
        inst.setstate(state)
        shared.is_agents = True

    def forked() -> None:  # the module's own reseeding, which came before, took the system's
        if active.tape is not None:
            shared.is_agents = False
            plain_seed(inst, int.from_bytes(shared.seed()))

    put.put(module, "_urandom", os.urandom)
    put.wrap(module.Random, "seed", lambda _real: seed)
    plain_seed(inst, int.from_bytes(shared.seed()))
    os.register_at_fork(after_in_child=forked)
    for name in _methods_of(module, inst):
        if name == "seed":
            put.stand_in(module, name, inst.seed, name)
        elif name == "setstate":
            put.stand_in(module, name, setstate, name)
        else:
            put.stand_in(module, name, shared.method(name), name)


def patch_numpy(put: Patches, module: Any, stream: Stream) -> None:
    """Seed numpy's global state; its other generators seed themselves by `secrets`."""
    mtrand = module.mtrand
    make = module.RandomState

    def words(seed: bytes) -> list[int]:
        return [int.from_bytes(seed[at : at + 4]) for at in range(0, _SEED_BYTES, 4)]

    shared = Shared(mtrand._rand, lambda seed: make(words(seed)), "numpy", stream)  # noqa: SLF001
    plain_seed = module.seed
    plain_seed(words(shared.seed()))

    def seed(seed: Any = None) -> None:
        plain_seed(seed)
        shared.is_agents = seed is not None

    def set_state(state: Any) -> None:
        shared.shared.set_state(state)
        shared.is_agents = True

    own = {"seed": seed, "set_state": set_state}
    for each in (module, mtrand):
        for name in {*_methods_of(each, shared.shared), "seed"}:
            if hasattr(each, name):
                put.stand_in(each, name, own.get(name) or shared.method(name), name)
