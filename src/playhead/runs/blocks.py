"""`playhead.record`, `playhead.replay` and `playhead.session`: blocks and functions of a program that are sessions.

In a process that is on a tape already (below `playhead record`, or in another such block) they begin no second recording:
a block is a step of the session that runs, and its marks go there.
"""

from __future__ import annotations

import os
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from playhead.capture.boundary import active
from playhead.capture.boundary.parameters import shape_of
from playhead.capture.boundary.steps import Taking, step
from playhead.errors import UsageError
from playhead.runs.marking import Marking

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from playhead.journal.store import Store
    from playhead.runs.embedded import Recording
    from playhead.runs.replayed import Replaying

F = TypeVar("F")
MODES = ("record", "replay", "missing", "live")


class RecordedBlock(Marking):
    """A block that is recorded as a session of its own. `notes`: what there is to say of it at its end."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording.block.taped.tape)
        self.id, self.name = recording.id, recording.name
        self.notes: list[str] = []
        self._recording = recording

    @property
    def path(self) -> Path:
        return self._recording.path

    def end(self, error: BaseException | None) -> bool:
        self._is_over = True
        self._recording.end(error)
        self.notes = self._recording.notes
        return False


class ReplayedBlock(Marking):
    """A block that is answered from a recording. At its end `verdict`, `divergences` and `summary` are as those of
    `playhead replay --summary`, and `reports` says them in words; `notes` is what else there is to say."""

    def __init__(self, replaying: Replaying) -> None:
        super().__init__(replaying.block.taped.tape)
        self.id, self.name = replaying.session.id, replaying.session.header.name
        self._replaying = replaying

    @property
    def verdict(self) -> str:
        """`identical`, `diverged` or `incomplete`; "" while the block runs."""
        return self._replaying.verdict

    @property
    def divergences(self) -> list[dict[str, Any]]:
        """Empty while the block runs."""
        return self._replaying.divergences

    @property
    def summary(self) -> dict[str, Any]:
        """Empty while the block runs."""
        return self._replaying.summary

    @property
    def reports(self) -> list[str]:
        """The divergences, and what else keeps the replay from being identical, in words."""
        return self._replaying.reports

    @property
    def notes(self) -> list[str]:
        """What else there is to say of it."""
        return self._replaying.notes

    def end(self, error: BaseException | None) -> bool:
        self._is_over = True
        diverged = self._replaying.end(error)
        if diverged is not None:
            raise diverged from error
        return self._replaying.is_left


class NestedBlock(Marking):
    """A block within a session that runs already: a step of that."""

    def __init__(self, tape: Any, name: str, *, is_stepped: bool) -> None:
        super().__init__(tape)
        self.name = name
        self._taking = None if is_stepped else Taking(tape, name or "block", lambda: b"{}")

    @property
    def path(self) -> Path | None:
        folder = os.environ.get("PLAYHEAD_TAPE", "").removeprefix("record:")
        return Path(folder) if active.whole is not None and active.whole.live and folder else None

    def end(self, error: BaseException | None) -> bool:
        self._is_over = True
        if self._taking is not None:
            if error is None:
                self._taking.left(None)
            else:
                self._taking.failed(error)
        return False


class _Blocks:
    """What `with`, `async with` and decorators have in common. Each entry is a block of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._entered: list[Marking] = []

    def begin(self, name: str, *, is_stepped: bool) -> Marking:
        """A block begins; `is_stepped` when its function is a step already."""
        tape = active.tape
        if tape is not None and not active.inside.get():
            return NestedBlock(tape, name, is_stepped=is_stepped)
        return Marking(None) if active.inside.get() else self.open(name)

    def open(self, name: str) -> Marking:
        """The block of a process that is on no tape."""
        raise RuntimeError(name)  # every kind has its own

    def __enter__(self) -> Any:
        block = self.begin(self.name, is_stepped=False)
        self._entered.append(block)
        return block

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _at: TracebackType | None
    ) -> bool:
        return self._entered.pop().end(error)

    async def __aenter__(self) -> Any:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> bool:
        return self.__exit__(kind, error, at)

    def __call__(self, function: F) -> F:
        """Each call of that function is a block."""
        shape = shape_of(function)
        name = self.name or getattr(function, "__qualname__", type(function).__qualname__)
        if shape not in ("", "async"):
            raise UsageError(
                "A generator cannot be a session: between its items it is its caller's code that runs.",
                code="not-a-block",
                where=name,
                expected="a function or an async function",
                todo="put `with playhead.record(...)` around the loop that reads it",
            )
        stepping: Any = step(name)
        stepped = stepping(function)

        def call(*args: Any, **kwargs: Any) -> Any:
            block = self.begin(name, is_stepped=True)
            try:
                value = stepped(*args, **kwargs)
            except BaseException as error:
                block.end(error)
                raise
            block.end(None)
            return value

        async def acall(*args: Any, **kwargs: Any) -> Any:
            block = self.begin(name, is_stepped=True)
            try:
                value = await stepped(*args, **kwargs)
            except BaseException as error:
                block.end(error)
                raise
            block.end(None)
            return value

        return update_wrapper(acall if shape == "async" else call, function)  # type: ignore[arg-type, return-value]


