"""The catalogue: an SQLite index over the sessions of a store, for lists, look-ups, search and sums.

It holds nothing that is not in the session files. When it is lost, damaged or of another schema it is made again from
them. WAL lets several recorders and readers work at once. A step's text is kept once, compressed; the full-text index
takes it from there (FTS5, external content) and stores no copy.

SCHEMA history: 1 sessions and tags; 2 steps, words, tallies; 3 a tally is one field, tags know when; 4 blocks of days;
5 a tally counts answered calls without a price.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from playhead.journal.tally import TOKENS, Call, Place, Tally, pack, tallies, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

SCHEMA = 5
HIT = ("\x01", "\x02")  # what stands before and behind the words found, in a snippet
_STEPS_A_SESSION = 1 << 24  # a step's key is its session's number times this, plus its own number
_STEP_COLUMNS = (
    *("kind", "lane", "provider", "model", "title", "started_ns", "duration_s", "ttft_s", "status"),
    *TOKENS,
    *("cost_usd", "stop_reason"),
)
_BLOCK = (
    32  # days that `blocks` adds up, so that the sums of years are read from a few rows; `day` is the first of them
)
_ROW_COLUMNS = "s.id, s.name, s.created_ns, s.status, s.header"
_BEHIND_ALL = "g"  # ids are hex digits
_TABLES = f"""
CREATE TABLE sessions (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT, created_ns INTEGER NOT NULL, status TEXT NOT NULL,
  parent TEXT, header TEXT NOT NULL
);
CREATE INDEX sessions_by_time ON sessions (created_ns DESC, id);
CREATE INDEX sessions_by_name ON sessions (name, created_ns DESC);
CREATE INDEX sessions_by_status ON sessions (status, created_ns DESC);
CREATE INDEX sessions_by_parent ON sessions (parent) WHERE parent IS NOT NULL;
CREATE TABLE tags (session INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, created_ns INTEGER NOT NULL);
CREATE INDEX tags_by_session ON tags (session, key, value);
CREATE INDEX tags_by_tag ON tags (key, value, created_ns DESC, session);
CREATE TABLE steps (
  key INTEGER PRIMARY KEY, kind TEXT, lane TEXT, provider TEXT, model TEXT, title TEXT, started_ns INTEGER,
  duration_s REAL, ttft_s REAL, status TEXT, {", ".join(f"{name} INTEGER" for name in TOKENS)}, cost_usd REAL,
  stop_reason TEXT
);
CREATE TABLE texts (key INTEGER PRIMARY KEY, packed BLOB NOT NULL);
CREATE VIEW read_texts AS SELECT key, unpacked(packed) AS text FROM texts;
CREATE VIRTUAL TABLE words USING fts5 (
  text, content = 'read_texts', content_rowid = 'key', tokenize = 'unicode61 remove_diacritics 2', columnsize = 0
);
CREATE TABLE tallies (
  by TEXT NOT NULL, day INTEGER NOT NULL, one TEXT NOT NULL, two TEXT NOT NULL, packed BLOB NOT NULL,
  PRIMARY KEY (by, day, one, two)
) WITHOUT ROWID;
CREATE TABLE blocks (
  by TEXT NOT NULL, day INTEGER NOT NULL, one TEXT NOT NULL, two TEXT NOT NULL, packed BLOB NOT NULL,
  PRIMARY KEY (by, day, one, two)
) WITHOUT ROWID;
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL);
PRAGMA user_version = {SCHEMA};
"""  # noqa: S608  our own names


class Row(NamedTuple):
    """What the catalogue keeps of a session: `header` is its `list --json` object."""

    id: str
    name: str
    created_ns: int
    status: str
    header: dict[str, Any]


class StepRow(NamedTuple):
    """What it keeps of a step. `started_ns` is wall-clock time; `tokens` are in the order of TOKENS; `text` is what can
    be searched. Tokens and cost stand where they count: a step that repeats what another told has none."""

    step: int
    kind: str
    lane: str
    provider: str | None
    model: str | None
    title: str
    started_ns: int
    duration_s: float | None
    ttft_s: float | None
    status: str
    tokens: tuple[int | None, ...] = (None,) * len(TOKENS)
    cost_usd: float | None = None
    stop_reason: str | None = None
    text: str = ""


class Entry(NamedTuple):
    """A session with its steps, as they are put into the catalogue."""

    row: Row
    steps: Sequence[StepRow] = ()


class Hit(NamedTuple):
    """A step that a search found; `snippet` has the words found between the marks HIT."""

    session: str
    name: str
    step: int
    kind: str
    model: str | None
    title: str
    started_ns: int
    snippet: str


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
            db.execute("PRAGMA cache_size=-8000")  # 8 MB: a year of days fits
            db.execute("PRAGMA temp_store=MEMORY")  # what is deleted must not live on in a temporary file
            db.execute("PRAGMA trusted_schema=ON")  # for the view that unpacks texts
            db.create_function("unpacked", 1, _unpacked, deterministic=True)
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA):
                raise sqlite3.DatabaseError("another schema")
            if version == 0:
                self._create(db)
        except BaseException:
            db.close()
            raise
        return db

    def _create(self, db: sqlite3.Connection) -> None:
        """Make the tables, unless another process has just made them."""
        db.execute("BEGIN IMMEDIATE")
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _TABLES.split(";\n"):
                    db.execute(statement)
                if sqlite3.sqlite_version_info >= (3, 42):
                    db.execute("INSERT INTO words(words, rank) VALUES ('secure-delete', 1)")
                self.is_new = True
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

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

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            with _damage_named():
                yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def put(self, *entries: Entry) -> None:
        """Insert or replace sessions, all or none of them."""
        with self._transaction():
            changes: dict[Place, Tally] = {}
            for entry in entries:
                self._put(entry, changes)
            self._change(changes)

    def _put(self, entry: Entry, changes: dict[Place, Tally]) -> None:
        from playhead.journal.wording import spaced  # here: a list needs no rules of words

        row, db = entry.row, self._db
        number = self._take_out(row.id, changes)
        number = db.execute(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(number, row.id, _storable(row.name), row.created_ns, row.status, row.header.get("parent")),
                json.dumps(row.header),
            ),
        ).lastrowid
        tags = _tags(row.header)
        db.executemany(
            "INSERT INTO tags VALUES (?, ?, ?, ?)", [(number, k, v, row.created_ns) for k, v in tags.items()]
        )
        assert number is not None  # noqa: S101  an INSERT has one
        first = number * _STEPS_A_SESSION
        db.executemany(
            f"INSERT INTO steps VALUES (?{', ?' * len(_STEP_COLUMNS)})",  # noqa: S608  question marks only
            [
                (
                    first + s.step,
                    *map(_storable, (s.kind, s.lane, s.provider, s.model, s.title)),
                    *(s.started_ns, s.duration_s, s.ttft_s, s.status, *s.tokens, s.cost_usd, _storable(s.stop_reason)),
                )
                for s in entry.steps
            ],
        )
        said = [(first + s.step, spaced(_searchable(s.text))) for s in entry.steps if s.text]
        db.executemany("INSERT INTO texts VALUES (?, ?)", [(key, _packed(text)) for key, text in said])
        db.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", said)
        calls = [
            Call(
                *(s.started_ns, _storable(s.provider) or "", _storable(s.model) or "", s.status == "error"),
                *(s.duration_s, s.tokens, s.cost_usd),
            )
            for s in entry.steps
            if s.kind == "llm"
        ]
        self._count(row._replace(name=_storable(row.name) or ""), tags, calls, changes, sign=1)

    def forget(self, *sessions: str) -> None:
        """Take sessions out. Their text may stay in the file, unreachable, until `scrub`."""
        with self._transaction():
            changes: dict[Place, Tally] = {}
            for session in sessions:
                self._take_out(session, changes)
            self._change(changes)
            self._db.execute("INSERT OR REPLACE INTO state VALUES ('unscrubbed', '')")

    def scrub(self) -> bool:
        """Overwrite all that was taken out, in the database and in its log. False when another process is reading just
        now: then something may be left in the log until it has done."""
        if self._db.execute("SELECT 1 FROM state WHERE key = 'unscrubbed'").fetchone() is None:
            return True
        if sqlite3.sqlite_version_info < (3, 42):  # else the index itself forgets for good
            self._db.execute("INSERT INTO words(words) VALUES ('optimize')")
        if not self._empty_log():
            return False
        self._db.execute("DELETE FROM state WHERE key = 'unscrubbed'")
        return self._empty_log()

    def _empty_log(self) -> bool:
        return not self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]

    def _take_out(self, session: str, changes: dict[Place, Tally]) -> int | None:
        """Remove a session's rows; its number, None when there are none."""
        db = self._db
        query = f"SELECT {_ROW_COLUMNS}, number FROM sessions s WHERE id = ?"  # noqa: S608  our columns
        found = db.execute(query, (session,)).fetchall()
        if not found:
            return None
        number = int(found[0][-1])
        keys = (number * _STEPS_A_SESSION, (number + 1) * _STEPS_A_SESSION - 1)
        calls = db.execute(
            "SELECT started_ns, provider, model, status = 'error', duration_s, cost_usd, "  # noqa: S608  our columns
            f"{', '.join(TOKENS)} FROM steps WHERE key BETWEEN ? AND ? AND kind = 'llm'",
            keys,
        ).fetchall()
        (old,) = _rows(found)
        told = [Call(c[0], c[1] or "", c[2] or "", bool(c[3]), c[4], tuple(c[6:]), c[5]) for c in calls]
        self._count(old, _tags(old.header), told, changes, sign=-1)
        db.execute(
            "INSERT INTO words(words, rowid, text) SELECT 'delete', key, text FROM read_texts WHERE key BETWEEN ? AND ?",
            keys,
        )
        db.execute("DELETE FROM texts WHERE key BETWEEN ? AND ?", keys)
        db.execute("DELETE FROM steps WHERE key BETWEEN ? AND ?", keys)
        db.execute("DELETE FROM tags WHERE session = ?", (number,))
        db.execute("DELETE FROM sessions WHERE number = ?", (number,))
        return number

    @staticmethod
    def _count(
        row: Row, tags: Mapping[str, str], calls: Iterable[Call], changes: dict[Place, Tally], *, sign: int
    ) -> None:
        failed = row.status in ("failed", "killed", "incomplete")
        each = tallies(created_ns=row.created_ns, name=row.name, tags=tags, failed=failed, calls=calls)
        for place, tally in each.items():
            changes.setdefault(place, Tally()).lanes += sign * tally.lanes

    def _change(self, changes: Mapping[Place, Tally]) -> None:
        of_blocks: dict[Place, Tally] = {}
        for place, change in changes.items():
            block = place._replace(day=place.day // _BLOCK * _BLOCK)
            of_blocks.setdefault(block, Tally()).lanes += change.lanes
        for table, each in (("tallies", changes), ("blocks", of_blocks)):
            where = f"FROM {table} WHERE by = ? AND day = ? AND one = ? AND two = ?"
            for place, change in each.items():
                if not change.lanes:
                    continue
                found = self._db.execute(f"SELECT packed {where}", place).fetchone()
                if found is not None:
                    change.lanes += unpack(found[0]).lanes
                if change.is_empty:
                    self._db.execute(f"DELETE {where}", place)
                else:
                    values = (*place, pack(change))
                    self._db.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?, ?)", values)  # noqa: S608

    def tallied(self, by: str, *, since_day: int = 0, daily: bool = False) -> dict[tuple[Any, ...], Tally]:
        """Sums by day, provider, model, name or tag, of days since 1970-01-01 (UTC) not before `since_day`. The keys
        are (one, two) of a Place, with the day before them for `daily`."""
        if daily:
            query = "SELECT day, one, two, packed FROM tallies WHERE by = ? AND day >= ?"
            return {
                (day, one, two): Tally(0, packed) for day, one, two, packed in self._db.execute(query, (by, since_day))
            }
        whole = -(-since_day // _BLOCK) * _BLOCK  # the first day of the first block that is asked for in full
        sums: dict[tuple[Any, ...], Tally] = {}
        for one, two, packed in self._db.execute(
            "SELECT one, two, packed FROM tallies WHERE by = ?1 AND day >= ?2 AND day < ?3 "
            "UNION ALL SELECT one, two, packed FROM blocks WHERE by = ?1 AND day >= ?3",
            (by, since_day, whole),
        ):
            sums.setdefault((one, two), Tally()).lanes += unpack(packed).lanes
        return sums

    def search(self, query: str, *, limit: int = 20) -> list[Hit]:
        """The latest steps in which the words of a query occur (see `wording`), newest session first."""
        from playhead.journal.wording import expression, unspaced

        wanted = expression(query)
        if wanted is None:
            return []
        with _damage_named():
            rows = self._db.execute(
                "SELECT s.id, s.name, w.rowid, t.kind, t.model, t.title, t.started_ns, "  # noqa: S608  a number of ours
                "snippet(words, 0, ?, ?, '…', 16) FROM words w JOIN steps t ON t.key = w.rowid "
                f"JOIN sessions s ON s.number = w.rowid / {_STEPS_A_SESSION} "
                "WHERE words MATCH ? ORDER BY w.rowid DESC LIMIT ?",
                (*HIT, wanted, limit),
            ).fetchall()
        return [Hit(r[0], r[1] or "", r[2] % _STEPS_A_SESSION, r[3], r[4], r[5], r[6], unspaced(r[7])) for r in rows]

    def costs(self, session: str) -> dict[int, float | None]:
        """The cost of every step of a session, by step; empty when it is not indexed."""
        found = self._db.execute(
            f"SELECT t.key % {_STEPS_A_SESSION}, t.cost_usd FROM sessions s JOIN steps t ON t.key BETWEEN "  # noqa: S608
            f"s.number * {_STEPS_A_SESSION} AND (s.number + 1) * {_STEPS_A_SESSION} - 1 WHERE s.id = ?",
            (session,),
        )
        return dict(found)

    def read(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one SELECT of our own over the tables."""
        return self._db.execute(query, values)

    def state(self, key: str) -> str | None:
        """A remark kept beside the index."""
        row = self._db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_state(self, key: str, value: str) -> None:
        """Keep a remark beside the index."""
        if self.state(key) != value:
            self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, value))

    def compact(self) -> None:
        """Give space that is not used back to the file system."""
        self._db.execute("INSERT INTO words(words) VALUES ('optimize')")
        self._db.execute("VACUUM")
        self._empty_log()

    def ids(self) -> set[str]:
        """Ids of all sessions indexed."""
        return {row[0] for row in self._db.execute("SELECT id FROM sessions")}

    def knows(self, session: str) -> bool:
        """Whether a session is indexed."""
        return self._db.execute("SELECT 1 FROM sessions WHERE id = ?", (session,)).fetchone() is not None

    def count(self) -> int:
        """How many sessions are indexed."""
        return int(self._db.execute("SELECT count(*) FROM sessions").fetchone()[0])

    def descendants(self, *sessions: str) -> list[Row]:
        """Sessions that were forked from these, and from those again, newest first; without themselves."""
        marks = ", ".join("?" * len(sessions))
        found = self._db.execute(
            f"WITH RECURSIVE line(id) AS (SELECT id FROM sessions WHERE parent IN ({marks}) "  # noqa: S608
            "UNION SELECT s.id FROM sessions s JOIN line ON s.parent = line.id) "
            f"SELECT {_ROW_COLUMNS} FROM sessions s WHERE id IN line "
            f"AND id NOT IN ({marks}) ORDER BY created_ns DESC, id",
            (*sessions, *sessions),
        )
        return _rows(found.fetchall())

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
        source, when = "sessions", "s"
        for number, (key, tag) in enumerate(tags):
            if number == 0:  # its index is in order of time, too
                source, when = "tags t CROSS JOIN sessions", "t"
                where.append("s.number = t.session AND t.key = ? AND t.value = ?")
            else:
                where.append("EXISTS (SELECT 1 FROM tags WHERE session = s.number AND key = ? AND value = ?)")
            values += [key, tag]
        for clause, value in (
            ("s.name = ?", name),
            ("s.id >= ?", prefix),
            ("s.id < ?", None if prefix is None else prefix + _BEHIND_ALL),
            ("s.status = ?", status),
            (f"{when}.created_ns >= ?", since_ns),
        ):
            if value is not None:
                where.append(clause)
                values.append(value)
        condition = f"WHERE {' AND '.join(where)} " if where else ""
        rows = self._db.execute(
            f"SELECT {_ROW_COLUMNS} FROM {source} s {condition}"  # noqa: S608  clauses are ours
            f"ORDER BY {when}.created_ns DESC, s.id LIMIT ? OFFSET ?",
            [*values, limit, offset],
        )
        return _rows(rows.fetchall())


@contextlib.contextmanager
def _damage_named() -> Iterator[None]:
    """Sums or texts that are not what was written are damage, like any other; SQLite only says that a function failed."""
    try:
        yield
    except OverflowError as error:
        raise sqlite3.DatabaseError(str(error)) from error
    except sqlite3.OperationalError as error:
        if "user-defined function" in str(error) or str(error) == "SQL logic error":  # so says the index of words
            raise sqlite3.DatabaseError("a text that is not what was written") from error
        raise


def _rows(found: list[tuple[Any, ...]]) -> list[Row]:
    """Rows of _ROW_COLUMNS; their headers are parsed as one document, which takes half the time."""
    headers = _parsed(f"[{','.join(str(each[4]) for each in found)}]")
    if len(headers) != len(found):
        raise sqlite3.DatabaseError("a row that is not what was written")
    return [Row(each[0], each[1] or "", each[2], each[3], header) for each, header in zip(found, headers, strict=True)]


def _parsed(text: str) -> list[dict[str, Any]]:
    try:
        headers = json.loads(text)
    except ValueError as error:
        raise sqlite3.DatabaseError("a row that is not what was written") from error
    if not all(isinstance(header, dict) for header in headers):
        raise sqlite3.DatabaseError("a row that is not what was written")
    return list(headers)


def _tags(header: Mapping[str, Any]) -> dict[str, str]:
    tags = header.get("tags") or {}
    return {_storable(str(key)) or "": _storable(str(value)) or "" for key, value in tags.items()}


def _storable(text: str | None) -> str | None:
    """Without halves of surrogate pairs, which UTF-8 does not have."""
    return text if text is None or text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _searchable(text: str) -> str:
    return (_storable(text) or "").translate({ord(mark): " " for mark in HIT})


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode(), 6)


def _unpacked(packed: bytes) -> str:
    return zlib.decompress(packed).decode("utf-8")
