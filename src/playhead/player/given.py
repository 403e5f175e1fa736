"""What a run was given: its arguments, its environment and the files about it, as texts.

A uuid or a moment that stands there was meant by somebody and counts; one that stands nowhere was drawn by the run and
may differ. Only one side needs to know: a changed literal is given to one of the two runs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

READ_AT_MOST = 1 << 20  # bytes of one file
READ_IN_ALL = 16 << 20
READ_FILES = 1000
VISITED = 5000  # directory entries looked at
DEEPEST = 4  # folders below the first
_ARGUMENTS = 64

_CODE = (".py", ".js", ".mjs", ".cjs", ".ts", ".jsx", ".tsx", ".go", ".rs", ".rb", ".php", ".java", ".kt", ".cs", ".sh")
_SETTINGS = (".toml", ".ini", ".cfg", ".env", ".yaml", ".yml")
_PROMPTS = (".j2", ".jinja", ".jinja2", ".prompt", ".tmpl")
_WRITTEN_BY_PEOPLE = frozenset((*_CODE, *_SETTINGS, *_PROMPTS))
_WRITTEN_BY_ANYBODY = frozenset((".json", ".jsonl", ".txt", ".md", ".csv", ".xml", ".html"))
_PASSED_OVER = frozenset(("node_modules", "site-packages", "__pycache__", "venv", "target", "dist", "build"))


@dataclass(frozen=True)
class Given:
    """What one run was given; calling it reads the files. Of kinds that programs write (transcripts, results) only what
    was there before the run counts: in its own output everything it drew stands written."""

    argv: Sequence[str]
    cwd: str
    environment: Mapping[str, str]
    began_ns: int  # wall clock

    def __call__(self) -> frozenset[str]:
        texts = {value for value in self.environment.values() if "<redacted:" not in value}
        left = READ_IN_ALL
        for path in self._files():
            try:
                found = os.stat(path)  # noqa: PTH116 - thousands of them
                if found.st_size > min(READ_AT_MOST, left) or not self._was_there(path, found):
                    continue
                with open(path, encoding="utf-8", errors="ignore") as file:  # noqa: PTH123
                    texts.add(file.read(READ_AT_MOST))
            except (OSError, ValueError):
                continue
            left -= found.st_size
        return frozenset(texts)

    def _was_there(self, path: str, found: os.stat_result) -> bool:
        return os.path.isfile(path) and (_kind(path) in _WRITTEN_BY_PEOPLE or found.st_mtime_ns < self.began_ns)  # noqa: PTH113

    def _files(self) -> list[str]:
        """Files named by an argument, those in their folders, and those of the working directory and below."""
        # an argument may be anything, a whole program or longer than a name may be, which Path would raise for
        named = [os.path.join(self.cwd, a) for a in self.argv[:_ARGUMENTS]]  # noqa: PTH118
        files = dict.fromkeys(path for path in named if "\0" not in path and os.path.isfile(path))  # noqa: PTH113
        visited = 0
        for folder in dict.fromkeys([*(os.path.dirname(path) for path in files), self.cwd]):  # noqa: PTH120
            for path in _below(folder):
                visited += 1
                if visited > VISITED or len(files) >= READ_FILES:
                    return list(files)
                if _kind(path) in _WRITTEN_BY_PEOPLE or _kind(path) in _WRITTEN_BY_ANYBODY:
                    files[path] = None
        return list(files)


def _kind(path: str) -> str:
    name = path.rpartition("/")[2]
    return "." + name.rpartition(".")[2].lower() if "." in name else ""


def _below(folder: str, depth: int = 0) -> Iterator[str]:
    """Files of a folder, then those of its folders, in the order of their names."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except (OSError, ValueError):
        return
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            yield entry.path
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False) or entry.name.startswith(".") or entry.name in _PASSED_OVER:
            continue
        if depth < DEEPEST:
            yield from _below(entry.path, depth + 1)
