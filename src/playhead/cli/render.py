"""Text for terminals. Recordings are hostile input: control characters never reach the terminal as such."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

_CONTROLS = {c: f"\\x{c:02x}" for c in (*range(32), 127, *range(128, 160)) if c not in (9, 10)}
_CONTROLS[27] = "\\e"
_INVISIBLE = {c: f"\\u{c:04x}" for c in (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)}
_TABLE = {**_CONTROLS, **_INVISIBLE}
MARKS = {"ok": "✓", "failed": "✗", "killed": "✗", "incomplete": "!", "open": "•", "error": "✗", "aborted": "-"}
COLOURS = {"ok": "green", "failed": "red", "killed": "red", "incomplete": "yellow", "open": "cyan", "error": "red"}


def harmless(text: str) -> str:
    """`text` with control and direction-changing characters made visible; tabs and newlines stay."""
    return text.translate(_TABLE)


def console() -> Console:
    """A console on stdout: colours and the terminal's width only when it is one; piped output is never wrapped."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(
        file=sys.stdout,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if terminal else 100_000,
        soft_wrap=not terminal,
    )


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[tuple[str, str]]], *, grows: str = "") -> None:
    """Print a table. A column is (title, "left"|"right"); a cell is (text, style); `grows` takes what width is left."""
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for title, side in columns:
        grid.add_column(
            title,
            justify="right" if side == "right" else "left",
            no_wrap=True,
            overflow="ellipsis" if terminal else "ignore",
            ratio=1 if title == grows and terminal else None,
        )
    for row in rows:
        grid.add_row(*(Text(harmless(text).replace("\n", " "), style) for text, style in row))
    console().print(grid)


def count(number: int | None) -> str:
    """`12,345`, or `-` for what is not known."""
    return "-" if number is None else f"{number:,}"


def seconds(duration: float | None) -> str:
    """`850 ms`, `4.2 s`, `3 min 20 s`, or `-`."""
    if duration is None:
        return "-"
    if duration < 0.9995:
        return f"{duration * 1000:.0f} ms"
    if duration < 60:
        return f"{duration:.1f} s"
    return f"{int(duration // 60)} min {int(duration % 60)} s"


def money(usd: float | None) -> str:
    """`$0.0123`, or `-` for what is not known."""
    return "-" if usd is None else f"${usd:.4f}"


def ago(created: str, now: datetime | None = None) -> str:
    """`2 min ago` from an RFC 3339 time."""
    age = ((now or datetime.now(UTC)) - datetime.fromisoformat(created)).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if age >= size:
            return f"{int(age // size)} {unit} ago"
    return "just now" if age < 5 else f"{int(age)} s ago"


def pretty_json(value: Any) -> str:
    """Indented JSON with every control character escaped and other text readable."""
    import json

    return harmless(json.dumps(value, indent=2, ensure_ascii=False))
