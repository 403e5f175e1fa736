"""Which provider, if any, a request speaks to.

The path's tail tells the API call, so that gateways and base URLs with a prefix are recognised; where a tail is a word
that any web service may use, a known host, a telling header or the body must confirm it. The host tells the vendor.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from playhead.providers import anthropic, bedrock, gemini, interactions, ollama, openai_chat, openai_responses
from playhead.providers.base import Provider, Shape
from playhead.providers.raw import JsonObject, as_object, decoded, header

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.providers.raw import Headers

_VENDORS = {  # host name or parent domain: vendor, as price lists name it
    "api.openai.com": "openai",
    "chatgpt.com": "openai",
    "openai.azure.com": "azure",
    "services.ai.azure.com": "azure",
    "cognitiveservices.azure.com": "azure",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
    "aiplatform.googleapis.com": "vertex",
    "openrouter.ai": "openrouter",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.mistral.ai": "mistral",
    "api.x.ai": "x-ai",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "api.fireworks.ai": "fireworks",
    "api.perplexity.ai": "perplexity",
    "api.cerebras.ai": "cerebras",
    "api.sambanova.ai": "sambanova",
    "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere",
    "integrate.api.nvidia.com": "nvidia",
    "router.huggingface.co": "huggingface",
    "api.moonshot.ai": "moonshot",
    "dashscope.aliyuncs.com": "alibaba",
    "dashscope-intl.aliyuncs.com": "alibaba",
    "api.githubcopilot.com": "github-copilot",
    "models.github.ai": "github",
    "ollama.com": "ollama",
}
_BEDROCK = re.compile(
    r"bedrock(-runtime)?(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|api\.aws)|bedrock-mantle\..*\.api\.aws"
)
_VERTEX = re.compile(r"([a-z0-9-]+-)?aiplatform\.([a-z]+\.rep\.)?googleapis\.com")


class _Seen(NamedTuple):
    """What a rule may ask: the vendor by host ('' when unknown), the port, headers, and the body's JSON object."""

    vendor: str
    port: str
    headers: Headers
    data: JsonObject

    def has(self, *keys: str) -> bool:
        return all(key in self.data for key in keys)


class _Rule(NamedTuple):
    method: str
    path: re.Pattern[str]
    shape: Shape
    is_meant: Callable[[_Seen], bool]


def _always(_: _Seen) -> bool:
    return True


def _is_responses(seen: _Seen) -> bool:
    return bool(seen.vendor) or (
        seen.has("model") and bool(seen.data.keys() & {"input", "prompt", "previous_response_id"})
    )


def _is_messages(seen: _Seen) -> bool:
    return (
        seen.vendor == "anthropic" or bool(header(seen.headers, "anthropic-version")) or seen.has("model", "messages")
    )


def _is_ollama(seen: _Seen) -> bool:
    return (
        seen.port == "11434"
        or seen.vendor == "ollama"
        or (seen.has("model") and bool(seen.data.keys() & {"messages", "prompt", "input"}))
    )


def _rule(method: str, path: str, shape: Shape, is_meant: Callable[[_Seen], bool] = _always) -> _Rule:
    return _Rule(method, re.compile(path), shape, is_meant)


_RULES = (
    _rule("POST", r"/chat/completions$", openai_chat.CHAT),
    _rule("POST", r"/responses$", openai_responses.RESPONSES, _is_responses),
    _rule("POST", r"/responses/compact$", openai_responses.COMPACT, _is_responses),
    _rule("GET", r"/responses/resp_[^/]+$", openai_responses.RETRIEVE),
    _rule("GET", r"/responses/[^/]+$", openai_responses.RETRIEVE, lambda seen: bool(seen.vendor)),
    _rule("POST", r"/responses/[^/]+/cancel$", openai_responses.RETRIEVE, lambda seen: bool(seen.vendor)),
    _rule("POST", r"/v1/messages$", anthropic.MESSAGES, _is_messages),
    _rule("POST", r"/v1/messages/count_tokens$", anthropic.COUNT, _is_messages),
    _rule("POST", r"/publishers/anthropic/models/[^/]+:(stream)?[rR]awPredict$", anthropic.MESSAGES),
    _rule(
        "POST",
        r"/v1/complete$",
        anthropic.COMPLETE,
        lambda seen: seen.vendor == "anthropic" or seen.has("model", "prompt"),
    ),
    _rule("POST", r"/models/[^/]+:(generateContent|streamGenerateContent)$", gemini.GENERATE),
    _rule("POST", r"/models/[^/]+:(embedContent|batchEmbedContents|asyncBatchEmbedContent)$", gemini.EMBED),
    _rule("POST", r"/models/[^/]+:countTokens$", gemini.COUNT),
    _rule(
        "POST",
        r"/interactions$",
        interactions.CREATE,
        lambda seen: (
            seen.vendor in ("gemini", "vertex") or (seen.has("input") and bool(seen.data.keys() & {"model", "agent"}))
        ),
    ),
    _rule("GET", r"/v1(alpha|beta)\d*/(.*/)?interactions/[^/]+$", interactions.RETRIEVE),
    _rule("POST", r"/model/.+/converse(-stream)?$", bedrock.CONVERSE),
    _rule("POST", r"/model/.+/invoke(-with-response-stream)?$", bedrock.INVOKE),
    _rule(
        "POST", r"/completions$", openai_chat.COMPLETIONS, lambda seen: bool(seen.vendor) or seen.has("model", "prompt")
    ),
    _rule("POST", r"/api/chat$", ollama.CHAT, _is_ollama),
    _rule("POST", r"/api/generate$", ollama.GENERATE, _is_ollama),
    _rule("POST", r"/api/(embed|embeddings)$", ollama.EMBED, _is_ollama),
    _rule("POST", r"/embeddings$", openai_chat.EMBEDDINGS, lambda seen: bool(seen.vendor) or seen.has("input")),
)


def recognise(method: str, host: str, path: str, headers: Headers, request_body: bytes) -> Provider | None:
    """The provider of a request, or None when it is plain HTTP. `host` may carry a port; `path` is the request line's,
    with query; `request_body` is content-decoded. Never raises."""
    name, port = _host_and_port(host)
    place = path.partition("?")[0].rstrip("/")
    rules = [rule for rule in _RULES if rule.method == method.upper() and rule.path.search(place)]
    if not rules:
        return None
    vendor = vendor_of(name)
    seen = _Seen(vendor, port, headers, as_object(decoded(request_body)))
    for rule in rules:
        if rule.is_meant(seen):
            return Provider(vendor or ("ollama" if port == "11434" else rule.shape.family), rule.shape)
    return None


def vendor_of(host: str) -> str:
    """The vendor behind a host name, empty when unknown."""
    if _BEDROCK.fullmatch(host):
        return "bedrock"
    if _VERTEX.fullmatch(host):
        return "vertex"
    labels = host.split(".")
    parents = (".".join(labels[at:]) for at in range(len(labels)))
    return next((_VENDORS[parent] for parent in parents if parent in _VENDORS), "")


def _host_and_port(authority: str) -> tuple[str, str]:
    text = authority.strip().lower()
    if text.startswith("["):
        name, _, rest = text[1:].partition("]")
        return name, rest.removeprefix(":")
    name, colon, port = text.rpartition(":")
    return (name, port) if colon and ":" not in name else (text, "")
