"""Steps, boundaries by hand, and blocks that are kept off the tape."""

import json

import pytest

import playhead
from playhead.core.boundary import Diverged
from tests.capture.boundary import values as v


def marks(tapes):
    return [
        (event.meta["what"], event.meta["name"], event.meta["n"], json.loads(event.body))
        for event in tapes.events()
        if event.kind.name == "MARK"
    ]


@playhead.step("planner")
def plan(goal, deep=False):
    """Plans."""
    return [act(goal)]


@playhead.step
def act(goal):
    if goal == "fail":
        raise v.Refused("A1", reason="late")
    return playhead.boundary("world", lambda: goal.upper())


@playhead.step("watch")
def watch(n):
    got = yield n
    yield got


def test_a_step_is_marked_with_what_went_in_and_came_out(tapes):
    """Steps in steps too; calls stand between."""
    assert tapes.record(lambda: plan("go")) == ["GO"]
    assert marks(tapes) == [
        ("enter", "planner", 1, {"deep": False, "goal": "go"}),
        ("enter", "act", 2, {"goal": "go"}),
        ("leave", "act", 2, "GO"),
        ("leave", "planner", 1, ["GO"]),
    ]
    assert tapes.replay(lambda: plan("go")) == ["GO"]
    assert tapes.end["marks"] == 2


def test_a_step_that_fails_is_marked(tapes):
    """With its exception, which goes on."""

    def agent():
        with pytest.raises(v.Refused):
            plan("fail")

    tapes.record(agent)
    assert [(what, name) for what, name, _, _ in marks(tapes)] == [
        ("enter", "planner"),
        ("enter", "act"),
        ("fail", "act"),
        ("fail", "planner"),
    ]
    tapes.replay(agent)


def test_another_name_for_a_step_is_no_divergence(tapes):
    """Nor one step more or less: labels are not boundaries."""
    tapes.record(lambda: plan("go"))
    assert tapes.replay(lambda: playhead.step("other")(act)("go")) == "GO"


def test_generators_can_be_steps(tapes):
    """What is sent reaches them; the step ends with them."""

    def agent():
        items = watch(1)
        said = [next(items), items.send("x"), next(items, "end")]
        left = watch(2)
        next(left)
        left.close()
        return said

    assert tapes.record(agent) == [1, "x", "end"]
    assert [what for what, *_ in marks(tapes)] == ["enter", "leave", "enter"]
    assert tapes.replay(agent) == [1, "x", "end"]


def test_secrets_in_steps_are_redacted(tapes):
    """As everywhere."""
    key = "sk-ant-api03-" + "a1B2" * 20
    tapes.record(lambda: playhead.step("s")(lambda text: text)(key))
    assert key.encode() not in tapes.path.read_bytes()
    assert len(marks(tapes)) == 2


def test_a_boundary_by_hand(tapes):
    """Its name and arguments are what counts, not the function."""

    def agent(argument):
        return playhead.boundary("ask", lambda *a, **k: (a, k), argument, by="hand")

    assert tapes.record(lambda: agent(1)) == ((1,), {"by": "hand"})
    assert tapes.replay(lambda: agent(1)) == ((1,), {"by": "hand"})
    assert tapes.recorded()[0].arguments == b'{"args":[1],"kwargs":{"by":"hand"}}'
    with pytest.raises(Diverged):
        tapes.replay(lambda: agent(2))


def test_an_unrecorded_block_runs_in_both(tapes):
    """What it asks is not on the tape."""
    ran = []

    @playhead.tool
    def look():
        ran.append(1)
        return len(ran)

    def agent():
        with playhead.unrecorded():
            look()
        return look()

    assert tapes.record(agent) == 2
    assert len(tapes.recorded()) == 1
    assert tapes.replay(agent) == 2
    assert len(ran) == 3


def test_without_a_tape_they_only_run():
    """Steps, boundaries and blocks."""
    assert plan("go") == ["GO"]
    assert list(watch(1)) == [1, None]
    with playhead.unrecorded():
        assert playhead.boundary("x", len, "abc") == 3