class record(_Blocks):  # noqa: N801  it is called like a function: `with playhead.record("bug-hunt"):`
    """Record a block, or each call of a function, as a session: `with`, `async with` or decorator. `store` is a folder,
    without one `$PLAYHEAD_STORE` or `~/.playhead`; `redact` is `secrets`, `pii` or `off`, `durability` `write`, `fsync` or
    `off`. Raises UsageError and SetupError before the block begins."""

    def __init__(
        self,
        name: str = "",
        *,
        tags: Mapping[str, str] | None = None,
        store: str | os.PathLike[str] | None = None,
        redact: str = "secrets",
        durability: str = "write",
    ) -> None:
        super().__init__(name)
        self._tags = dict(tags or {})
        self._store = store
        self._redact = _one_of("redact", redact, ("secrets", "pii", "off"))
        self._durability = _one_of("durability", durability, ("write", "fsync", "off"))

    def open(self, name: str) -> Marking:
        from playhead.runs.embedded import Recording

        store = _store(self._store)
        return RecordedBlock(Recording(store, name, self._tags, redact=self._redact, durability=self._durability))


class replay(_Blocks):  # noqa: N801  it is called like a function: `with playhead.replay("last"):`
    """Replay a block, or each call of a function, from a session that `record` made. `strict` raises Diverged at the end of a
    block that was not what was recorded; `observe` leaves that to `replay.verdict` and `replay.divergences`. Raises UsageError,
    SessionNotFound, DamagedRecording and SetupError before the block begins."""

    def __init__(
        self, address: str = "last", *, mode: str = "strict", store: str | os.PathLike[str] | None = None
    ) -> None:
        super().__init__(address)
        self._is_strict = _one_of("mode", mode, ("strict", "observe")) == "strict"
        self._store = store

    def begin(self, name: str, *, is_stepped: bool) -> Marking:
        if active.whole is not None:
            raise UsageError(
                "This process is on a tape already, and cannot be replayed from another one.",
                code="on-a-tape",
                where=f"playhead.replay({name!r})",
                expected="a program that was started without Playhead, outside of other blocks",
                todo="run it without `playhead record` and `playhead replay`, or after the block that is open",
            )
        return super().begin(name, is_stepped=is_stepped)

    def open(self, name: str) -> Marking:
        from playhead.cassette.opening import open_session
        from playhead.runs.replayed import Replaying

        found = open_session(self.name or name, store=_store(self._store).root)
        return ReplayedBlock(Replaying(found, strict=self._is_strict))


class session(_Blocks):  # noqa: N801  it is called like a function: `@playhead.session(name="support")`
    """Each call of a function is a session: recorded, replayed from the newest of its name (`replay`), replayed if there is one
    and recorded if there is none (`missing`), or left alone (`live`). Raises as `record` and `replay` do."""

    def __init__(
        self,
        name: str = "",
        *,
        mode: str = "record",
        tags: Mapping[str, str] | None = None,
        store: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(name)
        self._mode = _one_of("mode", mode, MODES)
        self._tags = tags
        self._store = store

    def open(self, name: str) -> Marking:
        if self._mode == "live":
            return Marking(None)
        if self._mode == "replay" or (self._mode == "missing" and self._is_there(name)):
            return replay(name, store=self._store).open(name)
        return record(name, tags=self._tags, store=self._store).open(name)

    def _is_there(self, name: str) -> bool:
        from playhead.errors import SessionNotFound
        from playhead.sessions.address import find

        try:
            find(_store(self._store), name)
        except SessionNotFound:
            return False
        return True


def _store(named: str | os.PathLike[str] | None) -> Store:
    from playhead.journal.store import Store, default_root

    return Store.open(default_root(os.environ) if named is None else Path(named))


def _one_of(what: str, given: str, known: tuple[str, ...]) -> str:
    if given not in known:
        raise UsageError(
            f"{given!r} is no {what}.",
            code="bad-mode",
            where=f"{what}={given!r}",
            expected=", ".join(known),
            todo=f"write {what}={known[0]!r}",
        )
    return given
