"""Threads of an agent in a replay: whoever came first comes first again, and what cannot come ends the run at once."""

import pytest

from tests.support.inside import Agent

RACE = """
    import queue, threading, time
    from concurrent.futures import ThreadPoolExecutor, as_completed

    lock = threading.Lock()
    found = queue.Queue()

    def work(n):
        time.sleep(time.time_ns() // 1000 % 997 / 1e5)
        with lock:
            print("work", n, flush=True)
        found.put(n)
        return n

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    print([found.get() for _ in threads])
    with ThreadPoolExecutor(3) as pool:
        print([future.result() for future in as_completed([pool.submit(work, n) for n in range(6)])])
    try:
        found.get(timeout=0.01)
        print(found.get_nowait())
    except queue.Empty:
        print("empty")
    """

HANDED_OVER = """
    import threading, time
    ready = threading.Event()

    def wait():
        ready.wait()
        print("ready")

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.01)
    ready.set()
    thread.join()
    """


def test_a_race_is_run_again(env, tmp_path):
    """Threads, a pool, a lock and a queue print in the order in which they once did."""
    agent = Agent(env, tmp_path, RACE)
    recorded = agent.record().stdout
    while (again := agent.record().stdout) == recorded:  # by chance; until then this shows nothing
        pass
    for _ in range(3):
        replayed = agent.replay()
        assert replayed.stdout == again
        assert replayed.summary["verdict"] == "identical"


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("ready.set()", "", "missing"),
        ("time.sleep(0.01)", "ready.is_set()", "changed"),
        ('print("ready")', "time.sleep(1)", "extra"),
    ],
)
def test_what_cannot_come_ends_the_run(env, tmp_path, old, new, kind):
    """Nobody waits for a thread that waits for ever: one paragraph, and the process is over."""
    agent = Agent(env, tmp_path, HANDED_OVER)
    agent.record()
    agent.write(HANDED_OVER.replace(old, new))
    replayed = agent.replay()
    assert replayed.summary["verdict"] == "diverged"
    assert [d["class"] for d in replayed.summary["divergences"]] == [kind]
    assert "Traceback" not in replayed.stderr
    assert f"playhead: {kind}: " in replayed.stderr


def test_processes_of_multiprocessing(env, tmp_path):
    """Forked and spawned children have a tape each; their threads and locks too."""
    code = """
        import multiprocessing, threading, time

        lock = threading.Lock()

        def work(n):
            threads = [threading.Thread(target=say, args=(n, k)) for k in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        def say(n, k):
            time.sleep(time.time() % 0.01)
            with lock:
                print(n, k, time.time(), flush=True)

        if __name__ == "__main__":
            for n, kind in enumerate(("fork", "spawn")):
                with lock:
                    child = multiprocessing.get_context(kind).Process(target=time.time)
                    child.start()
                child.join()
                child = multiprocessing.get_context(kind).Process(target=work, args=(n,))
                child.start()
                child.join()
                print(child.exitcode, flush=True)
        """
    agent = Agent(env, tmp_path, code)
    first = agent.record()
    assert first.stdout.count("\n0\n") == 2
    replayed = agent.replay()
    assert replayed.stdout == first.stdout
    assert replayed.summary["verdict"] == "identical"


def test_daemons_that_sleep_when_the_agent_ends_are_cut_off_there_again(env, tmp_path) -> None:
    """A heartbeat, and one that polls: what the end of the process interrupted is no divergence, in both modes."""
    agent = Agent(
        env,
        tmp_path,
        """
        import threading, time
        beats = []
        def beat(pause):
            while True:
                beats.append(time.time())
                time.sleep(pause)
        for pause in (0.01, 30):
            threading.Thread(target=beat, args=(pause,), daemon=True).start()
        time.sleep(0.1)
        print("done")
        """,
    )
    agent.record()
    for mode in ("strict", "observe"):
        ran = agent.replay("--mode", mode)
        assert (ran.returncode, ran.summary["verdict"]) == (0, "identical"), ran.stderr


def test_a_daemon_that_does_more_than_was_recorded_is_told(env, tmp_path) -> None:
    """Only what was under way at the end is cut off: a daemon that asks for another thing diverges."""
    code = """
        import threading, time
        def beat():
            time.sleep(PAUSE)
        threading.Thread(target=beat, daemon=True).start()
        time.sleep(0.2)
        print("done")
        """
    agent = Agent(env, tmp_path, code.replace("PAUSE", "30"))
    agent.record()
    agent.write(code.replace("PAUSE", "31"))
    ran = agent.replay()
    assert (ran.returncode, ran.summary["verdict"]) == (1, "diverged"), ran.stderr
