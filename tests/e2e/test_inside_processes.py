"""Pythons that an agent starts of itself: forks, pools of processes. They have tapes of their own and run again."""

import pytest

from tests.support.executable import plain_environment
from tests.support.inside import Agent

POOLS = """
    import concurrent.futures, multiprocessing, os, random, sys, time, uuid

    def work(n):
        return n, time.time_ns(), random.random(), str(uuid.uuid4()), os.environ["PLAYHEAD_PROCESS"]

    def tell(end):
        end.send((end.recv(), time.time_ns()))

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        here, there = context.Pipe()
        process = context.Process(target=tell, args=(there,))
        process.start()
        here.send("to the child")
        print(here.recv())
        process.join()
        print(process.exitcode)
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            print(list(pool.map(work, range(3))), pool.submit(work, 9).result())
        with context.Pool(1) as pool:
            print(pool.map(work, range(3)), pool.apply(work, (7,)), list(pool.imap(work, range(2))))
            pool.close()
            pool.join()
        print(time.time_ns())
    """

ENDED = """
    import multiprocessing, sys, time, uuid

    def work(n):
        return n, time.time_ns(), str(uuid.uuid4())

    if __name__ == "__main__":
        for each in range(3):
            with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
                print(pool.map(work, range(3)))
    """

FORK = """
    import os, time

    print(time.time_ns(), flush=True)
    for each in range(2):
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(write, f"{each} {time.time_ns()} {os.urandom(4).hex()}".encode())
            os._exit(3 + each)
        os.close(write)
        print(os.read(read, 100), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), time.time_ns(), flush=True)
    """


@pytest.fixture
def env(home):
    return plain_environment(home)


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_a_pool_that_ends_its_workers_leaves_out_nothing(env, tmp_path, start):
    """A pool kills its workers at the end of its block, behind the results: these rest on reads that have been written, and
    in a replay nobody minds that a worker comes to its end or not."""
    agent = Agent(env, tmp_path, ENDED, start)
    recorded = agent.record(cwd=tmp_path)
    for _ in range(2):
        replayed = agent.replay(cwd=tmp_path)
        assert replayed.stdout == recorded.stdout, replayed.stderr
        assert replayed.summary["verdict"] == "identical", replayed.stderr


@pytest.mark.parametrize("start", ["spawn", "fork", "forkserver"])
def test_pools_of_processes_compute_the_same_again(env, tmp_path, start):
    """Each process is told its own clock, draws its own numbers, and gives back what it gave."""
    agent = Agent(env, tmp_path, POOLS, start)
    recorded = agent.record(cwd=tmp_path)
    replayed = agent.replay(cwd=tmp_path)
    assert replayed.stdout == recorded.stdout, replayed.stderr
    assert replayed.summary["verdict"] == "identical", replayed.stderr


def test_forks_are_told_their_own_clocks(env, tmp_path):
    """A child does not repeat its parent, and ends as it ended."""
    agent = Agent(env, tmp_path, FORK)
    recorded = agent.record(cwd=tmp_path)
    replayed = agent.replay(cwd=tmp_path)
    assert replayed.stdout == recorded.stdout, replayed.stderr
    assert replayed.summary["verdict"] == "identical", replayed.stderr
    assert " 3 " in recorded.stdout
    assert " 4 " in recorded.stdout


def test_a_child_that_does_something_else_is_a_divergence(env, tmp_path):
    """The control: it is on a tape."""
    agent = Agent(env, tmp_path, FORK)
    agent.record(cwd=tmp_path)
    agent.write(FORK.replace("{time.time_ns()}", "{time.monotonic_ns()}"))
    replayed = agent.replay(cwd=tmp_path)
    assert replayed.summary["verdict"] == "diverged"
    assert {each["class"] for each in replayed.summary["divergences"]} == {"changed"}
