"""What lanes read while another thread writes it: nothing is lost, doubled or out of its lane's order."""

import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.core.boundary import Call, Outcome
from playhead.core.events import Flag
from playhead.core.redact import Redactor
from playhead.journal.agent import VALUES_KEPT, AgentRecorder
from playhead.journal.records import read_segment
from playhead.journal.segment import SegmentWriter
from playhead.player.agent import Script


def recorder(path):
    return AgentRecorder(SegmentWriter(path, path.stem, playhead="x"), Redactor)


def told(path):
    """Values by path of their lane."""
    return Script(read_segment(path.read_bytes(), path.stem).events).values


@pytest.mark.parametrize("pause_s", [0.005, 1e-6])
def test_threads_read_while_one_writes(tmp_path, pause_s):
    """Four lanes of their own thread each, one thread that writes as often as it can, at two paces of switching."""
    path = tmp_path / "agent-0.seg"
    tape = recorder(path)
    lanes = [tape.lane(f"0/h{at}") for at in range(4)]
    reads = 3 * VALUES_KEPT
    done = threading.Event()

    def read(lane):
        for at in range(reads):
            tape.value(lane, "k", lambda at=at: at)

    def write():
        while not done.is_set():
            tape.flush()

    before = sys.getswitchinterval()
    sys.setswitchinterval(pause_s)
    try:
        threads = [threading.Thread(target=read, args=(lane,)) for lane in lanes]
        writer = threading.Thread(target=write)
        writer.start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        writer.join()
    finally:
        sys.setswitchinterval(before)
    tape.close()
    expected = [each for at in range(reads) for each in ("k", at)]
    assert {lane.path: told(path)[lane.path] == expected for lane in lanes} == {lane.path: True for lane in lanes}


ACTS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["read", "ask", "flush"])), max_size=40)


@settings(max_examples=60, deadline=None)
@given(acts=ACTS)
def test_values_are_written_before_the_next_question(tmp_path_factory, acts):
    """Whatever lanes do in turn: at every question, all that was read stands in the file."""
    path = tmp_path_factory.mktemp("v") / "agent-0.seg"
    tape = recorder(path)
    lanes = [tape.lane(f"0/t{at}") for at in range(4)]
    expected = {}
    for at, (which, act) in enumerate(acts):
        lane = lanes[which]
        if act == "read":
            tape.value(lane, "clock", lambda at=at: at)
            expected.setdefault(lane.path, []).extend(("clock", at))
        elif act == "ask":
            tape.ask(Call(lane, "tool", "t", b"{}"))
            assert told(path) == expected
        else:
            tape.flush()
            assert told(path) == expected
    tape.close()
    assert told(path) == expected


def test_an_answer_that_a_thread_has_at_once_has_its_place_in_its_own_record(tmp_path):
    """No record of the order for it; what was let go before it stands before it, also when the process was killed."""
    path = tmp_path / "agent-0.seg"
    tape = recorder(path)
    lane = tape.lane("0")
    keys = []
    for name in ("first", "second"):
        tape.turn(lane.next_key(), "lock")
        call = Call(lane, "tool", name, b'{"at":1}', effect="read")
        tape.ask(call)
        tape.settle(call, Outcome(raised=False, body=b"1"))
        keys += [("0", call.key[1] - 1), call.key]
    killed = read_segment(path.read_bytes(), path.stem).events
    tape.close()
    whole = read_segment(path.read_bytes(), path.stem).events
    assert [event.kind.name for event in killed].count("ORDER") == 2
    assert [event.flags for event in killed if event.kind.name == "TOLD"] == [Flag.AS_TOLD, Flag.AS_TOLD]
    assert Script(killed).order == Script(whole).order == keys
    assert {call.name: call.outcome for call in Script(whole).calls.values()}["second"] == Outcome(
        raised=False, body=b"1"
    )
