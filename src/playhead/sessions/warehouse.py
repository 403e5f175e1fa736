"""All sessions and steps as tables that can be asked in SQL, by DuckDB in memory.

DuckDB never sees the catalogue's file: it would take a lock there that refuses recorders, and its reader of SQLite files
is an extension that would have to be fetched. The rows are read in one SQLite transaction, which blocks nobody, and go to
DuckDB through a pipe as CSV, so that nothing is written to disk. What DuckDB works on is a copy: queries cannot change a
recording. Its way to files, network, extensions and Python variables is closed before a query is looked at.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from typing import TYPE_CHECKING, Any

from playhead.errors import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playhead.journal.catalogue import Catalogue

_COUNTS = "input_tokens cached_input_tokens cache_write_tokens output_tokens reasoning_tokens"
_STEP_KEY = 1 << 24
TABLES: dict[str, dict[str, tuple[str, str]]] = {  # table -> column -> its type, and where SQLite has it
    "sessions": {
        "session": ("VARCHAR", "s.id"),
        "name": ("VARCHAR", "nullif(s.name, '')"),
        "created": ("TIMESTAMP", "strftime('%Y-%m-%d %H:%M:%f', s.created_ns / 1e9, 'unixepoch')"),
        "status": ("VARCHAR", "s.status"),
        "parent": ("VARCHAR", "s.parent"),
        "command": ("VARCHAR", "json_extract(s.header, '$.command')"),
        "duration_s": ("DOUBLE", "json_extract(s.header, '$.duration_s')"),
        "exit_code": ("BIGINT", "json_extract(s.header, '$.exit_code')"),
        "steps": ("BIGINT", "json_extract(s.header, '$.step_count')"),
        "llm_calls": ("BIGINT", "json_extract(s.header, '$.llm_calls')"),
        "tool_calls": ("BIGINT", "json_extract(s.header, '$.tool_calls')"),
        **{name: ("BIGINT", f"json_extract(s.header, '$.usage.{name}')") for name in _COUNTS.split()},
        "cost_usd": ("DOUBLE", "json_extract(s.header, '$.cost_usd')"),
    },
    "steps": {
        "session": ("VARCHAR", "s.id"),
        "step": ("BIGINT", f"t.key % {_STEP_KEY}"),
        "kind": ("VARCHAR", "t.kind"),
        "lane": ("VARCHAR", "t.lane"),
        "provider": ("VARCHAR", "t.provider"),
        "model": ("VARCHAR", "t.model"),
        "title": ("VARCHAR", "t.title"),
        "started": ("TIMESTAMP", "strftime('%Y-%m-%d %H:%M:%f', t.started_ns / 1e9, 'unixepoch')"),
        "duration_s": ("DOUBLE", "t.duration_s"),
        "ttft_s": ("DOUBLE", "t.ttft_s"),
        "status": ("VARCHAR", "t.status"),
        **{name: ("BIGINT", f"t.{name}") for name in _COUNTS.split()},
        "cost_usd": ("DOUBLE", "t.cost_usd"),
        "stop_reason": ("VARCHAR", "t.stop_reason"),
    },
    "tags": {
        "session": ("VARCHAR", "s.id"),
        "key": ("VARCHAR", "t.key"),
        "value": ("VARCHAR", "t.value"),
    },
}
_FROM = {
    "sessions": "sessions s",
    "steps": f"steps t JOIN sessions s ON s.number = t.key / {_STEP_KEY}",
    "tags": "tags t JOIN sessions s ON s.number = t.session",
}
_CLOSED = (
    "SET enable_external_access = false",
    "SET python_enable_replacements = false",
    "SET lock_configuration = true",
)


class Warehouse:
    """Tables in memory and the connection that asks them. Use as a context manager."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def ask(self, query: str) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
        """Column names and rows of one SELECT (or DESCRIBE, SUMMARIZE, EXPLAIN). Raises UsageError."""
        import duckdb

        try:
            statements = self._connection.extract_statements(query)
            if len(statements) != 1 or statements[0].type.name not in ("SELECT", "EXPLAIN"):
                raise UsageError(
                    "Recordings can only be read.",
                    code="bad-sql",
                    expected="one SELECT, DESCRIBE, SUMMARIZE or EXPLAIN",
                    seen=", ".join(each.type.name for each in statements) or "no statement",
                    todo="playhead sql 'SELECT model, sum(cost_usd) FROM steps GROUP BY model'",
                )
            answer = self._connection.execute(query)
        except duckdb.Error as error:
            raise UsageError(
                "DuckDB does not take this query.",
                code="bad-sql",
                seen=str(error)[:2000],
                expected="; ".join(f"{name}({', '.join(columns)})" for name, columns in TABLES.items()),
                todo="playhead sql 'DESCRIBE steps'",
            ) from None
        return _distinct([each[0] for each in answer.description]), _rows(answer)


