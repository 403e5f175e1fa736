"""Scenarios of anyio on asyncio."""

import anyio
from world import kind


def on_anyio(scenario):
    """Register a scenario that anyio runs."""

    def run(world):
        anyio.run(scenario, world)

    run.__name__ = scenario.__name__
    return kind(run)


@on_anyio
async def anyio_groups(world):
    """Task groups, cancelled from within, with shielded clean-up."""

    async def member(n, group):
        try:
            for index in range(2):
                world.say(n, index, await world.tool([n, index]))
                await anyio.sleep(0.001)
            if n == 0:
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                world.say(n, "clean", await world.tool([n, "clean"]))

    async with anyio.create_task_group() as group:
        for n in range(world.some(2, 5)):
            group.start_soon(member, n, group)
    world.say("left", group.cancel_scope.cancelled_caught)


@on_anyio
async def anyio_timeouts(world):
    """fail_after and move_on_after."""
    for n in range(world.some(2, 4)):
        with anyio.move_on_after(world.shape.choice((0.0005, 0.002, 0.006))) as scope:
            world.say(await world.tool(n), await world.tool([n, "again"]))
        world.say(n, scope.cancelled_caught)
        try:
            with anyio.fail_after(world.shape.choice((0.0005, 0.002))):
                await anyio.sleep(0.001)
                world.say(await world.tool(n))
        except TimeoutError:
            world.say(n, "failed")


@on_anyio
async def anyio_streams(world):
    """Memory object streams, locks, limiters, events."""
    send, receive = anyio.create_memory_object_stream(1)
    limiter = anyio.CapacityLimiter(2)

    async def produce(n, to):
        async with to, limiter:
            for index in range(2):
                await to.send([n, await world.tool([n, index])])

    async with anyio.create_task_group() as group, receive:
        async with send:
            for n in range(world.some(2, 4)):
                group.start_soon(produce, n, send.clone())
        async for item in receive:
            world.say(item)
