"""Programs that the agent starts with `subprocess`, `os.system` and `os.popen`.

Starting one, and everything that the agent then learns of it (what it reads of its pipes, how it ended, a time-out), is a
call of kind `subprocess`. A replay starts nothing: the agent holds a real Popen whose files and methods answer as recorded,
and what the program printed past the agent is printed again. Except programs that are a part of the agent, because they
have a tape of their own or asked something at the wire: those run again, and what they do comes in the recorded order.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active, calls
from playhead.capture.boundary.files import others_act
from playhead.core.boundary import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.capture.boundary.printed import Printed
    from playhead.core.boundary import BoundaryTape, Lane

KIND = "subprocess"
_named: set[str] = set()
"""Programs that were given their names."""

PRINTED = "subprocess.printed"
"""The kind of the values that hold what a program printed past the agent."""


class Child:
    """A program that the agent started. `process` is its name among the processes of the run. `runs`: it does run, also
    because it is a part of the agent. `outputs` are those that the agent does not read, 0 for stdout and 1 for stderr:
    `printed` has what comes there while recording, `targets` are where a replay writes it."""

    def __init__(self, process: str, program: str, outputs: list[int], *, runs: bool) -> None:
        self.process = process
        self.program = program
        self.runs = runs
        self.outputs = outputs
        self.lane: Lane | None = None  # of its own
        self.printed: Printed | None = None
        self.targets: list[int] = []
        others_act()

    def call(self, what: str, facts: dict[str, Any], do: Callable[[], Any], again: Callable[[Any], Any]) -> Any:
        """What the agent learns of it. `do` asks the program; `again` asks it in a replay in which it runs, given what was
        learned then. Raises Diverged."""
        from playhead.capture.boundary.encode import describe

        arguments = describe({"of": self.process, **facts})
        name = f"{self.program}.{what}"
        tape = active.tape
        try:
            if tape is None or tape.live or not self.runs:
                return calls.call(KIND, name, arguments, do)
            return answered_again(tape, Call(active.current(), KIND, name, arguments), again)
        finally:
            self.say_printed()

    def say_printed(self, *, is_over: bool = False) -> None:
        """What it printed past the agent since the last time: written down, or printed again. Raises Diverged."""
        tape = active.tape
        if tape is None or not self.outputs or tape.diverged is not None:
            return
        told = str(tape.value(self.lane or active.current(), PRINTED, lambda: self._taken(is_over=is_over)))
        if not self.targets or not told:
            return
        from playhead.capture.boundary.printed import write_all

        for output, text in json.loads(told):
            with suppress(OSError):
                write_all(self.targets[self.outputs.index(output)], text.encode("utf-8", "surrogateescape"))

    def _taken(self, *, is_over: bool) -> str:
        taken = [] if self.printed is None else self.printed.taken(is_over=is_over)
        if not taken:
            return ""
        return json.dumps([(self.outputs[place], data.decode("utf-8", "surrogateescape")) for place, data in taken])

    def over(self) -> None:
        """It has ended, and the agent knows."""
        self.say_printed(is_over=True)
        self.outputs = []
        while self.targets:
            os.close(self.targets.pop())


def answered_again(tape: BoundaryTape, asked: Call, again: Callable[[Any], Any]) -> Any:
    """A call of a program that runs in a replay too: what `again` makes now of what was told then, in the recorded order;
    or what was raised then. Raises Diverged."""
    tape.ask(asked)
    foretold = tape.foretold(asked)
    if foretold is None or foretold.raised:
        return calls.given(tape, asked, tape.settle(asked, None))
    told = calls.given(tape, asked, foretold)
    if tape.rests is not None:
        tape.rests.leave_out()
    inside = active.inside.set(True)
    try:
        value = again(told)
    finally:
        active.inside.reset(inside)
        tape.settle(asked, None)
    return value


def text_of(data: bytes | None) -> Any:
    """Bytes as they are stored: as text where they are, in which secrets are found."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def bytes_of(stored: Any) -> Any:
    """What `text_of` was given."""
    return stored.encode() if isinstance(stored, str) else stored


def program_of(args: Any, *, shell: bool) -> str:
    """What to call a program."""
    first = args if isinstance(args, (str, bytes, os.PathLike)) else next(iter(args), "")
    text = os.fsdecode(first)
    if shell or isinstance(args, str):
        text = next(iter(text.split()), "sh")
    return os.path.basename(text) or text  # noqa: PTH119


def described(args: Any, executable: Any, cwd: Any, env: Any, **facts: Any) -> dict[str, Any]:
    """What tells the start of one program from that of another. Of the environment, what differs from the agent's own."""
    listed = [args] if isinstance(args, (str, bytes, os.PathLike)) else list(args)
    argv = ["{python}" if each == sys.executable else each for each in map(os.fsdecode, listed)]
    found: dict[str, Any] = {"argv": argv, "cwd": None if cwd is None else os.fsdecode(cwd), **facts}
    if executable is not None:
        found["executable"] = os.fsdecode(executable)
    if env is not None:
        from playhead.core.redact_names import is_key_name

        named = {os.fsdecode(name): os.fsdecode(value) for name, value in env.items()}
        found["env"] = {
            name: "<redacted:env>" if value and is_key_name(name) else value
            for name, value in named.items()
            if os.environ.get(name) != value and not name.startswith("PLAYHEAD_")
        }
    return found


def environment_of(env: Any, process: str) -> Any:
    """The variables of a program that is called `process`; without a name it is not on the tape."""
    if env is None:
        env = os.environ
    elif "PLAYHEAD_TAPE" not in env:
        return env
    if process:
        _named.add(process)
        return {**env, "PLAYHEAD_PROCESS": process}
    if env.get("PLAYHEAD_PROCESS") in _named:
        return env
    return {name: value for name, value in env.items() if name != "PLAYHEAD_TAPE"}
