"""What a lane should have asked first: by the timeline of a recording, without processes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest

from playhead.core.events import Ending
from playhead.player.script import Group, write_script
from playhead.sessions.model import Lane
from tests.player.stage import Timeline

if TYPE_CHECKING:
    from playhead.player.script import Part, Script


def written(timeline: Timeline) -> Script:
    """Its script, for callers that order their answers themselves."""
    return write_script(timeline.recording, timeline.canonicals(), in_process=True)


def ask(script: Script, step: int, lane: str) -> list[int]:
    """The steps that `lane` passes over when it asks that one."""
    part = script.parts[step - 1]
    missed = [each.step for each in script.passed_over(part, lane)]
    part.turn = object()  # type: ignore[assignment]
    return missed


def in_turn(timeline: Timeline, lane: int, keys: str) -> None:
    for key in keys:
        timeline.answer(timeline.ask(key, lane=lane))


def label(script: Script, step: int) -> str:
    part: Part = script.parts[step - 1]
    return part.lane


def test_what_followed_an_answer_and_comes_before_it_leaves_that_one_behind() -> None:
    """Each once; in the recorded order nothing is passed over."""
    timeline = Timeline()
    in_turn(timeline, 1, "abcd")
    script = written(timeline)
    lane = label(script, 1)
    assert [ask(script, 1, lane), ask(script, 4, lane), ask(script, 3, lane), ask(script, 2, lane)] == [
        [],
        [2, 3],
        [],
        [],
    ]
    again = written(timeline)
    assert [ask(again, step, lane) for step in (1, 2, 3, 4)] == [[]] * 4


def test_what_was_under_way_beside_it_may_come_behind_it() -> None:
    """One asked before the other was answered, or that never had an answer."""
    timeline = Timeline()
    one, other = timeline.ask("a", lane=1), timeline.ask("b", lane=1)
    timeline.answer(one)
    timeline.answer(other)
    timeline.end(timeline.ask("c", lane=1), Ending.ABANDONED)
    in_turn(timeline, 1, "d")
    script = written(timeline)
    lane = label(script, 1)
    assert ask(script, 2, lane) == []
    assert ask(script, 4, lane) == [1]


@pytest.mark.parametrize(
    ("name", "missed"),
    [
        ("agent/t1", [2]),
        ("agent/b1", []),
        ("agent/t1/?2", []),
        ("agent/bot", [2]),
        ("agent/t1/b2/t1", []),
        ("agent/0.1", []),
        ("agent/0.f2:t1", []),
    ],
)
def test_one_of_another_lane_leaves_behind_what_this_one_asks_next(name: str, missed: list[int]) -> None:
    """Unless threads of a library have the lane, of which any does the work of another, or another process has it."""
    timeline = Timeline()
    in_turn(timeline, 1, "a")
    in_turn(timeline, 2, "bc")
    timeline.recording.lanes[2] = Lane(2, name, [])
    script = written(timeline)
    assert ask(script, 1, label(script, 2)) == missed
    assert ask(script, 2, "nobody's") == []


def test_callers_whose_answers_the_wire_orders_are_left_to_it() -> None:
    """Their order is that of the answers."""
    timeline = Timeline()
    in_turn(timeline, 1, "ab")
    script = write_script(timeline.recording, timeline.canonicals())
    assert ask(script, 2, label(script, 2)) == []


class Looked(Group):
    """A group that counts how often anybody looks whether it is free."""

    looks = 0

    @property
    def is_free(self) -> bool:
        Looked.looks += 1
        return Group.is_free.fget(self)  # type: ignore[attr-defined, no-any-return]


def test_each_of_many_equals_is_found_at_once() -> None:
    """However many of the same were answered before, and however many are to come; those answered are forgotten."""
    timeline = Timeline()
    in_turn(timeline, 0, "a" * 200)
    equals = write_script(timeline.recording, timeline.canonicals()).groups["a"]
    equals.groups = deque(Looked(group.parts) for group in equals.groups)
    Looked.looks = 0
    for step in range(1, 201):
        group = equals.next_free(lambda: "main")
        assert group is not None
        assert [part.step for part in group.parts] == [step]
        assert not equals.others_wait(group)
        group.assigned = True
    assert equals.next_free(lambda: "main") is None
    assert (Looked.looks, len(equals.groups)) == (200, 0)


def test_the_next_equal_is_the_caller_s_own_where_lanes_differ() -> None:
    """Else, and for a caller whose lane has none left, the first of all; one lane's callers are not asked who they are."""
    timeline = Timeline()
    in_turn(timeline, 1, "ab")
    in_turn(timeline, 2, "a")
    script = write_script(timeline.recording, timeline.canonicals())
    first, other = label(script, 1), label(script, 3)
    equals = script.groups["a"]
    for lane, step in ((other, 3), (first, 1), ("agent/unknown", 1)):
        group = equals.next_free(lambda lane=lane: lane)  # type: ignore[misc]
        assert group is not None
        assert group.parts[0].step == step
    equals.groups[1].assigned = True
    group = equals.next_free(lambda: other)
    assert group is equals.groups[0]

    def nobody() -> str:
        raise AssertionError("the equals of one lane")

    assert script.groups["b"].next_free(nobody) is not None


def test_callers_wait_in_a_group_of_several_only() -> None:
    """One that waits beside the group that was chosen is told; in it, or assigned, it is not."""
    timeline = Timeline()
    pair = timeline.ask("a"), timeline.ask("a")
    for each in pair:
        timeline.answer(each)
    in_turn(timeline, 0, "a")
    equals = write_script(timeline.recording, timeline.canonicals()).groups["a"]
    shared, alone = equals.groups
    assert (len(shared.parts), len(alone.parts)) == (2, 1)
    assert not equals.others_wait(alone)
    shared.waiting.append(object())  # type: ignore[arg-type]
    assert equals.others_wait(alone)
    assert not equals.others_wait(shared)
    shared.assigned = True
    assert not equals.others_wait(alone)
