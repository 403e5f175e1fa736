"""Secrets in what is already written: recordings and other files. Names places and rules, never values.

Recordings are redacted as they are written; what is found here was recorded with `--redact off`, or is of a shape that
the rules of its day did not know. Export and push ask first.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playhead.core.events import EventKind
from playhead.core.message import parse_answer, parse_request
from playhead.core.redact_rules import TOKEN
from playhead.core.redact_scan import Scanner
from playhead.journal.bodies.form import COPY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playhead.core.redact_scan import Span
    from playhead.sessions.model import RecordedExchange, Recording

LARGEST_FILE = 64 << 20  # bytes; of a larger file the rest is not read, and that is said
_WORTH = 256  # bytes; the edges of a shorter part cost as much as it does
_KEPT = 16
_FOLDERS_LEFT_OUT = frozenset({".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv"})
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]')


@dataclass(frozen=True, slots=True)
class Finding:
    """One secret. `place` is what was read (`step 4 request body`, `stdout`, a file), `where` the spot in it (a JSON path,
    `offset N`, a header's name or `line N`), `rule` what it is. Values are never kept."""

    place: str
    where: str
    rule: str
    step: int | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.place}, {self.where}: {self.rule}"


def findings(recording: Recording) -> list[Finding]:
    """The secrets of a recording: of its header, its steps (bodies without their codings) and its standard streams."""
    scanner = Scanner()
    found: list[Finding] = []
    header = recording.header
    for name, text in (("command", "\n".join(header.command)), ("tags", "\n".join(map(str, header.tags.values())))):
        found += _in_text(scanner, text.encode("utf-8", "surrogateescape"), name)
    for name, value in header.environment.items():
        entry = f"{name}={value}".encode("utf-8", "surrogateescape")
        found += [Finding("environment", name, span.rule) for span in _spans(scanner, entry)]
    seen = _Seen()
    for exchange in recording.exchanges:
        found += _in_exchange(scanner, exchange, seen)
    found += _inside(scanner, recording)
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        found += _in_text(scanner, recording.output(fd), name)
    return found


def _inside(scanner: Scanner, recording: Recording) -> list[Finding]:
    """In what the agent's own processes wrote."""
    found: list[Finding] = []
    for call in recording.calls:
        place = f"step {call.number}" if call.number else f"{call.kind} {call.name}"
        found += _in_body(scanner, call.arguments, f"{place} arguments", call.number)
        if call.outcome is not None:
            found += _in_body(scanner, call.outcome.body, f"{place} answer", call.number)
    for mark in recording.marks:
        for body in (mark.body, mark.end_body):
            found += _in_body(scanner, body, f"step {mark.number} {mark.what} {mark.name}".rstrip(), mark.number)
    for process, events in recording.inside.items():
        for event in events:
            if event.kind is EventKind.VALUES:
                found += _in_body(scanner, event.body, f"values read by process {process}", 0)
    return found


def findings_in_file(path: Path) -> list[Finding]:
    """The secrets of any file, by line. Raises OSError when it cannot be read."""
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    found = _in_text(Scanner(), data, str(path))
    if len(data) > LARGEST_FILE:
        found.append(Finding(str(path), f"offset {LARGEST_FILE}", "not-read-further"))
    return found


class _Seen:
    """Request bodies in which nothing was found, a few of them: what a later one has of them need not be looked at
    again."""

    def __init__(self) -> None:
        self._clean: OrderedDict[int, bytes] = OrderedDict()

    def spans(self, exchange: RecordedExchange, body: bytes) -> list[tuple[int, int]]:
        """The parts of a body, as it was sent, that an earlier one held. How it was stored tells where; the bytes are
        compared, for a file may lie. An end that was not one there is left out: a secret may end there."""
        form = exchange.read_form() if exchange.read_form is not None else None
        base = self._clean.get(form.base) if form is not None else None
        if form is None or base is None:
            return []
        view, at, found = memoryview(base), 0, []
        for kind, length, offset, _ in form.ops:
            if kind == COPY and length >= _WORTH and body.startswith(view[offset : offset + length], at):
                first = at + (offset > 0 == at)
                last = at + length - (at + length == len(body) and offset + length < len(base))
                found.append((first, last))
            at += length
        return found

    def keep(self, exchange: RecordedExchange, body: bytes) -> None:
        """Nothing was found in this body."""
        self._clean[exchange.number] = body
        if len(self._clean) > _KEPT:
            self._clean.popitem(last=False)


