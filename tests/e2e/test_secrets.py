"""No secret reaches the disk: keys in every place a run can have them, and a byte search of all that is left of it."""

import base64
import contextlib
import json
import random
import re
import string
import subprocess
import sys
import textwrap
import threading

import pytest
import zstandard

from tests.support.executable import PLAYHEAD, plain_environment, playhead
from tests.support.listener import Listener

ALNUM = string.ascii_letters + string.digits
FRAME = b"\x28\xb5\x2f\xfd"


def drawn(head="", length=40):
    """A key made now: with a known head, or of no shape at all."""
    return head + "".join(random.choices(ALNUM, k=length - 2)) + "9z"


# Places of secrets. Those of credential headers and queries have no shape: the place alone says what they are.
HEADERS = ("authorization", "x-api-key", "api-key", "cookie", "proxy-authorization")
BODIES = ("body", "body_named", "answer", "stream", "error", "echoed", "argv", "argv_bare", "stdin", "tag", "big")

AGENT = """
    import http.client, json, os, sys
    secret, port, lossy = json.load(open(sys.argv[1])) if os.path.exists(sys.argv[1]) else {}, int(sys.argv[2]), sys.argv[3]
    of = lambda name: secret.get(name, "none-at-all-0123456789")

    def ask(path, body=None, headers={}):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("POST" if body is not None else "GET", path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        print(answer.status, len(text) if "big" in path else text)

    headers = {"authorization": "Bearer " + of("authorization"), "x-api-key": of("x-api-key"), "api-key": of("api-key"),
               "cookie": "session=" + of("cookie"), "proxy-authorization": "Basic " + of("proxy-authorization")}
    ask("/plain?key=" + of("query") + "&page=2", headers=headers)
    ask("/plain", json.dumps({"prompt": f"use {of('body')} please", "api_key": of("body_named")}))
    ask("/plain", json.dumps({"prompt": "my token is " + os.environ["WEATHER_TOKEN"]}))
    ask("/big", "x " * 600000 + (of("big") + " is the key. ") * 2000)
    typed = sys.stdin.readline()
    ask("/plain", json.dumps({"prompt": "typed: " + typed, "argv": sys.argv[4:]}))
    print("env", os.environ["WEATHER_TOKEN"], "typed", typed, "argv", sys.argv[4:])
    import httpx
    print(httpx.get(os.environ["OPENAI_BASE_URL"] + "/models").status_code)
    if lossy == "lossy":
        for path in ("/answer", "/stream", "/error"):
            ask(path)
    ask("/hold")
    """


class World:
    """Answers with secrets where it is asked to, and holds the last answer until told."""

    def __init__(self, secrets):
        self.secrets = secrets
        self.holding, self.release = threading.Event(), threading.Event()
        self.heads = []

    def serve(self, sock):
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        self.heads.append(head)
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while length and len(body) < int(length[1]):
            body += sock.recv(65536)
        path = head.split(b" ")[1].split(b"?")[0].decode()
        if path == "/hold":
            self.holding.set()
            self.release.wait(120)
        if path == "/stream":
            event = f'data: {{"text": "the key is {self.secrets["stream"]} and that is all"}}\n\n'.encode()
            middle = event.index(b"the key is ") + 20
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in (event[:middle], event[middle:]):
                sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
                threading.Event().wait(0.03)  # two reads, not one
            sock.sendall(b"0\r\n\r\n")
            return
        said = {"/answer": f"your key: {self.secrets['answer']}", "/error": f"wrong key: {self.secrets['error']}"}
        text = json.dumps({"said": said.get(path, "nothing")}).encode()
        status = b"401 Unauthorized" if path == "/error" else b"200 OK"
        sock.sendall(
            b"HTTP/1.1 %b\r\nSet-Cookie: s=%b\r\nConnection: close\r\n" % (status, self.secrets["set-cookie"].encode())
        )
        sock.sendall(b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))


