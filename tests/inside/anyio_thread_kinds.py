"""Scenarios of anyio's worker threads."""

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio_kinds import on_anyio


@on_anyio
async def anyio_threads(world):
    """Worker threads that ask, and call back."""

    def work(n):
        found = world.tool_now(n)
        return [found, anyio.from_thread.run(world.tool, [n, "back"])]

    async def one(n):
        world.say(n, await anyio.to_thread.run_sync(work, n))

    async with anyio.create_task_group() as group:
        for n in range(world.some(2, 4)):
            group.start_soon(one, n)
