"""Addresses: every way to point at a session or step, and every way to miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playhead.cassette.opening import open_session
from playhead.core.events import EventKind
from playhead.errors import DamagedRecording, PlayheadError, SessionNotFound, UsageError
from playhead.journal.segment import SegmentWriter
from playhead.journal.store import Store
from playhead.sessions.address import find, split_step
from playhead.sessions.index import catalogue
from playhead.sessions.reader import read_recording
from tests.sessions.tapes import Tape

if TYPE_CHECKING:
    from pathlib import Path

IDS = ["aaaa000000000001", "aaaa000000000002", "bbbb000000000003", "1234000000000004"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Four sessions, oldest first; the first two share their name and the first four digits."""
    store = Store.open(tmp_path / "store")
    for number, (session, name) in enumerate(zip(IDS, ["refund", "refund", "café 7", "bbbb"], strict=True)):
        Tape(store, session, name=name, created_ns=10**18 + number).seal()
    return store


@pytest.mark.parametrize(
    ("address", "session"),
    [
        (IDS[0], IDS[0]),
        ("aaaa000000000002", IDS[1]),
        ("1234", IDS[3]),
        ("1234000", IDS[3]),
        ("refund", IDS[1]),
        ("café 7", IDS[2]),
        ("last", IDS[3]),
        ("last~0", IDS[3]),
        ("last~1", IDS[2]),
        ("last~3", IDS[0]),
        ("bbbb", IDS[3]),  # a name goes before a prefix
        ("bbbb0", IDS[2]),
    ],
)
def test_what_an_address_means(store: Store, address: str, session: str) -> None:
    """Id, prefix, name, last, last~N."""
    found = find(store, address)
    assert (found.id, found.path) == (session, store.path(session))


def test_a_name_that_several_have_is_said(store: Store) -> None:
    """The newest is taken, with a remark; a name of one says nothing."""
    assert find(store, "refund").remark == "2 sessions are named refund; this is the newest, aaaa0000"
    assert find(store, "café 7").remark == ""


