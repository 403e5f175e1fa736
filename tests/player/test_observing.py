"""Mode `observe` inside a process: answers only to what was recorded, and every divergence named."""

import asyncio
import contextlib
import random
import threading
import time
from functools import partial

import pytest

from playhead.capture.boundary import active, calls, locks, loops, sleep, threads
from playhead.core.boundary import Diverged
from playhead.errors import Diverged as NotRecorded
from tests.support.boundaries import Taped, installed


@pytest.fixture
def taped(tmp_path):
    with installed(threads, locks, sleep, loops):
        yield Taped(tmp_path)


def ask(word):
    """A tool that tells its question: `f1` asks `f` with 1."""
    return calls.call("tool", word[0], word.encode(), lambda: f"answer to {word}")


def asking(words):
    """An agent that asks one after another, and takes a failure for one."""

    def agent():
        said = []
        for word in words:
            try:
                said.append(ask(word))
            except NotRecorded as error:
                assert error.code == "not-recorded"
                said.append(None)
        return said

    return agent


def classes(taped):
    """Class and question of each divergence."""
    found = [facts["divergence"] for facts in taped.reports if "divergence" in facts]
    return [(each["class"], each.get("name") or each["recorded"]["name"]) for each in found]


RECORDED = ["a1", "b1", "c1", "d1", "e1"]
EDITS = {
    "removed": (["a1", "c1", "d1", "e1"], [("missing", "b")], "missing"),
    "removed at the end": (["a1", "b1", "c1", "d1"], [("missing", "e")], "missing"),
    "ended early": (["a1", "b1"], [("missing", "c"), ("missing", "d"), ("missing", "e")], "missing"),
    "added": (["a1", "x1", "b1", "c1", "d1", "e1"], [("extra", "x")], "extra"),
    "added to the same": (["a1", "b2", "b1", "c1", "d1", "e1"], [("extra", "b")], "changed"),
    "changed": (["a1", "b2", "c1", "d1", "e1"], [("changed", "b")], "changed"),
    "swapped": (["a1", "c1", "b1", "d1", "e1"], [("reordered", "b")], "reordered"),
    "all": (
        ["x1", "a1", "c1", "b1", "d2"],
        [("extra", "x"), ("reordered", "b"), ("changed", "d"), ("missing", "e")],
        "extra",
    ),
    "none": (RECORDED, [], None),
}


@pytest.mark.parametrize("edit", EDITS)
def test_edits_are_named_in_both_modes(taped, edit):
    """Strict stops at the first; observe serves what was recorded, fails the rest, and names them all."""
    words, expected, strict = EDITS[edit]
    taped.record(asking(RECORDED))
    said = taped.observe(asking(words))
    assert said == [f"answer to {word}" if word in RECORDED else None for word in words]
    assert classes(taped) == expected
    taped.reports.clear()
    if strict in (None, "missing"):
        taped.replay(asking(words))
    else:
        with pytest.raises(Diverged):
            taped.replay(asking(words))
    assert [kind for kind, _ in classes(taped)] == ([strict] if strict else [])


def test_no_wrong_answer_is_served_in_random_edits(taped):
    """Every question that is left has its answer, as often as it was recorded; each new one fails."""
    rng = random.Random(7)
    for _ in range(150):
        recorded = [rng.choice("abcd") + rng.choice("12") for _ in range(rng.randrange(1, 12))]
        words = list(recorded)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(words) + 1)
            words[at : at + rng.randrange(2)] = [rng.choice("abcdx") + rng.choice("123")] * rng.randrange(2)
            if rng.random() < 0.3:
                rng.shuffle(words)
        taped.path.unlink(missing_ok=True)
        taped.record(asking(recorded))
        said = taped.observe(asking(words))
        left = list(recorded)
        for word, answer in zip(words, said, strict=True):
            if word in left:
                left.remove(word)
                assert answer == f"answer to {word}"
            else:
                assert answer is None
        assert bool(classes(taped)) == (words != recorded)


def test_a_loop_goes_on_after_edits(taped):
    """Awaited calls, timers and tasks: what was recorded is answered, in tasks that were renumbered, too; nothing hangs."""

    async def aask(word):
        async def work():
            await asyncio.sleep(0.001)
            return f"answer to {word}"

        return await loops.acall("tool", word[0], word.encode(), work)

    def agent(words):
        async def one(word):
            try:
                answer = await aask(word)
            except NotRecorded:
                answer = None
            await asyncio.sleep(0.001)
            return answer

        async def main():
            return await asyncio.wait_for(asyncio.gather(*(one(word) for word in words)), 30)

        return lambda: asyncio.run(main())

    taped.record(agent(RECORDED))
    for words in (["x1", *RECORDED], RECORDED[1:], ["a1", "c1", "b1", "d2", "e1"], []):
        assert taped.observe(agent(words)) == [f"answer to {w}" if w in RECORDED else None for w in words]
        assert classes(taped)


