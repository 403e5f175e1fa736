"""The player: what is served, in which order, and that nothing else ever is."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.core.events import Ending
from playhead.core.tape import Connection, Route
from playhead.player import beforehand, leaving
from playhead.player import player as players
from playhead.sessions.model import Lane
from tests.journal.peers import FakeRest
from tests.player.stage import Asked, Stage, Timeline, WillingRest, settle, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of waiting a hundred times shorter."""
    monkeypatch.setattr(players, "MISSING_AFTER_S", 0.1)
    monkeypatch.setattr(players, "ASSIGN_SHORT_AFTER_S", 0.02)
    monkeypatch.setattr(players, "LOOK_S", 0.002)
    monkeypatch.setattr(leaving, "READS_ON_AFTER_S", 0.02)
    monkeypatch.setattr(leaving, "LOOK_S", 0.002)
    monkeypatch.setattr(beforehand, "GIVEN_UP_AFTER_S", 0.02)
    monkeypatch.setattr(beforehand, "LOOK_S", 0.002)


def test_answers_are_served_whole_and_in_turn() -> None:
    """One after the other, on one connection; everything was served, nothing is left."""

    async def scenario() -> None:
        timeline = Timeline()
        for key in "ab":
            timeline.answer(timeline.ask(key, connection=1))
        stage = Stage(timeline, strict=True)
        on = Connection(1, ("127.0.0.1", 40_001), Route.PROXY)
        for number, key in enumerate("ab", 1):
            asked = stage.ask(key, on=on)
            await settle()
            assert asked.heard == [b"answer %d" % number]
            assert asked.endings == [Ending.COMPLETE]
        assert stage.player.finish() == []
        assert (stage.player.served, stage.classes, stage.halts) == (2, [], [])

    run(scenario)


@settings(max_examples=40, deadline=None)
@given(reads=st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=12))
def test_split_points_are_kept(reads: list[bytes]) -> None:
    """Every recorded read leaves in a write of its own, in a turn of the loop of its own."""

    async def scenario() -> None:
        timeline = Timeline()
        step = timeline.ask("a")
        for number, data in enumerate(reads, 1):
            timeline.read(step, data, last=number == len(reads))
        stage = Stage(timeline)
        asked = stage.ask("a")
        assert len(asked.heard) == 1, "the next piece must not leave in the same turn of the loop"
        await settle()
        assert asked.heard == reads

    run(scenario)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_concurrent_answers_come_in_recorded_order_however_they_are_asked(order: tuple[int, ...]) -> None:
    """And each only after rest behind the one before."""

    async def scenario() -> None:
        timeline = Timeline()
        steps = [timeline.ask(key) for key in "abc"]
        for step in (steps[2], steps[0], steps[1]):
            timeline.answer(step)
        rest = FakeRest()
        stage = Stage(timeline, rest=rest)
        asked = {"abc"[n]: stage.ask("abc"[n]) for n in order}
        await settle()
        assert [data for _, data in stage.log] == [b"answer 3"]
        assert rest.waits[0][0] == (asked["c"].exchange.connection.peer[1],)
        rest.say(rested=True)
        await settle()
        assert [data for _, data in stage.log] == [b"answer 3", b"answer 1"]
        rest.say(rested=True)
        await settle()
        assert [data for _, data in stage.log] == [b"answer 3", b"answer 1", b"answer 2"]
        assert [asked[k].heard for k in "abc"] == [[b"answer 1"], [b"answer 2"], [b"answer 3"]]
        assert stage.player.order_unobserved == 0

    run(scenario)


def test_rest_that_is_not_reached_is_counted_and_not_waited_for() -> None:
    """The replay goes on and says in how many places the order was not observed."""

    async def scenario() -> None:
        timeline = Timeline()
        steps = [timeline.ask(key) for key in "ab"]
        for step in steps:
            timeline.answer(step)
        rest = FakeRest()
        stage = Stage(timeline, rest=rest)
        for key in "ab":
            stage.ask(key)
        await settle()
        rest.say(rested=False)
        await settle()
        assert len(stage.log) == 2
        assert stage.player.order_unobserved == 1

    run(scenario)


