"""search, stats, cost, sql, gc, and rm with forks, over recordings of which some are hostile."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
from importlib import resources
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from playhead.core.clock import wall_ns
from playhead.sessions.index import catalogue
from tests.sessions.tapes import Tape, chat, said

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playhead.journal.store import Store

DAY_NS = 86_400 * 10**9
ONE = (7 * 0.25 + 4 * 0.025 + 7 * 2) / 1e6  # what an answer of `said` costs
ATTACK = "\x1b[2J\x9b31m\u202eexe"


def made(store: Store, session: str, *prompts: str, days: float = 0, seal: bool = True, **changes: Any) -> str:
    """A session begun so many days ago with a model call a prompt; its id."""
    tape = Tape(store, session * 8, created_ns=wall_ns() - int(days * DAY_NS), **changes)
    for prompt in prompts:
        tape.exchange(chat(prompt), said(f"answer to {prompt}"))
    if seal:
        tape.seal()
    else:
        tape.close()
    return tape.id


def validated(document: Any, schema: str) -> Any:
    text = resources.files("playhead.cli").joinpath("schemas", f"{schema}.json").read_text("utf-8")
    jsonschema.validate(document, json.loads(text))
    return document


def bytes_of(store: Store, marker: str) -> list[Path]:
    """Files of the store that hold it."""
    return [p for p in store.root.rglob("*") if p.is_file() and marker.encode() in p.read_bytes()]


def test_search_shows_where_and_marks_what(store: Store, run: Callable[..., Any]) -> None:
    """Newest first; the address to inspect; the JSON is the schema's and tells where the words stand."""
    made(store, "11", "refund order 8821", days=1, name="older")
    made(store, "22", "other", "refund now", name="newer")
    ran = run("search", "refund*")
    assert (ran.code, ran.err) == (0, "")
    assert [line.split()[0] for line in ran.out.splitlines() if not line.startswith(" ")] == [
        "22222222:2",
        "11111111:1",
    ]
    assert "refund order 8821" in ran.out
    found = validated(json.loads(run("search", '"order 8821"', "--json").out), "search")
    (hit,) = found
    assert (hit["session"], hit["step"], hit["name"]) == ("11" * 8, 1, "older")
    assert {hit["snippet"][start:end] for start, end in hit["hits"]} <= {"order 8821", "order", "8821"}
    assert len(json.loads(run("search", "answer", "--limit", "2", "--json").out)) == 2
    nothing = run("search", "nowhere")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "No step has that.\n")
    assert run("search", "*").code == 2


def test_no_answer_gives_orders_to_a_terminal(store: Store, run: Callable[..., Any]) -> None:
    """Prompts, names, tags and models that attack it come out visible, in tables, CSV and JSON."""
    tape = Tape(store, name=f"n{ATTACK}", tags={ATTACK: ATTACK}, created_ns=wall_ns())
    tape.exchange(chat(f"word {ATTACK}", model=ATTACK), said(ATTACK))
    tape.seal()
    for line in (
        ("search", "word"),
        ("stats", "--by", "name"),
        ("stats", "--by", "tag"),
        ("cost", "last"),
        ("sql", "SELECT * FROM tags"),
        ("sql", "SELECT name FROM sessions"),
        ("gc", "--older-than", "0s", "--dry-run"),
    ):
        for more in ((), ("--json",)):
            ran = run(*line, *more)
            if more and line[0] == "cost":
                json.loads(ran.out)
            assert ran.code == 0, ran.err
            assert not set(ran.out + ran.err) & {"\x1b", "\x9b", "\u202e"}, line


