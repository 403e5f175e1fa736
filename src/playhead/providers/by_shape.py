"""Which provider speaks so, told by the bodies alone: for calls that a program writes down by hand, without a wire."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from playhead.providers import anthropic, bedrock, gemini, ollama, openai_chat, openai_responses
from playhead.providers.base import NormalResponse, Provider, Usage, text_part

if TYPE_CHECKING:
    from playhead.providers.base import NormalRequest, Shape


def provider_of(name: str, request: Any, response: Any) -> Provider | None:
    """The provider whose shape request and response have, under that name if one is given; None for a shape that is
    nobody's. Both are JSON."""
    shape = _shape(name, request if isinstance(request, dict) else {}, response if isinstance(response, dict) else {})
    return None if shape is None else Provider(name or shape.family, shape)


def read_request(provider: Provider, request: Any) -> NormalRequest:
    """The question, as that of a call on the wire."""
    return provider.normal_request("POST", "", [], json.dumps(request).encode())


def read_response(provider: Provider | None, response: Any, request: NormalRequest | None) -> NormalResponse:
    """The answer, as that of a call on the wire; anything that is nobody's shape is what the model said."""
    if provider is not None and isinstance(response, dict):
        return provider.normal_response(
            200, [("content-type", "application/json")], json.dumps(response).encode(), request
        )
    text = response if isinstance(response, str) else json.dumps(response, ensure_ascii=False)
    return NormalResponse(content=[text_part(text)], model=request.model if request is not None else None)


def usage_from(told: dict[str, Any]) -> Usage:
    """Counts by the names of `inspect --json`; others are left out."""
    known = {each.name for each in fields(Usage)}
    return Usage(**{k: v for k, v in told.items() if k in known and type(v) is int and v >= 0})


def _shape(name: str, request: dict[str, Any], response: dict[str, Any]) -> Shape | None:
    if "choices" in response:
        return openai_chat.CHAT if "messages" in request or "prompt" not in request else openai_chat.COMPLETIONS
    if response.get("object") == "response" or ("input" in request and isinstance(response.get("output"), list)):
        return openai_responses.RESPONSES
    if response.get("type") == "message" and "content" in response:
        return anthropic.MESSAGES
    if "candidates" in response or "contents" in request:
        return gemini.GENERATE
    if isinstance(response.get("output"), dict) and "message" in response["output"]:
        return bedrock.CONVERSE
    if "done" in response:
        return ollama.GENERATE if "response" in response else ollama.CHAT
    if "messages" in request:
        return anthropic.MESSAGES if name == "anthropic" else openai_chat.CHAT
    return None