def test_chunks_of_two_streams_interleave_as_they_did() -> None:
    """The order of reads across streams is the recording's, not one stream after the other."""

    async def scenario() -> None:
        timeline = Timeline()
        a, b = timeline.ask("a"), timeline.ask("b")
        recorded = [(a, b"a1"), (b, b"b1"), (b, b"b2"), (a, b"a2"), (b, b"b3"), (a, b"a3")]
        for step, data in recorded:
            timeline.read(step, data, last=data[1:] == b"3")
        stage = Stage(timeline)
        second, first = stage.ask("b"), stage.ask("a")
        await settle()
        assert [data for _, data in stage.log] == [data for _, data in recorded]
        assert first.endings == second.endings == [Ending.COMPLETE]

    run(scenario)


def test_between_chunks_of_two_streams_the_agent_comes_to_rest() -> None:
    """All are there at once; in the middle of an answer nobody need have read it, at its end everybody has."""

    async def scenario() -> None:
        timeline = Timeline()
        a, b = timeline.ask("a"), timeline.ask("b")
        recorded = [(a, b"a1"), (b, b"b1"), (a, b"a2"), (a, b"a3"), (b, b"b2"), (a, b"a4")]
        for step, data in recorded:
            timeline.read(step, data, last=data == b"a4")
        rest = FakeRest()
        stage = Stage(timeline, rest=rest)
        stage.ask("a")
        await settle()
        stage.ask("b")
        seen = []
        for _ in range(4):
            await settle()
            seen.append((stage.log[-1][1], rest.waits[0][0] != ()))
            rest.say(rested=True)
        await settle()
        assert seen == [(b"a1", True), (b"b1", False), (b"a3", False), (b"b2", False)]
        assert [data for _, data in stage.log] == [data for _, data in recorded]

    run(scenario)


def test_an_answer_waits_for_a_request_that_came_before_it_in_the_recording(soon: None) -> None:
    """An answer that the agent saw after asking something else is not let go before it asks that."""

    async def scenario() -> None:
        timeline = Timeline()
        a = timeline.ask("a")
        b = timeline.ask("b")
        timeline.answer(b)
        timeline.answer(a)
        stage = Stage(timeline)
        first = stage.ask("a")
        await settle()
        assert first.heard == []
        stage.ask("b")
        await settle()
        assert [data for _, data in stage.log] == [b"answer 2", b"answer 1"]

    run(scenario)


@pytest.mark.parametrize("is_given_up", [False, True])
def test_an_answer_waits_for_what_was_asked_before_it_though_answered_later(is_given_up: bool) -> None:
    """An agent that gives up the others at the first answer must have asked them; also where they were never answered."""

    async def scenario() -> None:
        timeline = Timeline()
        a, b = timeline.ask("a"), timeline.ask("b")
        timeline.answer(a)
        timeline.end(b, Ending.ABANDONED) if is_given_up else timeline.answer(b)
        stage = Stage(timeline, strict=True)
        first = stage.ask("a")
        await settle()
        assert first.heard == []
        second = stage.ask("b")
        await settle()
        assert first.heard == [b"answer 1"]
        assert second.heard == ([] if is_given_up else [b"answer 2"])
        assert (stage.player.finish(), stage.classes) == ([], [])

    run(scenario)


def test_an_answer_whose_agent_asks_one_after_the_other_now_is_let_go_after_rest(soon: None) -> None:
    """Nothing is concluded from it: what comes later is served, what does not is missing."""

    async def scenario() -> None:
        timeline = Timeline()
        steps = [timeline.ask(key) for key in "abc"]
        for step in steps:
            timeline.answer(step)
        stage = Stage(timeline)
        for number, key in enumerate("ab", 1):
            asked = stage.ask(key)
            assert asked.heard == []
            await until(lambda asked=asked: asked.endings)
            assert asked.heard == [b"answer %d" % number]
        assert (stage.player.finish(), stage.classes) == ([3], [])

    run(scenario)


