"""What came and what went between two listings of a folder."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.journal.store import ids_in
from playhead.sessions import listing as listing_module
from playhead.sessions.listing import Remembered, moved, recall, remember

_NAMES = st.one_of(
    st.builds("{:016x}{}".format, st.integers(0, 40), st.sampled_from([".tape", ".tape.d"])),
    st.sampled_from(["a", ".tape", "0123456789abcdef", ".0123456789abcdef.tape.x", "0123456789abcdef.tape~", "é.tape"]),
)


def listing(names: Any) -> bytes:
    return ("/" + "/".join(names)).encode()


@given(st.lists(_NAMES, unique=True), st.lists(_NAMES, unique=True), st.randoms(use_true_random=False))
def test_it_is_what_sets_say(before: list[str], now: list[str], chance: Any) -> None:
    """For listings that share nothing, for the same names in another order, and for few that came or went anywhere."""
    shuffled = chance.sample(before, len(before))
    near = [name for name in before if chance.random() < 0.9]
    near[(at := chance.randrange(len(near) + 1)) : at] = [name for name in now if name not in near][:2]
    for then in (now, shuffled, near, before):
        old, new = ids_in(listing(before)), ids_in(listing(then))
        come, gone = moved(listing(before), listing(then))
        assert come - old == new - old
        assert gone - new == old - new
        assert come <= new
        assert gone <= old


def test_a_name_that_another_begins_with_is_another() -> None:
    """Names are compared whole, also where the first difference lies inside one."""
    one, two = b"/" + b"0" * 16 + b".tape", b"/" + b"0" * 15 + b"1.tape"
    first, second = {"0" * 16}, {"0" * 15 + "1"}
    assert moved(one, two) == (second, first)
    assert moved(one + two, two) == (set(), first)
    assert moved(b"/", two + b".d") == (second, set())
    assert moved(two, b"/") == (set(), second)


@given(st.integers(0, 10**6), st.lists(_NAMES, unique=True), st.binary(min_size=1, max_size=3))
def test_a_listing_is_recalled_as_it_was_remembered(rows: int, names: list[str], torn: bytes) -> None:
    """A torn one, one that is longer than it says, and none at all are none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "names")
        assert recall(path) is None
        remember(path, told := Remembered(rows, listing(names)))
        assert recall(path) == told
        assert path.stat().st_mode & 0o777 == 0o600
        whole = path.read_bytes()
        for wrong in (whole[: -len(torn)], whole + torn, b"", torn + whole):
            path.write_bytes(wrong)
            assert recall(path) != told


@given(st.integers(0, 199))
def test_only_what_moved_is_looked_at(at: int) -> None:
    """One name among many, wherever it stands: two names at the most."""
    names = [f"{7 * n:016x}.tape" for n in range(200)]
    looked: list[bytes] = []

    def counted(part: bytes) -> set[str]:
        looked.append(part)
        return ids_in(part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing_module, "ids_in", counted)
        come, gone = moved(listing(names), listing([*names[:at], "f" * 16 + ".tape", *names[at:]]))
    assert (come, gone) == ({"f" * 16}, set())
    assert sum(len(part) for part in looked) <= 4 * len("/" + names[0])
