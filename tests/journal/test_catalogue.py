"""The catalogue: an index that may be lost, damaged or shared by many processes."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from playhead.journal.catalogue import SCHEMA, Catalogue, Entry, Row

if TYPE_CHECKING:
    from pathlib import Path


def row(number: int, **header: Any) -> Row:
    return Row(f"{number:016x}", header.pop("name", ""), number, header.pop("status", "ok"), header)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.db"


def test_rows_come_back_newest_first_by_every_filter(path: Path) -> None:
    """Name, prefix, status, time, tags (all of them), limit and offset."""
    rows = [
        row(1, name="a", tags={"team": "x", "run": "1"}),
        row(2, name="b", status="failed", tags={"team": "x"}),
        row(3, name="a", tags={"team": "y"}),
        Row("ab" * 8, "c", 4, "ok", {}),
    ]
    with Catalogue(path) as index:
        for each in rows:
            index.put(Entry(each))
        first, second, third, last = rows

        def ids(**conditions: Any) -> list[str]:
            return [r.id for r in index.newest(**conditions)]

        assert index.newest() == [last, third, second, first]
        assert ids(limit=2, offset=1) == [third.id, second.id]
        assert ids(name="a") == [third.id, first.id]
        assert ids(prefix="ab") == [last.id]
        assert ids(status="failed") == [second.id]
        assert ids(since_ns=2) == [last.id, third.id, second.id]
        assert ids(tags=[("team", "x")]) == [second.id, first.id]
        assert ids(tags=[("team", "x"), ("run", "1")]) == [first.id]
        assert ids(name="' OR 1=1 --") == []
        assert index.ids() == {r.id for r in rows}


def test_a_row_put_again_replaces_its_tags(path: Path) -> None:
    """No tag of the earlier row is found."""
    with Catalogue(path) as index:
        index.put(Entry(row(1, tags={"a": "1", "b": "2"})))
        index.put(Entry(row(1, tags={"a": "3"})))
        assert index.newest(tags=[("b", "2")]) == []
        assert index.newest(tags=[("a", "1")]) == []
        assert len(index.newest(tags=[("a", "3")])) == 1


def test_only_its_owner_may_read_it(path: Path) -> None:
    """0600, its write-ahead log too."""
    with Catalogue(path) as index:
        index.put(Entry(row(1)))
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_a_forgotten_row_is_overwritten_in_every_file(path: Path) -> None:
    """Its text is in no byte of the database, its log or its shared memory, while the catalogue is still open."""
    marker = "marker-4711-in-name-tag-and-command"
    with Catalogue(path) as index:
        for number in range(50):
            index.put(Entry(row(number, name=f"n{number}", command=["x" * 400])))
        index.put(Entry(row(99, name=marker, command=[marker] * 200, tags={marker: marker})))
        assert any(marker.encode() in p.read_bytes() for p in path.parent.iterdir())
        index.forget(row(99).id)
        assert index.scrub()
        assert not any(marker.encode() in p.read_bytes() for p in path.parent.iterdir())
        assert len(index.newest()) == 50


@pytest.mark.parametrize("damage", ["garbage", "empty", "header", "another schema", "truncated"])
def test_a_catalogue_that_cannot_be_used_is_made_again(path: Path, damage: str) -> None:
    """Nothing in it is needed: it is new, empty and works."""
    with Catalogue(path) as index:
        index.put(Entry(row(1)))
    data = path.read_bytes()
    if damage == "another schema":
        db = sqlite3.connect(path)
        db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
        db.close()
    else:
        path.write_bytes(
            {"garbage": b"\xff" * 5000, "empty": b"", "header": b"x" * 16 + data[16:], "truncated": data[:50]}[damage]
        )
    with Catalogue(path) as index:
        assert index.is_new
        assert index.newest() == []
        index.put(Entry(row(2)))
        assert [r.id for r in index.newest()] == [row(2).id]


def test_one_that_is_whole_is_not_new(path: Path) -> None:
    """Only a catalogue that was made just now asks to be filled."""
    with Catalogue(path) as index:
        assert index.is_new
    with Catalogue(path) as index:
        assert not index.is_new


_WORKER = """
import sys
from pathlib import Path
from playhead.journal.catalogue import Catalogue, Entry, Row
path, worker = Path(sys.argv[1]), int(sys.argv[2])
sys.stdin.readline()
for turn in range(12):
    with Catalogue(path) as index:
        if worker:
            number = worker * 1000 + turn
            index.put(Entry(Row(f"{number:016x}", "n", number, "ok", {"tags": {"worker": str(worker)}, "pad": "x" * 500})))
            if turn % 4 == 3:
                index.forget(f"{number - 1:016x}")
        else:
            assert all(r.header["tags"] for r in index.newest())
"""


def test_four_recorders_and_a_lister_share_it_from_the_first_moment(path: Path) -> None:
    """Processes that make, write and read it at once: no error, no lost row, no torn one."""
    pipe = subprocess.PIPE
    workers = [
        subprocess.Popen([sys.executable, "-c", _WORKER, str(path), str(n)], stdin=pipe, stderr=pipe) for n in range(5)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"\n")
        worker.stdin.flush()
    for worker in workers:
        _, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors.decode()
    with Catalogue(path) as index:
        rows = index.newest()
    expected = {f"{w * 1000 + t:016x}" for w in range(1, 5) for t in range(12) if t % 4 != 2}
    assert {r.id for r in rows} == expected
    assert all(json.dumps(r.header) for r in rows)