def test_an_answer_waits_as_long_as_the_agent_once_took_to_ask_what_came_before_it(soon: None) -> None:
    """A call that is asked a second time when no answer has come after a while."""

    async def scenario() -> None:
        timeline = Timeline()
        a = timeline.ask("a")
        b = timeline.ask("b", gap_ms=60_000)
        timeline.answer(a)
        timeline.answer(b)
        stage = Stage(timeline, strict=True)
        first = stage.ask("a")
        await until(lambda: len(stage.rest.looks) > 30)  # without a pause in the recording ten are enough
        assert first.heard == []
        stage.ask("b")
        await settle()
        assert [data for _, data in stage.log] == [b"answer 1", b"answer 2"]

    run(scenario)


def test_a_request_that_was_cut_off_is_not_waited_for() -> None:
    """Its client may have given it up for that very answer."""

    async def scenario() -> None:
        timeline = Timeline()
        a, b = timeline.ask("a"), timeline.ask("b", cut=0)
        timeline.answer(a)
        timeline.end(b, Ending.ABANDONED)
        stage = Stage(timeline, strict=True)
        first = stage.ask("a")
        await settle()
        assert first.heard == [b"answer 1"]

    run(scenario)


@pytest.mark.parametrize("how", [e for e in Ending if e not in (Ending.COMPLETE, Ending.ABANDONED)])
@pytest.mark.parametrize("begun", [False, True])
def test_what_broke_breaks_again(how: Ending, begun: bool) -> None:
    """After the same bytes, in the same way."""

    async def scenario() -> None:
        timeline = Timeline()
        step = timeline.ask("a")
        if begun:
            timeline.read(step, b"HTTP/1.1 200 OK\r\n\r\nhal")
        timeline.end(step, how)
        stage = Stage(timeline)
        asked = stage.ask("a")
        await until(lambda: asked.endings)
        assert asked.heard == [b"HTTP/1.1 200 OK\r\n\r\nhal"] * begun
        assert asked.endings == [how]

    run(scenario)


def left_in_the_middle() -> Timeline:
    """An exchange whose client went away when it had a part, and a whole one."""
    timeline = Timeline()
    left = timeline.ask("a")
    timeline.read(left, b"partly")
    timeline.end(left, Ending.ABANDONED)
    timeline.answer(timeline.ask("b"))
    return timeline


def test_an_exchange_that_the_agent_abandoned_is_left_open_for_it_to_abandon() -> None:
    """What it had heard it hears again; then it goes away by itself, and what follows is served."""

    async def scenario() -> None:
        timeline = left_in_the_middle()
        stage = Stage(timeline, strict=True)
        asked = stage.ask("a")
        await settle()
        assert (asked.heard, asked.endings) == ([b"partly"], [])
        asked.turn.abandon()
        after = stage.ask("b")
        await settle()
        assert after.heard == [b"answer 2"]
        assert stage.player.finish() == []
        assert stage.classes == []

    run(scenario)


@pytest.mark.parametrize("strict", [False, True])
def test_an_agent_that_reads_on_where_it_went_away_is_told_that_there_is_no_more(soon: None, strict: bool) -> None:
    """It would wait for ever. Not before it has had the time that it took when it was recorded."""

    async def scenario() -> None:
        timeline = left_in_the_middle()
        rest = WillingRest()
        rest.at_rest = False
        stage = Stage(timeline, strict=strict, rest=rest)
        asked = stage.ask("a")
        await asyncio.sleep(0.05)
        assert (asked.heard, asked.endings) == ([b"partly"], [])  # it works: it may go away yet
        rest.at_rest = True
        await until(lambda: asked.endings)
        assert (asked.heard, asked.endings) == ([b"partly"], [Ending.RESET])
        assert (stage.classes, stage.player.divergences[0].step) == (["exhausted"], 1)
        after = stage.ask("b")
        await settle()
        assert after.heard == [b"refused: exhausted" if strict else b"answer 2"]

    run(scenario)


def test_an_agent_that_goes_away_does_not_stop_the_others() -> None:
    """Its answer is passed over; nothing is delivered to who has gone."""

    async def scenario() -> None:
        timeline = Timeline()
        a, b = timeline.ask("a"), timeline.ask("b")
        timeline.answer(a)
        timeline.answer(b)
        rest = FakeRest()
        stage = Stage(timeline, rest=rest)
        second = stage.ask("b")
        first = stage.ask("a")
        await settle()
        second.turn.abandon()
        second.turn.abandon()
        rest.say(rested=True)
        await settle()
        assert (first.heard, second.heard, second.endings) == ([b"answer 1"], [], [])
        assert stage.player.finish() == [2]  # the recorded one had its answer
        assert stage.player.served == 1

    run(scenario)


