"""Text for terminals. Recordings are hostile input: control characters never reach the terminal as such."""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

# C0 (but tab and newline), C1, direction marks and overrides, line separators, byte order marks, tag characters (a text
# that only machines read), and halves of surrogate pairs, which no terminal encoding has.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
_GAP = 2
_READABLE = 40  # columns of a terminal that running text needs
MARKS = {"ok": "✓", "failed": "✗", "killed": "✗", "incomplete": "!", "open": "•", "error": "✗", "aborted": "-"}
COLOURS = {"ok": "green", "failed": "red", "killed": "red", "incomplete": "yellow", "open": "cyan", "error": "red"}


def harmless(text: str) -> str:
    """`text` with control and direction-changing characters made visible; tabs and newlines stay."""
    return _UNSAFE.sub(_visible, text) if _UNSAFE.search(text) else text


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code == 27:
        return "\\e"
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]


def console() -> Console:
    """A console on stdout: colours and the terminal's width only when it is one; piped output is never wrapped."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # `main` knows what that means; rich would exit with 1

    terminal = sys.stdout.isatty()
    return Output(
        file=sys.stdout,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if terminal else 100_000,
        soft_wrap=not terminal,
    )


def table(
    columns: Sequence[tuple[str, str]],
    rows: Iterable[Sequence[tuple[str, str]]],
    *,
    grows: str,
    spare: Sequence[str] = (),
) -> None:
    """Print a table. A column is (title, "left"|"right"); a cell is (text, style). On a terminal the column `grows`
    takes what width is left; where that is not enough to read, the `spare` columns are left out, last first."""
    cells = [[(harmless(text).replace("\n", " ").replace("\t", " "), style) for text, style in row] for row in rows]
    widths = [max([len(title), *(_width(row[at][0]) for row in cells)]) for at, (title, _) in enumerate(columns)]
    shown = list(range(len(columns)))
    terminal = sys.stdout.isatty()
    if terminal:
        import shutil

        growing = [title for title, _ in columns].index(grows)
        room = shutil.get_terminal_size().columns
        for title in [*reversed(spare), None]:
            left = room - sum(widths[at] + _GAP for at in shown if at != growing)
            if left >= min(_READABLE, widths[growing]) or title is None:
                widths[growing] = max(min(left, widths[growing]), len(grows), 1)
                break
            shown = [at for at in shown if columns[at][0] != title]
    coloured = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    for row in [[(title, "dim") for title, _ in columns], *cells]:
        line = []
        for at in shown:
            text, style = row[at]
            text = _fitted(text, widths[at])
            pad = " " * (widths[at] - _width(text))
            if style and coloured:
                text = _styled(text, style)
            right = columns[at][1] == "right"
            line.append(pad + text if right else text if at == shown[-1] else text + pad)
        click.echo((" " * _GAP).join(line).rstrip(), color=coloured)


def wrapped(text: str, first: str, rest: str) -> list[str]:
    """Running text in lines of a terminal's width, 60 to 100 columns (80 where there is none), which begin with `first` and
    `rest`. Words are left whole."""
    import shutil
    import textwrap

    return textwrap.wrap(
        harmless(text),
        min(100, max(60, shutil.get_terminal_size((80, 24)).columns)),
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _width(text: str) -> int:
    """Columns of a terminal that a line takes."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(c) or unicodedata.category(c) in ("Mn", "Me", "Cf")
        else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def _fitted(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    while text and _width(text) >= width:
        text = text[: min(len(text) - 1, width - 1)] if width > 0 else ""
    return text + "…" if width > 0 else ""


def _styled(text: str, style: str) -> str:
    words = style.split()
    colour = next((word for word in words if word not in ("bold", "dim")), None)
    return click.style(text, fg=colour, bold="bold" in words or None, dim="dim" in words or None)


def count(number: int | None) -> str:
    """`12,345`, or `-` for what is not known."""
    return "-" if number is None else f"{number:,}"


def things(number: int, noun: str) -> str:
    """`1 step`, `1,005 steps`."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def numbers(of: Sequence[int]) -> str:
    """Ascending numbers in few words: `2-7, 9`."""
    runs: list[list[int]] = []
    for number in of:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def size(count_of_bytes: int) -> str:
    """`850 B`, `4.2 MB`, in powers of a thousand."""
    amount = float(count_of_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.5 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def dollars(amount: float | None) -> str:
    """`$0.0123` with at least two digits that mean something, or `-` for what is not known."""
    if amount is None:
        return "-"
    if amount >= 1 or amount <= 0:
        return f"${amount:,.2f}"
    for digits in (4, 6):
        if amount >= 10 ** (1 - digits):
            return f"${amount:.{digits}f}"
    return f"${amount:.2g}" if amount >= 1e-9 else "$0.00"


def seconds(duration: float | None) -> str:
    """`<1 ms`, `850 ms`, `4.2 s`, `3 min 20 s`, or `-`."""
    if duration is None:
        return "-"
    if 0 < duration < 0.0005:
        return "<1 ms"
    if duration < 0.9995:
        return f"{duration * 1000:.0f} ms"
    if duration < 60:
        return f"{duration:.1f} s"
    return f"{int(duration // 60)} min {int(duration % 60)} s"


def ago(created: str, now: datetime | None = None) -> str:
    """`2 min ago` from an RFC 3339 time."""
    age = ((now or datetime.now(UTC)) - datetime.fromisoformat(created)).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if age >= size:
            return f"{int(age // size)} {unit} ago"
    return "just now" if age < 5 else f"{int(age)} s ago"


def pretty_json(value: Any) -> str:
    """Indented JSON with every control character escaped and other text readable."""
    return _UNSAFE.sub(_json_escape, json.dumps(value, indent=2, ensure_ascii=False))
