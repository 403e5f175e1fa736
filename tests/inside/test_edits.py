"""A share of the random edits; `python -m tests.inside.edits` makes as many as one likes."""

import copy
import logging
import random
from types import SimpleNamespace

import pytest

from tests.inside import planned
from tests.inside.edits import Expected, by_the_command, complaint, edited, in_this_process, unedited_complaint

SEED = random.SystemRandom().randrange(1 << 32)


def told(edits):
    """What was wrong, and how often."""
    served, reports, count = [], [], 0
    for name, wrong, why in edits:
        count += 1
        served += wrong
        reports += [f"{name}: {why} (seed {SEED})"] if why else []
    return served, reports, count


@pytest.fixture(autouse=True)
def quiet():
    """asyncio says at length what becomes of the tasks of a run that has left its tape."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def test_edits_of_tools_are_named_and_never_answered(tmp_path):
    """Changed, renamed, removed, added, swapped, a lane more: the right call, class and path; no answer but its own."""
    assert told(in_this_process(random.Random(SEED), 100)) == ([], [], 100)


def test_edits_of_an_agent_with_models_are_named_and_never_answered(tmp_path):
    """The same by the real command, with threads and a model, strict and observed."""
    assert told(by_the_command(random.Random(SEED), 3)) == ([], [], 3)


@pytest.mark.parametrize("made", [in_this_process, by_the_command], ids=["in this process", "by the command"])
def test_edits_that_undo_each_other_are_none(tmp_path, monkeypatch, made):
    """One call more, then one less: the agent is the recorded one, and nothing is reported."""
    monkeypatch.setattr("tests.inside.edits.edited", lambda _, plan: ("append+remove", copy.deepcopy(plan), None))
    assert told(made(random.Random(SEED), 2)) == ([], [], 2)


def test_a_report_of_an_agent_that_nobody_edited_is_noticed(tmp_path, monkeypatch):
    """The control: a player that finds something in an unedited agent is found out."""
    monkeypatch.setattr("tests.inside.edits.edited", lambda _, plan: ("nothing", copy.deepcopy(plan), None))
    monkeypatch.setattr("tests.inside.edits.first_divergence", lambda _: {"class": "extra"})
    _, reports, _ = told(in_this_process(random.Random(SEED), 1))
    assert len(reports) == 1
    diverged = {"verdict": "diverged", "divergences": [{"class": "extra"}]}
    assert unedited_complaint(SimpleNamespace(returncode=1, summary=diverged))
    assert unedited_complaint(SimpleNamespace(returncode=0, summary=diverged | {"verdict": "identical"}))
    assert not unedited_complaint(SimpleNamespace(returncode=0, summary={"verdict": "identical", "divergences": []}))


def test_an_answer_of_another_question_is_noticed(tmp_path):
    """The control: a player that serves by place alone is found out by the agent."""
    wrong = []
    planned.check("mail", {"id": 1}, planned.answer_of("mail", {"id": 2}), wrong)
    assert wrong


def test_a_report_of_the_wrong_call_is_noticed():
    """The control: each way in which a report can be wrong is one."""
    chance = random.Random(1)
    plan = {"lanes": [[["mail", {"id": n, "to": {"amount": n, "note": ""}}] for n in range(4)]], "threads": False}
    seen = set()
    while seen < {"change", "remove", "swap", "rename"}:
        name, _, expected = edited(chance, plan)
        if expected is None or expected.question is None:
            continue
        seen.add(name)
        right = {"class": expected.kinds[0], "recorded": {"arguments": expected.question.decode()}}
        if not expected.path:
            assert complaint(expected, right) == ""
        assert complaint(expected, None) == "nothing was reported"
        assert "not" in complaint(expected, right | {"class": "leaked"})
        assert "names" in complaint(expected, right | {"recorded": {"arguments": "{}"}})


def test_a_model_asked_before_a_tool_that_it_followed_is_told(monkeypatch):
    """Also when all is observed and each of them is answered: their order is another one."""
    tool = ["mail", {"id": 1, "to": {"amount": 1, "note": ""}}]
    model = ["model", {"model": "small", "text": "who"}]
    plan = {"lanes": [[tool, model]], "threads": True}
    swapped = {"lanes": [[model, tool]], "threads": True}
    monkeypatch.setattr("tests.inside.edits.a_plan", lambda _chance, models: plan)
    monkeypatch.setattr("tests.inside.edits.edited", lambda *_: ("swap", swapped, None))
    chance = random.Random(SEED)
    chance.choice = min  # observe
    assert told(by_the_command(chance, 1)) == ([], [], 1)


def tool(number):
    return ["mail", {"id": number, "to": {"amount": 1, "note": ""}}]


def model(text):
    return ["model", {"model": "small", "text": text}]


@pytest.mark.parametrize("mode", ["strict", "observe"])
@pytest.mark.parametrize(
    ("plan", "swapped"),
    [
        ([[model("one"), model("two"), tool(1)]], [[model("two"), model("one"), tool(1)]]),
        ([[model("one"), tool(1), model("two")], [tool(2)]], [[model("two"), tool(1), model("one")], [tool(2)]]),
        ([[tool(1), model("one")], [tool(2), model("two")]], [[tool(1), model("two")], [tool(2), model("one")]]),
        ([[model("one"), tool(1), model("two")], [tool(2)]], [[tool(1), model("one"), model("two")], [tool(2)]]),
    ],
    ids=["side by side", "apart", "of two threads", "behind a tool"],
)
def test_a_model_in_the_place_of_another_is_told(monkeypatch, plan, swapped, mode):
    """Each has an answer on the tape, and the place of each in its thread is a model's; still the run is another one."""
    made = ("swap", {"lanes": swapped, "threads": True}, Expected(("reordered",), None))
    monkeypatch.setattr("tests.inside.edits.a_plan", lambda _chance, models: {"lanes": plan, "threads": True})
    monkeypatch.setattr("tests.inside.edits.edited", lambda *_: made)
    chance = random.Random(SEED)
    chance.choice = lambda _modes: mode
    assert told(by_the_command(chance, 1)) == ([], [], 1)


@pytest.mark.parametrize("mode", ["strict", "observe"])
def test_a_model_that_is_left_out_is_the_step_that_is_named(monkeypatch, mode):
    """The next one of its lane takes its place among the requests there; it was asked all the same, and is not missing."""
    plan = [[tool(1), model("one"), model("two")], [model("three"), tool(2)]]
    left_out = [[tool(1), model("two")], [model("three"), tool(2)]]
    made = ("remove", {"lanes": left_out, "threads": True}, Expected(("missing",), model("one")))
    monkeypatch.setattr("tests.inside.edits.a_plan", lambda _chance, models: {"lanes": plan, "threads": True})
    monkeypatch.setattr("tests.inside.edits.edited", lambda *_: made)
    chance = random.Random(SEED)
    chance.choice = lambda _modes: mode
    assert told(by_the_command(chance, 1)) == ([], [], 1)