@contextlib.contextmanager
def warehouse(index: Catalogue, query: str) -> Iterator[Warehouse]:
    """The tables a query names, loaded; all of them when it names none. Raises SetupError without DuckDB."""
    try:
        import duckdb
    except ImportError:
        raise SetupError(
            "SQL over recordings needs DuckDB, which is not installed.",
            code="extra-missing",
            expected="the extra `sql`",
            todo="pip install 'playhead[sql]'",
        ) from None
    closed: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": "",
    }
    connection = duckdb.connect(":memory:", config={**closed, "preserve_insertion_order": True})
    try:
        named = [name for name in TABLES if re.search(rf"\b{name}\b", query, re.IGNORECASE)]
        index.read("BEGIN")
        try:
            for name, columns in TABLES.items():
                types = ", ".join(f'"{column}" {kind}' for column, (kind, _) in columns.items())
                connection.execute(f"CREATE TABLE {name} ({types})")
                if name in named:
                    _load(connection, index, name)
        finally:
            index.read("COMMIT")
        for setting in _CLOSED:
            connection.execute(setting)
        yield Warehouse(connection)
    finally:
        connection.close()


def _load(connection: Any, index: Catalogue, name: str) -> None:
    """Rows of one table through a pipe. SQLite writes the CSV itself: a quoted text, or nothing for null."""
    columns = TABLES[name]
    fields = [
        f"""coalesce('"' || replace({source}, '"', '""') || '"', '')"""
        if kind == "VARCHAR"
        else f"coalesce({source}, '')"
        for kind, source in columns.values()
    ]
    rows = index.read(f"SELECT {' || chr || '.join(fields)} FROM {_FROM[name]}".replace("chr", "','"))  # noqa: S608
    reading, writing = os.pipe()
    types = "{" + ", ".join(f"'{column}': '{kind}'" for column, (kind, _) in columns.items()) + "}"
    failed: list[BaseException] = []

    def take() -> None:
        try:
            connection.execute(
                f"INSERT INTO {name} SELECT * FROM read_csv('/dev/fd/{reading}', columns = {types}, "  # noqa: S608
                "auto_detect = false, header = false, delim = ',', quote = '\"', escape = '\"', nullstr = '', "
                "allow_quoted_nulls = false, parallel = false, strict_mode = false, new_line = '\\n', "
                "max_line_size = 16777216)"
            )
        except BaseException as error:  # noqa: BLE001  told below, on the caller's thread
            failed.append(error)
        finally:
            os.close(reading)

    taker = threading.Thread(target=take)
    taker.start()
    with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "w", encoding="utf-8", newline="") as pipe:
        while batch := rows.fetchmany(5000):
            pipe.write("\n".join(row[0] for row in batch) + "\n")
    taker.join()
    if failed:
        raise failed[0]


def _rows(answer: Any) -> Iterator[tuple[Any, ...]]:
    while batch := answer.fetchmany(1000):
        yield from batch


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of which none stands twice: the second `n` is `n_2`."""
    out: list[str] = []
    for name in names:
        again, candidate = 1, name
        while candidate in out:
            again += 1
            candidate = f"{name}_{again}"
        out.append(candidate)
    return out
