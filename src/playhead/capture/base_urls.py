"""Base-URL variables: which ones SDKs read, and how they are turned towards the engine's reverse entrance.

The value keeps its path, so an SDK that looks at it (or appends `/v1` to it) behaves as it did: `http://gpu:8000/v1`
becomes `http://127.0.0.1:PORT/p/openai/v1`, and the engine is told that `openai` is `http://gpu:8000`.
Variables for AWS are not here: SigV4 signs host and path, so those calls must come by proxy or hook.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping


class Reader(NamedTuple):
    """Who reads a variable: the reverse entrance's name for it, and the SDK's default (empty: has none of its own)."""

    name: str
    default: str = ""


OLLAMA_PORT = 11434
_OLLAMA = f"http://127.0.0.1:{OLLAMA_PORT}"
VARIABLES: dict[str, Reader] = {
    "OPENAI_BASE_URL": Reader("openai", "https://api.openai.com/v1"),
    "OPENAI_API_BASE": Reader("openai"),
    "ANTHROPIC_BASE_URL": Reader("anthropic", "https://api.anthropic.com"),
    "ANTHROPIC_API_BASE": Reader("anthropic"),
    "GOOGLE_GEMINI_BASE_URL": Reader("gemini", "https://generativelanguage.googleapis.com"),
    "GOOGLE_VERTEX_BASE_URL": Reader("vertex"),
    "ANTHROPIC_VERTEX_BASE_URL": Reader("anthropic-vertex"),
    "AZURE_OPENAI_ENDPOINT": Reader("azure"),
    "AZURE_API_BASE": Reader("azure"),
    "OLLAMA_HOST": Reader("ollama", _OLLAMA),
    "OLLAMA_BASE_URL": Reader("ollama"),
    "OLLAMA_API_BASE": Reader("ollama"),
    "MISTRAL_API_BASE": Reader("mistral"),
    "MISTRAL_BASE_URL": Reader("mistral"),
    "GROQ_BASE_URL": Reader("groq", "https://api.groq.com"),
    "CO_API_URL": Reader("cohere", "https://api.cohere.com"),
    "TOGETHER_BASE_URL": Reader("together", "https://api.together.xyz/v1"),
    "CEREBRAS_BASE_URL": Reader("cerebras", "https://api.cerebras.ai"),
    "DEEPSEEK_API_BASE": Reader("deepseek"),
    "OPENROUTER_API_BASE": Reader("openrouter"),
    "OPENROUTER_BASE_URL": Reader("openrouter"),
    "FIREWORKS_BASE_URL": Reader("fireworks"),
    "XAI_API_BASE": Reader("xai"),
    "HOSTED_VLLM_API_BASE": Reader("vllm"),
    "LM_STUDIO_API_BASE": Reader("lm-studio"),
}


@dataclass(frozen=True, slots=True)
class Redirected:
    """`variables` to set in the child, and `upstreams`: reverse entrance name -> origin (`scheme://host[:port]`)."""

    variables: dict[str, str] = field(default_factory=dict)
    upstreams: dict[str, str] = field(default_factory=dict)


def base_urls_of(user: Mapping[str, str], *, defaults: bool = False) -> dict[str, str]:
    """The base-URL variables set in `user`, as they stand; with `defaults` also those whose SDK has a default."""
    found = {name: reader.default for name, reader in VARIABLES.items() if defaults and reader.default}
    return found | {name: user[name] for name in VARIABLES if user.get(name)}


def redirect(wanted: Mapping[str, str], port: int) -> Redirected:
    """Turn base URLs towards the engine on 127.0.0.1:`port`. A value that is no http(s) URL is left out, so the
    variable stays as it was. Two variables with one name but different origins get `name` and `name-2`."""
    result = Redirected()
    for variable, value in wanted.items():
        parsed = _split(variable, value)
        if parsed is None:
            continue
        origin, userinfo, tail = parsed
        name = _free_name(
            VARIABLES[variable].name if variable in VARIABLES else variable.lower(), origin, result.upstreams
        )
        result.upstreams[name] = origin
        result.variables[variable] = f"http://{userinfo}127.0.0.1:{port}/p/{name}{tail}"
    return result


def _free_name(name: str, origin: str, upstreams: Mapping[str, str]) -> str:
    candidate, count = name, 1
    while upstreams.get(candidate, origin) != origin:
        count += 1
        candidate = f"{name}-{count}"
    return candidate


def _split(variable: str, value: str) -> tuple[str, str, str] | None:
    """`(origin, userinfo with @ or empty, path and query)` of a base URL. OLLAMA_HOST may lack the scheme, and is a
    listening address as well: `0.0.0.0` means this machine."""
    text = value.strip()
    if variable == "OLLAMA_HOST" and "://" not in text:
        host, slash, path = text.partition("/")
        bare_ipv6 = host.count(":") > 1 and not host.startswith("[")
        if host.startswith(":") and not bare_ipv6:
            host = f"127.0.0.1{host}"
        host = f"[{host}]" if bare_ipv6 else host or "127.0.0.1"
        has_port = ":" in host.rpartition("]")[2]
        text = f"http://{host}{'' if has_port else f':{OLLAMA_PORT}'}{slash}{path}"
    try:
        url = urlsplit(text)
        _ = url.port  # raises when it is no number
    except ValueError:
        return None
    if url.scheme not in ("http", "https") or not url.hostname:
        return None
    userinfo, at, authority = url.netloc.rpartition("@")
    if variable == "OLLAMA_HOST":
        authority = authority.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")  # noqa: S104 - read, not bound
    tail = url.path + (f"?{url.query}" if url.query else "")
    return f"{url.scheme}://{authority}", userinfo + at, tail
