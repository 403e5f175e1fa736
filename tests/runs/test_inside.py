"""What the Pythons of a replay said becomes a verdict, and words."""

import pytest

from playhead.core.boundary import Outcome, lane_mark
from playhead.core.events import Event, EventKind
from playhead.core.tape import Target
from playhead.runs.inside import in_order, judge_inside
from playhead.sessions.call import RecordedCall
from playhead.sessions.header import Header
from playhead.sessions.model import RecordedExchange, Recording


def recording(*names):
    """A recording of one process with these calls, a second apart."""
    calls = [
        RecordedCall(
            "0",
            n,
            "main",
            "tool",
            name,
            "",
            b'{"of": 1}',
            n * 10**9,
            n,
            told_ns=n * 10**9 + 1,
            outcome=Outcome(False, b"1"),
        )
        for n, name in enumerate(names, 1)
    ]
    return Recording(Header("7f3a2b9c41d0e655", 0, [], ""), 0, calls=calls, inside={"0": []})


ENDED = {"process": "0", "end": {"served": 2, "unplayed": [], "left": 0, "cut": False}}


def test_other_arguments_are_told_by_their_path():
    """Step, path and both sides of the first argument that differs."""
    facts = {"class": "changed", "lane": "0/t2", "n": 2, "kind": "tool", "name": "refund", "arguments": '{"of": 2}'}
    facts["recorded"] = {"number": 2, "kind": "tool", "name": "refund", "arguments": '{"of": 1}'}
    inside = judge_inside(recording("look_up", "refund"), [{"process": "0", "divergence": facts}, ENDED])
    (found,) = inside.divergences
    report = found.pop("report")
    del found["at_ns"]
    assert found == {
        "class": "changed",
        "step": 2,
        "lane": "t2",
        "path": "$.of",
        "expected": "1",
        "observed": "2",
        "nearest": "7f3a2b9c:2",
    }
    assert "refund(of=2)" in report
    assert "playhead inspect 7f3a2b9c:2" in report
    assert len(report.splitlines()) <= 25


def test_another_tool_is_told_by_its_name():
    """Where another tool was called the path is the name."""
    facts = {"class": "changed", "lane": "0", "n": 1, "kind": "tool", "name": "drop", "arguments": "{}"}
    facts["recorded"] = {"number": 1, "kind": "tool", "name": "look_up", "arguments": '{"of": 1}'}
    (found,) = judge_inside(recording("look_up"), [{"process": "0", "divergence": facts}]).divergences
    assert (found["path"], found["step"], found["lane"]) == ("$.name", 1, "main")
    assert "look_up(of=1)" in found["expected"]
    assert "drop()" in found["observed"]


def test_a_call_that_did_not_come_is_a_step_not_played():
    """Unplayed calls are steps; other acts are named; a process without a last word did not end."""
    end = {"served": 1, "left": 1, "cut": False}
    end["unplayed"] = [
        {"lane": "0", "n": 2, "number": 2, "kind": "tool", "name": "refund"},
        {"lane": "0", "n": 3, "number": 9, "kind": "sleep", "name": "sleep"},
    ]
    asked = recording("look_up", "refund")
    inside = judge_inside(asked, [{"process": "0", "end": end}])
    assert inside.steps == [2]
    assert inside.unplayed == ["not played: sleep sleep (lane main)"]
    assert inside.served(asked) == 1
    silent = judge_inside(asked, [])
    assert silent.unplayed == ["process 0 of the recording did not run to its end"]
    assert silent.served(asked) == 0


def no_answer(cut, **facts):
    """The report of a question without an answer, in a process that was killed (or not)."""
    asked = recording("pay")
    asked.inside = {"0": [] if cut else [Event(EventKind.CLOSED, 0, 0)]}
    facts = {"class": "exhausted", "lane": "0", "n": 1, **facts}
    (found,) = judge_inside(asked, [{"process": "0", "divergence": facts}]).divergences
    assert "repeated" not in found["report"]
    return found["step"], found["report"]


def test_no_answer_says_why_there_is_none():
    """Killed during the call, killed before it, or an answer that was not written down."""
    pay = {"number": 1, "kind": "tool", "name": "pay", "arguments": '{"of": 1}'}
    step, report = no_answer(True, **{**pay, "number": 0}, recorded=pay)
    assert step == 1
    assert "the agent was killed during this call: it may have taken effect" in report
    assert "asked:    tool pay(of=1)" in report
    assert "the agent was killed about here" in no_answer(True, kind="http")[1]
    assert "asked:    an answer over HTTP" in no_answer(True, kind="http")[1]
    assert "could not be written down" in no_answer(False, kind="tool", name="pay")[1]


