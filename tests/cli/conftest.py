"""Running commands in this process, and a store with something in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from playhead.cli.main import main
from playhead.journal.store import Store
from tests.sessions.tapes import Tape, chat, said

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`run("list", "--json")` -> exit code, stdout, stderr."""

    def call(*arguments: Any) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return Ran(int(stop.value.code or 0), out, err)

    return call


@pytest.fixture
def store(home: Path) -> Store:
    """The test's own store, where the commands look for theirs."""
    return Store.open(Path(os.environ["PLAYHEAD_STORE"]))


@pytest.fixture
def recorded(store: Store) -> str:
    """One sealed session with a model call, a plain one and a failed one; its id."""
    tape = Tape(store, name="refund", tags={"team": "billing"})
    tape.exchange(chat("refund order 8821", temperature=0.5), said("Done."))
    tape.exchange(
        b'{"id": 8821}', b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok", path="/refund", host="shop.example"
    )
    tape.exchange(chat("again"), said("", status="500 Internal Server Error"))
    tape.output(1, b"Done.\n")
    tape.seal()
    return tape.id
