"""One call at a boundary by a thread: asked, then answered by the world or by the tape.

The twin for event loops is `loops.acall`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

from playhead.capture.boundary import active, output
from playhead.capture.boundary.encode import Unreadable, read, read_raised, write, write_raised
from playhead.core.boundary import Call, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.boundary import BoundaryTape

WORK = frozenset(("tool", "item", "boundary"))
"""Kinds of calls whose work is code of the agent, which may print."""


def call(kind: str, name: str, arguments: bytes, do: Callable[[], Any], *, effect: str = "") -> Any:
    """What `do` returns or raises, or what the recording has in its place. `arguments` are canonical JSON; `effect` is
    what a tool declared. Whatever `do` does is part of the answer. Raises Diverged."""
    tape = active.tape
    if tape is None or active.inside.get():
        return do()
    asked = Call(active.current(), kind, name, arguments, effect=effect)
    tape.ask(asked)
    if not tape.live:
        return given(tape, asked, tape.settle(asked, None))
    outer = sys.exception()
    if kind in WORK:
        output.watch(asked)
    inside, within = active.inside.set(True), active.within.set(asked)
    try:
        value = do()
        outcome = returned(value)
    except BaseException as error:
        outcome = raised(error, outer)
        active.within.reset(within)
        active.inside.reset(inside)
        output.ended(tape, asked)
        tape.settle(asked, outcome)
        raise
    active.within.reset(within)
    active.inside.reset(inside)
    output.ended(tape, asked)
    tape.settle(asked, outcome)
    return value


def returned(value: Any) -> Outcome:
    """The outcome of a call that returned."""
    return Outcome(raised=False, body=write(value))


def raised(error: BaseException, outer: BaseException | None = None) -> Outcome:
    """The outcome of a call that raised while its caller was handling `outer`."""
    return Outcome(raised=True, body=write_raised(error, outer))


def given(tape: BoundaryTape, asked: Call, outcome: Outcome) -> Any:
    """What a recorded outcome stands for: returned, or raised; what the work printed is printed. Raises Diverged when it
    cannot be built here."""
    if asked.kind in WORK:
        output.again(tape, asked)
    try:
        if not outcome.raised:
            return read(outcome.body)
        error = read_raised(outcome.body)
    except Unreadable as why:
        refusal = tape.refuse(asked, str(why))
    else:
        _throw(error)
    raise refusal


def _throw(error: BaseException) -> NoReturn:
    """Raise it as the call did: what it was raised from ends in what the caller handles now."""
    inner = error.__context__
    try:
        raise error
    finally:
        outer = error.__context__
        if inner is not None and outer is not inner:
            last = inner
            while last.__context__ is not None and last.__context__ is not outer:
                last = last.__context__
            last.__context__ = outer
            error.__context__ = inner
