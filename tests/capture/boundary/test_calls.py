"""Calls of a thread: asked, answered by the world and written, and told again."""

import pytest

from playhead.capture.boundary import active, calls
from playhead.core.boundary import Diverged
from tests.capture.boundary import values as v


def test_an_answer_is_told_again_and_the_world_is_not_asked(tapes):
    """Returned and raised ones, at their places."""
    ran = []

    def refund():
        ran.append(1)
        return {"n": len(ran), "at": (1, 2)}

    def fail():
        ran.append(2)
        raise v.Refused("A1", reason="late")

    def agent():
        said = [calls.call("tool", "refund", b"{}", refund)]
        try:
            calls.call("tool", "fail", b"{}", fail)
        except v.Refused as error:
            said.append((str(error), error.reason))
        return said

    first = tapes.record(agent)
    assert ran == [1, 2]
    assert tapes.replay(agent) == first
    assert ran == [1, 2]
    assert tapes.end == {"served": 2, "unplayed": [], "left": 0, "marks": 0, "cut": False}


def test_what_runs_inside_a_call_is_part_of_its_answer(tapes):
    """A call inside a call is not on the tape, and neither is what follows an error inside."""

    def agent():
        return calls.call("tool", "outer", b"", lambda: calls.call("tool", "inner", b"", lambda: 5) + 1)

    assert tapes.record(agent) == 6
    assert [call.name for call in tapes.recorded()] == ["outer"]
    assert not active.inside.get()
    assert tapes.replay(agent) == 6


def test_without_a_tape_it_only_runs():
    """And returns the very object."""
    value = object()
    assert calls.call("tool", "x", b"", lambda: value) is value


def test_recording_gives_the_agent_the_real_object(tapes):
    """Also one that cannot be stored; its replay is refused, with words that help."""
    value = object()

    def agent():
        return calls.call("tool", "connect", b"{}", lambda: value)

    assert tapes.record(agent) is value
    with pytest.raises(Diverged):
        tapes.replay(agent)
    assert tapes.divergence["class"] == "exhausted"
    assert tapes.divergence["name"] == "connect"
    assert "builtins:object cannot be stored" in tapes.divergence["expected"]


def test_chains_of_exceptions_end_where_the_caller_was(tapes):
    """As `traceback` prints them: from inside the call, then what its caller was handling."""

    def fail():
        try:
            {}["inside"]
        except KeyError:
            raise ValueError("from it")  # noqa: B904

    def agent():
        try:
            raise LookupError("the caller's")
        except LookupError:
            try:
                calls.call("tool", "fail", b"", fail)
            except ValueError as error:
                chain = []
                while error is not None:
                    chain.append((type(error), str(error)))
                    error = error.__context__
                return chain

    first = tapes.record(agent)
    assert [kind for kind, _ in first] == [ValueError, KeyError, LookupError]
    assert tapes.replay(agent) == first


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_exits_are_answers_too(tapes, error):
    """What ends the program ends it again at the same place."""

    def fail():
        raise error

    def agent():
        with pytest.raises(type(error)):
            calls.call("tool", "exit", b"", fail)
        return "went on"

    assert tapes.record(agent) == "went on"
    assert tapes.replay(agent) == "went on"
