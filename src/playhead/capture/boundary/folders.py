"""What the agent's own code asks of folders and files without opening them: `listdir`, `scandir`, `stat` and what is built
on them (`os.walk`, `os.path.exists`, `glob`, `pathlib`).

Each is one value, everywhere: names come in an order that belongs to the file system, times and numbers of files differ with
each run, and what the recorded run made is there already when it is replayed. So also, whether a folder could be made or
a name taken away: a replay does it again, and does not mind that it had been done.
"""

from __future__ import annotations

import errno
import os
from functools import partial

from playhead.capture.boundary import active, files, patches
from playhead.core import compact
from playhead.core.boundary import Call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Self

    from playhead.capture.boundary.patches import Patches
    from playhead.core.boundary import BoundaryTape

KIND = "folder"
_DONE_BEFORE = (errno.EEXIST, errno.ENOENT, errno.ENOTEMPTY)
"""How it ends to do again what the recorded run has done."""


class Question:
    """How the answer of a function is kept as JSON, and made again of that and the path that it was asked about."""

    __slots__ = ("again", "kept")

    def __init__(self, kept: Callable[[Any], Any], again: Callable[[Any, Any], Any]) -> None:
        self.kept = kept
        self.again = again


def _names(kept: Any, path: Any) -> Any:
    return [os.fsencode(name) for name in kept] if isinstance(path, bytes) else kept


def _listed(found: Any) -> list[list[Any]]:
    with found:
        return [[os.fsdecode(each.name), each.inode(), *map(_says, _kinds(each))] for each in found]


def _kinds(entry: Any) -> tuple[Callable[[], bool], ...]:
    return (
        entry.is_symlink,
        entry.is_dir,
        partial(entry.is_dir, follow_symlinks=False),
        entry.is_file,
        partial(entry.is_file, follow_symlinks=False),
    )