def test_a_path_needs_no_import(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file anywhere, with or without a slash in its address."""
    copy = tmp_path / "copy.tape"
    copy.write_bytes(store.path(IDS[0]).read_bytes())
    assert find(store, str(copy)).path == copy
    monkeypatch.chdir(tmp_path)
    assert find(store, "copy.tape").path.resolve() == copy
    assert find(store, "./copy.tape").id == ""
    assert open_session(str(copy), store=store.root).id == IDS[0]


@pytest.mark.parametrize(
    "address", ["cccc", "aaa", "refun", "last~4", "last~999999999", "LAST", "", " ", "*", "aaaa*", "nope"]
)
def test_an_unknown_address_lists_candidates(store: Store, address: str) -> None:
    """The error names sessions that exist, the likely ones first, and what an address may be."""
    with pytest.raises(SessionNotFound) as caught:
        find(store, address)
    error = caught.value
    assert (error.code, error.exit_code) == ("session-not-found", 3)
    assert "2001-09-09T" in error.seen
    assert error.todo == "playhead list"
    if address == "refun":
        assert "refund" in error.seen
        assert "café" not in error.seen


def test_an_ambiguous_prefix_lists_those_it_could_be(store: Store) -> None:
    """Both, and no other."""
    with pytest.raises(SessionNotFound) as caught:
        find(store, "aaaa")
    assert caught.value.code == "session-ambiguous"
    assert caught.value.seen.count("aaaa0000") == 2
    assert "bbbb" not in caught.value.seen


def test_an_empty_store_says_how_to_record(tmp_path: Path) -> None:
    """Nothing to list."""
    for address in ("last", "abcd", "name"):
        with pytest.raises(SessionNotFound) as caught:
            find(Store.open(tmp_path / "new"), address)
        assert caught.value.seen == "an empty store"
        assert "playhead record" in caught.value.todo


def test_a_missing_file_is_not_found(store: Store) -> None:
    """Said as a file."""
    for address in ("./none.tape", "none.tape", "/nowhere/x", "a/b", "x.rw"):
        with pytest.raises(SessionNotFound, match="no such file"):
            find(store, address)


@pytest.mark.parametrize(
    ("address", "session", "step"),
    [
        ("last", "last", None),
        ("last:4", "last", 4),
        ("refund:12", "refund", 12),
        ("./x.tape:3", "./x.tape", 3),
        ("C:/x.tape", "C:/x.tape", None),
        ("a:b:2", "a:b", 2),
        (":3", ":3", None),
    ],
)
def test_where_the_step_begins(address: str, session: str, step: int | None) -> None:
    """Behind the last colon, if no slash follows it."""
    assert split_step(address) == (session, step)


@pytest.mark.parametrize("address", ["last:", "last:0", "last:-1", "last:x", "last:1.5", "last:²", "last:٣", "last:1 "])
def test_what_is_no_step_is_a_usage_error(address: str) -> None:
    """Only whole numbers from 1, in plain digits."""
    with pytest.raises(UsageError) as caught:
        split_step(address)
    assert (caught.value.code, caught.value.exit_code) == ("bad-step", 2)


def test_a_file_with_a_colon_in_its_name_is_a_file(tmp_path: Path) -> None:
    """What exists is meant as it stands."""
    path = tmp_path / "run:7"
    path.write_bytes(b"")
    assert split_step(str(path)) == (str(path), None)


def test_a_step_with_thousands_of_digits_is_an_error_in_words(store: Store) -> None:
    """And not a limit of Python's."""
    with pytest.raises(UsageError):
        split_step("last:" + "9" * 5000)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    address=st.text(st.characters(), max_size=20)
    | st.text(st.characters(categories=["Cs", "Cc"]), max_size=4)
    | st.from_regex(r"(last|[a-f0-9]{0,17})[~:*?\[\]'\"%;\x00-\x1f]{0,3}", fullmatch=True)
)
def test_any_text_is_found_or_a_playhead_error(store: Store, address: str) -> None:
    """Quotes, wildcards, control characters, NUL: nothing is more than an address."""
    try:
        name, _ = split_step(address)
        find(store, name)
    except PlayheadError as error:
        assert error.todo


def test_a_session_without_a_readable_header_is_found_by_its_file(store: Store) -> None:
    """It has no row and no name; its id still leads to it, so that the error is about it and rm can remove it."""
    folder = store.begin("dead000000000000")
    writer = SegmentWriter(folder / "launcher.seg", "launcher")
    writer.append(EventKind.STDIO, 1, b"x")
    writer.close()
    found = find(store, "dead")
    assert (found.id, found.path) == ("dead000000000000", folder)
    with pytest.raises(DamagedRecording):
        read_recording(found.path)


def test_the_list_follows_the_files(store: Store) -> None:
    """A file that vanished is dropped, one that was put there is taken up, also under another id than it says."""
    store.path(IDS[0]).rename(store.sessions / "cccc000000000009.tape")
    with catalogue(store) as index:
        assert index.ids() == {"cccc000000000009", *IDS[1:]}
    assert find(store, "cccc").path.exists()
    with pytest.raises(SessionNotFound):
        find(store, IDS[0])


def test_a_session_that_was_open_is_looked_at_again(store: Store) -> None:
    """Its status changes with it."""
    tape = Tape(store, "0000000000000007")
    with catalogue(store) as index:
        assert [r.id for r in index.newest(status="open")] == ["0000000000000007"]
    tape.seal()
    with catalogue(store) as index:
        assert index.newest(status="open") == []
        assert [r.status for r in index.newest(prefix="0000")] == ["ok"]


@pytest.mark.parametrize("damage", [b"", b"not a database at all" * 300])
def test_a_lost_or_damaged_catalogue_is_made_again_from_the_files(store: Store, damage: bytes) -> None:
    """Nobody notices."""
    with catalogue(store) as index:
        before = index.newest()
    for path in store.root.glob("catalogue.db*"):
        path.unlink()
    if damage:
        (store.root / "catalogue.db").write_bytes(damage)
    with catalogue(store) as index:
        assert index.newest() == before
        assert len(before) == 4
