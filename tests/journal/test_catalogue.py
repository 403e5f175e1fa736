"""The catalogue: an index that may be lost, damaged or shared by many processes."""

from __future__ import annotations

import json
import sqlite3
import stat
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.journal.catalogue import SCHEMA, Catalogue, Entry, Row, StepRow
from playhead.journal.tally import DAY_NS
from tests.support.crowd import crowd

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
    crowd(5, _WORKER, path)
    with Catalogue(path) as index:
        rows = index.newest()
    expected = {f"{w * 1000 + t:016x}" for w in range(1, 5) for t in range(12) if t % 4 != 2}
    assert {r.id for r in rows} == expected
    assert all(json.dumps(r.header) for r in rows)


def step(number: int, text: str = "", **more: Any) -> StepRow:
    values: dict[str, Any] = {
        "kind": "llm",
        "lane": "main",
        "provider": "openai",
        "model": "gpt",
        "title": text[:20],
        "started_ns": number * 10**9,
        "duration_s": 1.0,
        "ttft_s": 0.1,
        "status": "ok",
        "tokens": (10, 5, None, 3, None),
        "cost_usd": 0.001,
        "stop_reason": "stop",
    }
    return StepRow(number, **{**values, **more}, text=text)


_WORDS = ["alpha", "beta", "gamma", "delta"]
_STEPS = st.builds(
    lambda number, word, model, status, cost, day: step(
        number,
        word,
        model=model,
        status=status,
        cost_usd=cost,
        started_ns=day * 86_400 * 10**9,
        kind="llm" if model else "http",
    ),
    st.integers(1, 5),
    st.sampled_from(_WORDS),
    st.sampled_from(["a", "b", None]),
    st.sampled_from(["ok", "error"]),
    st.one_of(st.none(), st.floats(0, 10)),
    st.integers(0, 3),
)
_ENTRIES = st.builds(
    lambda number, name, status, tag, steps: Entry(
        row(number, name=name, status=status, tags={"t": tag}), list({s.step: s for s in steps}.values())
    ),
    st.integers(1, 4),
    st.sampled_from(["x", "y", ""]),
    st.sampled_from(["ok", "failed", "open"]),
    st.sampled_from(["1", "2"]),
    st.lists(_STEPS, max_size=4),
)


def contents(index: Catalogue) -> Any:
    """All that can be asked."""
    sums = {by: index.tallied(by, daily=True) for by in ("day", "provider", "model", "name", "tag")}
    hits = {word: {(h.session, h.step) for h in index.search(word, limit=99)} for word in _WORDS}
    return sums, hits, index.newest(), [index.newest(tags=[("t", tag)]) for tag in "12"]


@given(st.lists(st.one_of(_ENTRIES, st.integers(1, 4)), max_size=12))
def test_any_history_leaves_what_is_left(history: list[Any]) -> None:
    """Sessions put, put again and forgotten in any order: sums, words and lists are those of one made anew from what
    remains, to the last digit."""
    with Catalogue(None) as lived, Catalogue(None) as fresh:
        remaining: dict[str, Entry] = {}
        for event in history:
            if isinstance(event, Entry):
                lived.put(event)
                remaining[event.row.id] = event
            else:
                lived.forget(row(event).id)
                remaining.pop(row(event).id, None)
        fresh.put(*remaining.values())
        assert contents(lived) == contents(fresh)
        lived.compact()
        assert contents(lived) == contents(fresh)


@given(st.lists(st.integers(0, 200), min_size=1, max_size=12), st.integers(0, 210), st.integers(0, 11))
def test_sums_over_days_are_those_of_their_days(days: list[int], since: int, gone: int) -> None:
    """From whatever day on: also where whole blocks of days are read instead, and after a session was taken out."""
    with Catalogue(None) as index:
        for number, day in enumerate(days):
            index.put(Entry(row(number)._replace(created_ns=day * DAY_NS), [step(1, started_ns=(day + 1) * DAY_NS)]))
        index.forget(f"{gone:016x}")
        for by in ("day", "model"):
            each: dict[Any, int] = {}
            for (day, *place), tally in index.tallied(by, daily=True, since_day=since).items():
                assert day >= since
                each[tuple(place)] = each.get(tuple(place), 0) + tally.lanes
            assert {place: tally.lanes for place, tally in index.tallied(by, since_day=since).items()} == each


