"""One character of an agent's source is changed: its replay is not identical, and the report names where."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clients import ALL as ALL_CLIENTS
from tests.support.clients import CLIENTS, KEYS
from tests.support.executable import plain_environment, playhead
from tests.support.model_server import ModelServer

EXAMPLES = Path(__file__).parents[2] / "examples"
AGENTS = Path(__file__).with_name("agents")
IN_THE_NORMAL_SUITE = ("openai", "anthropic", "google-genai", "bedrock", "node-anthropic", "curl")


class Recorded:
    """An agent's source and its recording; `replay(before, after)` replays it with one place of the source changed."""

    def __init__(self, source, env, *arguments, record=()):
        self.source, self.env, self.text = source, env, source.read_text()
        done = playhead("record", "--name", "it", *record, "--", *arguments, env=env)
        assert done.returncode == 0, done.stderr
        self.out = done.stdout

    def replay(self, before, after):
        assert self.text.count(before) == 1, before
        place = self.source.parent / "summary.json"
        self.source.write_text(self.text.replace(before, after))
        try:
            done = playhead("replay", "--summary", place, "it", env=self.env)
        finally:
            self.source.write_text(self.text)
        return done, json.loads(place.read_text())

    def diverges(self, before, after, path):
        """Changed so, the replay exits 1, stops at that path and says so to people and programs."""
        done, summary = self.replay(before, after)
        assert done.returncode == 1, (before, after, done.stderr)
        assert summary["verdict"] == "diverged"
        first = summary["divergences"][0]
        assert (first["class"], first["path"]) == ("changed", path), done.stderr
        report = done.stderr[done.stderr.rindex("diverged at") :].split("playhead: ")[0]
        assert path in report
        assert len(report.splitlines()) <= 25

    def is_identical(self):
        """The control: unchanged, it is."""
        done, summary = self.replay(self.text, self.text)
        assert (done.returncode, summary["verdict"]) == (0, "identical"), done.stderr
        assert done.stdout == self.out


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One model server for all."""
    with ModelServer(tmp_path_factory.mktemp("model-server")) as server:
        yield server


def there(server, host):
    return ("--map", f"{host}={server.tls_url}", "--upstream-ca", server.pem)


@pytest.fixture(scope="module")
def exact(server, tmp_path_factory):
    """The agent whose parameters all stand in its source."""
    home = tmp_path_factory.mktemp("exact")
    source = Path(shutil.copy(AGENTS / "exact_agent.py", home))
    return Recorded(source, plain_environment(home), sys.executable, source, record=there(server, "api.openai.com"))


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        ("gpt-4o-mini", "gpt-4o-mino", "$.model"),
        ("0.7,", "0.8,", "$.temperature"),
        ('"seed": 7', '"seed": 8', "$.seed"),
        ('"seed": 7', '"seed": "7"', "$.seed"),
        ("Be brief.", "Be brief!", "$.messages[0].content"),
        ("Be brief.", "be brief.", "$.messages[0].content"),
        ("Be brief.", "Be  brief.", "$.messages[0].content"),
        ("2031-05-04", "2031-05-05", "$.messages[0].content"),
        ("3f1c2d4e5f60", "3f1c2d4e5f61", "$.messages[1].content"),
        ('"role": "system"', '"role": "develop"', "$.messages[0].role"),
        ("Look a ticket up.", "Look a ticket up", "$.tools[0].function.description"),
        ('"id": {"type": "string"}', '"id": {"type": "number"}', "$.tools[0].function.parameters.properties.id.type"),
        ('["id"]', "[]", "$.tools[0].function.parameters.required[0]"),
        ("2031-06-01T12:00:00Z", "2031-06-01T12:00:01Z", "$.metadata.due"),
        ("trace=1", "trace=2", "$.query.trace"),
        ("a=v1", "a=v2", "$.headers.openai-beta"),
        ("/v1/chat", "/v2/chat", "$.path"),
        ("https://api.openai.com", "https://api.openai.org", "$.host"),
    ],
)  # fmt: skip
def test_one_changed_character_diverges_and_is_named(exact, before, after, path):
    """Prompt, tool schema, model, sampling, date, identifier, header, path: none survives."""
    exact.diverges(before, after, path)


def test_the_unchanged_agent_is_identical(exact):
    """The control."""
    exact.is_identical()


@pytest.fixture(scope="module")
def refund(tmp_path_factory):
    """The refund agent of the examples, recorded against its model server."""
    home = tmp_path_factory.mktemp("refund")
    source = Path(shutil.copy(EXAMPLES / "refund_agent.py", home))
    command = [sys.executable, str(EXAMPLES / "model_server.py"), "--port", "0", "--pace", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as shop:
        address = shop.stdout.readline().strip()
        env = plain_environment(
            home, OPENAI_API_KEY="none", OPENAI_BASE_URL=f"{address}/v1", SHOP_URL=f"{address}/shop"
        )
        yield Recorded(source, env, sys.executable, source)
        shop.terminate()


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        ("and nothing else.", "and nothing else!", "$.messages[0].content"),
        ("and order 1003 never came", "and order 1004 never came", "$.messages[1].content"),
        ("Four digits.", "Four digits", "$.tools[0].function.parameters.properties.order.description"),
        ("Cannot be undone.", "Cannot be undone!", "$.tools[1].function.description"),
        ('{"include_usage": True}', '{"include_usage": False}', "$.stream_options.include_usage"),
        ('"/refunds"', '"/refund"', "$.path"),
        ("str(answer.read().decode())", "str(answer.read().decode()).upper()", "$.messages[3].content"),
    ],
)
def test_a_changed_refund_agent_diverges_and_is_named(refund, before, after, path):
    """The example's prompts, tool schemas, calls and what its tools return."""
    refund.diverges(before, after, path)


def test_the_unchanged_refund_agent_is_identical(refund):
    """The control."""
    refund.is_identical()


PATHS = {"google-genai": "$.contents[0].parts[0].text", "bedrock": "$.messages[0].content[0].text", "openai-responses": "$.input"}  # fmt: skip


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(client, id=client.name, marks=() if client.name in IN_THE_NORMAL_SUITE else pytest.mark.soak)
        for client in ALL_CLIENTS
    ],
)
def test_every_client_with_one_changed_character_diverges(server, tmp_path, client):
    """The prompt in a client's source loses its full stop."""
    original = Path(client.command[-1])
    source = Path(shutil.copy(original, tmp_path))
    if original.suffix == ".mjs":
        (tmp_path / "node_modules").symlink_to(CLIENTS / "node" / "node_modules")
    env = plain_environment(tmp_path) | KEYS
    command = (*client.command[:-1], source, "plain")
    recorded = Recorded(source, env, *command, record=there(server, client.host))
    sent = server.log[-1].json
    default = "$.messages[1].content" if len(sent.get("messages") or []) == 2 else "$.messages[0].content"
    recorded.diverges("Name three rivers.", "Name three rivers", PATHS.get(client.name, default))
