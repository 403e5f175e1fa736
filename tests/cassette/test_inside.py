"""What the agent's own processes wrote travels in a cassette."""

import json
from pathlib import Path

import pytest

from playhead.cassette.making import cassette_bytes
from playhead.cassette.opening import open_recording
from playhead.errors import DamagedRecording, UsageError
from playhead.sessions.reader import read_recording
from tests.support.executable import plain_environment, playhead
from tests.support.inside import Agent

CODE = """
    import subprocess, sys, threading, time
    from playhead.capture.boundary.calls import call

    print(time.time(), call("tool", "draw", b'{"of": "the day"}', lambda: [time.time_ns(), "\\u00e9"]))
    with threading.Lock():  # an act that has a place in the order and no answer
        pass
    subprocess.run([sys.executable, "-c", "import time; print(time.monotonic())"], check=True)
    print(time.time())
    """


@pytest.fixture
def env(home):
    return plain_environment(home)


@pytest.mark.parametrize("form", ["rw", "rw-text"])
def test_a_cassette_replays_what_happened_inside(env, tmp_path, form):
    """Clocks, calls and child processes come again from a cassette, before and after an import."""
    agent = Agent(env, tmp_path, CODE)
    recorded = agent.record()
    cassette = tmp_path / "it.rw"
    assert playhead("export", "it", "--format", form, "-o", cassette, env=env).returncode == 0
    replayed = playhead("replay", cassette, env=env)
    assert (replayed.returncode, replayed.stdout) == (0, recorded.stdout), replayed.stderr
    assert playhead("rm", "it", env=env).returncode == 0
    assert playhead("import", cassette, env=env).returncode == 0
    replayed = agent.replay()
    assert (replayed.returncode, replayed.stdout) == (0, recorded.stdout), replayed.stderr
    steps = json.loads(playhead("inspect", "it", "--json", env=env).stdout)["steps"]
    assert [step["kind"] for step in steps] == ["tool"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"inside":"0.1"', '"inside":"../../0"'),
        ('"event":"ask"', '"event":"segment"'),
        ('"apart":[', '"apart":[-1,'),
        ('"order":[', '"order":[1,'),
        ('"inside_when":"0"', '"inside_when":"0.7"'),
        ('"event":"lane"', '"event":"nothing"'),
        ('"event":"lane"', '"event":"mark"'),
        ('"meta":{"key":"0"}', '"meta":{}'),
        ('"meta":{"lane":1,"n"', '"meta":{"lane":[[]],"n"'),
        ('"kind":"tool",', ""),
    ],
)
def test_a_hostile_line_is_refused(env, tmp_path, old, new):
    """Names that lead out of a folder, kinds that nobody writes and times that fit nothing are damage."""
    Agent(env, tmp_path, CODE).record()
    cassette = tmp_path / "it.rw"
    playhead("export", "it", "-o", cassette, env=env)
    text = cassette.read_text()
    assert old in text
    cassette.write_text(text.replace(old, new))
    with pytest.raises(DamagedRecording):
        open_recording(cassette, edited=True)


STEP = """
    import playhead

    @playhead.step
    def plan(what):
        return what

    plan("a trip")
    """


@pytest.mark.parametrize(("old", "new"), [('"what":"leave"', '"what":true'), ('"what":"enter"', '"who":"enter"')])
def test_a_mark_that_makes_no_sense_is_refused(env, tmp_path, old, new):
    """By every reader, and by import with the same error; a session that holds such a mark makes no cassette."""
    Agent(env, tmp_path, STEP).record()
    cassette = tmp_path / "it.rw"
    playhead("export", "it", "-o", cassette, env=env)
    text = cassette.read_text()
    assert old in text
    cassette.write_text(text.replace(old, new))
    for command in ("inspect", "verify", "import"):
        asked = playhead(command, cassette, *(["--edited"] if command == "import" else []), env=env)
        assert asked.returncode == 3, (command, asked.stderr)
        assert "cassette-damaged" in asked.stderr or command == "inspect", asked.stderr
    recording = read_recording(next(Path(env["PLAYHEAD_STORE"], "sessions").glob("*.tape")))
    recording.unreadable.append("what process 0 of the agent wrote cannot be read")
    with pytest.raises(UsageError, match="damaged"):
        cassette_bytes(recording)