def test_threads_go_on_after_edits(taped):
    """A lock more, a thread less: acts without a place happen all the same."""

    def agent(words, more):
        def run():
            lock = threading.Lock()
            said = {}

            def one(word):
                for _ in range(more):
                    with lock:
                        time.sleep(0.001)
                try:
                    answer = ask(word)
                except NotRecorded:
                    answer = None
                with lock:
                    said[word] = answer

            started = [threading.Thread(target=one, args=(word,)) for word in words]
            for thread in started:
                thread.start()
            for thread in started:
                thread.join()
            return said

        return run

    taped.record(agent(RECORDED, 1))
    for words, more in ((RECORDED, 2), (RECORDED[:3], 1), ([*RECORDED, "x1"], 0), (["b1", "a1"], 1)):
        assert taped.observe(agent(words, more)) == {w: f"answer to {w}" if w in RECORDED else None for w in words}


def test_values_of_another_kind_are_not_served(taped):
    """The next one of that kind is; without one the world is asked. Once a lane is told."""

    def agent(*kinds):
        return lambda: [active.read(kind, lambda kind=kind: f"world's {kind}") for kind in kinds]

    taped.record(lambda: [active.read(kind, lambda kind=kind: f"recorded {kind}") for kind in ("a", "b", "c")])
    assert taped.observe(agent("b", "a", "c", "c")) == ["recorded b", "world's a", "recorded c", "world's c"]
    assert len(taped.reports) == 2


def test_what_was_cut_off_fails_and_is_named(taped):
    """A call whose answer was never written is not answered with nothing."""
    taped.record(asking(["a1"]))
    events = [event for event in taped.events() if event.kind.name not in ("TOLD", "CLOSED", "ORDER")]
    taped.events = lambda: events
    assert taped.observe(asking(["a1"])) == [None]
    assert classes(taped) == [("exhausted", "a")]


def test_an_awaited_call_that_is_found_further_on_gets_its_own_answer(taped):
    """In a strict replay, too: the answer is that of the call, not of the place where it was due."""

    def agent(*words):
        async def main():
            return [await loops.acall("tool", word[0], word.encode(), partial(work, word)) for word in words]

        async def work(word):
            return f"answer to {word}"

        return lambda: asyncio.run(main())

    taped.record(agent("a1", "b1", "c1"))
    for way in (taped.replay, taped.observe):
        taped.reports.clear()
        assert way(agent("a1", "c1")) == ["answer to a1", "answer to c1"]
        assert classes(taped) == [("missing", "b")]


def blocking(*, is_early):
    """An agent of two tasks, of which the second asks a tool that blocks its loop behind another one, or before it."""

    async def asking(word):
        return await loops.acall("tool", word[0], word.encode(), partial(answered, word))

    async def answered(word):
        await asyncio.sleep(0)
        return f"answer to {word}"

    async def first():
        return [await asking("a1"), await asking("b1")]

    async def second():
        said = [ask("z1")] if is_early else []
        said.append(await asking("c1"))
        return said if is_early else [*said, ask("z1")]

    async def main():
        return await asyncio.gather(first(), second())

    return lambda: asyncio.run(main())


def test_a_call_that_blocks_its_loop_too_early_is_told(taped):
    """What is due can only come by that loop: a strict replay says so at once, and observing goes on."""
    said = taped.record(blocking(is_early=False))
    assert taped.replay(blocking(is_early=False)) == said
    with pytest.raises(Diverged):
        taped.replay(blocking(is_early=True))
    (found,) = [facts["divergence"] for facts in taped.reports if "divergence" in facts]
    assert (found["class"], found["name"], found["due"]["name"]) == ("reordered", "z", "a")
    assert taped.observe(blocking(is_early=True)) == [said[0], list(reversed(said[1]))]
    assert {kind for kind, _ in classes(taped)} == {"reordered"}


def test_the_lane_that_differed_first_comes_first(taped):
    """Whatever its name: what others do not come to any more may follow from it."""

    async def worker(words):
        for word in words:
            await loops.acall("tool", word[0], word.encode(), partial(found, word))

    async def found(word):
        await asyncio.sleep(0)
        return word

    async def main(last):
        await asyncio.gather(worker([f"{name}1" for name in "abcfghij"]), worker(["d1", last]))

    taped.record(lambda: asyncio.run(main("e1")))
    with pytest.raises(NotRecorded):
        taped.observe(lambda: asyncio.run(main("e2")))
    assert classes(taped)[0] == ("changed", "e")
    assert {kind for kind, _ in classes(taped)[1:]} == {"missing"}


def locking(*, extra=False):
    """An agent whose thread takes a lock for its tools, which the main thread takes once more behind it if `extra`."""

    def agent():
        lock = threading.Lock()

        def worker():
            for word in ("a1", "b1"):
                with lock:
                    ask(word)

        thread = threading.Thread(target=worker)
        thread.start()
        thread.join()
        if extra:
            with lock:
                pass
        return "done"

    return agent


def test_an_act_without_a_name_is_told_when_nothing_else_is(taped):
    """A lock more: all calls are answered, and the run is another one."""

    def divergences():
        return [facts["divergence"]["class"] for facts in taped.reports if "divergence" in facts]

    taped.record(locking())
    taped.observe(locking())
    assert divergences() == []
    assert taped.observe(locking(extra=True)) == "done"
    assert divergences() == ["extra"]
    taped.reports.clear()
    with contextlib.suppress(Diverged):
        taped.replay(locking(extra=True))
    assert divergences() == ["extra"]
