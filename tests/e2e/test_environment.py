"""What a run's environment does: keys that are missing, proxies and roots of the user's own, children, routes."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from playhead.capture.environment import NO_PROXY_NAMES, PROXY_NAMES
from tests.support.clients import ALL, KEYS, NODE
from tests.support.executable import PLAYHEAD, plain_environment, playhead
from tests.support.model_server import ModelServer
from tests.support.tunnel import Tunnel

BY_NAME = {client.name: client for client in ALL}
ASK = """
    import json, os, sys, urllib.request
    url = sys.argv[1]
    request = urllib.request.Request(url + "/v1/chat/completions", json.dumps({"model": "m", "messages": [
        {"role": "user", "content": " ".join(sys.argv[2:]) or "Name a river."}]}).encode(), {"Content-Type": "application/json"})
    print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
    """


def python(code, *arguments):
    return (sys.executable, "-c", textwrap.dedent(code), *map(str, arguments))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One model server for all."""
    with ModelServer(tmp_path_factory.mktemp("model-server")) as server:
        yield server


@pytest.fixture
def env(home):
    return plain_environment(home)


def record(env, *command, options=(), **more):
    """Record, and read the summary."""
    place = Path(env["HOME"]) / "record.json"
    ran = playhead("record", "--name", "it", "--summary", place, *options, "--", *command, env=env, **more)
    assert ran.returncode == 0, ran.stderr
    ran.summary = json.loads(place.read_text())
    return ran


