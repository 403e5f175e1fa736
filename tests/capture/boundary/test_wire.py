"""A process's own wire: whose requests it takes, what belongs to a tool, and where a recording ends."""

import os
import shutil

import httpx
import pytest
import requests
from httpcore._backends.sync import SyncStream

import playhead
from playhead.capture.boundary import active
from playhead.core.events import EventKind
from playhead.journal.records import read_segment
from playhead.runs import carried as composition
from tests.capture.boundary.transports.conftest import PATH, question
from tests.support.carried import Carried
from tests.support.model_server import Behaviour, ModelServer

KINDS = pytest.mark.parametrize("kind", [httpx.Client, requests.Session])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One model server for all; each answer ends in a number of its own."""
    with ModelServer(tmp_path_factory.mktemp("model-server"), seed=7) as server:
        yield server


@pytest.fixture
def carried(tmp_path):
    """A session to be recorded, and replayed."""
    return Carried(tmp_path / "store")


def test_what_a_tool_asks_is_a_part_of_its_answer(server, carried):
    """Recorded within the call, in nobody's place in a replay, in which the tool does not run."""
    ran = []

    @playhead.tool(effect="read")
    def look_up(text):
        ran.append(text)
        return httpx.post(server.url + PATH, json=question(text)).json()["choices"][0]["message"]["content"]

    def agent():
        found = look_up("a tool's question")
        return httpx.post(server.url + PATH, json=question(found)).text

    recorded = carried.record(agent)
    assert [bool(e.within) for e in carried.recording.exchanges] == [True, False]
    assert [e.orders for e in carried.recording.exchanges] == [False, True]
    assert carried.replay(agent) == recorded
    assert ran == ["a tool's question"]
    assert (carried.done["served"], carried.done["unplayed"]) == (1, [])


@KINDS
def test_a_caller_outside_of_the_session_is_not_on_its_tape(kind, server, carried):
    """With a client that the session uses, too: its request goes its own way, on a connection of its own."""
    with kind() as client:

        def ask(text):
            return client.post(server.url + PATH, json=question(text)).text

        def agent():
            first = ask("inside")
            with active.off():
                wire, active.wire = active.wire, None
                outside = ask("outside")
                active.wire = wire
            return first, outside, ask("inside")

        recorded = carried.record(agent)
        assert len(carried.recording.exchanges) == 2
        replayed = carried.replay(agent)
    assert (replayed[0], replayed[2]) == (recorded[0], recorded[2])
    assert replayed[1] != recorded[1]


@KINDS
def test_after_the_session_a_connection_goes_on_unrecorded(kind, server, carried):
    """A client that outlives it keeps its connection, and its answers."""
    with kind() as client:

        def ask():
            return client.post(server.url + PATH, json=question("x")).text

        carried.record(ask)
        before = server.connections
        assert "choices" in ask()
        assert server.connections == before
    assert len(carried.recording.exchanges) == 1


def test_a_session_that_was_killed_in_an_answer_ends_there(server, carried, tmp_path):
    """A replay serves what there is, says that the recording ends, and lets nobody wait."""
    server.behave("many words", Behaviour(chunk_delay=0.1))

    def agent():
        pieces = []
        with (
            httpx.Client() as client,
            client.stream("POST", server.url + PATH, json=question("many words", stream=True)) as answer,
        ):
            for piece in answer.iter_raw():
                pieces.append(piece)
                if len(pieces) == 3 and active.wire.live:
                    shutil.copytree(carried.store.folder(carried.id), tmp_path / "as-killed")
        return pieces

    recorded = carried.record(agent, seal=False)
    shutil.rmtree(carried.store.folder(carried.id))
    shutil.move(tmp_path / "as-killed", carried.store.folder(carried.id))
    assert carried.recording.exchanges[0].ending is None
    with pytest.raises(BaseException, match=r"timed out|playhead|recording"):
        carried.replay(agent)
    assert carried.halts == ["the recording ends here"]
    assert carried.done["served"] == 1
    assert len(recorded) > 3


def test_a_disk_that_fails_ends_the_recording_and_not_the_call(server, carried, monkeypatch):
    """Recording fails open: the agent has its answer, and the session says from where it has holes."""
    real = composition.RecordedWire.__init__

    def failing(self, writer, **options):
        real(self, writer, **options)
        monkeypatch.setattr(writer, "_put", _refuse)

    monkeypatch.setattr(composition.RecordedWire, "__init__", failing)
    monkeypatch.setattr("tests.support.carried.RecordedWire", composition.RecordedWire)
    assert carried.record(lambda: httpx.post(server.url + PATH, json=question("x")).status_code, seal=False) == 200
    assert carried.done == {"exchanges": 1, "whole": False}
    assert len(carried.troubles) == 1


def _refuse(*_args):
    raise OSError(28, "No space left on device")


def test_a_forked_child_can_ask(server, carried):
    """The lock of the wire is its own in the child, even if another thread held it."""

    def agent():
        pid = os.fork()
        if pid == 0:
            active.wire.finish()
            os._exit(0 if httpx.post(server.url + PATH, json=question("x")).status_code == 200 else 1)
        return os.waitpid(pid, 0)[1]

    assert carried.record(agent) == 0
    assert carried.recording.exchanges == []


def test_what_was_sent_is_written_before_it_leaves(server, carried, monkeypatch):
    """The intent is in the file when the server has the request: a kill between the two leaves it in doubt, not unknown."""
    found = []

    def agent():
        path = carried.store.folder(carried.id) / "engine.seg"
        real = SyncStream.write

        def write(self, *args, **options):
            found.append([event.kind for event in read_segment(path.read_bytes(), "engine").events])
            return real(self, *args, **options)

        monkeypatch.setattr(SyncStream, "write", write)
        return httpx.post(server.url + PATH, json=question("x")).status_code

    assert carried.record(agent) == 200
    assert found
    assert all(EventKind.OPEN in kinds for kinds in found)
