"""Commands that people give: test runners that tell how long they took, a script that a signal wakes, binary files."""

import sys

import pytest

from tests.support.inside import Agent

TESTS = """
    import sys, time, unittest

    class Clock(unittest.TestCase):
        def test_goes(self):
            time.sleep(0.02)
            self.assertGreater(time.time(), 0)

        def test_fails(self):
            self.assertEqual(1, 2)

    if __name__ == "__main__":
        unittest.main(testRunner=unittest.TextTestRunner(stream=sys.stdout))
    """


@pytest.mark.parametrize("runner", [[], ["-m", "pytest", "--durations=3", "-p", "no:cacheprovider"]])
def test_a_test_runner_prints_the_recorded_durations(env, tmp_path, runner) -> None:
    """unittest and pytest: how long tests took is in the output, which is the same to the last digit."""
    agent = Agent(env, tmp_path, TESTS, python=[sys.executable, *runner])
    recorded = agent.record(code=1)
    assert "test_fails" in recorded.stdout
    ran = agent.replay()
    assert (ran.returncode, ran.summary["verdict"], ran.stdout) == (0, "identical", recorded.stdout), ran.stderr


def test_a_sleep_that_a_signal_ends_ends_so_again(env, tmp_path) -> None:
    """A time-out by SIGALRM that raises out of a long sleep: the replay raises it, and neither waits nor needs the alarm."""
    agent = Agent(
        env,
        tmp_path,
        """
        import signal, time
        class TooLate(Exception):
            pass
        def late(number, frame):
            raise TooLate(number)
        signal.signal(signal.SIGALRM, late)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            time.sleep(600)
        except TooLate as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            print("too late", int(error.args[0]), error.__context__)
        """,
    )
    recorded = agent.record()
    ran = agent.replay()
    assert (ran.returncode, ran.summary["verdict"], ran.stdout) == (0, "identical", recorded.stdout), ran.stderr


def test_a_ruler_that_ends_the_output_is_output(env, tmp_path) -> None:
    """What is written last is a line of dashes without an end."""
    agent = Agent(env, tmp_path, """print("-" * 61, end="", flush=True)""")
    assert agent.record().stdout == "-" * 61
    ran = agent.replay()
    assert (ran.returncode, ran.stdout) == (0, "-" * 61), ran.stderr


def test_what_waits_when_nothing_comes_is_named(env, tmp_path) -> None:
    """A task was to be called that is not: the tool whose answer came after it waits, and is told by its name."""
    code = """
        import asyncio, playhead
        @playhead.tool
        async def first():
            await asyncio.sleep(0.01)
        @playhead.tool
        async def second():
            await asyncio.sleep(0.2)
        async def main():
            await asyncio.gather(FIRST, second())
        asyncio.run(main())
        """
    agent = Agent(env, tmp_path, code.replace("FIRST", "first()"))
    agent.record()
    agent.write(code.replace("FIRST", "asyncio.Event().wait()"))
    ran = agent.replay()
    assert ran.returncode == 1
    assert "waiting:  tool second " in ran.stderr, ran.stderr