def test_a_strict_replay_stops_at_a_changed_request() -> None:
    """The asker hears one refusal, so does who waits, halt is said once, and nothing is served any more."""

    async def scenario() -> None:
        timeline = Timeline()
        for key in ("a1", "b", "c"):
            timeline.answer(timeline.ask(key))
        stage = Stage(timeline, strict=True)
        waiting = stage.ask("b")
        await settle()
        changed = stage.ask("a2")
        await settle()
        assert changed.heard == waiting.heard == [b"refused: changed"]
        assert changed.endings == waiting.endings == [Ending.COMPLETE]
        later = stage.ask("c")
        await settle()
        assert later.heard == [b"refused: changed"]
        assert (stage.classes, stage.halts) == (["changed"], ["the replay diverged"])
        assert stage.player.divergences[0].step == 1

    run(scenario)


@pytest.mark.parametrize("ending", [None, Ending.CLOSED])
def test_a_strict_stop_in_the_middle_of_a_stream_puts_no_refusal_into_it(ending: Ending | None) -> None:
    """Bytes of an error behind bytes of an answer would be neither."""

    async def scenario() -> None:
        timeline = Timeline()
        a = timeline.ask("a")
        timeline.read(a, b"half")
        timeline.answer(timeline.ask("b"))
        timeline.read(a, b" whole", last=ending is None)
        if ending:
            timeline.end(a, ending)
        stage = Stage(timeline, strict=True)
        stream = stage.ask("a")
        await settle()
        stage.ask("x")
        await settle()
        assert stream.heard == [b"half"]
        assert stage.classes == ["extra"]

    run(scenario)


def test_an_observing_replay_collects_and_goes_on() -> None:
    """A changed request replaces its recorded one, an extra one nothing; each is refused, the rest is served."""

    async def scenario() -> None:
        timeline = Timeline()
        for key in ("a1", "b", "c"):
            timeline.answer(timeline.ask(key))
        stage = Stage(timeline)
        heard = []
        for key in ("a2", "b", "x", "c"):
            asked = stage.ask(key)
            await settle()
            heard += asked.heard
        assert heard == [b"refused: changed", b"answer 2", b"refused: extra", b"answer 3"]
        assert stage.player.finish() == []
        assert (stage.classes, stage.halts, stage.player.served) == (["changed", "extra"], [], 2)

    run(scenario)


@pytest.mark.parametrize("strict", [False, True])
def test_a_retry_of_a_miss_is_no_new_divergence(strict: bool) -> None:
    """It hears the same again; another miss is one."""

    async def scenario() -> None:
        timeline = Timeline()
        timeline.answer(timeline.ask("a"))
        stage = Stage(timeline, strict=strict)
        refused = [stage.ask("x"), stage.ask("x"), stage.ask("x")]
        assert [r.heard for r in refused] == [[b"refused: extra"]] * 3
        assert [r.endings for r in refused] == [[Ending.COMPLETE]] * 3
        assert stage.classes == ["extra"]
        stage.ask("y")
        assert stage.classes == ["extra"] * (1 if strict else 2)

    run(scenario)


def test_equal_requests_get_answers_in_order_and_the_next_is_exhausted() -> None:
    """1..N in recorded order, asked one after the other."""

    async def scenario() -> None:
        timeline = Timeline()
        for _ in range(3):
            timeline.answer(timeline.ask("a"))
        stage = Stage(timeline)
        heard = []
        for _ in range(4):
            asked = stage.ask("a")
            await settle()
            heard += asked.heard
        assert heard == [b"answer 1", b"answer 2", b"answer 3", b"refused: exhausted"]
        assert (stage.classes, stage.player.ambiguous) == (["exhausted"], [])

    run(scenario)


