"""Requests for the tests of matching: one of each provider's shape, and how to make them canonical."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playhead.core.message import RequestMessage
from playhead.core.tape import Target
from playhead.matching.fingerprint import Canonical, canonicalise
from playhead.matching.masks import Masks, RunFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 11, 21, 10, 3, 43, 120_000, tzinfo=UTC)
LONG_AGO = RunFacts(wall_ns=946_684_800 * 10**9)  # the year 2000: no date of a sample is near it
TODAY = RunFacts(wall_ns=int(NOW.timestamp() * 1e9), tmpdir="/tmp/run-a")
A_UUID = "0b9f6a52-6a3e-4d0f-9b52-3c0f7c1d2e4f"

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Name of the city"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": None},
        "days": {"type": "integer", "minimum": 1, "maximum": 14, "exclusiveMinimum": 0.5},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}

SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": (
        "https://api.openai.com/v1/chat/completions",
        {
            "model": "gpt-5-mini",
            "messages": [
                {"role": "system", "content": "You help. Today is Saturday, November 21, 2026."},
                {"role": "user", "content": [{"type": "text", "text": "Wetter in Köln? ☔"}]},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call_A1b2C3",
                            "type": "function",
                            "function": {"name": "weather", "arguments": '{"city": "Köln"}'},
                        },
                        {"id": "call_D4e5F6", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
                    ],
                },
                {"role": "tool", "tool_call_id": "call_A1b2C3", "content": "rain, 7°"},
                {"role": "tool", "tool_call_id": "call_D4e5F6", "content": "error"},
            ],
            "tools": [{"type": "function", "function": {"name": "weather", "strict": True, "parameters": WEATHER}}],
            "temperature": 0.7,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ),
    "openai-responses": (
        "https://api.openai.com/v1/responses",
        {
            "model": "gpt-5",
            "instructions": f"Session {A_UUID}",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Add 2 and 2"}]},
                {
                    "type": "function_call",
                    "id": "fc_0123456789",
                    "call_id": "call_9x8y7z",
                    "name": "add",
                    "arguments": "{}",
                },
                {"type": "function_call_output", "call_id": "call_9x8y7z", "output": "4"},
            ],
            "previous_response_id": "resp_00aa11bb22cc",
            "tools": [{"type": "function", "name": "add", "parameters": WEATHER}],
            "store": False,
        },
    ),
    "anthropic": (
        "https://api.anthropic.com/v1/messages?beta=true",
        {
            "model": "claude-opus-4-5",
            "max_tokens": 1024,
            "system": [{"type": "text", "text": "cwd /tmp/run-a/work", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": "hello"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "Eqs="},
                        {"type": "tool_use", "id": "toolu_01AbCdEf", "name": "weather", "input": {"city": "Paris"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "toolu_01AbCdEf", "content": [], "is_error": False}
                    ],
                },
            ],
            "tools": [{"name": "weather", "input_schema": WEATHER}],
            "metadata": {"user_id": "user_0_session_" + A_UUID},
        },
    ),
    "gemini": (
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse",
        {
            "contents": [
                {"role": "user", "parts": [{"text": "at 2026-11-21T10:03:40Z"}]},
                {"role": "model", "parts": [{"functionCall": {"id": "adk-" + A_UUID, "name": "f", "args": {"n": 1}}}]},
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"id": "adk-" + A_UUID, "name": "f", "response": {"ok": True}}}],
                },
            ],
            "generationConfig": {"temperature": 0, "topP": 0.95, "stopSequences": ["END"]},
        },
    ),
    "gemini-interactions": (
        "https://generativelanguage.googleapis.com/v1beta/interactions",
        {"model": "gemini-3-pro", "input": "go on", "previous_interaction_id": "v1_ChdFZ2lk", "stream": True},
    ),
    "bedrock-converse": (
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"toolResult": {"toolUseId": "tooluse_kZJMlvQm", "content": [{"json": {}}]}}],
                }
            ],
            "inferenceConfig": {"maxTokens": 50, "temperature": 0.1},
            "toolConfig": {"tools": [{"toolSpec": {"name": "w", "inputSchema": {"json": WEATHER}}}]},
        },
    ),
    "bedrock-invoke": (
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/meta.llama3/invoke",
        {"prompt": "<s>hi</s>", "max_gen_len": 64, "temperature": 0.5},
    ),
    "ollama": (
        "http://localhost:11434/api/chat",
        {
            "model": "qwen3:8b",
            "messages": [{"role": "user", "content": "hi"}, {"role": "tool", "tool_name": "w", "content": "1"}],
            "options": {"seed": 7, "num_ctx": 4096},
            "stream": False,
            "keep_alive": -1,
        },
    ),
}
HEADERS = [
    ("Host", "example.com"),
    ("Content-Type", "application/json"),
    ("Accept", "application/json"),
    ("anthropic-version", "2023-06-01"),
    ("anthropic-beta", "tools-2024-05-16"),
]


def target_of(url: str) -> Target:
    """Where `url` leads."""
    parts = urlsplit(url)
    return Target(parts.scheme, parts.hostname or "hidden", parts.port or (443 if parts.scheme == "https" else 80))


def canon(
    body: Any,
    url: str = "https://api.openai.com/v1/chat/completions",
    *,
    headers: list[tuple[str, str]] | None = None,
    method: str = "POST",
    facts: RunFacts = LONG_AGO,
    issued: Mapping[str, str] | None = None,
    masks: Masks | None = None,
) -> Canonical:
    """The canonical form of a request; `body` is bytes, or a value that is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    parts = urlsplit(url)
    request = RequestMessage(method, parts.path + (f"?{parts.query}" if parts.query else ""), headers or HEADERS, data)
    return canonicalise(request, target_of(url), facts, issued, masks or Masks())
