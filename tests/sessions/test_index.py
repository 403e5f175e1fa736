"""The catalogue follows the files: whatever happens to them, the next command knows."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from playhead.journal.catalogue import Catalogue
from playhead.journal.store import Store
from playhead.sessions import index as index_module
from playhead.sessions.index import FILE, NAMES, add, catalogue, entry_of
from playhead.sessions.reader import read_recording
from playhead.sessions.session import Session
from tests.sessions.tapes import CREATED_NS, ID, Tape, chat, said
from tests.support.crowd import crowd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def history(*turns: str) -> bytes:
    """A chat request that carries a conversation, user and assistant in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": turn} for at, turn in enumerate(turns)]
    return chat("", messages=messages)


def settled(store: Store) -> None:
    """Let the folder of sessions look as if nothing had changed in it for a while."""
    then = time.time() - 60
    os.utime(store.sessions, (then, then))


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Grows with every listing of the sessions folder."""
    seen: list[int] = []
    whole = Store.listing

    def counted(self: Store) -> bytes:
        seen.append(1)
        return whole(self)

    monkeypatch.setattr(Store, "listing", counted)
    return seen


def test_a_word_is_found_in_the_step_that_brought_it(store: Store) -> None:
    """Later requests carry it again and do not count; an answer that says the same again does."""
    tape = Tape(store)
    tape.exchange(history("please refund"), said("certainly"))
    tape.exchange(history("please refund", "certainly", "thanks"), said("certainly"))
    tape.exchange(history("please refund", "certainly", "thanks", "certainly", "thanks"), said("bye"))
    tape.seal()
    with catalogue(store) as index:
        found = {word: sorted(h.step for h in index.search(word)) for word in ("refund", "certainly", "thanks", "bye")}
    assert found == {"refund": [1], "certainly": [1, 2], "thanks": [2, 3], "bye": [3]}


def test_every_face_of_a_step_is_searched(store: Store) -> None:
    """System prompt, tool names, arguments, results, reasoning, errors, broken connections, plain HTTP both ways."""
    tape = Tape(store)
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    tools = [{"type": "function", "function": {"name": "book_flight", "parameters": {}}}]
    system = {"role": "system", "content": "Be frugal"}
    tape.exchange(
        chat("", messages=[system, {"role": "user", "content": "hot?"}], tools=tools),
        said("looking", tool_calls=[call], reasoning_content="pondering"),
    )
    result = {"role": "tool", "tool_call_id": "c1", "content": "hailstorm"}
    tape.exchange(
        chat("", messages=[result]),
        b'HTTP/1.1 429 No\r\nContent-Length: 38\r\n\r\n{"error": {"message": "quota exceeded"}}',
    )
    body = b'{"warehouse": "north"}'
    tape.exchange(body, b"HTTP/1.1 201 Created\r\nContent-Length: 6\r\n\r\nparcel", path="/shelf", host="shop.example")
    tape.seal()
    words = {
        1: ["frugal", "hot", "book_flight", "looking", "get_weather", "oslo", "pondering"],
        2: ["hailstorm"],
        3: ["warehouse", "north", "parcel", '"shop.example/shelf"', "201"],
    }
    with catalogue(store) as index:
        for step, each in words.items():
            for word in each:
                assert [h.step for h in index.search(word)] == [step], word


def test_the_text_of_long_sessions_grows_with_what_is_new(store: Store) -> None:
    """40 steps that each send all before again: the index holds each message once."""
    tape = Tape(store)
    turns: list[str] = []
    for number in range(40):
        turns += [f"question {number} " + "x" * 200, f"answer {number} " + "y" * 200]
        tape.exchange(history(*turns[:-1]), said(turns[-1]))
    tape.seal()
    entry = entry_of(Session(read_recording(store.path(ID))))
    assert sum(len(step.text) for step in entry.steps) < 1.05 * sum(len(turn) + 1 for turn in turns) + 400


def test_a_killed_recorder_s_session_is_there_with_the_next_command(store: Store) -> None:
    """Steps, words and sums, although nobody indexed it."""
    tape = Tape(store)
    tape.exchange(chat("x"), said("swallow"))
    tape.close()
    with catalogue(store) as index:
        assert [row.status for row in index.newest()] == ["killed"]
        assert [hit.step for hit in index.search("swallow")] == [1]
        assert sum(t["calls"] for t in index.tallied("day").values()) == 1


def test_a_session_that_was_being_written_is_looked_at_again(store: Store, scans: list[int]) -> None:
    """Also when nothing moved in the folder of sessions."""
    tape = Tape(store)
    tape.exchange(chat("x"), said("one"))
    settled(store)
    with catalogue(store) as index:
        assert [row.status for row in index.newest()] == ["open"]
    tape.exchange(chat("x"), said("two"))
    tape.exit()
    tape.close()
    scans.clear()
    with catalogue(store) as index:
        assert [row.status for row in index.newest()] == ["ok"]
        assert [hit.step for hit in index.search("two")] == [2]
    assert scans == []


def test_a_folder_in_which_nothing_moved_is_not_listed_again(store: Store, scans: list[int]) -> None:
    """A store of 100,000 sessions is listed at once. What comes or goes is seen; so is what comes in the same moment."""
    Tape(store).seal()
    with catalogue(store):
        pass
    assert len(scans) == 1
    with catalogue(store):  # the folder has just changed: a file that came since could not be told by its time
        pass
    assert len(scans) == 2
    settled(store)
    for _ in range(3):
        with catalogue(store) as index:
            assert len(index.newest()) == 1
    assert len(scans) == 3
    Tape(store, "11" * 8).seal()
    with catalogue(store) as index:
        assert len(index.newest()) == 2
    settled(store)
    store.path("11" * 8).unlink()
    with catalogue(store) as index:
        assert [row.id for row in index.newest()] == [ID]


def test_few_changes_are_found_without_asking_for_every_row(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came, what went, and what a recorder added itself, beside a file that cannot be read."""
    for number in range(1, 9):
        Tape(store, f"{number:016x}").seal()
    broken = store.sessions / ("ee" * 8 + ".tape")
    broken.write_bytes(b"")
    with catalogue(store) as index:
        assert len(index.newest()) == 8
    monkeypatch.setattr(Catalogue, "ids", lambda _: pytest.fail("every row was read"))
    Tape(store, "aa" * 8).seal()
    Tape(store, "bb" * 8).seal()
    add(store, Session(read_recording(store.path("bb" * 8))))
    store.path(f"{3:016x}").unlink()
    with catalogue(store) as index:
        assert {row.id for row in index.newest()} == {*(f"{n:016x}" for n in (1, 2, 4, 5, 6, 7, 8)), "aa" * 8, "bb" * 8}
    Tape(store, "ee" * 7 + "ef").seal().replace(broken)
    with catalogue(store) as index:
        assert index.knows("ee" * 8)