def identical(recorded: list[int], live: list[int], *, reused: bool = False) -> tuple[list[bytes], list[int]]:
    """Equal concurrent requests, recorded and asked in this order on connections of these accept ranks; what each live
    connection heard, by rank, and the ambiguous steps."""
    out: list[tuple[list[bytes], list[int]]] = []

    async def scenario() -> None:
        timeline = Timeline()
        steps = [timeline.ask("a", connection=c, reused=reused) for c in recorded]
        for step in steps:
            timeline.answer(step)
        stage = Stage(timeline)
        connections = {c: Connection(c, ("127.0.0.1", 40_000 + c), Route.PROXY, asked=int(reused)) for c in live}
        asked = {c: stage.ask("a", on=connections[c]) for c in live}
        await settle()
        out.append(([b"".join(asked[c].heard) for c in sorted(live)], stage.player.ambiguous))

    asyncio.run(scenario())
    return out[0]


def test_equal_concurrent_requests_are_ranked_by_accept_order() -> None:
    """On fresh connections; where arrival says otherwise the assignment is not claimed."""
    assert identical([1, 2, 3], [1, 2, 3]) == ([b"answer 1", b"answer 2", b"answer 3"], [])
    assert identical([1, 2, 3], [7, 8, 9]) == ([b"answer 1", b"answer 2", b"answer 3"], [])
    assert identical([1, 2, 3], [2, 3, 1]) == ([b"answer 1", b"answer 2", b"answer 3"], [1, 2, 3])
    assert identical([3, 1, 2], [1, 2, 3]) == ([b"answer 2", b"answer 3", b"answer 1"], [1, 2, 3])


def test_equal_concurrent_requests_on_used_connections_are_ranked_by_arrival() -> None:
    """Accept order says nothing about them."""
    assert identical([1, 2, 3], [2, 3, 1], reused=True) == ([b"answer 3", b"answer 1", b"answer 2"], [])


def test_no_answer_is_given_before_all_equals_have_asked() -> None:
    """Which caller is which is known only then."""

    async def scenario() -> None:
        timeline = Timeline()
        steps = [timeline.ask("a") for _ in range(2)]
        for step in steps:
            timeline.answer(step)
        stage = Stage(timeline)
        second = stage.ask("a", connection=2)
        await settle()
        assert second.heard == []
        first = stage.ask("a", connection=1)
        await settle()
        assert (first.heard, second.heard) == ([b"answer 1"], [b"answer 2"])

    run(scenario)


def test_fewer_equals_than_recorded_are_served_after_rest_and_not_claimed(soon: None) -> None:
    """The agent asked one at a time what it had asked at once: answered, ambiguous; the rest goes to who asks next,
    before equals that were recorded later."""

    async def scenario() -> None:
        timeline = Timeline()
        steps = [timeline.ask("a") for _ in range(2)]
        for step in steps:
            timeline.answer(step)
        timeline.answer(timeline.ask("a"))
        stage = Stage(timeline)
        heard = []
        for _ in range(3):
            asked = stage.ask("a")
            await until(lambda asked=asked: asked.endings)
            heard += asked.heard
        assert heard == [b"answer 1", b"answer 2", b"answer 3"]
        assert 1 in stage.player.ambiguous
        assert (stage.classes, stage.player.finish()) == ([], [])

    run(scenario)


def test_equals_of_two_lanes_go_each_to_its_own() -> None:
    """A lane's answer is not given to the other, whoever asks first."""

    async def scenario() -> None:
        timeline = Timeline()
        steps = [timeline.ask("a", lane=lane) for lane in (1, 2)]
        for step in steps:
            timeline.answer(step)
        stage = Stage(timeline, lane_of=lambda exchange: str(exchange.connection.number))
        asked = {lane: stage.ask("a", connection=lane) for lane in (2, 1)}
        await settle()
        assert [asked[lane].heard for lane in (1, 2)] == [[b"answer 1"], [b"answer 2"]]

    run(scenario)


def test_equals_of_which_one_was_never_answered_are_one_group() -> None:
    """The caller that heard nothing hears nothing, the other its answer, whoever asks first."""

    async def scenario() -> None:
        timeline = Timeline()
        timeline.ask("a", connection=1)
        timeline.answer(timeline.ask("a", connection=2))
        stage = Stage(timeline)
        second = stage.ask("a", connection=2)
        first = stage.ask("a", connection=1)
        await settle()
        assert (first.heard, second.heard) == ([], [b"answer 2"])
        assert stage.halts == ["the recording ends here"]

    run(scenario)


