"""A recording with holes is never replayed as identical, even by a run that asks nothing behind them."""

import json
import sys

from tests.support.executable import plain_environment, playhead
from tests.support.model_server import ModelServer

AGENT = """
import os, pathlib, signal, sys, urllib.request
import playhead
body = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}'
asked = urllib.request.Request(sys.argv[1], body, {"content-type": "application/json"})
print(urllib.request.urlopen(asked).status)
with playhead.unrecorded():  # else the replay is told that the file is there
    dies = pathlib.Path(sys.argv[2]).exists()
if dies:
    launcher = os.getppid()
    others = pathlib.Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    engine = next(int(pid) for pid in others if int(pid) != os.getpid())
    handle = os.pidfd_open(engine)
    os.kill(engine, signal.SIGKILL)
    import select
    select.select([handle], [], [], 10)
"""


def test_a_recording_whose_engine_died_is_not_identical(home, tmp_path):
    """The engine is killed behind the only call: the replay serves that call and still says that it proves nothing."""
    env = plain_environment(home)
    dies = tmp_path / "dies"
    with ModelServer() as server:
        command = (sys.executable, "-c", AGENT, f"{server.url}/v1/chat/completions", dies)
        verdicts = {}
        for name in ("whole", "holed"):
            if name == "holed":
                dies.touch()
            recorded = playhead("record", "--name", name, "--", *command, env=env)
            assert recorded.returncode == 0, recorded.stderr
            dies.unlink(missing_ok=True)
            summary = tmp_path / f"{name}.json"
            replayed = playhead("replay", "--summary", summary, name, env=env)
            verdicts[name] = (replayed.returncode, json.loads(summary.read_text())["verdict"])
    assert verdicts == {"whole": (0, "identical"), "holed": (1, "incomplete")}
    assert "the recording is not whole: the engine died (signal 9)" in replayed.stderr
