"""What the agent's own code asks of the machine and of the process's use of it: names, processors, load, resources.

Each is one value, also when it is an error. Process and thread ids are left alone: whoever was told a recorded id could
send a signal to a stranger.
"""

from __future__ import annotations

import os
from functools import partial

from playhead.capture.boundary import active, patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.capture.boundary.patches import Patches


class Question:
    """A function and how its answer is made again of a JSON scalar or list; None when it is one."""

    def __init__(self, module: str, name: str, again: Callable[[Any], Any] | None = None) -> None:
        self.module = module
        self.name = name
        self.again = again


def _times(value: Any) -> Any:
    return os.times_result(value)


def _uname(value: Any) -> Any:
    return os.uname_result(value)


def _rusage(value: Any) -> Any:
    import resource

    return resource.struct_rusage(value)


QUESTIONS = (
    Question("os", "cpu_count"),
    Question("os", "process_cpu_count"),
    Question("os", "getloadavg", tuple),
    Question("os", "getlogin"),
    Question("os", "times", _times),
    Question("os", "uname", _uname),
    Question("socket", "gethostname"),
    Question("socket", "getfqdn"),
    Question("resource", "getrusage", _rusage),
)


def install(put: Patches, when_imported: Any) -> None:
    """Wrap those functions that this system has."""
    for module in dict.fromkeys(question.module for question in QUESTIONS):
        asked = [question for question in QUESTIONS if question.module == module]
        when_imported(module, partial(_patch, put, asked))


def _patch(put: Patches, asked: list[Question], module: Any) -> None:
    for question in asked:
        if hasattr(module, question.name):
            put.wrap(module, question.name, partial(_asking, question))


def _asking(question: Question, real: Callable[..., Any]) -> Callable[..., Any]:
    kind = f"{question.module}.{question.name}"
    again = question.again

    def ask(*arguments: Any, **named: Any) -> Any:
        tape = active.tape
        if tape is None or active.inside.get() or not patches.asks_for_agent():
            return real(*arguments, **named)

        def read() -> Any:
            try:
                answer = real(*arguments, **named)
            except OSError as error:
                return {"errno": error.errno, "says": error.strerror}
            return list(answer) if again is not None else answer

        value = tape.value(active.current(), kind, read)
        if isinstance(value, dict):
            raise OSError(value["errno"], value["says"])
        return value if again is None else again(value)

    return ask
