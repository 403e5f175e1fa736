"""The generators of `random` and `numpy.random`, which seed themselves from the run's seed.

Both modules have one generator that all their functions share. Left alone it would be drawn from by threads in the order
of their racing, and by tools, which do not run again. So until the agent seeds it, it serves the main thread only: other
lanes have each their own (all lanes, where only a block of the program is on the tape), and code inside a boundary has one of
the system's. Once the agent has seeded it, it is the agent's and behaves as ever; when code inside a boundary has drawn from it,
the agent's next draw puts the state on the tape.
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
    """A module's generator. `make` makes another one of that kind from a seed; `save` gives its state as JSON has it, and
    `load` takes that."""

    def __init__(
        self,
        shared: Any,
        name: str,
        stream: Stream,
        *,
        make: Callable[[bytes], Any],
        save: Callable[[], Any],
        load: Callable[[Any], None],
    ) -> None:
        self.shared = shared
        self._save = save
        self._load = load
        self._draws = 0  # by the agent, of its own
        self._is_moved = False  # the agent's, and drawn from inside a boundary
        self.is_agents = False  # seeded by the agent
        self.is_over = False
        self._make = make
        self._name = name
        self._stream = stream
        self._outside: Any = None
        self._by_lane: dict[str, Any] = {}
        self.main = get_ident()
        os.register_at_fork(after_in_child=self._forked)

    def pick(self) -> Any:
        """The generator of what runs now, unless it is the shared one in the main thread."""
        if active.tape is None:
            return self.shared
        if self.is_agents:
            self._keep_up()
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

    def _keep_up(self) -> None:
        """Have the state that the recording has at this place."""
        tape = active.tape
        if active.inside.get():
            self._is_moved = True
            return
        self._draws += 1
        if tape is not None and (self._is_moved or not tape.live):
            kind, lane = f"{self._name}.state {self._draws}", active.current()
            if tape.live:
                tape.value(lane, kind, self._save)
            elif tape.is_next(lane, kind):
                self._load(tape.value(lane, kind, self._save))
            self._is_moved = False

    def seeded(self, *, is_given: bool) -> None:
        """The shared one was seeded, by what runs now."""
        if active.tape is not None or not active.is_in_part():
            self.is_agents = is_given

    def undone(self, before: Any) -> None:
        """The run is over, and the shared one has the state again that it had before; unless the agent seeded it."""
        self.is_over = True
        if not self.is_agents:
            self._load(before)

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
            if not self.is_agents and get_ident() == self.main and not inside() and not active.is_in_part():
                return mine(*arguments, **named)
            return getattr(self.pick(), name)(*arguments, **named)

        return draw


def _methods_of(module: Any, shared: Any) -> list[str]:
    return [name for name, value in vars(module).items() if getattr(value, "__self__", None) is shared]


def patch_random(put: Patches, module: Any, stream: Stream) -> None:
    """Seed `random`, and every generator it makes without a seed, from the stream."""
    plain_seed = module.Random.seed
    inst = module._inst  # noqa: SLF001
    shared = Shared(
        inst,
        "random",
        stream,
        make=lambda seed: module.Random(int.from_bytes(seed)),
        save=inst.getstate,
        load=lambda state: inst.setstate((state[0], tuple(state[1]), state[2])),
    )

    def seed(self: Any, a: Any = None, version: int = 2) -> None:
        if self is inst:
            shared.seeded(is_given=a is not None)
        if a is None and active.tape is not None and not active.inside.get():
            a = int.from_bytes(os.urandom(_SEED_BYTES))
        plain_seed(self, a, version)

    def setstate(state: Any) -> None:
        inst.setstate(state)
        shared.seeded(is_given=True)

    def forked() -> None:  # the module's own reseeding, which came before, took the system's
        if active.tape is not None and not shared.is_over:
            shared.is_agents = False
            plain_seed(inst, int.from_bytes(shared.seed()))

    put.put(module, "_urandom", os.urandom)
    put.wrap(module.Random, "seed", lambda _real: seed)
    before = inst.getstate()
    put.when_undone(lambda: shared.undone(before))
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

    def save() -> Any:
        name, key, *rest = rand.get_state()
        return [name, key.tolist(), *rest]

    rand = mtrand._rand  # noqa: SLF001
    shared = Shared(rand, "numpy", stream, make=lambda seed: make(words(seed)), save=save, load=rand.set_state)
    plain_seed = module.seed
    before = rand.get_state()
    put.when_undone(lambda: shared.undone(before))
    plain_seed(words(shared.seed()))

    def seed(seed: Any = None) -> None:
        plain_seed(seed)
        shared.seeded(is_given=seed is not None)

    def set_state(state: Any) -> None:
        rand.set_state(state)
        shared.seeded(is_given=True)

    own = {"seed": seed, "set_state": set_state}
    for each in (module, mtrand):
        for name in {*_methods_of(each, rand), "seed"}:
            if hasattr(each, name):
                put.stand_in(each, name, own.get(name) or shared.method(name), name)
