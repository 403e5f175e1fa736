"""The catalogue: an SQLite index over the sessions of a store, for lists and look-ups.

It holds nothing that is not in the session files. When it is lost, damaged or of another schema it is made again from
them. WAL lets several recorders and readers work at once.

SCHEMA history: 1 first.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SCHEMA = 1
_TABLES = f"""
CREATE TABLE IF NOT EXISTS sessions (
  id TEXT PRIMARY KEY, name TEXT, created_ns INTEGER NOT NULL, status TEXT NOT NULL, header TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_by_time ON sessions (created_ns DESC);
CREATE INDEX IF NOT EXISTS sessions_by_name ON sessions (name, created_ns DESC);
CREATE TABLE IF NOT EXISTS tags (
  session TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (key, value, session)
) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA};
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What the catalogue keeps of a session: `header` is its `list --json` object."""

    id: str
    name: str
    created_ns: int
    status: str
    header: dict[str, Any]


class Catalogue:
    """An open catalogue; with the path None one in memory, for a store that takes none on disk. A damaged file is set
    aside by making it again; the caller then re-indexes. Its methods raise sqlite3.Error."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.is_new = path is None or not path.exists()
        try:
            self._db = self._connect()
        except sqlite3.OperationalError:  # locked, read-only, a full disk: making it again would not help
            raise
        except sqlite3.DatabaseError:
            self.discard()
            self._db = self._connect()

    def _connect(self) -> sqlite3.Connection:
        if self.path is not None:  # before SQLite does: its log gets the mode that the database has then
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(self.path or ":memory:", timeout=10, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute("PRAGMA secure_delete=ON")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA):
                raise sqlite3.DatabaseError("another schema")
            if version == 0:
                db.executescript(_TABLES)
                self.is_new = True
        except BaseException:
            db.close()
            raise
        return db

    def discard(self) -> None:
        """Delete the file, so that the next to open it makes it again."""
        self.is_new = True
        if self.path is None:
            return
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self.path.with_name(self.path.name + suffix).unlink()

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, row: Row) -> None:
        """Insert or replace one session."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)",
                (row.id, row.name, row.created_ns, row.status, json.dumps(row.header)),
            )
            self._db.execute("DELETE FROM tags WHERE session = ?", (row.id,))
            tags = row.header.get("tags") or {}
            self._db.executemany(
                "INSERT OR REPLACE INTO tags VALUES (?, ?, ?)", [(row.id, str(k), str(v)) for k, v in tags.items()]
            )

    def forget(self, session: str) -> None:
        """Remove a session; its text is overwritten in the file."""
        with self._transaction():
            self._db.execute("DELETE FROM sessions WHERE id = ?", (session,))
            self._db.execute("DELETE FROM tags WHERE session = ?", (session,))
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def ids(self) -> set[str]:
        """Ids of all sessions indexed."""
        return {row[0] for row in self._db.execute("SELECT id FROM sessions")}

    def newest(
        self,
        *,
        limit: int = -1,
        offset: int = 0,
        name: str | None = None,
        prefix: str | None = None,
        status: str | None = None,
        since_ns: int | None = None,
        tags: Iterable[tuple[str, str]] = (),
    ) -> list[Row]:
        """Sessions, newest first, that meet every given condition."""
        where: list[str] = []
        values: list[Any] = []
        for clause, value in (
            ("name = ?", name),
            ("id GLOB ?", None if prefix is None else f"{prefix}*"),
            ("status = ?", status),
            ("created_ns >= ?", since_ns),
        ):
            if value is not None:
                where.append(clause)
                values.append(value)
        for key, tag in tags:
            where.append("id IN (SELECT session FROM tags WHERE key = ? AND value = ?)")
            values += [key, tag]
        condition = f"WHERE {' AND '.join(where)} " if where else ""
        query = (
            f"SELECT id, name, created_ns, status, header FROM sessions {condition}"  # noqa: S608  clauses are ours
            "ORDER BY created_ns DESC, id LIMIT ? OFFSET ?"
        )
        found = self._db.execute(query, [*values, limit, offset])
        try:
            return [Row(r[0], r[1] or "", r[2], r[3], json.loads(r[4])) for r in found]
        except (ValueError, TypeError) as error:
            raise sqlite3.DatabaseError("a row that is not what was written") from error
