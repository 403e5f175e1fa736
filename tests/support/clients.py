"""The client programs of tests/clients: how each is started, and what each can do."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from playhead.capture.environment import placeholder

CLIENTS = Path(__file__).parents[1] / "clients"


@dataclass(frozen=True, slots=True)
class Client:
    """`command` takes `plain` or `stream` and a prompt. `host` is written in its code, `base_url` is its variable
    (empty: has none), `path` what that variable's value ends in. `hooked` clients reach an engine by a hook alone."""

    name: str
    command: tuple[str, ...]
    host: str
    base_url: str = ""
    path: str = ""
    hooked: bool = False

    def base(self, origin: str) -> dict[str, str]:
        """The base-URL variable for a server at `origin`."""
        return {self.base_url: origin + self.path} if self.base_url else {}


OPENAI = {"host": "api.openai.com", "base_url": "OPENAI_BASE_URL", "path": "/v1"}
ANTHROPIC = {"host": "api.anthropic.com", "base_url": "ANTHROPIC_BASE_URL"}
GEMINI = {"host": "generativelanguage.googleapis.com", "base_url": "GOOGLE_GEMINI_BASE_URL"}
NODE = shutil.which("node") or "node"


def _python(name: str) -> tuple[str, ...]:
    return (sys.executable, str(CLIENTS / f"py_{name}.py"))


def _node(name: str) -> tuple[str, ...]:
    return (NODE, str(CLIENTS / "node" / f"{name}.mjs"))


ALL = (
    Client("openai", _python("openai"), **OPENAI),
    Client("openai-async", _python("openai_async"), **OPENAI),
    Client("openai-responses", _python("openai_responses"), **OPENAI),
    Client("anthropic", _python("anthropic"), **ANTHROPIC),
    Client("google-genai", _python("genai"), **GEMINI),
    Client("httpx", _python("httpx"), **ANTHROPIC),
    Client("httpx2", _python("httpx2"), **ANTHROPIC),
    Client("requests", _python("requests"), **OPENAI),
    Client("aiohttp", _python("aiohttp"), **OPENAI, hooked=True),
    Client("urllib3", _python("urllib3"), **OPENAI, hooked=True),
    Client("urllib", _python("urllib"), **OPENAI),
    # SigV4 signs host and path: a base URL would change what is signed.
    Client("bedrock", _python("bedrock"), host="bedrock-runtime.us-east-1.amazonaws.com"),
    Client("node-fetch", _node("fetch"), **ANTHROPIC, hooked=True),
    Client("node-openai", _node("openai"), **OPENAI, hooked=True),
    Client("node-anthropic", _node("anthropic"), **ANTHROPIC, hooked=True),
    Client("curl", (str(CLIENTS / "curl.sh"),), **OPENAI),
)

MANY = {
    "asyncio": (sys.executable, str(CLIENTS / "many_asyncio.py")),
    "threads": (sys.executable, str(CLIENTS / "many_threads.py")),
    "node": (NODE, str(CLIENTS / "node" / "many.mjs")),
}
"""Concurrency programs: argv `distinct|identical|burst COUNT [prompt prefix]`."""

KEYS = {
    name: placeholder(name)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
}
"""Key variables that make every client's constructor work."""
