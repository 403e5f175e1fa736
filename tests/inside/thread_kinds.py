"""Scenarios of threads: whoever gets a lock first, or is done first, gets it first again."""

import asyncio
import concurrent.futures
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from world import kind


def side_by_side(*works):
    """Run each in a thread of its own, to the end."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@kind
def pool_map(world):
    """Items of an executor by map: results in order, work in any."""
    lock = threading.Lock()

    def work(n):
        found = world.tool_now(n)
        with lock:
            world.say("item", found)
        return found

    with ThreadPoolExecutor(world.some(1, 4)) as pool:
        world.say(list(pool.map(work, range(world.some(2, 8)))))


@kind
def pool_completed(world):
    """as_completed and wait over items of an executor; some fail, some are cancelled; sets of futures are iterated."""

    def work(n):
        found = world.tool_now(n)
        if found[1] % 5 == 0:
            raise ValueError(found)
        return found

    with ThreadPoolExecutor(world.some(1, 4)) as pool:
        futures = {pool.submit(work, n): n for n in range(world.some(2, 8))}
        world.say("cancelled", [n for future, n in futures.items() if n % 3 == 2 and future.cancel()])
        done, others = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_COMPLETED)
        world.say("first", [futures[future] for future in done], [futures[future] for future in others])
        for future in concurrent.futures.as_completed(futures):
            if future.cancelled():
                world.say(futures[future], "cancelled")
            else:
                world.say(futures[future], future.exception() or future.result())


@kind
def pool_polled(world):
    """Results with a time-out, futures asked whether they are done, callbacks, and a pool that is shut down early."""
    said = []
    lock = threading.Lock()

    def called(future):
        with lock:
            said.append(threading.current_thread().name[:4] + str(future.cancelled() or future.result()))

    pool = ThreadPoolExecutor(world.some(1, 3), thread_name_prefix="work")
    futures = [pool.submit(world.tool_now, n) for n in range(world.some(2, 6))]
    for future in futures:
        future.add_done_callback(called)
    world.say([future.done() for future in futures])
    try:
        world.say(futures[0].result(timeout=0.001))
    except concurrent.futures.TimeoutError:
        world.say("late")
    try:
        for future in concurrent.futures.as_completed(futures, timeout=0.002):
            world.say("came", futures.index(future))
    except concurrent.futures.TimeoutError as error:
        world.say(error)
    pool.shutdown(cancel_futures=True)
    world.say([future.cancelled() for future in futures])
    with lock:
        world.say(said)


@kind
def locked_counter(world):
    """Threads that share a total under a lock."""
    lock = threading.Lock()
    total = [0]

    def work(name):
        for index in range(world.some(1, 4)):
            found = world.tool_now([name, index])
            with lock:
                total[0] = total[0] * 7 + found[1]
                world.say(name, index, total)

    side_by_side(*[lambda name=f"w{n}": work(name) for n in range(world.some(2, 5))])
    world.say(total)


@kind
def producers_consumers(world):
    """A bounded queue between threads, with gets that may time out."""
    kind_of = (queue.Queue, queue.LifoQueue, queue.PriorityQueue)[world.some(0, 2)]
    items = kind_of(maxsize=world.some(0, 3))
    lock = threading.Lock()
    many = world.some(1, 3)
    each = world.some(1, 4)
    over = threading.Event()

    def produce(name):
        for index in range(each):
            items.put((world.tool_now(index)[1], name, index))

    def consume(name):
        while True:
            try:
                item = items.get(timeout=0.002)
            except queue.Empty:
                if over.is_set():
                    return
                continue
            with lock:
                world.say(name, item, items.qsize() >= 0)
            items.task_done()

    takers = [threading.Thread(target=consume, args=(f"c{n}",)) for n in range(world.some(1, 3))]
    for thread in takers:
        thread.start()
    side_by_side(*[lambda name=f"p{n}": produce(name) for n in range(many)])
    items.join()
    over.set()
    for thread in takers:
        thread.join()
    world.say("empty", items.empty())


@kind
def simple_queue(world):
    """Answers put into a SimpleQueue by several threads; the last get finds it empty."""
    found = queue.SimpleQueue()
    many = world.some(2, 5)
    threads = [threading.Thread(target=lambda n=n: found.put(world.tool_now(n))) for n in range(many)]
    for thread in threads:
        thread.start()
    for _ in range(many):
        world.say(found.get())
    try:
        found.get(timeout=0.001)
    except queue.Empty:
        world.say("empty", found.qsize())


@kind
def conditions(world):
    """A Condition on an RLock, waited for with a time-out; an Event that is polled."""
    ready = threading.Condition()
    stop = threading.Event()
    box = []

    def wait(name):
        with ready, ready:  # twice: a wait gives both back
            while not box:
                world.say(name, "woke", ready.wait(0.001))
            world.say(name, "takes", box.pop())

    def fill(n):
        found = world.tool_now(n)
        with ready:
            box.append(found)
            ready.notify(1 + n % 2)

    def poll():
        count = 0
        while not stop.wait(0.001):
            count += 1
        world.say("polls", count, stop.is_set())

    many = world.some(1, 3)
    poller = threading.Thread(target=poll)
    poller.start()
    side_by_side(*[lambda n=n: wait(f"t{n}") for n in range(many)], *[lambda n=n: fill(n) for n in range(many)])
    stop.set()
    poller.join()


@kind
def semaphores(world):
    """A Semaphore with time-outs, tried and awaited."""
    gate = threading.BoundedSemaphore(world.some(1, 2))
    lock = threading.Lock()

    def work(name):
        got = gate.acquire(timeout=0.002) or gate.acquire(blocking=False)
        if not got:
            with lock:
                world.say(name, "gives up")
            return
        found = world.tool_now(name)
        with lock:
            world.say(name, found)
        gate.release()

    side_by_side(*[lambda name=f"w{n}": work(name) for n in range(world.some(2, 5))])


@kind
def barriers(world):
    """Rounds of a Barrier; the last may break it."""
    many = world.some(2, 4)
    barrier = threading.Barrier(many)
    lock = threading.Lock()

    def work(n):
        for index in range(2):
            found = world.tool_now([n, index])
            with lock:
                world.say(n, found)
            try:
                place = barrier.wait(0.003)
            except threading.BrokenBarrierError:
                with lock:
                    world.say(n, "broken")
                return
            with lock:
                world.say(n, "place", place)

    side_by_side(*[lambda n=n: work(n) for n in range(many)])


@kind
def timers(world):
    """Timers, some cancelled in time and some perhaps not; sleeps; a join with a time-out."""
    lock = threading.Lock()

    def ring(n):
        with lock:
            world.say("ring", n)

    timers = [threading.Timer(0.001 * (n % 3), ring, (n,)) for n in range(world.some(2, 5))]
    for timer in timers:
        timer.start()
    time.sleep(world.some(0, 2) / 1000)
    timers[0].cancel()
    slow = threading.Thread(target=lambda: world.tool_now("slow"))
    slow.start()
    slow.join(0.001)
    over = not slow.is_alive()
    with lock:
        world.say("over", over)
    for timer in timers:
        timer.join()
    slow.join()


@kind
def tried_locks(world):
    """Locks that are tried, with and without patience, and asked whether they are held."""
    lock = threading.Lock()
    deep = threading.RLock()
    log = threading.Lock()

    def work(name):
        for index in range(3):
            got = lock.acquire(timeout=0.001) if index % 2 else lock.acquire(blocking=False)
            held = lock.locked()
            if got:
                found = world.tool_now([name, index])
                lock.release()
            else:
                found = "busy"
            with deep, log, deep:
                world.say(name, index, found, got or held)

    side_by_side(*[lambda name=f"w{n}": work(name) for n in range(world.some(2, 4))])


@kind
def loop_beside_threads(world):
    """An event loop and threads in one process, which share a lock and a queue; code in to_thread takes it too."""
    lock = threading.Lock()
    found = queue.Queue()

    def locked(name):
        answer = world.tool_now(name)
        with lock:
            world.say(name, answer)
        found.put(name)
        return name

    async def task(n):
        for found in (await world.tool(n), await asyncio.to_thread(locked, f"to_thread {n}")):
            with lock:
                world.say(n, found)

    async def main():
        await asyncio.gather(*[task(n) for n in range(world.some(1, 3))])

    threads = [threading.Thread(target=locked, args=(f"h{n}",)) for n in range(world.some(1, 3))]
    for thread in threads:
        thread.start()
    asyncio.run(main())
    for thread in threads:
        thread.join()
    while not found.empty():
        world.say(found.get_nowait())