def test_stats_by_everything(store: Store, run: Callable[..., Any]) -> None:
    """Days, models, providers, names, tags; the total counts each session once; days outside are left out."""
    made(store, "11", "a", "b", name="x", tags={"team": "red", "env": "ci"})
    made(store, "22", "c", name="y", tags={"team": "blue"}, days=3)
    made(store, "33", "d", name="y", days=50)
    whole = validated(json.loads(run("stats", "--json").out), "stats")
    assert (whole["by"], whole["days"]) == (["model"], 30)
    (group,) = whole["groups"]
    assert (group["provider"], group["model"]) == ("openai", "gpt-5-mini-2026-01-01")
    assert (group["sessions"], group["calls"], group["errors"], group["error_rate"]) == (2, 3, 0, 0)
    assert group["usage"] == {
        "input_tokens": 33,
        "cached_input_tokens": 12,
        "cache_write_tokens": None,
        "output_tokens": 21,
        "reasoning_tokens": None,
    }
    assert group["cost_usd"] == pytest.approx(3 * ONE)
    assert whole["total"]["sessions"] == 2

    def calls(*options: str) -> dict[tuple[str, ...], int]:
        document = validated(json.loads(run("stats", "--json", *options).out), "stats")
        labels = ("name", "key", "value", "provider")
        return {tuple(g[label] for label in labels if label in g): g["calls"] for g in document["groups"]}

    assert calls("--by", "name") == {("x",): 2, ("y",): 1}
    assert calls("--by", "name", "--days", "90") == {("x",): 2, ("y",): 2}
    assert calls("--by", "tag") == {("team", "red"): 2, ("env", "ci"): 2, ("team", "blue"): 1}
    assert calls("--by", "provider") == {("openai",): 3}
    daily = json.loads(run("stats", "--json", "--by", "day", "--by", "name").out)["groups"]
    assert [(g["name"], g["calls"]) for g in daily] == [("x", 2), ("y", 1)]
    assert daily[0]["day"] > daily[1]["day"]
    table = run("stats", "--by", "day").out.splitlines()
    assert table[0].split()[:3] == ["DAY", "SESSIONS", "CALLS"]
    assert table[-1].split()[:3] == ["total", "2", "3"]
    assert run("stats", "--by", "name", "--by", "tag").code == 2
    assert run("stats", "--days", "0").code == 2


