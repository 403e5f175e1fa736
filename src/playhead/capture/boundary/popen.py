"""`subprocess.Popen` on a tape. Its own `__init__` runs in every run and makes the pipes; only the fork is left out in a
replay, and each read of a pipe, `communicate`, `wait`, `poll` and signal is a call."""

# ruff: noqa: SLF001  Popen has no public place for any of this
from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active, calls
from playhead.capture.boundary.patches import asks_for_agent
from playhead.capture.boundary.process import (
    KIND,
    Child,
    answered_again,
    bytes_of,
    described,
    environment_of,
    program_of,
    text_of,
)
from playhead.core.boundary import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.capture.boundary.patches import Patches

_HERE = subprocess.__file__
_ENV, _SHELL = 6, 9  # places among the arguments of _execute_child
_HANDLES = slice(10, 16)
_OUTPUTS = (12, 13), (14, 15)  # what the agent reads of stdout and stderr, and what the program writes to

LINGER_S = 0.25
"""How long the end of the agent waits for what its programs still print."""

_children: dict[int, Child] = {}
"""By pid, which a replay tells as recorded: nobody else may be sent a signal in their place."""


def install(patches: Patches, module: Any) -> None:
    """Wrap the methods of that module's Popen."""
    for name, make in (
        ("_execute_child", _starting),
        ("_internal_poll", _looking),
        ("communicate", _communicating),
        ("wait", _waiting),
        ("poll", _polling),
        ("send_signal", _signalling),
    ):
        patches.wrap(module.Popen, name, make)
    patches.when_over(_see_to_the_end)
    for name in ("kill", "killpg", "getpgid", "waitpid"):
        patches.wrap(os, name, _by_pid)


def _see_to_the_end() -> None:
    """The agent ends: what its programs have printed, and those that print on."""
    if active.tape is None:
        return
    left = [child for child in _children.values() if child.outputs]
    still = [child for child in left if child.printed is not None and not child.printed.come_to_an_end(LINGER_S)]
    for child in left:
        child.say_printed()
    for child in still:
        active.say(f"{child.program} ran on when the agent had ended: what it printed then is not on the tape")
        with active.off():  # the process that passes on is not the agent's
            if child.printed is not None:
                child.printed.live_on()


def register(pid: int, child: Child) -> None:
    """The agent was told that pid."""
    _children[pid] = child


def _child_of(popen: Any) -> Child | None:
    """The program of that object, when what is asked of it now is the agent's."""
    return None if active.is_live() else popen.__dict__.get("_playhead")


# -- starting


def _starting(real: Callable[..., None]) -> Any:
    def _execute_child(self: Any, *arguments: Any) -> None:
        tape = active.tape
        if tape is None:
            return real(self, *arguments)
        given = list(arguments)
        if active.inside.get():  # a part of what is recorded around it
            given[_ENV] = environment_of(given[_ENV], "")
            return real(self, *given)
        program = program_of(arguments[0], shell=bool(arguments[_SHELL]))
        outputs = [place for place in (0, 1) if _is_seen(self, arguments, place)]
        child = Child(active.name_child(), program, outputs, runs=tape.live)

        def start() -> dict[str, Any]:
            given[_ENV] = environment_of(given[_ENV], child.process)
            real(self, *given)
            return {"process": child.process, "pid": self.pid}

        question = _question(self, arguments)
        if tape.live:
            calls.call(KIND, program, question, lambda: _printing(child, given, start))
        else:
            asked = Call(active.current(), KIND, program, question)
            answered_again(tape, asked, lambda told: _again(self, given, child, start, told))
        self._playhead = child
        register(self.pid, child)
        _take_files(self, child)
        return None

    return _execute_child


def _printing(child: Child, given: list[Any], start: Callable[[], Any]) -> Any:
    """Start it with what takes up what it prints past the agent."""
    if not child.outputs:
        return start()
    from playhead.capture.boundary.printed import Printed

    joined = _is_joined(given)
    places = child.outputs[:1] if joined else child.outputs
    printed = Printed([_target(given, place) for place in places])
    for place, end in zip(places, printed.ends, strict=True):
        given[_OUTPUTS[place][1]] = end
    if joined:
        given[_OUTPUTS[1][1]] = given[_OUTPUTS[0][1]]
    try:
        value = start()
    except BaseException:
        printed.give_up()
        raise
    printed.begin()
    child.printed = printed
    return value


