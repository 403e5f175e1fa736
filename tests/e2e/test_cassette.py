"""A recorded agent, its cassette carried elsewhere, and replayed there."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.executable import plain_environment, playhead
from tests.support.model_server import ModelServer

AGENTS = Path(__file__).with_name("agents")
KEYS = {"OPENAI_API_KEY": "none"}


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    """An agent that was recorded in one home and is now in another, with cassettes of it, both forms; the first home
    and its store are gone. Yields the new home, the agent's path, and what it printed."""
    home = tmp_path_factory.mktemp("first")
    new = tmp_path_factory.mktemp("second")
    source = shutil.copy(AGENTS / "exact_agent.py", home)
    env = plain_environment(home, **KEYS)
    with ModelServer(tmp_path_factory.mktemp("model-server")) as server:
        there = ("--map", f"api.openai.com={server.tls_url}", "--upstream-ca", server.pem)
        done = playhead("record", "--name", "it", *there, "--", sys.executable, source, env=env, cwd=home)
    assert done.returncode == 0, done.stderr
    for kind, name in (("rw-text", "text.rw"), ("rw", "compact.rw")):
        exported = playhead("export", "it", "--format", kind, "-o", new / name, env=env)
        assert exported.returncode == 0, exported.stderr
    listed = playhead("inspect", "it", "--json", env=env).stdout
    assert playhead("rm", "it", env=env).returncode == 0
    agent = new / "agent.py"
    shutil.move(source, agent)
    shutil.rmtree(home)
    return new, agent, done.stdout, listed


@pytest.mark.parametrize("name", ["text.rw", "compact.rw"])
def test_a_cassette_replays_where_its_session_never_was(carried, tmp_path, name):
    """Another home, store, directory and no key: identical, and inspect says the same."""
    new, agent, out, listed = carried
    env = plain_environment(tmp_path)
    summary = tmp_path / "summary.json"
    done = playhead("replay", "--summary", summary, new / name, "--", sys.executable, agent, env=env, cwd=new)
    told = json.loads(summary.read_text())
    assert (done.returncode, told["verdict"], told["origin"]) == (0, "identical", "recorded"), done.stderr
    assert done.stdout == out
    assert playhead("inspect", new / name, "--json", env=env).stdout == listed
    assert playhead("verify", new / name, env=env).returncode == 0


def test_an_imported_cassette_replays(carried, tmp_path):
    """From the store, by its name."""
    new, agent, _, listed = carried
    env = plain_environment(tmp_path)
    assert playhead("import", new / "compact.rw", env=env).returncode == 0
    assert playhead("inspect", "it", "--json", env=env).stdout == listed
    done = playhead("replay", "it", "--", sys.executable, agent, env=env, cwd=new)
    assert done.returncode == 0, done.stderr


def test_an_edited_cassette_is_not_replayed_until_it_is_taken_as_such(carried, tmp_path):
    """A changed answer is refused; taken knowingly, the replay says that it is reconstructed."""
    new, agent, _, _ = carried
    env = plain_environment(tmp_path)
    lines = (new / "text.rw").read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith('{"ask":1'))
    assert "0.7" in lines[at]
    lines[at] = lines[at].replace("0.7", "0.8")
    edited = tmp_path / "edited.rw"
    edited.write_text("\n".join(lines) + "\n")
    done = playhead("replay", edited, "--", sys.executable, agent, env=env)
    assert done.returncode == 3
    assert f"line {at + 1} (step 1)" in done.stderr
    assert done.stdout == ""
    taken = playhead("import", "--edited", edited, env=env)
    assert taken.returncode == 0, taken.stderr
    summary = tmp_path / "summary.json"
    done = playhead("replay", "--summary", summary, "it", "--", sys.executable, agent, env=env)
    told = json.loads(summary.read_text())
    assert (done.returncode, told["verdict"], told["origin"]) == (1, "diverged", "reconstructed")
    assert told["divergences"][0]["path"] == "$.temperature"