class Run:
    """One recording of the agent with fresh secrets everywhere, searched while it was open."""

    def __init__(self, home, *, redact="secrets", lossy=True):
        heads = {
            "body": "sk-ant-api03-",
            "answer": "sk-proj-",
            "stream": "sk-",
            "error": "sk-",
            "argv": "ghp_",
            "big": "sk-",
        }
        heads |= {"stdin": "AKIA", "tag": "xoxb-", "query": "AIza", "argv_bare": "gsk_"}
        names = (*HEADERS, *BODIES, "query", "set-cookie", "url_password")
        self.secrets = {name: drawn(heads.get(name, ""), 46) for name in names}
        self.secrets["argv"] = "ghp_" + drawn(length=36)
        self.secrets["argv_bare"] = "gsk_" + drawn(length=52)
        self.secrets["stdin"] = "AKIA" + "".join(random.choices(string.ascii_uppercase, k=14)) + "Q7"
        self.home, self.lossy = home, lossy
        self.given, self.agent = home / "secrets.json", home / "agent.py"
        self.given.write_text(json.dumps(self.secrets))
        self.agent.write_text(textwrap.dedent(AGENT))
        self.world = World(self.secrets)
        self.summary = home / "summary.json"
        with Listener(self.world.serve) as listener:
            self.port = listener.port
            self.env = plain_environment(home) | {
                "WEATHER_TOKEN": self.secrets["echoed"],
                "OPENAI_BASE_URL": f"http://ann:{self.secrets['url_password']}@127.0.0.1:{self.port}/v1",
            }
            command = ["record", "--name", "it", "--redact", redact, "--summary", self.summary]
            command += ["--tag", f"owner={self.secrets['tag']}", "--", *self.command()]
            with subprocess.Popen(
                [PLAYHEAD, *map(str, command)],
                env=self.env,
                cwd=home,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as recording:
                recording.stdin.write(self.secrets["stdin"] + "\n")
                recording.stdin.close()
                recording.stdin = None
                assert self.world.holding.wait(120)
                self.while_open = self.on_disk()
                self.world.release.set()
                self.stdout, self.stderr = recording.communicate(timeout=120)
        assert recording.returncode == 0, self.stderr
        self.sealed = self.on_disk()

    def command(self):
        lossy = "lossy" if self.lossy else "plain"
        more = ["--api-key", self.secrets["argv"], self.secrets["argv_bare"]]
        return [sys.executable, str(self.agent), str(self.given), str(self.port), lossy, *more]

    def on_disk(self):
        """Every byte of the store, and what its compressed frames hold, by file."""
        return {
            str(path.relative_to(self.home)): b"\n".join([data := path.read_bytes(), *unpacked(data)])
            for path in (self.home / "store").rglob("*")
            if path.is_file()
        }

    def found(self, *texts):
        """Names of the secrets that stand in any of these bytes, and where."""
        return sorted(
            {
                (name, place)
                for held in texts
                for place, data in held.items()
                for name in self.secrets
                if self.secrets[name].encode() in data
            }
        )

    def told(self):
        """All that reading commands say of the session, base64 undone."""
        said = {"summary": self.summary.read_bytes(), "stderr": self.stderr.encode()}
        asked = [("list", "--json"), ("inspect", "it"), ("inspect", "it", "--json")]
        asked += [("inspect", f"it:{step}", "--json", "--raw") for step in range(1, len(self.world.heads) + 1)]
        for arguments in asked:
            ran = playhead(*arguments, env=self.env)
            assert ran.returncode == 0, ran.stderr
            said[" ".join(arguments)] = (ran.stdout + ran.stderr).encode() + b"".join(_decoded(ran.stdout))
        return said


def unpacked(data):
    """What every zstd frame in `data` holds."""
    at = data.find(FRAME)
    while at >= 0:
        with contextlib.suppress(zstandard.ZstdError):
            yield zstandard.ZstdDecompressor().decompressobj().decompress(data[at:])
        at = data.find(FRAME, at + 1)


def _decoded(text):
    for word in re.findall(r'"([A-Za-z0-9+/]{24,}={0,2})"', text):
        try:
            yield base64.b64decode(word)
        except ValueError:
            continue


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory):
    """A run with secrets in every place."""
    return Run(tmp_path_factory.mktemp("everywhere"))


