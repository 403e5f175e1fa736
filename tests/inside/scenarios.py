"""Runs scenarios inside an agent, one after the other: `python scenarios.py KIND=SEED...`; `--unordered` first takes the
order from a player."""

import sys
from importlib import import_module

from world import KINDS, World

MODULES = ("asyncio_kinds", "loop_thread_kinds", "anyio_kinds", "anyio_thread_kinds", "thread_kinds")


def forget_order(player):
    """The ablation: answers by their keys alone, in whatever order they are asked for."""

    def next_any(station, turn=None):
        for key, pending in list(player._pending.items()):
            if pending.station is station:
                del player._pending[key]
                return lambda: pending.deliver(pending.outcome)
        return None

    player.next = next_any
    player.idle = lambda _station: None
    player.turn = lambda _key, _kind, _lock=None: None
    player.withdraw = lambda key: player._pending.pop(key, None) is not None


def load():
    """Every kind that can be run here."""
    for name in MODULES:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            if error.name != "anyio":
                raise
    return KINDS


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[0] == "--unordered":
        from playhead.capture.boundary import active

        del arguments[0]
        if not active.tape.live:
            forget_order(active.tape)
    load()
    for each in arguments:
        print("#", each, flush=True)
        KINDS[each.partition("=")[0]](World(each))