def _spans(scanner: Scanner, data: bytes, known: Sequence[tuple[int, int]] = ()) -> list[Span]:
    """The secrets of `data` outside of what is `known`; what redaction put in the place of a short one is none."""
    return [
        span
        for span in scanner.spans(data, known=known)
        if data[span.start : span.end].strip(b"*") and not TOKEN.match(data, span.start)
    ]


def files_under(place: Path) -> Iterator[Path]:
    """The files of a folder, recordings as their folder or file; version control and caches are left out."""
    for folder, folders, files in os.walk(place):
        here = Path(folder)
        for name in sorted(folders):
            if name.endswith(".tape.d"):
                yield here / name
        folders[:] = sorted(n for n in folders if n not in _FOLDERS_LEFT_OUT and not n.endswith(".tape.d"))
        paths = (here / name for name in sorted(files))
        yield from (path for path in paths if path.is_file() and not path.is_symlink())  # nor a pipe, which would wait


def _in_exchange(scanner: Scanner, exchange: RecordedExchange, seen: _Seen) -> list[Finding]:
    number = exchange.number
    place = f"step {number}"
    found = _in_head(scanner, exchange.head, f"{place} request", number)
    body = exchange.body
    request = parse_request(exchange.head, body, redacted=exchange.request_redacted)
    as_sent = request.body is body
    in_body = _in_body(
        scanner, request.body, f"{place} request body", number, seen.spans(exchange, body) if as_sent else ()
    )
    if as_sent and not in_body:
        seen.keep(exchange, body)
    found += in_body
    raw = exchange.answer
    if raw.startswith(b"HTTP/"):
        found += _in_head(scanner, raw.partition(b"\r\n\r\n")[0], f"{place} answer", number)
        answer = parse_answer(raw, method=request.method, redacted=exchange.lossy)
        found += _in_body(scanner, answer.body, f"{place} answer body", number)
    else:
        found += _in_body(scanner, raw, f"{place} answer", number)
    return found


def _in_head(scanner: Scanner, head: bytes, place: str, step: int) -> list[Finding]:
    found: list[Finding] = []
    for number, line in enumerate(head.split(b"\r\n")):
        where = line.partition(b":")[0].decode("latin-1") if number else "request line"
        found += [Finding(place, where, span.rule, step) for span in _spans(scanner, line)]
    return found


def _in_body(
    scanner: Scanner, body: bytes, place: str, step: int, known: Sequence[tuple[int, int]] = ()
) -> list[Finding]:
    is_json = body[:1] in (b"{", b"[")
    return [
        Finding(place, (json_path(body, span.start) if is_json else "") or f"offset {span.start}", span.rule, step)
        for span in _spans(scanner, body, known)
    ]


def _in_text(scanner: Scanner, data: bytes, place: str) -> list[Finding]:
    lines = [(data.count(b"\n", 0, span.start) + 1, span.rule) for span in _spans(scanner, data)]
    return [Finding(place, f"line {line}", rule) for line, rule in lines]


def json_path(data: bytes, offset: int) -> str:
    """The path (`$.messages[2].content`) of the value that holds the byte at `offset`; "" when it is in none."""
    stack: list[str | int] = []
    key, expects_key = "", False
    kinds: list[bool] = []  # of the open containers: is it an object
    for token in _TOKEN.finditer(data):
        if token.start() > offset:
            break
        text = token[0]
        if text in (b"{", b"["):
            kinds.append(text == b"{")
            stack.append(0)
            expects_key = text == b"{"
        elif text in (b"}", b"]"):
            if not kinds:
                return ""
            kinds.pop()
            stack.pop()
            expects_key = False
        elif text == b",":
            if kinds and not kinds[-1]:
                stack[-1] = int(stack[-1]) + 1
            expects_key = bool(kinds) and kinds[-1]
        elif text != b":" and expects_key:
            key = text[1:-1].decode("utf-8", "replace")
            stack[-1] = key
            expects_key = False
    steps = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in stack)
    return "$" + "".join(steps) if stack else ""
