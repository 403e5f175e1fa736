"""The Node preload: every TCP connection of Node reaches the engine under its real name."""

import os
import textwrap

import pytest

from playhead.capture.environment import HOOKS
from tests.support.clients import NODE

PRELUDE = """
import http from 'node:http'; import https from 'node:https'; import net from 'node:net'; import tls from 'node:tls';
const plain = Number(process.env.PLAIN);
const get = (module, ...where) => new Promise((ok, bad) => {
  module.get(...where, (answer) => answer.resume().on('end', () => ok(answer.statusCode))).on('error', bad);
});
const firstLine = (socket) => new Promise((ok, bad) => {
  socket.on('data', (data) => { ok(String(data).split('\\r\\n')[0]); socket.end(); }).on('error', bad);
});
const print = (value) => console.log(JSON.stringify(value));
"""

ASKED = {
    "https to port 443": ("await get(https, 'https://api.openai.com/x')", 200, ("sni", "api.openai.com:443")),
    "https to another port": ("await get(https, 'https://shop.example:8443/x')", 200, ("connect", "shop.example:8443")),
    "https to an address": ("await get(https, 'https://127.0.0.1/x')", 200, ("connect", "127.0.0.1:443")),
    "http to localhost": ("await get(http, `http://localhost:${plain}/x`)", 200, ("connect", "localhost:PLAIN")),
    "fetch to localhost": ("(await fetch(`http://localhost:${plain}/x`)).status", 200, ("connect", "localhost:PLAIN")),
    "fetch to another port": (
        "(await fetch('https://shop.example:8443/x')).status",
        200,
        ("connect", "shop.example:8443"),
    ),
    "TLS without a server name": (
        "await new Promise((ok, bad) => { const s = tls.connect(443, 'api.openai.com', () => { s.write('GET /x HTTP/1.1\\r\\n\\r\\n'); ok(firstLine(s)); }).on('error', bad); })",
        "HTTP/1.1 200 OK",
        ("connect", "api.openai.com:443"),
    ),
    "TLS over a socket that is still connecting": (
        "await new Promise((ok, bad) => { const s = tls.connect({ socket: net.connect(443, 'api.openai.com'), servername: 'api.openai.com' }, () => { s.write('GET /x HTTP/1.1\\r\\n\\r\\n'); ok(firstLine(s)); }).on('error', bad); })",
        "HTTP/1.1 200 OK",
        ("connect", "api.openai.com:443"),
    ),
    "a raw socket written to before it is connected": (
        "await (() => { const s = net.connect({ port: plain, host: 'localhost' }); s.write('GET /x HTTP/1.1\\r\\n'); s.write('Host: a\\r\\n\\r\\n'); return firstLine(s); })()",
        "HTTP/1.1 200 OK",
        ("connect", "localhost:PLAIN"),
    ),
}


@pytest.mark.parametrize("client", ASKED)
def test_a_connection_reaches_the_engine_under_its_real_name(child, server, tunnel, client):
    """443 with its own name goes by SNI, everything else by a CONNECT that says it is the hook's."""
    expression, answer, (way, authority) = ASKED[client]
    before = server.hits
    assert child.node(f"{PRELUDE}\nprint({expression});") == answer
    assert server.hits == before + 1
    asked = tunnel.asked[-1]
    assert (asked.way, asked.authority) == (way, authority.replace("PLAIN", str(server.port)))
    assert (b"Playhead-Route: hook" in asked.head) == (way == "connect")


def test_kept_alive_connections_are_dug_once(child, server, tunnel):
    """Three requests on one agent use one tunnel."""
    code = (
        "const agent = new https.Agent({ keepAlive: true, maxSockets: 1 }); const seen = [];"
        "for (let i = 0; i < 3; i++) seen.push(await get(https, 'https://shop.example:8443/x', { agent })); agent.destroy(); print(seen);"
    )
    assert child.node(PRELUDE + code) == [200, 200, 200]
    assert len(tunnel.asked) == 1


@pytest.mark.parametrize(
    "url", ["`http://localhost:${plain}/x`", "'https://shop.example:8443/x'", "'https://api.openai.com/x'"]
)
def test_large_bodies_pass_whole(child, server, url):
    """3 MB up through plain tunnel, TLS tunnel and SNI arrive byte for byte."""
    code = f"print((await (await fetch({url}, {{ method: 'POST', body: 'x'.repeat(3e6) }})).json()).bytes);"
    assert child.node(PRELUDE + code) == 3_000_000
    assert server.log[-1].body == b"x" * 3_000_000