def test_a_call_in_doubt_is_not_counted_as_served():
    """Nobody has its answer."""
    asked = recording("look_up", "pay")
    asked.calls[1].outcome = None
    assert judge_inside(asked, [ENDED]).served(asked) == 1


def divergence(name, at_ns, step=1):
    """One as the player at the wire and `judge_inside` tell it."""
    return {"class": name, "at_ns": at_ns, "step": step}


def test_a_strict_replay_stops_at_its_first_divergence():
    """What follows inside from a request that the wire has refused is not told; what came before it is, and first."""
    wire = [divergence("changed", 20), divergence("extra", 30)]
    inside = [divergence("missing", 25), divergence("reordered", 10)]
    assert [each["class"] for each in in_order(wire, inside, strict=True)] == ["reordered", "changed", "extra"]
    assert [each["class"] for each in in_order(wire, inside, strict=False)] == [
        "reordered",
        "changed",
        "missing",
        "extra",
    ]
    assert in_order([], inside, strict=True) == [inside[1], inside[0]]


def test_a_request_that_was_left_out_is_the_one_that_the_wire_misses():
    """Requests of a lane are alike to the process: it misses the last one, which was asked. Of another lane, or where the step
    that it names was not asked either, it is believed."""
    inside = [divergence("missing", 25, step=5) | {"lane": "main"}]
    wire = [divergence("missing", 90, step=4) | {"lane": "main"}]
    told = [wire[0] | {"at_ns": 25}]
    assert in_order(wire, inside, strict=True, unplayed=[4, 7]) == told
    assert in_order([], inside, strict=True, missing=wire, unplayed=[4, 7]) == told
    assert in_order(wire, inside, strict=True, unplayed=[4, 5]) == [inside[0], wire[0]]
    elsewhere = [wire[0] | {"lane": "h1"}]
    assert in_order(elsewhere, inside, strict=True, unplayed=[4]) == [inside[0], elsewhere[0]]
    assert in_order(wire, inside, strict=True) == [inside[0], wire[0]]


def test_what_is_missing_at_the_wire_at_the_end_is_told_unless_it_follows():
    """Of a strict replay only where nothing else differed; in front of what a library left out with it."""
    missing = [divergence("missing", 40, step=3), divergence("missing", 41, step=4)]
    assert in_order([], [], strict=True, missing=missing[:1]) == missing[:1]
    act = divergence("missing", 30, step=None)
    assert in_order([], [act], strict=True, missing=missing[:1]) == [missing[0], act]
    inside = [act, divergence("reordered", 10)]
    assert in_order([], inside, strict=True, missing=missing[:1]) == [inside[1], inside[0]]
    assert in_order([], inside, strict=False, missing=missing) == [inside[1], *missing, inside[0]]


def test_one_more_timer_is_told_behind_the_step_that_is_missing():
    """A library makes a connection that it had before, as the step that is gone no longer left one; alone it is told."""
    more = {"class": "extra", "lane": "main", "n": 9, "kind": "timer", "observed": "not in the recorded order"}
    tool = more | {"kind": "tool", "name": "pay", "arguments": "{}"}
    missing = [divergence("missing", 40, step=3)]
    told = judge_inside(recording("look_up"), [{"process": "0", "at_ns": 10, "divergence": more}]).divergences
    assert [each["class"] for each in in_order([], told, strict=False)] == ["extra"]
    ordered = in_order([], told, strict=False, missing=missing)
    assert [(each["class"], each["step"]) for each in ordered] == [("missing", 3), ("extra", None)]
    assert all(each.keys() <= {*told[0]} - {"unnamed"} for each in ordered)
    asked = judge_inside(recording("look_up"), [{"process": "0", "at_ns": 10, "divergence": tool}]).divergences
    assert [each["class"] for each in in_order([], asked, strict=False, missing=missing)] == ["extra", "missing"]