def test_no_secret_stands_in_the_store_while_recording(everywhere):
    """A byte search of the open session, plain and unpacked, finds none of them; what is no secret is there."""
    assert any("it" in path or ".tape.d" in path for path in everywhere.while_open)
    assert any(b"is the key." in data for data in everywhere.while_open.values())
    assert everywhere.found(everywhere.while_open) == []


def test_no_secret_stands_in_a_sealed_session_or_the_catalogue(everywhere):
    """The same of what is left when the run is over."""
    assert [path for path in everywhere.sealed if path.endswith(".tape")]
    assert any(b"is the key." in data for data in everywhere.sealed.values())
    assert any(b"and that is all" in data for data in everywhere.sealed.values())
    assert everywhere.found(everywhere.sealed) == []


def test_no_reading_command_tells_a_secret(everywhere):
    """Neither the summary nor inspect nor list shows one; the tokens in their place are shown."""
    told = everywhere.told()
    assert everywhere.found(told) == []
    assert b"<redacted:" in b"".join(told.values())


def test_the_world_and_the_agent_had_the_secrets(everywhere):
    """Redaction is of what is written: calls went out with their keys, and the child's output is its own."""
    sent = b"".join(everywhere.world.heads)
    assert [name for name in HEADERS if everywhere.secrets[name].encode() not in sent] == []
    assert everywhere.secrets["query"].encode() in sent
    for name in ("answer", "stream", "error", "echoed", "stdin", "argv"):
        assert everywhere.secrets[name] in everywhere.stdout


def test_a_lossy_session_is_refused_unless_allowed(everywhere):
    """An answer that lost a secret is not what the agent read: strict says so; --allow-lossy replays it identical."""
    refused = playhead("replay", "it", env=everywhere.env)
    assert refused.returncode == 1
    assert "--allow-lossy" in refused.stderr
    allowed = playhead("replay", "--allow-lossy", "it", env=everywhere.env)
    assert allowed.returncode == 0, allowed.stderr


@pytest.fixture(scope="module")
def faithful(tmp_path_factory):
    """The same without secrets in answers."""
    return Run(tmp_path_factory.mktemp("faithful"), lossy=False)


@pytest.mark.parametrize("key", ["another", "none", "the same"])
def test_a_replay_needs_no_key(faithful, key):
    """With another key, without one and with the same, requests that carried it are equal and the replay identical."""
    env = dict(faithful.env)
    if key == "none":
        del env["WEATHER_TOKEN"], env["OPENAI_BASE_URL"]
        faithful.given.write_text(json.dumps({n: v for n, v in faithful.secrets.items() if n in BODIES}))
    elif key == "another":
        env["WEATHER_TOKEN"] = drawn()
        faithful.given.write_text(json.dumps({n: v[:12] + drawn(length=34) for n, v in faithful.secrets.items()}))
    else:
        faithful.given.write_text(json.dumps(faithful.secrets))
    replayed = playhead("replay", "it", env=env)
    assert replayed.returncode == 0, replayed.stderr
    assert "identical" in replayed.stderr


def test_without_redaction_the_search_finds_bodies_and_never_credentials(tmp_path):
    """The control: with --redact off, bodies and streams hold their secrets; credential headers and queries are not stored."""
    run = Run(tmp_path, redact="off")
    found = {name for name, _ in run.found(run.sealed)}
    assert {"body", "answer", "stream", "error", "echoed", "stdin", "big"} <= found
    assert not found & {*HEADERS, "query", "set-cookie"}