def test_workers_and_children_with_few_variables_are_covered(child, tunnel):
    """A worker thread, and a child started with PATH alone (as MCP's stdio client starts servers)."""
    code = """
        import { Worker } from 'node:worker_threads'; import { spawn } from 'node:child_process';
        const worker = await new Promise((ok, bad) => new Worker(
          `fetch('https://api.openai.com/w').then((a) => import('node:worker_threads').then((w) => w.parentPort.postMessage(a.status)))`, { eval: true },
        ).on('message', ok).on('error', bad));
        const spawned = await new Promise((ok) => {
          const child = spawn(process.execPath, ['-e', `fetch('https://api.anthropic.com/c').then((a) => console.log(a.status))`],
            { env: { PATH: process.env.PATH } });
          let out = ''; child.stdout.on('data', (d) => { out += d; }); child.on('close', () => ok(out.trim()));
        });
        console.log(JSON.stringify([worker, spawned]));
        """
    assert child.node(textwrap.dedent(code)) == [200, "200"]
    assert [asked.authority for asked in tunnel.asked] == ["api.openai.com:443", "api.anthropic.com:443"]


def test_unix_sockets_and_the_engine_are_left_alone(child, tunnel):
    """A unix socket does not pass the engine; a client that dials the engine (proxy, base URL) is not wrapped again."""
    code = """
        const box = http.createServer((_, answer) => answer.end('box')).listen('u.sock');
        const unix = await get(http, { socketPath: 'u.sock', path: '/' }); box.close();
        const own = (await fetch(`http://127.0.0.1:${process.env.PLAYHEAD_PORT}/p/openai/x`)).status;
        const proxied = await get(http, { host: '127.0.0.1', port: process.env.PLAYHEAD_PORT, path: `http://localhost:${plain}/x` });
        print([unix, own, proxied]);
        """
    assert child.node(PRELUDE + textwrap.dedent(code)) == [200, 200, 200]
    assert [asked.way for asked in tunnel.asked] == ["origin", "absolute"]


def test_an_abort_reaches_the_server(child, server):
    """A fetch aborted while it waits ends as an AbortError, and the server sees the connection close."""
    code = """
        const control = new AbortController();
        const asked = fetch(`http://localhost:${plain}/x`, { method: 'POST', headers: { 'x-model-server': 'hold=99' }, body: '{}', signal: control.signal });
        setTimeout(() => control.abort(), 100);
        print(await asked.catch((error) => error.name));
        """
    assert child.node(PRELUDE + textwrap.dedent(code)) == "AbortError"


def test_a_refused_tunnel_is_a_refused_connection(child, server, tunnel):
    """When the engine does not answer 200, the client sees ECONNREFUSED for the host it wanted."""
    code = """
        const refuser = net.createServer((s) => s.once('data', () => s.end('HTTP/1.1 502 no\\r\\n\\r\\n')));
        await new Promise((ok) => refuser.listen(0, '127.0.0.1', ok));
        const { execFile } = await import('node:child_process');
        const program = `require('net').connect(9999, 'db.example').on('error', (e) => console.log(e.code, e.address, e.port))`;
        const env = { ...process.env, PLAYHEAD_PORT: String(refuser.address().port) };
        print(await new Promise((ok) => execFile(process.execPath, ['-e', program], { env }, (_, out) => ok(out.trim()))));
        refuser.close();
        """
    assert child.node(PRELUDE + textwrap.dedent(code)) == "ECONNREFUSED db.example 9999"


def test_options_of_the_caller_are_not_changed(child, server):
    """The object handed to net.connect is as it was afterwards."""
    code = "const o = { port: plain, host: 'localhost', family: 4 }; const s = net.connect(o); await new Promise((ok) => s.once('connect', ok)); s.destroy(); print(o);"
    assert child.node(PRELUDE + code) == {"port": server.port, "host": "localhost", "family": 4}


def test_without_a_port_nothing_is_wrapped(child, tunnel):
    """A Node that loads the preload outside a recording connects as ever."""
    env = {"PATH": os.environ["PATH"], "NODE_OPTIONS": f"--require {HOOKS / 'node' / 'preload.cjs'}"}
    out = child(NODE, "-p", "require('net').Socket.prototype.connect.toString().includes('engine')", env=env)
    assert out == "false\n"
    assert tunnel.asked == []