def a_process(number):
    """A recording of two requests of one lane, at two steps of the wire, behind a tool."""
    asked = recording("look_up")
    events = [Event(EventKind.LANE, 0, 0, 7, meta={"key": "0/t1"})]
    for n in range(number):
        meta = {"lane": 7, "n": n + 1, "kind": "http", "name": "POST model.test", "passed": True}
        events.append(Event(EventKind.ASK, n + 1, (n + 1) * 10**9, n + 1, meta=meta))
    asked.inside = {"0": events}
    for step, order in ((2, 20), (3, 30)):
        exchange = RecordedExchange(
            step, Target("https", "model.test", 443), "proxy", 1, False, "http/1.1", order * 10**8, order
        )
        exchange.head = b"POST /ask?key=1 HTTP/1.1\r\n\r\n"
        exchange.lane_mark, exchange.orders = lane_mark("0", "0/t1"), True
        asked.exchanges.append(exchange)
    return asked


@pytest.mark.parametrize(("number", "asked", "step"), [(2, 1, 2), (2, 2, 3), (3, 2, 2), (3, 3, 3)])
def test_a_request_that_came_too_late_is_told_by_its_step_at_the_wire(number, asked, step):
    """A process knows its requests by their place alone. Where one of them was never heard, the times say which is which."""
    told = {"number": asked, "kind": "http", "name": "POST model.test", "arguments": ""}
    facts = {"class": "reordered", "lane": "0/t1", "n": 3, "kind": "http", "name": "POST model.test", "recorded": told}
    (found,) = judge_inside(a_process(number), [{"process": "0", "divergence": facts}]).divergences
    assert (found["step"], found["nearest"], found["path"]) == (step, f"7f3a2b9c:{step}", None)
    assert "asked:    POST model.test/ask\n" in found["report"]


def test_an_act_that_came_too_early_is_told_by_the_step_that_was_due():
    """A subprocess is no step; the tool in front of which it was asked is one."""
    due = {"number": 1, "kind": "tool", "name": "look_up", "arguments": '{"of": 1}'}
    facts = {"class": "reordered", "lane": "0", "n": 3, "kind": "subprocess", "name": "ls", "due": due}
    (found,) = judge_inside(recording("look_up"), [{"process": "0", "divergence": facts}]).divergences
    assert (found["step"], found["nearest"]) == (1, "7f3a2b9c:1")


def test_an_act_that_did_not_come_is_missing_in_its_own_lane():
    """Not in that of who waits for it; a lock has no name, so the step that its lane asks behind it says where it is."""
    tool = {"number": 2, "kind": "tool", "name": "refund", "arguments": '{"of": 1}'}
    for due, expected in (
        ({**tool, "lane": "0/h2", "n": 4}, "tool refund(of=1)"),
        ({"lane": "0/h2", "n": 3, "next": tool}, "act 3 of lane 0/h2: a lock, a queue or the like"),
    ):
        facts = {"class": "missing", "lane": "0/h1", "n": 9, "kind": "lock", "due": due, "waiting": ["lock 0/h1#9"]}
        (found,) = judge_inside(recording("look_up", "refund"), [{"process": "0", "divergence": facts}]).divergences
        assert (found["step"], found["lane"], found["expected"]) == (2, "h2", expected)
        assert "waiting:  lock 0/h1#9" in found["report"]


def of_a_child(*events):
    """A recording of the command and a child that came to its end."""
    closed = Event(EventKind.CLOSED, 1, 0)
    whole = recording()
    whole.inside |= {"0": [closed], "0.f1": [*events, closed]}
    return whole


def test_a_child_that_was_ended_when_it_had_played_all_has_left_nothing_out():
    """A pool ends its workers when it likes, in a replay sooner than in the recording."""
    asked = Event(EventKind.ASK, 1, 0)
    told = [{"process": "0.f1", "started": True}, ENDED]
    assert judge_inside(of_a_child(asked), [*told, {"process": "0.f1", "played": True}]).unplayed == []
    assert judge_inside(of_a_child(), told).unplayed == []


def test_a_child_that_was_ended_before_is_told():
    """With something left to play, or never started, or the command itself."""
    asked = Event(EventKind.ASK, 1, 0)
    told = [{"process": "0.f1", "started": True}, ENDED]
    words = ["process 0.f1 of the recording did not run to its end"]
    assert judge_inside(of_a_child(asked), told).unplayed == words
    assert judge_inside(of_a_child(), [ENDED]).unplayed == words
    command = [{"process": "0", "started": True}, {"process": "0", "played": True}]
    assert judge_inside(recording(), command).unplayed == []  # its own recording was cut off, too
    assert len(judge_inside(of_a_child(), [*command, *told[:1]]).unplayed) == 1