def test_rows_that_no_listing_ever_named_are_dropped(store: Store) -> None:
    """Indexed by its recorder and deleted by hand before anybody listed it; another is put into its place."""
    Tape(store).seal()
    with catalogue(store):
        pass
    Tape(store, "aa" * 8).seal()
    add(store, Session(read_recording(store.path("aa" * 8))))
    store.path("aa" * 8).unlink()
    with catalogue(store) as index:
        assert [row.id for row in index.newest()] == [ID]


@pytest.mark.parametrize(
    "left", [b"", b"junk", b"1 1/", b"2 22/" + b"11" * 8 + b".tape", b"1 22/" + b"11" * 8 + b".tape"]
)
def test_whatever_the_remembered_names_say_the_rows_are_those_of_the_files(store: Store, left: bytes) -> None:
    """Torn, foreign, of an earlier catalogue: a hint that does not fit is no hint."""
    Tape(store).seal()
    with catalogue(store):
        pass
    (store.root / NAMES).write_bytes(left)
    Tape(store, "aa" * 8).seal()
    with catalogue(store) as index:
        assert {row.id for row in index.newest()} == {ID, "aa" * 8}


def test_a_folder_without_a_header_yet_is_looked_at_until_it_has_one(store: Store) -> None:
    """A recorder that has only just begun changes nothing in the folder of sessions when it writes its header."""
    tape = Tape(store)
    tape.close()
    hidden = tape.folder.parent.parent / "aside"
    launcher = tape.folder / "launcher.seg"
    shutil.move(launcher, hidden)
    settled(store)
    with catalogue(store) as index:
        assert index.newest() == []
    shutil.move(hidden, launcher)
    settled(store)
    with catalogue(store) as index:
        assert [row.id for row in index.newest()] == [ID]


def test_made_anew_it_is_what_it_was(store: Store) -> None:
    """From the files alone, with prices found again."""
    for number in range(1, 4):
        tape = Tape(store, f"{number:016x}", name=f"n{number}", tags={"k": str(number)}, created_ns=CREATED_NS + number)
        tape.exchange(chat("hello"), said("there"))
        tape.seal()
    with catalogue(store) as index:
        before = (index.newest(), index.tallied("tag"), index.tallied("model", daily=True))
        index._db.execute("UPDATE steps SET cost_usd = 9")
    seen: list[int] = []
    with catalogue(store, anew=True, progress=seen.append) as index:
        assert (index.newest(), index.tallied("tag"), index.tallied("model", daily=True)) == before
        assert len(index.search("hello")) == 3
        assert index.costs(f"{1:016x}") == {1: pytest.approx(1.585e-05)}
    assert seen == [3, 2, 1]