def _says(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except OSError:  # a link to itself, a folder that may not be searched
        return False


_NAMES = Question(lambda names: [os.fsdecode(name) for name in names], _names)
_NAME = Question(os.fsdecode, lambda kept, path: os.fsencode(kept) if isinstance(path, bytes) else kept)
_FACTS = Question(lambda found: found.__reduce__()[1], lambda kept, _path: os.stat_result(kept[0], kept[1]))
_ENTRIES = Question(_listed, lambda kept, path: Entries(path, kept))
_AS_IT_IS = Question(lambda found: found, lambda kept, _path: kept)

ASKED = {
    "listdir": _NAMES,
    "scandir": _ENTRIES,
    "stat": _FACTS,
    "lstat": _FACTS,
    "fstat": _FACTS,
    "readlink": _NAME,
    "access": _AS_IT_IS,
}

DONE = "mkdir", "rmdir", "remove", "unlink", "rename", "replace", "symlink", "link"


def install(put: Patches, when_imported: Any) -> None:
    """Wrap those functions of `os`, and `shutil.rmtree`."""
    for name, question in ASKED.items():
        _wrap(put, name, partial(_asking, question))
    for name in DONE:
        _wrap(put, name, _doing)
    when_imported("shutil", lambda shutil: put.wrap(shutil, "rmtree", _doing))


def _wrap(put: Patches, name: str, make: Callable[[Any], Any]) -> None:
    """Wrap it, also for those who look up what it can."""
    real = getattr(os, name)
    put.wrap(os, name, make)
    for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        if real in able:
            able.add(getattr(os, name))
            put.when_undone(partial(able.discard, getattr(os, name)))


def _asking(question: Question, real: Callable[..., Any]) -> Callable[..., Any]:
    def ask(*arguments: Any, **named: Any) -> Any:
        tape = active.tape
        if tape is None or active.inside.get() or not patches.asks_for_agent():
            return real(*arguments, **named)
        path = arguments[0] if arguments else named.get("path")
        return _answer(tape, question, path, partial(real, *arguments, **named), real.__name__)

    return ask


def _answer(tape: BoundaryTape, question: Question, path: Any, real: Callable[[], Any], name: str) -> Any:
    path = _plain("." if path is None else path)
    return question.again(_told(tape, f"os.{name}", [path], lambda: question.kept(real())), path)


def _doing(real: Callable[..., Any]) -> Callable[..., Any]:
    name = f"{'os' if real.__module__ == os.name else real.__module__}.{real.__name__}"

    def do(*arguments: Any, **named: Any) -> Any:
        tape = active.tape
        if tape is None or active.inside.get() or not patches.asks_for_agent():
            return real(*arguments, **named)
        paths = [_plain(each) for each in (*arguments, *named.values())]
        told = _told(tape, name, paths, lambda: real(*arguments, **named))
        if not tape.live:
            _again(lambda: real(*arguments, **named))
        if name in ("os.rename", "os.replace"):
            files.moved(*paths[:2])
        return told

    return do


def _again(do: Callable[[], Any]) -> None:
    inside = active.inside.set(True)
    try:
        do()
    except OSError as error:
        if error.errno not in _DONE_BEFORE:
            raise
    finally:
        active.inside.reset(inside)


def _plain(path: Any) -> Any:
    return os.fspath(path) if hasattr(path, "__fspath__") else path


def _told(tape: BoundaryTape, name: str, paths: list[Any], look: Callable[[], Any]) -> Any:
    """What that function told of those paths. Raises OSError as it did; Diverged when it was asked about others."""
    # a descriptor may have another number in the next run
    asked = [
        "" if isinstance(each, int) else os.fsdecode(each) for each in paths if isinstance(each, (int, str, bytes))
    ]

    def read() -> str:
        inside = active.inside.set(True)
        try:
            found = look()
        except OSError as error:
            return compact.dump([name, asked, None, error.errno, error.strerror])
        finally:
            active.inside.reset(inside)
        return compact.dump([name, asked, found])

    lane = active.current()
    if not tape.live and not tape.is_next(lane, KIND):
        raise _other(tape, name, asked, "no such question")
    text = tape.value(lane, KIND, read)  # as text: names may hold secrets
    then, about, found, *failed = compact.load(text.encode())
    is_same = tape.live or [then, about] in ([name, asked], _clean(tape, [name, asked]))
    if not is_same and (then != name or not _differ_by_process(about, asked)):
        raise _other(tape, name, asked, f"{then} of {', '.join(about)}")
    if failed:
        named = [each for each in paths if isinstance(each, (str, bytes))]
        raise OSError(*failed, *(named if len(named) < 2 else (named[0], None, named[1])))
    return found


def _differ_by_process(recorded: list[str], asked: list[str]) -> bool:
    """Whether these paths differ in nothing but the number of the process, which many give to what they write before it takes
    its place (`state.json.4711`): this process's own stands wherever the recorded one's did."""
    numbers = set()
    own = str(os.getpid())
    for before, now in zip(recorded, asked, strict=False):
        if before == now:
            continue
        left = before
        *parts, end = now.split(own)
        for part in parts:
            if not left.startswith(part):
                return False
            number = left[len(part) :]
            left = number.lstrip("0123456789")
            numbers.add(number[: len(number) - len(left)])
        if left != end:
            return False
    return len(recorded) == len(asked) and len(numbers) == 1 and "" not in numbers


def _other(tape: BoundaryTape, name: str, asked: list[str], why: str) -> BaseException:
    return tape.refuse(Call(active.current(), KIND, name), why, seen=f"{name} of {', '.join(asked)}")


def _clean(tape: BoundaryTape, asked: list[Any]) -> Any:
    return compact.load(tape.clean(compact.dump(asked).encode()))


class Entries:
    """What `os.scandir` gives: an iterator that can be closed, and that is a context manager."""

    def __init__(self, folder: Any, kept: list[list[Any]]) -> None:
        self._left: Iterator[Entry] = (Entry(folder, *each) for each in kept)

    def __iter__(self) -> Entries:
        return self

    def __next__(self) -> Entry:
        return next(self._left)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing further comes."""
        self._left = iter(())


class Entry:
    """One name in a folder, as `os.DirEntry` has it."""

    __slots__ = ("_inode", "_is", "name", "path")

    def __init__(self, folder: Any, name: str, *facts: Any) -> None:
        self.name: Any = os.fsencode(name) if isinstance(folder, bytes) else name
        self.path: Any = self.name if isinstance(folder, int) else os.path.join(folder, self.name)  # noqa: PTH118
        self._inode, *self._is = facts

    def is_symlink(self) -> bool:
        return bool(self._is[0])

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return bool(self._is[1 if follow_symlinks else 2])

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return bool(self._is[3 if follow_symlinks else 4])

    def is_junction(self) -> bool:
        """There are none where this runs."""
        return False

    def inode(self) -> int:
        return int(self._inode)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        real = partial(os.stat, self.path, follow_symlinks=follow_symlinks)  # not the agent's: it is asked from here
        if active.is_live() or active.tape is None:
            return real()
        found: os.stat_result = _answer(active.tape, _FACTS, self.path, real, "stat" if follow_symlinks else "lstat")
        return found

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"
