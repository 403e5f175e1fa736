"""The end of a recording: what stops its sealing costs nothing of it, and is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from playhead.cassette.admission import content_digest
from playhead.errors import DamagedRecording
from playhead.journal import sealing
from playhead.journal.store import Store
from playhead.runs.recording import seal
from playhead.sessions.reader import read_recording
from tests.sessions.tapes import Tape, chat, said

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (DamagedRecording("It does not read back.", code="seal-unverified"), "It does not read back."),
    ],
)
def test_a_session_that_cannot_be_sealed_stays_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, words: str
) -> None:
    """By a full disk, a failing one, or Ctrl-C: the parts are whole, nothing else is left, and gc is named."""
    store = Store.open(tmp_path)
    tape = Tape(store)
    tape.exchange(chat("hi"), said("ho"))
    tape.close()
    before = content_digest(read_recording(tape.folder))

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(sealing, "verify_sealed", fail)
    reason = seal(store, tape.id)
    assert reason.startswith(f"the session stays in parts: {words}")
    assert "playhead gc" in reason
    assert list(store.sessions.iterdir()) == [tape.folder]
    assert content_digest(read_recording(tape.folder)) == before
    monkeypatch.undo()
    assert seal(store, tape.id) == ""
    assert read_recording(store.path(tape.id)).sealed