def test_stats_says_what_it_does_not_know(store: Store, run: Callable[..., Any]) -> None:
    """Errors, calls without a price, an empty store."""
    empty = run("stats")
    assert (empty.code, empty.out) == (0, "")
    tape = Tape(store, created_ns=wall_ns())
    tape.exchange(chat("x"), said("y"))
    tape.exchange(chat("x"), b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    tape.exchange(chat("x", model="own"), said("y").replace(b"gpt-5-mini-2026-01-01", b"own-model-of-our-lab1"))
    tape.seal()
    (group,) = json.loads(run("stats", "--by", "provider", "--json").out)["groups"]
    assert (group["calls"], group["errors"], group["unpriced_calls"]) == (3, 1, 1)
    assert group["cost_usd"] == pytest.approx(ONE)
    assert "+?" in run("stats", "--by", "provider").out
    assert "33.3%" in run("stats", "--by", "provider").out


def test_a_failed_call_that_has_a_price_hides_none_that_is_missing(store: Store, run: Callable[..., Any]) -> None:
    """An error that told its tokens is paid; an answer of a model that is not listed still makes the sum a lower bound,
    and a refusal without tokens does not."""
    paid = Tape(store, created_ns=wall_ns())
    paid.exchange(chat("x"), said("y", status="500 No"))
    paid.exchange(chat("x"), b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n")
    paid.seal()
    (group,) = json.loads(run("stats", "--by", "provider", "--json").out)["groups"]
    assert (group["calls"], group["errors"], group["unpriced_calls"], group["cost_usd"]) == (
        2,
        2,
        0,
        pytest.approx(ONE),
    )
    assert "+?" not in run("stats", "--by", "provider").out
    owed = Tape(store, "22" * 8, created_ns=wall_ns())
    owed.exchange(chat("x", model="own"), said("y").replace(b"gpt-5-mini-2026-01-01", b"own-model-of-our-lab1"))
    owed.seal()
    (group,) = json.loads(run("stats", "--by", "provider", "--json").out)["groups"]
    assert (group["calls"], group["errors"], group["unpriced_calls"], group["cost_usd"]) == (
        3,
        2,
        1,
        pytest.approx(ONE),
    )
    assert "+?" in run("stats", "--by", "provider").out


def test_the_ledger_of_a_recording_and_of_a_fork(store: Store, run: Callable[..., Any]) -> None:
    """CONTRACT's keys; a recording is its own original; a fork is beside its parent; a parent that is gone is null."""
    parent = made(store, "11", "a", "b", "c", "d")
    made(store, "22", "a", parent=parent)
    own = json.loads(run("cost", "1111", "--json").out)
    assert set(own) == {"session", "usage", "cost_usd", "original", "saved"}
    assert own["cost_usd"] == pytest.approx(4 * ONE)
    assert own["original"]["cost_usd"] == own["cost_usd"]
    assert own["saved"] == {"tokens": 0, "cost_usd": 0, "seconds": 0, "percent": 0}
    fork = json.loads(run("cost", "2222", "--json").out)
    assert fork["original"]["usage"]["input_tokens"] == 44
    assert fork["saved"]["tokens"] == 3 * 18
    assert fork["saved"]["cost_usd"] == pytest.approx(3 * ONE)
    assert fork["saved"]["percent"] == 75
    assert "75 %" in run("cost", "2222").out
    assert run("rm", "1111").code == 0
    ran = run("cost", "2222", "--json")
    assert json.loads(ran.out)["original"] == {"usage": None, "cost_usd": None, "duration_s": None}
    assert "11111111" in ran.err
    outside = store.root.parent / "copy.tape"
    outside.write_bytes(store.path("22" * 8).read_bytes())
    assert json.loads(run("cost", outside, "--json").out)["cost_usd"] == pytest.approx(ONE)


def test_sql_asks_sessions_steps_and_tags(store: Store, run: Callable[..., Any]) -> None:
    """Table, JSON, CSV; nulls, quotes, newlines and empty texts survive; times are times."""
    odd = 'a "quoted", odd\nvalue'
    made(store, "11", "x", "y", name="n", tags={"k": odd, "empty": ""})
    made(store, "22", days=1)
    rows = validated(json.loads(run("sql", "SELECT * FROM sessions ORDER BY created", "--json").out), "sql")
    assert [row["session"] for row in rows] == ["22" * 8, "11" * 8]
    assert (rows[0]["name"], rows[0]["cost_usd"], rows[0]["llm_calls"]) == (None, None, 0)
    assert (rows[1]["name"], rows[1]["steps"], rows[1]["input_tokens"]) == ("n", 2, 22)
    assert rows[1]["cost_usd"] == pytest.approx(2 * ONE)
    tags = json.loads(run("sql", "SELECT key, value FROM tags ORDER BY key", "--json").out)
    assert tags == [{"key": "empty", "value": ""}, {"key": "k", "value": odd}]
    text = run("sql", "SELECT value, 1.5 AS half, NULL AS nothing FROM tags ORDER BY key", "--csv").out
    assert list(csv.reader(io.StringIO(text))) == [["value", "half", "nothing"], ["", "1.5", ""], [odd, "1.5", ""]]
    query = "SELECT model, count(*) AS n, median(s.duration_s) >= 0 AS ok FROM steps s JOIN sessions USING (session) GROUP BY 1"
    assert json.loads(run("sql", query, "--json").out) == [{"model": "gpt-5-mini-2026-01-01", "n": 2, "ok": True}]
    assert "gpt-5-mini" in run("sql", "FROM steps").out
    assert json.loads(run("sql", "SELECT 1 AS a, 1.5 AS a", "--json").out) == [{"a": 1, "a_2": 1.5}]
    assert "input_tokens" in run("sql", "DESCRIBE steps").out
    assert json.loads(run("sql", "SELECT * FROM steps WHERE false", "--json").out) == []


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM sessions",
        "SELECT 1; SELECT 2",
        "COPY sessions TO '{out}'",
        "ATTACH '{catalogue}' AS c",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_csv('https://example.com/x.csv')",
        "INSTALL httpfs",
        "LOAD sqlite",
        "SET enable_external_access = true",
        "PRAGMA enable_external_access = true",
        "SELECT * FROM wall_ns",
        "CALL pragma_version()",
        "EXPORT DATABASE '{out}'",
        "SELECT nonsense FROM steps",
        "",
        "\x00",
    ],
)
def test_sql_reads_and_does_nothing_else(store: Store, run: Callable[..., Any], tmp_path: Path, query: str) -> None:
    """No file, no address, no extension, no setting, no variable of ours, no second statement; exit 2, in words."""
    made(store, "11", "x")
    secret = tmp_path / "secret.csv"
    secret.write_text("a\nforbidden-4711\n")
    out = tmp_path / "out"
    ran = run("sql", query.format(out=out, catalogue=store.root / "catalogue.db", secret=secret))
    assert (ran.code, ran.out) == (2, ""), ran.err
    assert "error[bad-sql]" in ran.err
    assert "forbidden-4711" not in ran.err.replace(query, "")
    assert not out.exists()
    assert len(json.loads(run("list", "--json").out)) == 1


