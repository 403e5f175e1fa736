"""A disk that fails under the boundaries of an agent: the agent goes on, and the file holds what came before."""

import errno
from contextlib import suppress

import pytest

from playhead.core.boundary import Call, Diverged, Outcome
from playhead.core.events import EventKind, Flag
from playhead.core.redact import Redactor
from playhead.journal.agent import AgentRecorder
from playhead.journal.records import read_segment
from playhead.journal.segment import SegmentWriter
from playhead.player.agent import AgentPlayer, Script
from playhead.sessions.call import calls_of
from tests.support.disk import Disk

KEY = "sk-ant-api03-" + "Zq7Rw2Lm9Xc4Vb8N" * 5


def test_no_write_that_fails_reaches_the_agent(tmp_path):
    """Whichever write is the first to be refused: no boundary raises, it is said once, and the reader finds a prefix."""
    path = tmp_path / "agent-0.seg"
    kinds, refused = [], 0
    while True:
        disk, said = Disk(), []
        writer = SegmentWriter(path, path.stem, disk=disk)
        disk.fails("write", refused + 1, errno.ENOSPC)
        tape = AgentRecorder(writer, Redactor, said.append)
        lane, late = tape.lane("0"), tape.lane("0/t1")
        tape.value(lane, "clock", lambda: 1)
        tape.leaving(tape.lane("0/h1"))
        tape.mark(lane, "enter", "plan", 0, lambda: b"{}")
        call = Call(late, "tool", "refund", b'{"order":1}')
        tape.ask(call)
        assert tape.settle(call, Outcome(raised=False, body=b'"done"')).body == b'"done"'
        tape.mark(tape.lane("0/t2"), "enter", "act", 0, lambda: b"{}")
        tape.ask(Call(tape.lane("0/t3"), "tool", "refund", b"{}"))
        tape.turn(late.next_key(), "lock")
        tape.close()
        read = [event.kind for event in read_segment(bytes(disk.files[str(path)].data), path.stem).events]
        if not said:
            break
        assert len(said) == 1
        kinds.append(read)
        refused += 1
    assert [each for each in kinds if read[: len(each)] != each] == []
    assert [len(each) for each in kinds] == list(range(1, len(read)))
    assert [kind.name for kind in read].count("LANE") == 5


@pytest.mark.parametrize("secret", [True, False])
def test_a_question_that_lost_a_secret_says_so_and_is_answered(tmp_path, secret):
    """Its arguments are marked, its answer is whole; a replay that asks with another key of that shape is the same."""
    path = tmp_path / "agent-0.seg"
    tape = AgentRecorder(SegmentWriter(path, path.stem), Redactor)
    arguments = b'{"key":"%b"}' % (KEY if secret else "none").encode()
    call = Call(tape.lane("0"), "tool", "login", arguments)
    tape.ask(call)
    tape.settle(call, Outcome(raised=False, body=b'"in"'))
    tape.close()
    events = read_segment(path.read_bytes(), path.stem).events
    (recorded,) = calls_of("0", events)
    assert (recorded.asked_redacted, recorded.lossy, KEY.encode() in recorded.arguments) == (secret, False, False)
    assert [event.flags & Flag.REDACTED for event in events if event.kind is EventKind.ASK] == [
        Flag.REDACTED if secret else 0
    ]
    player = AgentPlayer(Script(events), Redactor, lambda _facts: None)
    again = Call(player.lane("0"), "tool", "login", arguments.replace(b"Zq7R", b"Kp3T"))
    player.ask(again)
    assert player.settle(again, None) == Outcome(raised=False, body=b'"in"')
    other = Call(player.lane("0/t1"), "tool", "login", b'{"key":"other"}')
    with suppress(Diverged):
        player.ask(other)
        pytest.fail("a question that was not recorded was taken")
