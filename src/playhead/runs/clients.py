"""The HTTP clients on this machine: what is found in PATH, which route each takes into a recording, what it would miss.

What each client needs was measured one variable at a time (the table in docs/how-to.md); here it is matched with what
is installed. Programs are asked for their versions, and `python` once for its packages; nothing is imported from them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PATIENCE_S = 10.0
_VERSION = re.compile(r"\d+(?:\.\d+)+\S*|\d+")

_HOOK_OFF = "under python -I, -E or -S: site hooks are off there"
_SIGNED = "with a proxy set in its code; it has no other route, since SigV4 signs host and path"
_H2_ONLY = "in replay: recorded, and named as not replayable yet"
_LOOPBACK = "plain calls to localhost, which it never sends by a proxy: set OPENAI_BASE_URL or OLLAMA_HOST"
ANY = "any client"
EVERYWHERE = (
    "hosts whose certificate a client pins: tunnelled unrecorded, and named",
    "programs that drop the environment, or run elsewhere (docker run, ssh, a service already started)",
)
"""What may be missed whatever the client."""


class Known(NamedTuple):
    """What is known of a client: its route, the variable by which it trusts the recorder, the base-URL variable that
    it reads (empty: none is used), and when it would be missed (empty: only as any client)."""

    route: str
    trust: str
    base_url: str = ""
    missed: str = ""


PYTHON_PACKAGES = {
    "openai": Known("proxy", "SSL_CERT_FILE", "OPENAI_BASE_URL"),
    "anthropic": Known("proxy", "SSL_CERT_FILE", "ANTHROPIC_BASE_URL"),
    "google-genai": Known("proxy", "SSL_CERT_FILE", "GOOGLE_GEMINI_BASE_URL"),
    "litellm": Known("proxy", "SSL_CERT_FILE and others", "OPENAI_BASE_URL"),
    "boto3": Known("proxy", "AWS_CA_BUNDLE", "", _SIGNED),
    "httpx": Known("proxy", "SSL_CERT_FILE"),
    "httpx2": Known("proxy", "SSL_CERT_FILE"),
    "requests": Known("proxy", "REQUESTS_CA_BUNDLE"),
    "aiohttp": Known("hook", "SSL_CERT_FILE", "", _HOOK_OFF),
    "urllib3": Known("hook", "the site hook", "", _HOOK_OFF),
    "mcp": Known("hook", "the site hook", "", "its stdio servers, " + _HOOK_OFF),
    "grpcio": Known("proxy", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "", _H2_ONLY),
    "websockets": Known("proxy", "SSL_CERT_FILE"),
}
"""Distribution name -> what is known of it."""

_NODE_OLD = "with NODE_OPTIONS cleared: this Node reads no proxy variables"
_NODE_NEW = "node:http and sockets, with NODE_OPTIONS cleared; fetch still reads the proxy variables"
PROGRAMS = {
    "bun": Known("proxy", "NODE_EXTRA_CA_CERTS", "", "sockets of node:net (Node's preload has no effect in it)"),
    "deno": Known("proxy", "DENO_CERT", "", "sockets of node:net (Node's preload has no effect in it)"),
    "go": Known("proxy", "SSL_CERT_FILE", "", _LOOPBACK),
    "java": Known("proxy", "a truststore in JAVA_TOOL_OPTIONS", "", "programs that bring a truststore of their own"),
    "ruby": Known("proxy", "SSL_CERT_FILE", "", _LOOPBACK),
    "curl": Known("proxy", "CURL_CA_BUNDLE", "", "--noproxy or --cacert, given or in a .curlrc"),
}
"""Program -> what is known of it; python and node are looked at more closely."""

_VERSION_FLAG = {"go": "version", "java": "-version"}
_ASK_PYTHON = """
import importlib.metadata as m, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        pass
print(json.dumps({"version": sys.version.split()[0], "executable": sys.executable, "found": found}))
"""


class Client(NamedTuple):
    """A client that was found: `route` is `proxy`, `hook` or `base-url`, `where` the program it runs in."""

    name: str
    version: str
    where: str
    route: str
    trust: str
    missed: str


def find_clients(environ: Mapping[str, str]) -> list[Client]:
    """The clients in PATH, Python's packages first. Takes up to 10 s when a program does not answer."""
    path = environ.get("PATH")
    programs = {name: place for name in ("node", *PROGRAMS) if (place := shutil.which(name, path=path))}
    asked = {name: _ask(place, [_VERSION_FLAG.get(name, "--version")]) for name, place in programs.items()}
    found = _python_clients(environ)
    for name, process in asked.items():
        version = _version_in(_answer(process))
        known = _node(version) if name == "node" else PROGRAMS[name]
        if name == "go" and sys.platform == "darwin":
            known = Known(
                known.route, "nothing: it reads the keychain", "", "https calls, until our CA is in the keychain"
            )
        found.append(Client(name, version, programs[name], known.route, known.trust, known.missed))
    return found


def _python_clients(environ: Mapping[str, str]) -> list[Client]:
    path = environ.get("PATH")
    program = shutil.which("python", path=path) or shutil.which("python3", path=path)
    if program is None:
        return []
    try:
        told = json.loads(_answer(_ask(program, ["-c", _ASK_PYTHON, *PYTHON_PACKAGES])).splitlines()[-1])
        where, version, packages = str(told["executable"]), str(told["version"]), dict(told["found"])
    except (ValueError, KeyError, IndexError, TypeError):
        return [Client("python", "", program, "proxy", "SSL_CERT_FILE", "it did not say which packages it has")]
    found = [Client("python (urllib)", version, where, "proxy", "SSL_CERT_FILE", "")]
    for name, known in PYTHON_PACKAGES.items():
        if name in packages:
            route = "base-url" if known.base_url and environ.get(known.base_url) else known.route
            found.append(Client(name, str(packages[name]), where, route, known.trust, known.missed))
    return found


def _node(version: str) -> Known:
    """From 22.21 and 24.5 on Node can read proxy variables by itself (NODE_USE_ENV_PROXY)."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    reads_proxy = numbers >= (24, 5) or (22, 21) <= numbers < (23, 0)
    return Known("hook", "NODE_EXTRA_CA_CERTS", "", _NODE_NEW if reads_proxy else _NODE_OLD)


def missed_by(clients: Iterable[Client]) -> list[tuple[str, str]]:
    """(clients, what would be missed of them), each reason once, and last what holds for all."""
    groups: dict[str, list[str]] = {}
    for client in clients:
        if client.missed:
            groups.setdefault(client.missed, []).append(client.name)
    return [
        *((", ".join(names), missed) for missed, names in groups.items()),
        *((ANY, missed) for missed in EVERYWHERE),
    ]


def _ask(program: str, arguments: list[str]) -> subprocess.Popen[str] | None:
    try:
        return subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "NO_COLOR": "1"},
        )
    except OSError:
        return None


def _answer(process: subprocess.Popen[str] | None) -> str:
    """What a program said; empty when it did not end in time or could not start."""
    if process is None:
        return ""
    try:
        return process.communicate(timeout=_PATIENCE_S)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return ""


def _version_in(text: str) -> str:
    """The first version number of an answer that may begin with remarks (Java's "Picked up …")."""
    lines = [line for line in text.splitlines() if not line.startswith("Picked up")]
    match = _VERSION.search(" ".join(lines))
    return match[0].strip('"') if match else ""