@pytest.mark.parametrize("strict", [False, True])
def test_a_request_that_does_not_come_is_missing_and_the_replay_ends(soon: None, strict: bool) -> None:
    """Never a hang: halted after the bound, named, unplayed."""

    async def scenario() -> None:
        timeline = Timeline()
        for key in "ab":
            timeline.answer(timeline.ask(key))
        stage = Stage(timeline, strict=strict)
        began = time.monotonic()
        stage.ask("a")
        await until(lambda: stage.halts)
        assert time.monotonic() - began > 0.08
        assert stage.classes == ["missing"]
        assert stage.halts == ["step 2 was not asked"]
        assert stage.player.finish() == [2]
        assert stage.classes == ["missing"]

    run(scenario)


def test_nothing_is_missing_while_the_agent_works(soon: None) -> None:
    """Only time at rest counts."""

    async def scenario() -> None:
        timeline = Timeline()
        for key in "ab":
            timeline.answer(timeline.ask(key))
        rest = FakeRest(at_rest=False)
        stage = Stage(timeline, rest=rest)
        stage.ask("a")
        await until(lambda: len(rest.looks) > 80)
        assert stage.halts == []
        asked = stage.ask("b")
        await settle()
        assert asked.heard == [b"answer 2"]

    run(scenario)


def test_a_long_pause_of_the_recording_is_waited_for(soon: None) -> None:
    """The recorded gap before a request counts on top of the bound."""

    async def scenario() -> None:
        timeline = Timeline()
        timeline.answer(timeline.ask("a"))
        timeline.answer(timeline.ask("b", gap_ms=300))
        stage = Stage(timeline)
        began = time.monotonic()
        stage.ask("a")
        await until(lambda: stage.halts)
        assert time.monotonic() - began > 0.38

    run(scenario)


@pytest.mark.parametrize("strict", [False, True])
def test_a_request_that_comes_after_one_that_followed_it_is_reordered(soon: None, strict: bool) -> None:
    """The later one is let go when the earlier does not come; the earlier is then named, and served to who observes."""

    async def scenario() -> None:
        timeline = Timeline()
        for key in "ab":
            timeline.answer(timeline.ask(key))
        stage = Stage(timeline, strict=strict)
        second = stage.ask("b")
        await until(lambda: second.endings)
        assert second.heard == [b"answer 2"]
        first = stage.ask("a")
        await settle()
        assert first.heard == ([b"refused: reordered"] if strict else [b"answer 1"])
        assert first.endings == [Ending.COMPLETE]
        assert (stage.classes, stage.player.divergences[0].step) == (["reordered"], 1)

    run(scenario)


def test_what_was_overdue_and_never_came_is_missing_at_the_end(soon: None) -> None:
    """Said once the child has ended."""

    async def scenario() -> None:
        timeline = Timeline()
        for key in "ab":
            timeline.answer(timeline.ask(key))
        stage = Stage(timeline)
        second = stage.ask("b")
        await until(lambda: second.endings)
        assert stage.player.finish() == [1]
        assert stage.classes == ["missing"]

    run(scenario)


@pytest.mark.parametrize("strict", [False, True])
def test_a_client_that_gives_up_waiting_for_a_swapped_answer_does_not_hide_the_swap(strict: bool) -> None:
    """Before anything is missing: what it waited for has come too late when it comes, and it may ask again."""

    async def scenario() -> None:
        timeline = Timeline()
        for key in "abc":
            timeline.answer(timeline.ask(key))
        stage = Stage(timeline, strict=strict)
        second = stage.ask("b")
        await settle()
        second.turn.abandon()
        again = stage.ask("b")
        await settle()
        assert (second.heard, again.heard) == ([], [b"answer 2"])
        first = stage.ask("a")
        await settle()
        assert first.heard == ([b"refused: reordered"] if strict else [b"answer 1"])
        assert (stage.classes, stage.player.divergences[0].step) == (["reordered"], 1)

    run(scenario)


