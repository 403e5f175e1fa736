"""What scenarios are made of: a world that answers after a random while with random answers, and the registry of kinds.

Runs inside the agent, on any Python: standard library and Playhead only. The shape of a run (how many tasks, which
time-outs) comes from a seed that record and replay share; latencies and answers come from the system and are different
in every recording.
"""

import json
import random

from playhead.capture.boundary import active, calls, loops

KINDS = {}


def kind(run):
    """Register a scenario: a function of a World that prints what it sees, in the order in which it sees it."""
    KINDS[run.__name__] = run
    return run


class World:
    """`shape` is the run's own Random, equal in record and replay. Everything else differs from recording to recording."""

    def __init__(self, seed):
        self.shape = random.Random(seed)
        self._chance = random.SystemRandom()

    def say(self, *words):
        """One line of the trace; none of how a replay that has left the tape is wound up."""
        if getattr(active.tape, "diverged", None) is None:
            print(*words, flush=True)

    def some(self, low, high):
        """A number that belongs to the shape of the run."""
        return self.shape.randint(low, high)

    def pause(self):
        """A latency in seconds: often none, at most 4 ms."""
        return self._chance.choice((0, 0, self._chance.random() / 1000, self._chance.random() / 250))

    def answer(self, question):
        """What a tool answers."""
        return [question, self._chance.randrange(10_000)]

    async def tool(self, question, *, fails=0.0):
        """Ask a tool; with that probability it raises."""

        async def work():
            import asyncio

            await asyncio.sleep(self.pause())
            if self._chance.random() < fails:
                raise ValueError(f"{question} failed {self._chance.randrange(10_000)}")
            return self.answer(question)

        return await loops.acall("tool", "tool", json.dumps(question).encode(), work)

    def tool_now(self, question):
        """Ask a tool and wait for it where one stands."""

        def work():
            import time

            time.sleep(self.pause())
            return self.answer(question)

        return calls.call("tool", "tool_now", json.dumps(question).encode(), work)

    def stream(self, question, length):
        """Items of a streamed answer."""

        async def work():
            import asyncio

            for index in range(length):
                await asyncio.sleep(self.pause())
                yield [index, *self.answer(question)]

        return loops.astream("stream", "stream", json.dumps(question).encode(), work)
