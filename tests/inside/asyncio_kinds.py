"""Scenarios of asyncio: whatever races in them, a replay must run the same race."""

import asyncio
import time

from world import kind


def on_a_loop(scenario):
    """Register an async scenario."""

    def run(world):
        asyncio.run(scenario(world))

    run.__name__ = scenario.__name__
    return kind(run)


async def steps(world, name, count=None):
    """A worker: asks, says, sleeps."""
    for index in range(count or world.some(1, 3)):
        world.say(name, index, await world.tool([name, index]))
        if index % 2:
            await asyncio.sleep(0.001)
    return name


@on_a_loop
async def gather(world):
    """Workers side by side, gathered."""
    world.say(await asyncio.gather(*[steps(world, f"w{n}") for n in range(world.some(2, 6))]))


@on_a_loop
async def as_completed(world):
    """Results in the order in which they come."""
    for next_one in asyncio.as_completed([steps(world, f"w{n}", 1) for n in range(world.some(2, 6))]):
        world.say("came", await next_one)


@on_a_loop
async def wait_sets(world):
    """asyncio.wait, whose sets are iterated."""
    pending = {asyncio.create_task(steps(world, f"w{n}", 1)) for n in range(world.some(3, 9))}
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        world.say([task.result() for task in done], [task.get_name() for task in pending])


@on_a_loop
async def task_group(world):
    """A TaskGroup, one of whose tasks may fail: the others are cancelled, some of them clean up."""

    async def member(n):
        try:
            for index in range(2):
                world.say(n, index, await world.tool([n, index], fails=0.2))
        except asyncio.CancelledError:
            world.say(n, "cancelled")
            if n % 2:
                world.say(n, "cleaned", await world.tool([n, "clean"]))
            raise

    try:
        async with asyncio.TaskGroup() as group:
            for n in range(world.some(2, 5)):
                group.create_task(member(n))
    except* ValueError as errors:
        world.say(sorted(map(str, errors.exceptions)))


@on_a_loop
async def timeouts(world):
    """wait_for and timeout() against tools that are as fast as they are."""
    for n in range(world.some(2, 5)):
        try:
            world.say(await asyncio.wait_for(steps(world, f"w{n}"), world.shape.choice((0.0005, 0.002, 0.006))))
        except TimeoutError:
            world.say(n, "timed out")
        try:
            async with asyncio.timeout(world.shape.choice((0.0005, 0.002, 0.006))) as limit:
                world.say(await world.tool(n))
                limit.reschedule(asyncio.get_running_loop().time() + 0.002)
                world.say(await world.tool([n, "again"]), limit.when())
        except TimeoutError:
            world.say(n, "timed out too")
    try:
        async with asyncio.timeout_at(asyncio.get_running_loop().time() - 1):
            world.say(await world.tool("late"))
    except TimeoutError:
        world.say("too late")


@on_a_loop
async def first_wins(world):
    """The first answer wins, the others are cancelled."""
    tasks = [asyncio.create_task(steps(world, f"w{n}")) for n in range(world.some(2, 5))]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    world.say("won", [task.result() for task in done])
    for task in pending:
        task.cancel("lost")
    world.say([repr(each) for each in await asyncio.gather(*pending, return_exceptions=True)])


@on_a_loop
async def streams(world):
    """Streams side by side, some left early."""

    async def read(name, length, until):
        async for item in world.stream(name, length):
            world.say(name, item)
            if item[0] == until:
                break
        world.say(name, "ends")

    await asyncio.gather(*[read(f"s{n}", world.some(0, 4), world.some(0, 6)) for n in range(world.some(2, 4))])


@on_a_loop
async def generators(world):
    """Async generators of the agent's own, left early and closed by the loop."""

    async def items(name):
        try:
            for index in range(5):
                yield await world.tool([name, index])
        finally:
            world.say(name, "closes", await world.tool([name, "close"]))

    async def read(name):
        async for item in items(name):
            world.say(item)
            if item[1] % 2:
                break

    await asyncio.gather(*[read(f"g{n}") for n in range(world.some(2, 4))])
    left = [items(f"left{n}") for n in range(3)]
    for each in left:
        world.say(await each.__anext__())


