"""A cassette says all that its session says, in both forms, and in the store again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings

from playhead.cassette.admission import admit
from playhead.cassette.making import cassette_bytes
from playhead.cassette.opening import open_recording, read_cassette
from playhead.journal.store import Store
from playhead.sessions.reader import read_recording
from tests.cassette.recordings import kept, recordings

if TYPE_CHECKING:
    from pathlib import Path

    from playhead.sessions.model import Recording

_MORE = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=60)


@_MORE
@given(recording=recordings())
def test_both_forms_say_what_the_recording_says(tmp_path: Path, recording: Recording) -> None:
    """Heads, bodies, reads, their order and moments to the microsecond, endings, lanes, streams, exit, header."""
    for compact in (False, True):
        file = tmp_path / "it.rw"
        file.write_bytes(cassette_bytes(recording, compact=compact))
        cassette = read_cassette(file)
        assert kept(cassette.recording) == kept(recording)
        assert cassette.seal.intact
        assert cassette.form == ("compact" if compact else "text")


@_MORE
@given(recording=recordings())
def test_a_cassette_of_a_cassette_is_the_same_cassette(tmp_path: Path, recording: Recording) -> None:
    """Byte by byte: the forms are two of one format."""
    file = tmp_path / "it.rw"
    text = cassette_bytes(recording)
    file.write_bytes(cassette_bytes(recording, compact=True))
    assert cassette_bytes(open_recording(file)) == text


@settings(_MORE, max_examples=25)
@given(recording=recordings())
def test_an_imported_session_says_what_the_recording_says(tmp_path: Path, recording: Recording) -> None:
    """Written by the journal's own writer, sealed and read back."""
    store = Store.open(tmp_path / "store")
    admitted = admit(store, recording)
    assert kept(read_recording(store.path(admitted.id))) == kept(recording)
    store.remove(admitted.id)
