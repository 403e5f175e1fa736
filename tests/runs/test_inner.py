"""What a replay lays out for the recorded processes."""

from playhead.core.boundary import Call, Outcome
from playhead.core.redact import Redactor
from playhead.journal.agent import AgentRecorder
from playhead.journal.records import read_segment
from playhead.journal.segment import SegmentWriter
from playhead.player.agent import Script
from playhead.runs.inner import before_what_is_lost


def test_nothing_behind_lost_records_is_told(tmp_path):
    """A lane that reads 1, 2, 3 is never told 3 in place of the 2 that damage took; the whole tape is told whole."""
    path = tmp_path / "agent-0.seg"
    tape = AgentRecorder(SegmentWriter(path, path.stem), Redactor)
    lane = tape.lane("0")
    for value in (1, 2, 3):
        tape.value(lane, "clock", lambda value=value: value)
        call = Call(lane, "tool", "look_up", b"{}")
        tape.ask(call)
        tape.settle(call, Outcome(raised=False, body=b"%d" % value))
    tape.close()
    data = path.read_bytes()
    events = read_segment(data, path.stem).events
    assert Script(before_what_is_lost(events)).values == {"0": ["clock", 1, "clock", 2, "clock", 3]}
    at = data.index(b'[[1,["clock",2]]]')
    broken = read_segment(data[:at] + b"?" + data[at + 1 :], path.stem)
    assert broken.damage
    assert Script(broken.events).values == {"0": ["clock", 1, "clock", 3]}  # what would be told else
    script = Script(before_what_is_lost(broken.events))
    assert script.values == {"0": ["clock", 1]}
    assert len(script.calls) == 1
    assert script.is_cut