def test_what_is_scrubbed_is_in_no_byte(path: Path) -> None:
    """Words of steps too: in the text, the index of words, the log; one word that begins like others, and one alone."""
    marker, twin = "zqxplantedmarker4711", "zqxplantedmarker"
    noise = [step(n, " ".join(f"w{n * k % 9973}" for k in range(1, 300))) for n in range(1, 40)]
    with Catalogue(path) as index:
        for number in range(12):
            index.put(Entry(row(number, name=f"n{number}"), noise))
        index.put(Entry(row(99), [step(1, f"{marker} {twin}", title=marker, model=marker, provider=marker)]))
        assert index.search(marker)
        files = list(path.parent.iterdir())
        assert any(marker.encode() in p.read_bytes() for p in files)
        index.forget(row(99).id)
        assert index.scrub()
        held = b"".join(p.read_bytes() for p in path.parent.iterdir())
        assert twin.encode() not in held
        assert b"plantedmarker" not in held  # nor behind the letters that it shares with its neighbour
        assert index.search("zqx*") == []
        assert len(index.search("w9*", limit=1000)) > 0


def test_a_text_that_is_not_what_was_written_is_damage(path: Path) -> None:
    """And no full disk: a catalogue that is damaged is made again, one that cannot be written is not."""
    with Catalogue(path) as index:
        index.put(Entry(row(1), [step(1, "alpha")]))
        index.read("UPDATE texts SET packed = x'0011'")
        for act in (lambda: index.forget(row(1).id), lambda: index.search("alpha")):
            with pytest.raises(sqlite3.DatabaseError) as caught:
                act()
            assert not isinstance(caught.value, sqlite3.OperationalError)


def test_a_reader_that_holds_on_keeps_the_log_and_scrub_says_so(path: Path) -> None:
    """False while it reads; once it has done, the next scrub finishes, although nothing more was forgotten."""
    with Catalogue(path) as index:
        index.put(Entry(row(1), [step(1, "alpha")]))
        index.put(Entry(row(2), [step(1, "beta")]))
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sessions").fetchone()
        index._db.execute("PRAGMA busy_timeout = 50")
        index.forget(row(1).id)
        assert not index.scrub()
        reader.execute("COMMIT")
        reader.close()
        assert index.scrub()
        assert path.with_name(path.name + "-wal").stat().st_size == 0


def test_whatever_a_recording_claims_it_is_stored(path: Path) -> None:
    """Halves of characters, the marks of a hit, NULs, absurd counts: nothing is damage, and nothing is a false hit."""
    odd = "\ud83d \x01fake\x02 \x00 alpha"
    absurd = step(1, odd, title=odd, model=odd, provider=odd, tokens=((1 << 31) - 1,) * 5, cost_usd=1e6, lane=odd)
    with Catalogue(path) as index:
        for number in range(200):
            index.put(Entry(row(number, name=odd, tags={odd: odd}), [absurd]))
        (hit,) = index.search("alpha", limit=1)
        assert hit.snippet.count("\x01") == 1
        assert "\x01alpha\x02" in hit.snippet
        assert sum(t["calls"] for t in index.tallied("name").values()) == 200
        index.forget(*(row(number).id for number in range(200)))
        assert index.tallied("day") == {}


def test_descendants_are_found_over_generations(path: Path) -> None:
    """Forks of forks, not the session itself, and no endless walk in a recording that claims to be its own parent."""
    with Catalogue(path) as index:
        parents = {2: 1, 3: 2, 4: 1, 5: 9, 6: 7, 7: 6}
        for number in range(1, 8):
            index.put(Entry(row(number, parent=f"{parents[number]:016x}" if number in parents else None)))
        assert [r.created_ns for r in index.descendants(row(1).id)] == [4, 3, 2]
        assert [r.created_ns for r in index.descendants(row(2).id)] == [3]
        assert index.descendants(row(3).id) == []
        assert [r.created_ns for r in index.descendants(row(6).id)] == [7]


def test_costs_of_a_session_by_step(path: Path) -> None:
    """Of that session only; of one that is not indexed none."""
    with Catalogue(path) as index:
        index.put(Entry(row(1), [step(1), step(2, cost_usd=None)]), Entry(row(2), [step(7)]))
        assert index.costs(row(1).id) == {1: 0.001, 2: None}
        assert index.costs(row(3).id) == {}
