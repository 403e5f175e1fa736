"""Keeps the catalogue true to the session files: what a file says, the catalogue says."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, TypeVar

from playhead.core.clock import wall_ns
from playhead.errors import InternalError, PlayheadError, SetupError
from playhead.journal.catalogue import Catalogue, Entry, Row, StepRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from playhead.journal.store import Store
    from playhead.sessions.session import Session

_Answer = TypeVar("_Answer")
FILE = "catalogue.db"
NAMES = "catalogue.names"
_SETTLED_NS = 2 * 10**9  # file systems' clocks are coarse: a folder changed this recently may change unnoticed
_LATEST_NS = (1 << 63) - 1
_MOST_TOKENS = 1 << 31  # of one call; a recording that claims more is wrong or hostile
_UNTOLD = (None,) * 5
_TOGETHER = 20  # sessions put in one transaction while many are read


@contextlib.contextmanager
def catalogue(
    store: Store, *, anew: bool = False, progress: Callable[[int], None] | None = None
) -> Iterator[Catalogue]:
    """The store's catalogue, brought up to date with the files: new ones read, vanished ones dropped, and sessions
    that were being written looked at again. A damaged one is made again from the files, as is any with `anew`; where
    none can be written (a full disk, no permission) one is made in memory. `progress` hears how many sessions are
    still to be read. Raises SetupError when damage shows only later."""
    with _opened(store, anew=anew, progress=progress) as index:
        try:
            yield index
        except sqlite3.OperationalError as error:
            raise SetupError(
                "The catalogue of the store cannot be written.",
                code="store-unusable",
                where=str(index.path),
                seen=str(error),
                todo="free some space or fix the permissions, or name another store: --store DIR",
            ) from None
        except sqlite3.DatabaseError as error:
            index.discard()
            raise SetupError(
                "The catalogue of the store is damaged.",
                code="catalogue-damaged",
                where=str(index.path),
                seen=str(error),
                todo="run the same command again: it is made again from the recordings, which are whole",
            ) from None


def ask(store: Store, question: Callable[[Catalogue], _Answer]) -> _Answer:
    """Ask the catalogue, brought up to date, one question. Where that shows it to be damaged, it is made again from
    the files and asked once more. Raises SetupError."""
    try:
        with _opened(store, anew=False, progress=None) as index:
            return question(index)
    except sqlite3.OperationalError:
        pass  # told below, if it still is so
    except sqlite3.DatabaseError:
        index.discard()
    with catalogue(store) as index:
        return question(index)


def add(store: Store, session: Session) -> None:
    """Index one session now. A catalogue that cannot be written is brought up to date by the next that can."""
    with contextlib.suppress(sqlite3.Error, OSError), Catalogue(store.root / FILE) as index:
        index.put(entry_of(session))


def know_costs(store: Store, session: Session) -> None:
    """Give a session the costs that the catalogue has of it: finding them again loads a price list first."""
    with contextlib.suppress(sqlite3.Error, OSError), Catalogue(store.root / FILE) as index:
        session.know_costs(index.costs(session.id))


def _opened(store: Store, *, anew: bool, progress: Callable[[int], None] | None) -> Catalogue:
    path = store.root / FILE
    for attempt in (path, path, None):
        try:
            index = Catalogue(attempt)
        except (sqlite3.Error, OSError):
            continue
        try:
            if anew and index.ids():
                index.close()
                index.discard()
                index = Catalogue(attempt)
            _update(store, index, progress or (lambda _: None))
        except sqlite3.OperationalError:
            index.close()
        except sqlite3.DatabaseError:
            index.close()
            index.discard()
        else:
            return index
    raise InternalError(
        "No catalogue can be made.",
        code="internal",
        where=str(path),
        todo="please report it; playhead verify FILE works without",
    )


def _update(store: Store, index: Catalogue, progress: Callable[[int], None]) -> None:
    changed = {row.id for row in index.newest(status="open")}
    looked_ns = wall_ns()
    folder_ns = os.stat(store.sessions).st_mtime_ns  # noqa: PTH116  an int, and no Path to make
    if index.state("folder") == str(folder_ns):
        _read_all(store, index, changed, progress)
        return
    from playhead.sessions.listing import Remembered, remember  # here: mostly nothing has moved

    listing = store.listing()
    come, gone = _moved(store, index, listing)
    if gone:
        index.forget(*gone)
    unreadable = _read_all(store, index, come | {each for each in changed - gone if _is_there(store, each)}, progress)
    if unreadable:  # they have no row, and are new again when something moves
        names = listing.split(b"/")
        listing = b"/".join(
            name for name in names if name.partition(b".")[0].decode("utf-8", "replace") not in unreadable
        )
    if index.path is not None:
        with contextlib.suppress(OSError):
            remember(store.root / NAMES, Remembered(index.count(), listing))
    # a session without a readable header has no row: verify names it. While its folder may still get one, look again
    if looked_ns - folder_ns > _SETTLED_NS and not any(store.path(each).is_dir() for each in unreadable):
        index.set_state("folder", str(folder_ns))


def _moved(store: Store, index: Catalogue, listing: bytes) -> tuple[set[str], set[str]]:
    """Sessions that have no row yet, and rows whose session is gone. What the last listing named had a row then; where
    the number of rows says that others were put or taken out since, all are compared."""
    from playhead.journal.store import ids_in
    from playhead.sessions.listing import moved, recall

    last = recall(store.root / NAMES)
    if last is not None:
        come, gone = moved(last.names, listing)
        added = {each for each in come if index.knows(each)}
        gone = {each for each in gone if not _is_there(store, each)}
        kept = {each for each in gone if index.knows(each)}
        if index.count() == last.rows + len(added) - len(gone - kept):
            return come - added, kept
    present, known = ids_in(listing), index.ids()
    return present - known, known - present


def _is_there(store: Store, session: str) -> bool:
    with contextlib.suppress(PlayheadError):
        store.path(session)
        return True
    return False


def _read_all(store: Store, index: Catalogue, sessions: Iterable[str], progress: Callable[[int], None]) -> set[str]:
    """Index sessions, the oldest file first, so that the newest is found first; those that cannot be read."""
    unreadable = set()
    entries: list[Entry] = []
    waiting = _by_age(store, sessions)
    for left, session in zip(range(len(waiting), 0, -1), waiting, strict=True):
        progress(left)
        try:
            entry = _read(store, session)
        except PlayheadError:
            unreadable.add(session)
            continue
        entries.append(entry)
        if len(entries) == _TOGETHER:
            index.put(*entries)
            entries = []
    if entries:
        index.put(*entries)
    return unreadable


def _by_age(store: Store, sessions: Iterable[str]) -> list[str]:
    aged = []
    for session in sessions:
        with contextlib.suppress(PlayheadError, OSError):
            aged.append((store.path(session).stat().st_mtime_ns, session))
    return [session for _, session in sorted(aged)]


def _read(store: Store, session: str) -> Entry:
    from playhead.sessions.reader import read_recording
    from playhead.sessions.session import Session

    entry = entry_of(Session(read_recording(store.path(session))))
    return entry._replace(row=entry.row._replace(id=session))  # a file is found by its own name


def entry_of(session: Session) -> Entry:
    """What the catalogue keeps of a session and its steps. Each step is decoded once and let go."""
    from playhead.sessions.searchable import searchable

    said: set[int] = set()
    steps = []
    for step, fact in session.walk(priced=True):
        steps.append(
            StepRow(
                step.number,
                step.kind,
                step.lane,
                step.provider.name if step.provider else None,
                step.model,
                step.title,
                max(0, min(step.wall_ns, _LATEST_NS)),
                step.duration_s,
                step.ttft_s,
                step.status,
                tuple(_credible(n) for n in fact.usage.to_json().values())
                if fact.usage and not fact.repeats
                else _UNTOLD,
                step.cost_usd if not fact.repeats else 0.0,
                step.response.stop_reason if step.response is not None else None,
                searchable(step, said),
            )
        )
    header = session.recording.header
    return Entry(Row(header.id, header.name, header.created_ns, session.status, session.summary()), steps)


def _credible(tokens: int | None) -> int | None:
    return tokens if tokens is not None and tokens < _MOST_TOKENS else None
