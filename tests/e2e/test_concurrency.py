"""Order at the wire alone: concurrent prompts, then a prompt that contains the order in which their answers came."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clients import KEYS, MANY, NODE
from tests.support.executable import plain_environment, playhead
from tests.support.model_server import ModelServer

AGENTS = Path(__file__).parent / "agents"
SHARE, ALL = 2, 100
HOLD = "{{hold=4}}"  # the server answers in a random order, back to back, once all four have come


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One model server whose answers to equal prompts differ."""
    with ModelServer(tmp_path_factory.mktemp("model-server"), seed=7) as server:
        yield server


@contextlib.contextmanager
def busy_processes(count):
    """So many processes that never rest."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def identical_replays(
    server, home, client, kind, count, replays, *, hold=HOLD, env=None, is_enough=lambda _summary: False
):
    """Record once, replay so often, or until one was enough; how many were identical, and the summaries of all."""
    environment = plain_environment(home) | KEYS | (env or {})
    there = ("--map", f"api.openai.com={server.tls_url}", "--upstream-ca", str(server.pem))
    command = (*MANY[client], kind, str(count), hold)
    recorded = playhead("record", "--name", "many", *there, "--", *command, env=environment)
    assert recorded.returncode == 0, recorded.stderr
    summaries = []
    for _ in range(replays):
        place = home / "summary.json"
        replayed = playhead("replay", "--summary", place, "many", env=environment)
        summaries.append(json.loads(place.read_text()))
        if replayed.returncode == 0:
            assert replayed.stdout == recorded.stdout
        if is_enough(summaries[-1]):
            break
    return sum(s["verdict"] == "identical" for s in summaries), summaries


def runs(count):
    return pytest.param(count, marks=pytest.mark.soak) if count == ALL else count


@pytest.mark.parametrize("replays", [runs(SHARE), runs(ALL)])
@pytest.mark.parametrize("kind", ["distinct", "identical"])
@pytest.mark.parametrize("client", sorted(MANY))
@pytest.mark.timeout(1800)
def test_completion_order_is_replayed_on_an_idle_machine(server, home, client, kind, replays):
    """Four concurrent prompts whose order is the next prompt: every replay identical, no hook in the client's loop; and
    not by chance: that the client came to rest between them was seen."""
    good, summaries = identical_replays(server, home, client, kind, 4, replays)
    assert good == replays, json.dumps(summaries[-1], indent=1)
    assert [s["order_unobserved"] for s in summaries] == [0] * replays


@pytest.mark.parametrize("replays", [runs(SHARE), runs(ALL)])
@pytest.mark.parametrize("kind", ["distinct", "identical"])
@pytest.mark.parametrize("client", sorted(MANY))
@pytest.mark.timeout(3600)
def test_completion_order_is_replayed_on_a_busy_machine(server, home, client, kind, replays):
    """The same beside four processes that take all the processors there are."""
    with busy_processes(4):
        good, summaries = identical_replays(server, home, client, kind, 4, replays)
    assert good == replays, json.dumps(summaries[-1], indent=1)


def test_without_the_gate_completion_order_is_lost(server, home):
    """The control: with the gate and the order inside switched off, eight answers at once do not keep their order."""
    off = {"PLAYHEAD_GATE": "off", "PLAYHEAD_INSIDE": "off"}
    good, summaries = identical_replays(
        *(server, home, "threads", "distinct", 8, 20),
        hold="{{hold=8}}",
        env=off,
        is_enough=lambda summary: summary["verdict"] != "identical",
    )
    assert good < len(summaries)


@pytest.mark.parametrize("client", sorted(MANY))
def test_fifty_callers_each_get_their_own_answer(server, home, client):
    """Fifty concurrent requests, answered in another order than they were asked: who asked what gets its answer."""
    good, summaries = identical_replays(server, home, client, "burst", 50, 2, hold="")
    assert good == 2, json.dumps(summaries[-1], indent=1)


def test_equal_prompts_whose_ranks_disagree_are_said_to_be_ambiguous(server, home):
    """Without a hook inside, equal prompts of threads come in an order that nothing decides: where accept and arrival
    order disagree, or where they were not all under way together, the verdict names the steps. With it, nothing is a guess."""
    _, summaries = identical_replays(server, home, "threads", "identical", 8, 2, hold="{{hold=8}}")
    assert [s["ambiguous"] for s in summaries] == [[], []]
    seen = set()
    for _ in range(3 if os.cpu_count() == 1 else 12):
        wire = {"PLAYHEAD_INSIDE": "off"}
        _, (summary,) = identical_replays(server, home, "threads", "identical", 8, 1, hold="{{hold=8}}", env=wire)
        seen |= set(summary["ambiguous"])
        assert seen <= set(range(1, 9))
        if seen:
            break
    assert seen or os.cpu_count() == 1


def replayed_three_times(server, home, *command):
    """Record it, and replay it so often; the summaries, all of them identical."""
    environment = plain_environment(home) | KEYS
    there = ("--map", f"api.openai.com={server.tls_url}", "--upstream-ca", str(server.pem))
    recorded = playhead("record", "--name", "it", *there, "--", *command, env=environment)
    assert recorded.returncode == 0, recorded.stderr
    summaries = []
    for _ in range(3):
        replayed = playhead("replay", "--summary", home / "summary.json", "it", env=environment)
        assert (replayed.returncode, replayed.stdout) == (0, recorded.stdout), replayed.stderr
        summaries.append(json.loads((home / "summary.json").read_text()))
    return recorded, summaries


@pytest.mark.parametrize("way", ["abort", "hedge"])
def test_answers_that_take_no_time_leave_time_to_ask(server, home, way):
    """What an agent asked before its first answer came it asks again, although a played answer is there at once."""
    replayed_three_times(server, home, NODE, AGENTS / "race.mjs", way)


@pytest.mark.parametrize(("pace", "changes"), [("in turns", 10), ("together", 4)])
def test_pieces_of_streams_side_by_side_are_read_in_their_order(server, home, pace, changes):
    """With nothing inside the agent that orders them; although they came at the same moment, or a replay has all of them
    at once."""
    recorded, summaries = replayed_three_times(server, home, NODE, AGENTS / "streams.mjs", pace)
    callers = [line[0] for line in recorded.stdout.splitlines()]
    assert sum(one != other for one, other in itertools.pairwise(callers)) > changes
    assert [s["order_unobserved"] for s in summaries] == [0, 0, 0]
