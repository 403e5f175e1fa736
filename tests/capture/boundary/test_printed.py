"""What is waited for at the outputs of a program, and who closes it."""

import os
import threading
from pathlib import Path

from playhead.capture.boundary import printed
from playhead.capture.boundary.printed import Printed


def test_what_is_waited_for_is_still_what_it_was(monkeypatch):
    """The agent's thread sees the end of a program just before the other one waits for it: the number must not have gone
    to a pipe of the agent's in between, which would not end while somebody waits at it."""
    is_about_to, may, pipes = threading.Event(), threading.Event(), []
    real = printed._poll

    def late(sources, *more):
        before = [os.fstat(each).st_ino for each in sources]
        is_about_to.set()
        assert may.wait(20)
        pipes.append((before, [_pipe(each) for each in sources]))
        real(sources, *more)

    monkeypatch.setattr(printed, "_poll", late)
    target = os.open(os.devnull, os.O_WRONLY)
    outputs = Printed([target])
    program = os.dup(outputs.ends[0])
    outputs.begin()
    assert is_about_to.wait(20)
    os.write(program, b"said")
    os.close(program)
    assert outputs.taken(is_over=True) == [(0, b"said")]
    agents = [each for _ in range(4) for each in os.pipe()]  # they take the numbers that are free
    may.set()
    assert outputs.come_to_an_end(20)
    for each in (*agents, target):
        os.close(each)
    assert pipes and all(before == after for before, after in pipes)


def _pipe(descriptor):
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return None


def test_both_outputs_are_closed_when_they_have_ended():
    """Neither a source nor a copy of a target is left."""
    before = sum(1 for _ in Path("/dev/fd").iterdir())
    target = os.open(os.devnull, os.O_WRONLY)
    outputs = Printed([target, target])
    programs = [os.dup(end) for end in outputs.ends]
    outputs.begin()
    for place, program in enumerate(programs):
        os.write(program, b"%d" % place)
        os.close(program)
    assert outputs.come_to_an_end(20)
    assert sorted(outputs.taken(is_over=True)) == [(0, b"0"), (1, b"1")]
    os.close(target)
    assert sum(1 for _ in Path("/dev/fd").iterdir()) == before


def test_a_program_that_prints_on_has_not_come_to_an_end():
    """Nor is it waited for longer than is said."""
    outputs = Printed([1])
    program = os.dup(outputs.ends[0])
    outputs.begin()
    assert not outputs.come_to_an_end(0.01)
    os.close(program)
    assert outputs.come_to_an_end(20)
