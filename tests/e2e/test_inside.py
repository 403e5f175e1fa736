"""Boundaries inside a Python agent: what it read once, it reads again."""

import pytest

from tests.support.inside import Agent

CLOCKS = """
    import time
    print(time.time(), time.time_ns(), time.monotonic(), time.perf_counter(), hash("a word"))
    """


def test_clocks_and_hashes_are_those_of_the_recording(env, tmp_path):
    """A script that prints nothing but clocks and a hash prints the same in every replay."""
    agent = Agent(env, tmp_path, CLOCKS)
    first = agent.record()
    again = agent.record()
    assert first.stdout != again.stdout
    for _ in range(2):
        replayed = agent.replay()
        assert replayed.stdout == again.stdout
        assert replayed.returncode == 0
        assert replayed.summary["verdict"] == "identical"


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [("time.monotonic()", "time.time()", "changed"), ("hash(", "time.time(), hash(", "extra")],
)
def test_another_read_is_a_divergence(env, tmp_path, old, new, kind):
    """Code that reads another clock, or one more, is not answered."""
    agent = Agent(env, tmp_path, CLOCKS)
    agent.record()
    agent.write(CLOCKS.replace(old, new))
    replayed = agent.replay()
    assert replayed.returncode == 1
    assert [d["class"] for d in replayed.summary["divergences"]] == [kind]
    assert replayed.summary["verdict"] == "diverged"
    assert replayed.stdout == ""


def test_a_process_that_does_not_come_again_is_missed(env, tmp_path):
    """A replay in which a recorded process never ran is not identical."""
    code = """
        import subprocess, sys
        subprocess.run([sys.executable, "-c", "import time; time.time()"], check=True)
        """
    agent = Agent(env, tmp_path, code)
    agent.record()
    agent.write("")
    replayed = agent.replay()
    assert replayed.summary["verdict"] == "diverged"
    (divergence,) = replayed.summary["divergences"]
    assert (divergence["class"], divergence["step"]) == ("missing", None)  # the start of a program is no step
    assert "process 0.1" in replayed.stderr


def test_a_python_without_its_site_hook_runs_as_it_is(env, tmp_path):
    """`python -S` loads no hook: nothing is captured inside, and nothing breaks."""
    agent = Agent(env, tmp_path, 'import os\nos.execv(os.sys.executable, ["python", "-S", "-c", "print(1)"])\n')
    assert agent.record().stdout == "1\n"
    assert agent.replay().summary["verdict"] == "identical"


@pytest.mark.parametrize("flags", [["-I"], ["-uS"], ["-E", "-u"]])
def test_a_flag_that_leaves_out_the_hook_is_said(env, tmp_path, flags):
    """`python -I agent.py` runs as it is; the summary says that nothing inside it was captured."""
    agent = Agent(env, tmp_path, "print(1)")
    agent.arguments = ()
    agent.python = [agent.python, *flags]
    recorded = agent.record()
    assert recorded.stdout == "1\n"
    assert "leaves out the hook" in recorded.stderr


def test_the_inside_can_be_left_off_the_tape(env, tmp_path):
    """With PLAYHEAD_INSIDE=off only the wire is recorded, so a replay reads clocks of its own."""
    agent = Agent(env | {"PLAYHEAD_INSIDE": "off"}, tmp_path, "import time\nprint(time.time_ns())")
    recorded = agent.record()
    assert agent.replay().stdout != recorded.stdout