def test_an_answer_that_is_fetched_again_is_paid_once(store: Store) -> None:
    """A background answer: its tokens count where they were first told."""
    answer = (
        b'{"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5-mini", "output": [],'
        b' "usage": {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}}'
    )
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer)
    tape = Tape(store)
    tape.exchange(b'{"model": "gpt-5-mini", "input": "x"}', whole, path="/v1/responses")
    for _ in range(2):
        tape.exchange(b"", whole, path="/v1/responses/resp_1", method="GET")
    tape.seal()
    session = Session(read_recording(store.path(ID)))
    assert session.cost_usd == pytest.approx((1000 * 0.25 + 100 * 2) / 1e6)
    assert list(session.costs.values()) == [session.cost_usd, 0.0, 0.0]
    with catalogue(store) as index:
        (tally,) = index.tallied("model").values()
        assert tally["input_tokens"] == 1000
        assert tally.cost_usd == pytest.approx(session.cost_usd)


def test_one_unknown_price_makes_the_sum_unknown(store: Store) -> None:
    """Not so a call that failed before it used anything, nor plain HTTP."""
    tape = Tape(store)
    tape.exchange(chat("x"), said("y"))
    tape.exchange(chat("x"), b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n")
    tape.exchange(b"", b"HTTP/1.1 204 No\r\n\r\n", path="/a", method="GET", host="shop.example")
    tape.seal()
    assert Session(read_recording(store.path(ID))).cost_usd == pytest.approx(1.585e-05)
    other = Tape(store, "11" * 8)
    other.exchange(chat("x"), said("y"))
    other.exchange(
        b'{"model": "m", "prompt": "x"}',
        b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"response": "y"}',
        path="/api/generate",
    )
    other.seal()
    assert Session(read_recording(store.path("11" * 8))).cost_usd is None


def test_adding_a_session_does_not_list_the_store(store: Store, scans: list[int]) -> None:
    """The end of a recording costs the same in a store of any size."""
    tape = Tape(store)
    tape.seal()
    add(store, Session(read_recording(store.path(ID))))
    assert scans == []
    with Catalogue(store.root / FILE) as index:
        assert [row.id for row in index.newest()] == [ID]


def test_known_costs_are_taken_instead_of_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By inspect and replay, which would load a price list; not when they are of another number of steps."""
    tape = Tape(store)
    tape.exchange(chat("x"), said("y"))
    tape.seal()
    with catalogue(store) as index:
        index._db.execute("UPDATE steps SET cost_usd = 9")
    session = Session(read_recording(store.path(ID)))
    index_module.know_costs(store, session)
    assert session.cost_usd == 9
    fresh = Session(read_recording(store.path(ID)))
    fresh.know_costs({1: 9.0, 2: 9.0})
    assert fresh.cost_usd == pytest.approx(1.585e-05)


_RECORDER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from playhead.journal.store import Store
from playhead.sessions.index import add, catalogue
from playhead.sessions.reader import read_recording
from playhead.sessions.session import Session
from tests.sessions.tapes import Tape, chat, said
store, worker = Store.open(Path(sys.argv[1])), int(sys.argv[2])
sys.stdin.readline()
for turn in range(8):
    if worker:
        name = f"{worker:08x}{turn:08x}"
        tape = Tape(store, name, name=f"w{worker}", tags={"turn": str(turn)})
        tape.exchange(chat(f"hello {worker}"), said("common"))
        tape.seal()
        add(store, Session(read_recording(store.path(name))))
    else:
        with catalogue(store) as index:
            rows = index.newest(limit=50)
            index.search("common")
            index.tallied("model")
            assert all(row.header["step_count"] in (0, 1) for row in rows)
"""


def test_four_recorders_and_a_lister_at_once(store: Store, tmp_path: Path) -> None:
    """Processes that record and index while one lists, searches and sums: no error, nothing missing, sums exact."""
    root = str(index_module.__file__).rsplit("/src/", 1)[0]
    crowd(5, _RECORDER, store.root, root)
    with catalogue(store) as index:
        assert len(index.newest()) == 32
        assert len(index.search("common", limit=100)) == 32
        (tally,) = index.tallied("day").values()
        assert (tally["sessions"], tally["calls"]) == (32, 32)