def test_a_recorder_writes_while_sql_has_the_rows(store: Store) -> None:
    """The rows are read in a transaction that locks nobody out, and none stays open while a query runs."""
    from playhead.sessions.warehouse import warehouse

    made(store, "11", "x")
    with catalogue(store) as index, warehouse(index, "SELECT * FROM steps") as house:
        writer = sqlite3.connect(store.root / "catalogue.db", timeout=0, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM steps")
        writer.execute("COMMIT")
        assert writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        writer.close()
        _, rows = house.ask("SELECT step FROM steps")
        assert list(rows) == [(1,)]


def test_sql_without_duckdb_names_the_extra(
    store: Store, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra: the error says how to get it."""
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    ran = run("sql", "SELECT 1")
    assert ran.code == 2
    assert "playhead[sql]" in ran.err


def test_gc_takes_the_old_and_then_the_many(store: Store, run: Callable[..., Any]) -> None:
    """By age, then the oldest until the rest fits; the dry run does nothing; what is being written stays."""
    ids = [made(store, f"{n}{n}", "hello " * 300, days=10 * n) for n in range(1, 5)]
    tape = Tape(store, "ee" * 8, created_ns=wall_ns() - 100 * DAY_NS)
    plan = validated(json.loads(run("gc", "--older-than", "35d", "--dry-run", "--json").out), "gc")
    assert ([each["session"] for each in plan["deleted"]], plan["dry_run"], plan["kept"]) == ([ids[3]], True, 3)
    assert len(list(store.ids())) == 5
    size = sum(store.path(session).stat().st_size for session in ids[:2])
    done = json.loads(run("gc", "--older-than", "35d", "--max-size", str(size), "--json").out)
    assert [each["session"] for each in done["deleted"]] == [ids[3], ids[2]]
    assert done["kept_bytes"] + done["compressed_bytes"] == size
    assert set(store.ids()) == {ids[0], ids[1], tape.id}
    tape.close()
    assert run("gc", "--max-size", "0").code == 0
    assert list(store.ids()) == []
    assert run("gc", "--max-size", "much").code == 2
    assert run("gc", "--older-than", "yore").code == 2


def test_gc_without_limits_deletes_nothing_and_tidies(store: Store, run: Callable[..., Any]) -> None:
    """Leftovers of killed recorders become files that say the same; a killed sealing's rest goes; damage is left alone."""
    killed = made(store, "11", "swallow", seal=False)
    broken = made(store, "22", "x", seal=False)
    segment = store.sessions / f"{broken}.tape.d" / "engine.seg"
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(bytes(data))
    rest = store.sessions / f".{killed}.tape.99"
    rest.write_text("half")
    os.utime(rest, (0, 0))
    before = run("inspect", killed, "--json").out
    plan = json.loads(run("gc", "--dry-run", "--json").out)
    assert (plan["sealed"], plan["deleted"], rest.exists()) == ([killed], [], True)
    ran = json.loads(run("gc", "--json").out)
    assert (ran["sealed"], ran["deleted"], rest.exists()) == ([killed], [], False)
    assert store.path(killed).is_file()
    assert store.path(broken).is_dir()
    assert ran["kept_bytes"] == sum(p.stat().st_size for p in store.sessions.rglob("*") if p.is_file())
    assert run("inspect", killed, "--json").out == before
    assert len(json.loads(run("search", "swallow", "--json").out)) == 1


def test_gc_compresses_what_was_sealed_in_haste(store: Store, run: Callable[..., Any]) -> None:
    """Smaller, and the same to whoever reads it; a second time there is nothing to do."""
    session = made(store, "11", *("a long question about a small matter " * 40 + str(n) for n in range(30)), seal=False)
    store.seal(session, level=1)
    size = store.path(session).stat().st_size
    before = run("inspect", session, "--json").out
    assert json.loads(run("gc", "--dry-run", "--json").out)["compressed_bytes"] == 0
    done = validated(json.loads(run("gc", "--json").out), "gc")
    assert 0 < done["compressed_bytes"] == size - store.path(session).stat().st_size
    assert run("inspect", session, "--json").out == before
    assert json.loads(run("gc", "--json").out)["compressed_bytes"] == 0


def test_gc_reindex_makes_the_catalogue_again(store: Store, run: Callable[..., Any]) -> None:
    """From the recordings; the dry run leaves it."""
    made(store, "11", "x")
    with catalogue(store) as index:
        index._db.execute("UPDATE sessions SET name = 'wrong'")
    assert run("gc", "--reindex", "--dry-run").code == 0
    assert json.loads(run("list", "--json").out)
    with catalogue(store) as index:
        assert index.newest()[0].name == "wrong"
    assert "indexed 1 sessions" in run("gc", "--reindex").out
    with catalogue(store) as index:
        assert index.newest()[0].name == ""


def test_rm_names_the_forks_that_still_hold_it(store: Store, run: Callable[..., Any]) -> None:
    """And --forks takes them, and those forked from them, and only those: then no byte is left in the store."""
    marker = "zqxplanted4711marker"
    parent = made(store, "11", f"tell {marker} twice", name=marker, tags={"m": marker})
    child = made(store, "22", f"tell {marker} twice", parent=parent, name="child")
    grandchild = made(store, "33", marker, parent=child)
    made(store, "44", "nothing of it")
    assert json.loads(run("search", marker, "--json").out)
    ran = run("rm", parent)
    assert (ran.code, ran.out) == (0, f"deleted {parent}\n")
    assert child in ran.err
    assert grandchild in ran.err
    assert "44444444" not in ran.err
    assert {p.name for p in bytes_of(store, marker)} >= {"catalogue.db"}  # the forks are indexed by their words
    again = made(store, "11", marker, name=marker)
    ran = run("rm", again, "--forks")
    assert (ran.code, set(ran.out.split()) - {"deleted"}) == (0, {parent, child, grandchild})
    assert bytes_of(store, marker) == []
    assert bytes_of(store, "zqxplanted") == []
    assert [s["session"] for s in json.loads(run("list", "--json").out)] == ["44" * 8]
    assert json.loads(run("search", marker, "--json").out) == []
    assert [g["name"] for g in json.loads(run("stats", "--by", "name", "--json").out)["groups"]] == []


def test_rm_forks_leaves_all_when_one_is_being_written(store: Store, run: Callable[..., Any]) -> None:
    """All or none."""
    parent = made(store, "11", "x")
    tape = Tape(store, "22" * 8, parent=parent)
    assert run("rm", parent, "--forks").code == 2
    assert len(list(store.ids())) == 2
    tape.close()
    assert run("rm", parent, "--forks").code == 0
    assert list(store.ids()) == []


def test_list_and_inspect_show_the_cost(store: Store, run: Callable[..., Any]) -> None:
    """In tables and in JSON, of the session and of each step; `-` where none is known."""
    made(store, "11", "a", "b")
    assert json.loads(run("list", "--json").out)[0]["cost_usd"] == pytest.approx(2 * ONE)
    assert "$0.000032" in run("list").out
    whole = json.loads(run("inspect", "last", "--json").out)
    assert [s["cost_usd"] for s in whole["steps"]] == [pytest.approx(ONE)] * 2
    assert json.loads(run("inspect", "last:1", "--json").out)["cost_usd"] == pytest.approx(ONE)
    assert "$0.000016" in run("inspect", "last:1").out
    made(store, "22")
    assert json.loads(run("list", "--json", "--limit", "1").out)[0]["cost_usd"] is None


def test_list_loads_nothing_that_it_does_not_need(store: Store) -> None:
    """No table printer, no price list, no reader of recordings: it starts as fast as it answers."""
    made(store, "11", "x")
    with catalogue(store):
        pass
    os.utime(store.sessions, (0, 0))  # nothing has moved there for long
    program = """
import sys
from playhead.cli.main import main
try:
    main(["list"])
except SystemExit as stop:
    assert not stop.code
heavy = {"rich", "genai_prices", "pydantic", "zstandard", "playhead.journal.sealed", "playhead.sessions.reader"}
print(sorted(heavy & sys.modules.keys()), file=sys.stderr)
"""
    environment = {**os.environ, "PLAYHEAD_STORE": str(store.root)}
    for _ in range(2):  # the first sees that nothing has changed, and remembers it
        ran = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
    assert "11111111" in ran.stdout
    assert ran.stderr == "[]\n"