@on_a_loop
async def errors(world):
    """Exceptions in gather, and of tasks nobody waits for."""
    found = await asyncio.gather(*[world.tool(n, fails=0.5) for n in range(world.some(2, 6))], return_exceptions=True)
    world.say([repr(each) for each in found])
    try:
        world.say(await asyncio.gather(*[steps(world, n, 1) for n in range(3)], world.tool("x", fails=0.7)))
    except ValueError as error:
        world.say(repr(error))


@on_a_loop
async def queues(world):
    """Producers and consumers, two of them slow."""
    queue = asyncio.Queue(2)

    async def produce(name):
        for index in range(3):
            await queue.put((name, await world.tool([name, index])))

    async def consume(name):
        while True:
            item = await queue.get()
            world.say(name, item)
            if name:
                await world.tool([name, "digest"])
            queue.task_done()

    consumers = [asyncio.create_task(consume(n)) for n in range(3)]
    await asyncio.gather(*[produce(f"p{n}") for n in range(world.some(2, 4))])
    await queue.join()
    for each in consumers:
        each.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)


@on_a_loop
async def locks(world):
    """Lock, Semaphore, Event and Condition, contended."""
    lock, few, gate, state = asyncio.Lock(), asyncio.Semaphore(2), asyncio.Event(), asyncio.Condition()
    ready = []

    async def work(n):
        async with few:
            world.say(n, "in", await world.tool(n))
        async with lock:
            world.say(n, "alone", await world.tool([n, "locked"]))
            if n == 0:
                gate.set()
        await gate.wait()
        async with state:
            ready.append(n)
            state.notify_all()
            await state.wait_for(lambda: len(ready) >= 2)
        world.say(n, ready)

    await asyncio.gather(*[work(n) for n in range(world.some(2, 5))])


@on_a_loop
async def nested(world):
    """Tasks of tasks, shields, background tasks that outlive their makers."""

    async def deep(name, depth):
        world.say(name, await world.tool(name))
        if depth:
            await asyncio.gather(*[deep(f"{name}.{n}", depth - 1) for n in range(2)])
        return name

    background = asyncio.create_task(deep("bg", 2))
    try:
        await asyncio.wait_for(asyncio.shield(background), 0.001)
    except TimeoutError:
        world.say("not yet")
    world.say(await asyncio.gather(deep("a", 1), deep("b", 2)))
    asyncio.create_task(deep("left behind", 3))  # noqa: RUF006  that is the point
    world.say(await world.tool("last"))


@on_a_loop
async def restless(world):
    """Code that never comes to rest, and polls."""
    task = asyncio.create_task(steps(world, "w"))
    other = asyncio.create_task(steps(world, "v"))
    count = 0
    while not (task.done() and other.done()):
        count += 1
        await asyncio.sleep(0)
    world.say(count)


@kind
def several_runs(world):
    """asyncio.run again and again, loops closed with answers pending."""

    async def left():
        asyncio.get_running_loop().call_later(5, world.say, "never")
        tasks = [asyncio.ensure_future(world.tool(n)) for n in range(3)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        world.say([task.done() for task in tasks])

    for _ in range(3):
        asyncio.run(left())
    loop = asyncio.new_event_loop()
    world.say(loop.run_until_complete(world.tool("by hand")))
    task = loop.create_task(steps(world, "half"))
    world.say(loop.run_until_complete(world.tool("meanwhile")))
    world.say(loop.run_until_complete(task))
    loop.close()


@on_a_loop
async def clocks(world):
    """Times, as loop and program read them."""
    start = asyncio.get_running_loop().time()
    await asyncio.gather(*[asyncio.sleep(world.some(0, 3) / 1000) for _ in range(3)])
    world.say(asyncio.get_running_loop().time() - start, time.monotonic())
    handle = asyncio.get_running_loop().call_later(0.001, world.say, "later")
    asyncio.get_running_loop().call_at(start + 0.001, world.say, "at")
    gone = asyncio.get_running_loop().call_later(0.001, world.say, "never")
    gone.cancel()
    await asyncio.sleep(0.002)
    world.say(handle.when(), gone.cancelled(), handle.cancelled())