def _again(popen: Any, given: list[Any], child: Child, start: Callable[[], Any], told: Any) -> None:
    """Start it if it is a part of the agent; else only say that it was."""
    child.process = told["process"]
    child.runs = active.runs_again(child.process)
    if child.runs:
        start()
        return
    popen.pid = told["pid"]
    popen._child_created = True
    child.targets = [os.dup(_target(given, place)) for place in child.outputs]
    popen._close_pipe_fds(*given[_HANDLES])


def _is_seen(popen: Any, arguments: tuple[Any, ...], place: int) -> bool:
    """Whether it writes that output where neither the agent reads it nor nobody."""
    reads, writes = (arguments[each] for each in _OUTPUTS[place])
    if place == 1 and arguments[_OUTPUTS[1][0]] == -1 and writes == arguments[_OUTPUTS[0][1]] != -1:
        reads = arguments[_OUTPUTS[0][0]]  # stderr=STDOUT
    return bool(reads == -1 and (writes == -1 or writes != getattr(popen, "_devnull", None)))


def _is_joined(given: list[Any]) -> bool:
    out, err = (given[each[1]] for each in _OUTPUTS)
    return bool(out == err != -1 or (out == -1 and err == 1))


def _target(given: list[Any], place: int) -> int:
    writes = given[_OUTPUTS[place][1]]
    return target_of(None if writes == -1 else writes, place)


def target_of(to: Any, place: int) -> int:
    """The descriptor of stdout (place 0) or stderr (1) that was given as `to`; None is the agent's own."""
    if to is None:
        return place + 1
    return int(to) if isinstance(to, int) else int(to.fileno())


def _question(popen: Any, arguments: tuple[Any, ...]) -> bytes:
    from playhead.capture.boundary.encode import describe

    args, executable, _, _, _, cwd, env = arguments[:7]
    reads = arguments[10], *(arguments[each[0]] for each in _OUTPUTS)
    streams = {}
    for name, file, writes in zip(
        ("stdin", "stdout", "stderr"),
        (popen.stdin, popen.stdout, popen.stderr),
        (reads[0], arguments[13], arguments[15]),
        strict=True,
    ):
        if file is not None:
            streams[name] = "pipe"
        elif writes == -1:
            streams[name] = "inherited"
        elif writes == getattr(popen, "_devnull", None):
            streams[name] = "null"
        else:
            streams[name] = "file"
    return describe(described(args, executable, cwd, env, shell=bool(arguments[_SHELL]), **streams))


# -- its files


class _Pipe(io.FileIO):
    """The agent's end of a pipe to a program."""

    def __init__(self, fd: int, mode: str, child: Child) -> None:
        super().__init__(fd, mode)
        self._child = child

    def fileno(self) -> int:
        """Who has the descriptor reads past the tape: only another program may."""
        tape = active.tape
        if tape is not None and not active.inside.get() and sys._getframe(1).f_code.co_filename != _HERE:
            what = f"the agent reads a pipe of {self._child.program} by its descriptor, which is not on the tape"
            if tape.live:
                active.say(what)
            elif not self._child.runs:
                raise tape.refuse(Call(active.current(), KIND, f"{self._child.program}.fileno"), what)
        return super().fileno()


class _Output(_Pipe):
    """What the program prints: each read is a call."""

    def __init__(self, fd: int, child: Child, name: str) -> None:
        super().__init__(fd, "r", child)
        self._what = name

    def _told(self, read: Callable[[int], bytes | None], size: int) -> bytes | None:
        def do() -> Any:
            data = read(size)
            return None if data is None else [len(data), text_of(data)]

        def again(told: Any) -> Any:
            return None if told is None else [told[0], _exactly(super(_Output, self).read, told[0])]

        value = self._child.call(self._what, {}, do, again)
        return None if value is None else bytes_of(value[1])

    def readinto(self, buffer: Any) -> Any:
        if self.closed or active.is_live():
            return super().readinto(buffer)
        with memoryview(buffer).cast("B") as view:
            data = self._told(super().read, len(view))
            if data is None:
                return None
            view[: len(data)] = data
        return len(data)

    def read(self, size: int | None = -1) -> Any:
        if self.closed or active.is_live():
            return super().read(size)
        return self.readall() if size is None or size < 0 else self._told(super().read, size)

    def readall(self) -> Any:
        if self.closed or active.is_live():
            return super().readall()
        real = super().readall
        return self._told(lambda _: real(), -1)


