"""Handlers of signals: where one interrupted the agent it runs again, whether a signal comes in the replay or not."""

import pytest

from tests.support.inside import Agent

FROM_OUTSIDE = """
    import signal, time
    from playhead.capture.boundary import active
    reads, seen = [], []
    def tick(number, frame):
        seen.append((int(number), len(reads), time.time_ns(), time.monotonic_ns()))
    for number in (signal.SIGUSR1, signal.SIGALRM):
        signal.signal(number, tick)
    for n in range(50):
        if active.tape.live and n % 7 == 0:  # so that none comes in a replay
            signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGALRM)
        reads.append(time.time_ns())
    print(seen, reads)
    """

BY_A_PROGRAM = """
    import signal, subprocess, time, playhead
    came = []
    def come(number, frame):
        came.append(time.time_ns())
    @playhead.tool
    def wait():
        while not came:
            time.sleep(0.001)
    signal.signal(signal.SIGUSR1, come)
    helper = subprocess.Popen(["sh", "-c", "kill -USR1 $PPID"])
    wait()
    print(helper.wait(), came, time.time_ns())
    """

WAITED_FOR = """
    import signal, threading, time
    stop, order = threading.Event(), []
    lock = threading.Lock()
    def come(number, frame):
        with lock:
            order.append(time.time_ns())
        stop.set()
    def work():
        while not stop.is_set():
            with lock:
                order.append("work")
    signal.signal(signal.SIGALRM, come)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    print(len(order), order.index(next(each for each in order if each != "work")))
    """

ASKING = """
    import signal, time, playhead
    came = []
    @playhead.tool
    def look(n):
        return n + time.time_ns()
    def come(number, frame):
        came.append(look(1))
        print("in the handler", came)
    @playhead.tool
    def wait():
        while not came:
            time.sleep(0.001)
    signal.signal(signal.SIGALRM, come)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    wait()
    print("behind it", look(2))
    """

IN_A_TOOL = """
    import signal, time, playhead
    class TooLate(Exception):
        pass
    said = []
    def late(number, frame):
        said.append(number)
        raise TooLate
    @playhead.tool
    def slow(n):
        print("the tool ran")
        with open(__file__ + ".runs", "a") as file:
            file.write("x")
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            time.sleep(60)
        except TooLate:
            if n == 1:
                return "gave up"
            raise
    signal.signal(signal.SIGALRM, late)
    for n in (1, 2):
        try:
            print(slow(n))
        except TooLate as error:
            print("too late", len(said))
    """

BY_ITSELF = """
    import os, signal, time
    from functools import partial
    class Once:
        def __call__(self, number, frame):
            print("once", time.time_ns())
    def usual(*_):
        print("usual", time.time_ns())
    first = Once()
    signal.signal(signal.SIGUSR1, first)
    assert signal.getsignal(signal.SIGUSR1) is first
    os.kill(os.getpid(), signal.SIGUSR1)
    assert signal.signal(signalnum=signal.SIGUSR1, handler=partial(usual)) is first
    signal.raise_signal(signal.SIGUSR1)
    print("between")
    assert signal.signal(signal.SIGUSR1, signal.SIG_DFL).func is usual
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    """

CODE = {
    "from outside": FROM_OUTSIDE,
    "another program": BY_A_PROGRAM,
    "while a thread is joined": WAITED_FOR,
    "a handler that asks": ASKING,
    "itself": BY_ITSELF,
}


@pytest.mark.parametrize("mode", ["strict", "observe"])
@pytest.mark.parametrize("name", CODE)
def test_a_handler_runs_where_it_ran(env, tmp_path, name, mode):
    """Between the same reads, acts and prints, and it reads what it read; a replay waits for no signal."""
    agent = Agent(env, tmp_path, CODE[name])
    recorded = agent.record()
    for _ in range(2):
        ran = agent.replay("--mode", mode)
        assert (ran.stdout, ran.summary["verdict"]) == (recorded.stdout, "identical"), ran.stderr


def test_a_handler_that_raises_in_a_tool(env, tmp_path):
    """What came of the tool is recorded, also when the tool caught it; the handler runs, and the tool does not."""
    agent = Agent(env, tmp_path, IN_A_TOOL)
    recorded = agent.record()
    assert recorded.stdout == "the tool ran\ngave up\nthe tool ran\ntoo late 2\n"
    ran = agent.replay()
    assert (ran.stdout, ran.summary["verdict"]) == (recorded.stdout, "identical"), ran.stderr
    assert (tmp_path / "agent.py.runs").read_text() == "xx"


def test_a_handler_that_is_not_set_any_more(env, tmp_path):
    """The control: what it read is read by nobody, and the run is another one."""
    agent = Agent(env, tmp_path, BY_ITSELF.split("assert signal.signal", maxsplit=1)[0] + "print(time.time_ns())")
    agent.record()
    agent.write("import time\nprint(time.time_ns())\nprint(time.monotonic_ns())")
    ran = agent.replay()
    assert ran.summary["verdict"] == "diverged"


def test_a_replay_can_be_ended_by_its_agents_own_handler(env, tmp_path):
    """A signal that the recording does not have, by which processes are ended, is not passed over; others are."""
    code = """
        import os, signal
        def end(number, frame):
            print("ended by", int(number))
            raise SystemExit(0)
        signal.signal(signal.SIGUSR1, end)
        signal.signal(signal.SIGTERM, end)
        NOW
        """
    agent = Agent(env, tmp_path, code.replace("NOW", ""))
    agent.record()
    agent.write(code.replace("NOW", "os.kill(os.getpid(), signal.SIGUSR1)"))
    assert agent.replay().summary["verdict"] == "identical"
    agent.write(code.replace("NOW", "os.kill(os.getpid(), signal.SIGTERM)"))
    assert agent.replay().stdout == "ended by 15\n"


def test_a_handler_while_a_loop_waits_is_said(env, tmp_path):
    """Where no task runs there is no place for it."""
    code = """
        import asyncio, signal
        async def main():
            came = asyncio.get_running_loop().create_future()
            signal.signal(signal.SIGALRM, lambda *_: came.get_loop().call_soon_threadsafe(came.set_result, None))
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            await came
        asyncio.run(main())
        """
    agent = Agent(env, tmp_path, code)
    assert "a handler of signals ran while an event loop waited" in agent.record().stderr