@pytest.mark.parametrize("name", ["openai", "anthropic", "google-genai", "bedrock", "node-openai"])
def test_a_replay_needs_no_environment_at_all(server, home, env, name):
    """`env -i playhead replay`: the recorded variables are there again, keys as placeholders that constructors take."""
    client = BY_NAME[name]
    there = ("--map", f"{client.host}={server.tls_url}", "--upstream-ca", str(server.pem))
    recorded = record(env | KEYS | {"GREETING": "hello"}, *client.command, "plain", f"A river, {name}.", options=there)
    bare = ["env", "-i", PLAYHEAD, "replay", "--store", str(home / "store"), "it"]
    replayed = subprocess.run(bare, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout == recorded.stdout != ""


def test_other_variables_of_the_recording_are_there_too(env, home):
    """A replay without an environment has what the recorded command read, save secrets."""
    code = "import os; print(os.environ.get('GREETING'), os.environ.get('WEATHER_KEY'))"
    recorded = record(
        env | {"GREETING": "hello", "WEATHER_KEY": "w-0123456789abcdef"}, *python(code), options=["--allow-empty"]
    )
    assert recorded.stdout == "hello w-0123456789abcdef\n"
    replayed = playhead("replay", "--store", home / "store", "it", env={"PATH": env["PATH"]})
    assert replayed.stdout == "hello playhead-placeholder\n"
    assert replayed.returncode == 0, replayed.stderr


@pytest.mark.parametrize("name", ["node-fetch", "requests", "bedrock"])
def test_the_users_proxy_with_a_password_and_root_is_honoured(server, home, env, name):
    """Calls leave through the user's own proxy, with its credentials, trusting the user's own CA, and replay without."""
    client = BY_NAME[name]
    with Tunnel(server) as proxy:
        users = {
            "HTTPS_PROXY": f"http://ann:s3cret-w0rd@127.0.0.1:{proxy.port}",
            "SSL_CERT_FILE": str(server.pem),
            "NODE_EXTRA_CA_CERTS": str(server.pem),
        }
        recorded = record(env | KEYS | users, *client.command, "plain", f"By proxy, {name}.")
        assert proxy.asked  # twice by a slow client, whose server might have been one that speaks first
        for asked in proxy.asked:
            assert (asked.way, asked.authority) == ("connect", f"{client.host}:443")
            assert b"\r\nProxy-Authorization: Basic YW5uOnMzY3JldC13MHJk" in asked.head
    assert recorded.summary["llm_calls"] == 1
    replayed = playhead("replay", "it", env=env)
    assert replayed.returncode == 0, replayed.stderr
    assert not any(b"s3cret-w0rd" in path.read_bytes() for path in (home / "store").rglob("*") if path.is_file())


def test_no_proxy_is_honoured_upstream(server, env):
    """A host the user excepts from the proxy is reached directly, and recorded all the same."""
    with Tunnel(server) as proxy:
        users = {"HTTP_PROXY": f"http://127.0.0.1:{proxy.port}", "http_proxy": f"http://127.0.0.1:{proxy.port}"}
        direct = record(env | users | {"NO_PROXY": "127.0.0.1"}, *python(ASK, server.url, "direct"))
        assert (direct.summary["llm_calls"], proxy.asked) == (1, [])
        record(env | users, *python(ASK, server.url, "by proxy"))
        assert [asked.way for asked in proxy.asked] == ["absolute"]


def test_the_users_base_url_is_honoured(server, env):
    """It is where calls go, with its path; and a replay sets one again though the user has none any more."""
    client = BY_NAME["requests"]
    recorded = record(env | KEYS | client.base(server.url), *client.command, "plain", "By base URL.")
    assert server.log[-1].path == "/v1/chat/completions"
    assert server.log[-1].header("host") == f"127.0.0.1:{server.port}"
    assert recorded.summary["routes"]["base-url"] == 1
    replayed = playhead("replay", "it", env=env)
    assert replayed.returncode == 0, replayed.stderr


CHILDREN = """
    import subprocess, sys
    url, node, script = sys.argv[1:]
    subprocess.run([sys.executable, "-c", script, url, "from python's child"], check=True)
    fetch = '''
        const body = JSON.stringify({model: "m", messages: [{role: "user", content: "from node"}]});
        const answer = await fetch(process.argv[1] + "/v1/chat/completions", {method: "POST", body});
        console.log((await answer.json()).choices[0].message.content);
        const {execFileSync} = await import("node:child_process");
        console.log(String(execFileSync("curl", ["-s", process.argv[1] + "/echo"])));
        '''
    subprocess.run([node, "--input-type=module", "-e", fetch, url], check=True)
    """


def test_children_and_theirs_are_recorded_as_lanes(server, env):
    """python -> python, python -> node -> curl: one session, a lane each, replayed identical."""
    recorded = record(env, *python(CHILDREN, server.url, NODE, textwrap.dedent(ASK)))
    assert recorded.summary["exchanges"] == 3
    assert recorded.summary["lanes"] == 3
    assert recorded.summary["not_captured"] == []
    replayed = playhead("replay", "it", env=env)
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout == recorded.stdout


ROUTES = [
    ("auto", "requests", "proxy"),
    ("proxy", "requests", "proxy"),
    ("base-url", "requests", "base-url"),
    ("hook", "urllib3", "hook"),
    ("hook", "node-fetch", "hook"),
]


@pytest.mark.parametrize(("route", "name", "taken"), ROUTES, ids=lambda value: value)
def test_each_route_can_be_asked_for_alone(server, env, route, name, taken):
    """--route arms one way; the summary says that it was taken, and the replay is identical by whatever way."""
    client = BY_NAME[name]
    there = ("--map", f"{client.host}={server.tls_url}", "--upstream-ca", str(server.pem), "--route", route)
    recorded = record(env | KEYS, *client.command, "plain", f"By {route}.", options=there)
    assert {way for way, count in recorded.summary["routes"].items() if count} == {taken}
    replayed = playhead("replay", "it", env=env)
    assert replayed.returncode == 0, replayed.stderr


SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


def test_only_the_child_is_changed(env, home):
    """The child has our proxy and roots; who started Playhead has what it had, and no file outside the store is written."""
    outside = home / "outside"
    outside.mkdir()
    env = env | {"HOME": str(outside)}
    script = f"{PLAYHEAD} record --allow-empty -- {sys.executable} -c '{SHOW}'; {sys.executable} -c '{SHOW}'"
    ran = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, timeout=120, check=False)
    child, parent = map(json.loads, ran.stdout.splitlines())
    assert child["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    assert child["SSL_CERT_FILE"].startswith(env["PLAYHEAD_STORE"])
    assert not {*PROXY_NAMES, *NO_PROXY_NAMES, "SSL_CERT_FILE", "NODE_OPTIONS", "PYTHONPATH"} & parent.keys()
    assert list(outside.iterdir()) == []


def test_the_systems_trust_is_left_alone(server, env):
    """No root of ours is in the system's store: a client that was not started by Playhead does not trust it."""
    roots = [Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/cert.pem")]
    before = [path.stat() for path in roots if path.exists()]
    record(env, *python(ASK, server.url))
    after = [path.stat() for path in roots if path.exists()]
    assert [(s.st_size, s.st_mtime_ns) for s in after] == [(s.st_size, s.st_mtime_ns) for s in before]


MCP_SERVER = """
    import sys, urllib.request
    from mcp.server.mcpserver import MCPServer
    server = MCPServer("weather")

    @server.tool()
    def weather(url: str) -> str:
        return urllib.request.urlopen(url + "/weather").read().decode()

    server.run()
    """
MCP_AGENT = """
    import asyncio, sys
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    async def main():
        server = StdioServerParameters(command=sys.executable, args=[sys.argv[1]])
        async with stdio_client(server) as streams, ClientSession(*streams) as session:
            await session.initialize()
            answer = await session.call_tool("weather", {"url": sys.argv[2]})
            print(answer.content[0].text)

    asyncio.run(main())
    """


def test_an_mcp_server_whose_environment_was_stripped_is_captured(server, home, env):
    """The SDK starts stdio servers with a chosen few variables; their calls are recorded and replayed nonetheless."""
    place = home / "server.py"
    place.write_text(textwrap.dedent(MCP_SERVER))
    recorded = record(env, *python(MCP_AGENT, place, server.url))
    assert recorded.summary["exchanges"] == 1
    assert recorded.summary["not_captured"] == []
    before = server.hits
    replayed = playhead("replay", "it", env=env)
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout == recorded.stdout != ""
    assert server.hits == before