class _Input(_Pipe):
    """What the program is given: each write is a call."""

    def __init__(self, fd: int, child: Child) -> None:
        super().__init__(fd, "w", child)

    def write(self, data: Any) -> Any:
        if self.closed or active.is_live():
            return super().write(data)
        real = super().write
        return self._child.call("stdin", {"data": text_of(bytes(data))}, lambda: real(data), lambda _: real(data))


def _exactly(read: Callable[[int], bytes | None], size: int) -> bytes:
    """As many bytes as were read then, in however many pieces they come now."""
    found = b""
    while size > len(found) and (piece := read(size - len(found))):
        found += piece
    return found


def _take_files(popen: Any, child: Child) -> None:
    for name in ("stdin", "stdout", "stderr"):
        file = getattr(popen, name)
        if file is None:
            continue
        plain = getattr(file, "buffer", file)
        fd = os.dup(plain.fileno())
        raw = _Input(fd, child) if name == "stdin" else _Output(fd, child, name)
        made: Any = raw
        if isinstance(plain, io.BufferedIOBase):
            made = io.BufferedWriter(raw) if name == "stdin" else io.BufferedReader(raw)
        if made is not raw and isinstance(file, io.TextIOWrapper):
            made = io.TextIOWrapper(
                made,
                encoding=file.encoding,
                errors=file.errors,
                line_buffering=file.line_buffering,
                write_through=file.write_through,
            )
        file.close()
        setattr(popen, name, made)


# -- what the agent learns of it


def _told_end(popen: Any, child: Child, code: int | None) -> int | None:
    if code is not None and not child.runs:
        popen.returncode = code
    if code is not None:
        child.over()
    return code


def _waiting(real: Callable[..., int]) -> Any:
    def wait(self: Any, timeout: float | None = None) -> int:
        child = _child_of(self)
        if child is None or self.returncode is not None:
            return real(self, timeout=timeout)
        code = child.call("wait", {"timeout": timeout}, lambda: real(self, timeout=timeout), lambda _: real(self))
        return _told_end(self, child, code)  # type: ignore[return-value]

    return wait


def _polling(real: Callable[..., int | None]) -> Any:
    def poll(self: Any) -> int | None:
        child = _child_of(self)
        if child is None or self.returncode is not None:
            return real(self)
        wait = type(self).wait
        code = child.call("poll", {}, lambda: real(self), lambda told: None if told is None else wait(self))
        return _told_end(self, child, code)

    return poll


def _looking(real: Callable[..., int | None]) -> Any:
    def _internal_poll(self: Any, *arguments: Any, **named: Any) -> int | None:
        child = self.__dict__.get("_playhead")
        if child is not None and not child.runs:
            return self.returncode  # type: ignore[no-any-return]
        return real(self, *arguments, **named)

    return _internal_poll


def _communicating(real: Callable[..., tuple[Any, Any]]) -> Any:
    def communicate(self: Any, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:  # noqa: A002
        child = _child_of(self)
        if child is None:
            return real(self, input=input, timeout=timeout)

        def do(timeout: float | None = timeout) -> Any:
            out, err = real(self, input=input, timeout=timeout)
            return [*(text_of(each) if isinstance(each, bytes) else each for each in (out, err)), self.returncode]

        out, err, code = child.call("communicate", {"input": input, "timeout": timeout}, do, lambda _: do(None))
        if not child.runs:
            _close(self)
        _told_end(self, child, code)
        if not self.text_mode:
            out, err = bytes_of(out), bytes_of(err)
        return out, err

    return communicate


def _close(popen: Any) -> None:
    inside = active.inside.set(True)
    try:
        for file in (popen.stdin, popen.stdout, popen.stderr):
            if file is not None:
                file.close()
    finally:
        active.inside.reset(inside)


def _signalling(real: Callable[..., None]) -> Any:
    def send_signal(self: Any, sig: int) -> None:
        child = _child_of(self)
        if child is None or self.returncode is not None:
            return real(self, sig)

        def do() -> int | None:
            real(self, sig)
            return self.returncode  # type: ignore[no-any-return]

        _told_end(self, child, child.call("signal", {"signal": int(sig)}, do, lambda _: do()))
        return None

    return send_signal


def _by_pid(real: Callable[..., Any]) -> Any:
    def ask(pid: int, *arguments: Any) -> Any:
        child = _children.get(pid)
        if child is None or active.is_live() or not asks_for_agent():
            return real(pid, *arguments)
        return child.call(
            f"os.{real.__name__}",
            {"arguments": list(arguments)},
            lambda: real(pid, *arguments),
            lambda _: real(pid, *arguments),
        )

    return ask
