"""Scenarios of event loops and threads together."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from asyncio_kinds import on_a_loop
from world import kind


@on_a_loop
async def to_thread(world):
    """Work in threads, joined in the order in which it ends."""

    def work(name):
        world.say_later.append((name, world.tool_now(name)))
        return name

    world.say_later = []
    tasks = [asyncio.create_task(asyncio.to_thread(work, f"t{n}")) for n in range(world.some(2, 5))]
    for task in asyncio.as_completed(tasks):
        world.say("joined", await task)
    world.say(world.say_later)


@on_a_loop
async def executors(world):
    """run_in_executor on a pool of the agent's own, with more items than workers, beside async tools."""
    loop = asyncio.get_running_loop()

    async def item(n):
        world.say(n, await loop.run_in_executor(pool, partial(world.tool_now, n)))
        world.say(n, await world.tool(n))

    with ThreadPoolExecutor(2) as pool:
        await asyncio.gather(*[item(n) for n in range(world.some(2, 6))])


@kind
def loops_in_threads(world):
    """A loop in each of some threads, and one that is driven from outside."""
    said = {}

    def run(n):
        async def main():
            return [await asyncio.gather(*[world.tool([n, m]) for m in range(3)]), await asyncio.sleep(0.001, n)]

        said[n] = asyncio.run(main())

    threads = [threading.Thread(target=run, args=(n,)) for n in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    world.say(sorted(said.items()))


@on_a_loop
async def wakened_by_threads(world):
    """Threads of the agent that call into the loop."""
    loop = asyncio.get_running_loop()
    came = asyncio.Queue()

    def work(n):
        world.tool_now(n)
        loop.call_soon_threadsafe(came.put_nowait, n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for each in threads:
        each.start()
    for _ in threads:
        world.say(await came.get(), await world.tool("x"))
    for each in threads:
        each.join()