def test_an_answer_that_its_client_did_not_wait_for_is_not_played() -> None:
    """Whatever else was asked: the recorded client had it. The request that it waited for is missing."""

    async def scenario() -> None:
        timeline = Timeline()
        for key in "abc":
            timeline.answer(timeline.ask(key))
        stage = Stage(timeline)
        second = stage.ask("b")
        await settle()
        second.turn.abandon()
        assert stage.player.finish() == [1, 2, 3]
        assert stage.classes == ["missing"]
        assert stage.player.served == 0

    run(scenario)


@pytest.mark.parametrize(("who", "classes"), [("0.1", ["reordered"]), ("0.1:t1", ["reordered"]), ("0.2", [])])
def test_a_request_passed_over_may_be_asked_by_another_worker(who: str, classes: list[str]) -> None:
    """Which of several processes takes what is the machine's; a lane that asks it itself has changed its order."""

    async def scenario() -> None:
        timeline = Timeline()
        timeline.recording.lanes = {}
        for key in "ab":
            timeline.answer(timeline.ask(key, lane=1))
        timeline.answer(timeline.ask("c", lane=2))
        timeline.recording.lanes = {n: Lane(n, f"agent/0.{n}", []) for n in (1, 2)}
        lanes = iter(("0.1", who))
        lane_of: dict[int, str] = {}
        stage = Stage(
            timeline, in_process=True, lane_of=lambda exchange: lane_of.setdefault(exchange.number, next(lanes, "0.2"))
        )
        for key, answer in (("b", b"answer 2"), ("a", b"answer 1"), ("c", b"answer 3")):
            assert stage.ask(key).heard == [answer]
            await settle()
        assert (stage.classes, stage.player.finish(), stage.player.served) == (classes, [], 3)

    run(scenario)


@pytest.mark.parametrize(("strict", "missing"), [(True, [2]), (False, [2, 3])])
def test_a_child_that_ends_early_leaves_steps_unplayed(*, strict: bool, missing: list[int]) -> None:
    """Named by number; what is missing by then is told apart, of a strict replay the first, from which the rest follows."""

    async def scenario() -> None:
        timeline = Timeline()
        for key in "abc":
            timeline.answer(timeline.ask(key))
        stage = Stage(timeline, strict=strict)
        stage.ask("a")
        await settle()
        assert stage.player.finish() == [2, 3]
        told = stage.player.outcome()
        assert (told["divergences"], [each["step"] for each in told["missing"]]) == ([], missing)
        assert {each["class"] for each in told["missing"]} == {"missing"}

    run(scenario)


def test_where_the_recording_was_killed_the_replay_ends() -> None:
    """An exchange that was never answered is asked again, and then there is no more."""

    async def scenario() -> None:
        timeline = Timeline()
        timeline.answer(timeline.ask("a"))
        step = timeline.ask("b")
        timeline.read(step, b"half of ")
        stage = Stage(timeline)
        stage.ask("a")
        await settle()
        asked = stage.ask("b")
        await settle()
        assert (asked.heard, asked.endings) == ([b"half of "], [])
        assert stage.halts == ["the recording ends here"]
        assert stage.classes == []

    run(scenario)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_client_that_expects_100_continue_hears_it_once(recorded: bool) -> None:
    """At once, for it will not send its body before; the recorded one is not said again."""

    async def scenario() -> None:
        timeline = Timeline()
        step = timeline.ask("a")
        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        if recorded:
            timeline.read(step, interim)
        timeline.read(step, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", last=True)
        stage = Stage(timeline)
        asked = stage.begin(head=b"POST / HTTP/1.1\r\nHost: x\r\nEXPECT: 100-Continue\r\n\r\n")
        assert asked.heard == [interim]
        asked.turn.feed(b"a")
        asked.turn.end()
        await settle()
        assert b"".join(asked.heard) == interim + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        plain = stage.begin(head=b"POST /100-continue HTTP/1.1\r\nX: 100-continue\r\n\r\n")
        assert plain.heard == []

    run(scenario)


def test_a_request_that_was_answered_before_its_end_is_answered_there_again() -> None:
    """Once as much has been asked as then, not before, and what the client sends after that is no new request."""

    async def scenario() -> None:
        timeline = Timeline()
        step = timeline.ask("abcdef", cut=3)
        timeline.answer(step, b"413 too large")
        stage = Stage(timeline, strict=True)
        asked = stage.begin()
        asked.turn.feed(b"ab")
        await settle()
        assert asked.heard == []
        asked.turn.feed(b"c")
        await settle()
        assert asked.heard == [b"413 too large"]
        asked.turn.feed(b"def")
        asked.turn.end()
        await settle()
        assert (stage.classes, stage.player.finish()) == ([], [])

    run(scenario)


def test_a_request_that_was_given_up_in_the_middle_may_be_given_up_again() -> None:
    """It is played, and does not hold up what follows it."""

    async def scenario() -> None:
        timeline = Timeline()
        step = timeline.ask("abcdef", cut=3)
        timeline.end(step, Ending.ABANDONED)
        timeline.answer(timeline.ask("next"))
        stage = Stage(timeline, strict=True)
        asked = stage.begin()
        asked.turn.feed(b"abcd")
        asked.turn.abandon()
        after = stage.ask("next")
        await settle()
        assert after.heard == [b"answer 2"]
        assert (asked.heard, stage.classes, stage.player.finish()) == ([], [], [])

    run(scenario)


def test_what_is_not_http_is_reset() -> None:
    """There is no answer to a connection that was relayed raw."""

    async def scenario() -> None:
        stage = Stage(Timeline())
        asked = stage.ask("PRI *", protocol="h2")
        assert (asked.heard, asked.endings) == ([], [Ending.RESET])

    run(scenario)


def test_the_recorded_pace_is_kept_by_its_factor() -> None:
    """Two pauses of 200 ms at ten times the speed take at least 40 ms, and at speed 0 two of ten seconds take none."""

    async def scenario() -> None:
        for speed, gap_ms, least, most in ((10.0, 200, 0.038, 60), (0.0, 10_000, 0.0, 10)):
            timeline = Timeline()
            step = timeline.ask("a")
            for number in (1, 2):
                timeline.read(step, b"%d" % number, last=number == 2, gap_ms=gap_ms)
            stage = Stage(timeline, speed=speed)
            began = time.monotonic()
            asked = stage.begin()
            asked.exchange.arrived_ns = time.monotonic_ns()
            asked.turn.feed(b"a")
            asked.turn.end()
            await until(lambda asked=asked: asked.endings)
            assert least <= time.monotonic() - began < most
            assert asked.heard == [b"1", b"2"]

    run(scenario)


def test_masks_of_served_requests_are_counted() -> None:
    """For the verdict."""

    async def scenario() -> None:
        timeline = Timeline()
        for _ in range(2):
            timeline.answer(timeline.ask("masked"))
        stage = Stage(timeline)
        for _ in range(2):
            stage.ask("masked")
            await settle()
        assert stage.player.masks == {"date@1": 2}

    run(scenario)


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_whatever_order_requests_come_in_each_hears_its_own_answer_in_recorded_order(data: st.DataObject) -> None:
    """Up to 6 concurrent streams, recorded reads interleaved at will: every caller hears exactly its own recorded
    bytes, all in the order of the recording, nothing is left over."""
    count = data.draw(st.integers(1, 6))
    reads = data.draw(st.lists(st.integers(0, count - 1), min_size=count, max_size=20))
    reads += [n for n in range(count) if n not in reads]
    arrival = data.draw(st.permutations(range(count)))
    last = {n: max(i for i, who in enumerate(reads) if who == n) for n in range(count)}

    async def scenario() -> None:
        timeline = Timeline()
        steps = [timeline.ask(f"k{n}") for n in range(count)]
        for position, who in enumerate(reads):
            timeline.read(steps[who], b"%d." % position, last=last[who] == position)
        stage = Stage(timeline, strict=True)
        asked: dict[int, Asked] = {n: stage.ask(f"k{n}") for n in arrival}
        await settle()
        await until(lambda: all(a.endings for a in asked.values()))
        assert [d for _, d in stage.log] == [b"%d." % n for n in range(len(reads))]
        for n, live in asked.items():
            assert live.heard == [b"%d." % i for i, who in enumerate(reads) if who == n]
        assert stage.player.finish() == []
        assert stage.classes == []

    asyncio.run(scenario())
