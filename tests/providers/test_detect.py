"""Which requests are model calls, and whose."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.providers.detect import recognise, vendor_of

_CHAT = {"model": "m", "messages": []}
_INPUT = {"model": "m", "input": "hi"}


@pytest.mark.parametrize(
    ("method", "host", "path", "body", "name", "operation"),
    [
        ("POST", "api.openai.com", "/v1/chat/completions", _CHAT, "openai", "chat"),
        ("POST", "127.0.0.1:8123", "/v1/chat/completions", _CHAT, "openai", "chat"),
        ("POST", "localhost:4000", "/p/openai/chat/completions?x=1", _CHAT, "openai", "chat"),
        ("POST", "[::1]:8000", "/v1/chat/completions", _CHAT, "openai", "chat"),
        ("POST", "openrouter.ai", "/api/v1/chat/completions", _CHAT, "openrouter", "chat"),
        ("POST", "api.groq.com", "/openai/v1/chat/completions", _CHAT, "groq", "chat"),
        (
            "POST",
            "me.openai.azure.com",
            "/openai/deployments/gpt-5/chat/completions?api-version=2025-04-01",
            _CHAT,
            "azure",
            "chat",
        ),
        ("POST", "me.openai.azure.com", "/openai/v1/responses", _INPUT, "azure", "responses"),
        ("POST", "me.services.ai.azure.com", "/anthropic/v1/messages", _CHAT, "azure", "messages"),
        ("POST", "api.openai.com", "/v1/completions", {"model": "m", "prompt": "x"}, "openai", "completions"),
        ("POST", "gpu-box:8000", "/v1/completions", {"model": "m", "prompt": "x"}, "openai", "completions"),
        ("POST", "api.openai.com", "/v1/embeddings", _INPUT, "openai", "embeddings"),
        ("POST", "gpu-box:8000", "/v1/embeddings", {"input": "x"}, "openai", "embeddings"),
        ("POST", "api.openai.com", "/v1/responses", _INPUT, "openai", "responses"),
        ("POST", "localhost", "/v1/responses", _INPUT, "openai", "responses"),
        ("POST", "api.openai.com", "/v1/responses/compact", _INPUT, "openai", "responses.compact"),
        ("GET", "api.openai.com", "/v1/responses/resp_0f4f?stream=true", None, "openai", "responses.retrieve"),
        ("POST", "api.anthropic.com", "/v1/messages?beta=true", _CHAT, "anthropic", "messages"),
        ("post", "localhost:9999", "/proxy/v1/messages", _CHAT, "anthropic", "messages"),
        ("POST", "api.anthropic.com", "/v1/messages/count_tokens", _CHAT, "anthropic", "messages.count_tokens"),
        (
            "POST",
            "us-east5-aiplatform.googleapis.com",
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:streamRawPredict",
            _CHAT,
            "vertex",
            "messages",
        ),
        (
            "POST",
            "generativelanguage.googleapis.com",
            "/v1beta/models/gemini-3:streamGenerateContent?alt=sse",
            {},
            "gemini",
            "generate_content",
        ),
        (
            "POST",
            "aiplatform.googleapis.com",
            "/v1/publishers/google/models/gemini-3:generateContent",
            {},
            "vertex",
            "generate_content",
        ),
        ("POST", "127.0.0.1:1", "/v1beta/models/gemini-3:generateContent", {}, "gemini", "generate_content"),
        ("POST", "generativelanguage.googleapis.com", "/v1beta/interactions", _INPUT, "gemini", "interactions"),
        ("GET", "127.0.0.1:1", "/v1beta/interactions/v1_abc", None, "gemini", "interactions.retrieve"),
        (
            "POST",
            "bedrock-runtime.eu-west-1.amazonaws.com",
            "/model/arn%3Aaws%3Abedrock%3Ax/converse-stream",
            {},
            "bedrock",
            "converse",
        ),
        ("POST", "bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "/model/m/invoke", {}, "bedrock", "invoke"),
        ("POST", "localhost:11434", "/api/chat", _CHAT, "ollama", "chat"),
        ("POST", "localhost:11434", "/v1/chat/completions", _CHAT, "ollama", "chat"),
        ("POST", "gpu-box", "/api/generate", {"model": "m", "prompt": "x"}, "ollama", "generate"),
        ("POST", "localhost:11434", "/api/embed", _INPUT, "ollama", "embeddings"),
    ],
)
def test_model_calls_are_recognised(method: str, host: str, path: str, body: Any, name: str, operation: str) -> None:
    """By the path's tail, behind any prefix, and by what confirms it; the vendor by the host, else by the shape."""
    provider = recognise(method, host, path, [], b"" if body is None else json.dumps(body).encode())
    assert provider is not None
    assert (provider.name, provider.operation) == (name, operation)


@pytest.mark.parametrize(
    ("method", "host", "path", "body"),
    [
        ("GET", "api.openai.com", "/v1/models", None),
        ("GET", "api.openai.com", "/v1/chat/completions", None),
        ("POST", "forms.example.com", "/survey/responses", {"answers": [1]}),
        ("GET", "forms.example.com", "/survey/responses/12", None),
        ("POST", "chat.example.com", "/v1/messages", {"text": "hello"}),
        ("POST", "app.example.com", "/api/chat", {"messages": []}),
        ("POST", "app.example.com", "/interactions", {"type": "click"}),
        ("POST", "api.example.com", "/completions", {"word": "pre"}),
        ("POST", "tasks.example.com", "/v1/complete", {"task": 3}),
        ("POST", "api.example.com", "/word/embeddings", {"word": "pre"}),
        ("POST", "api.smith.langchain.com", "/runs/multipart", None),
        ("POST", "bedrock-agent-runtime.us-east-1.amazonaws.com", "/retrieveAndGenerate", {"input": {}}),
        ("POST", "api.anthropic.com", "/v1/messages/batches", {"requests": []}),
        ("DELETE", "api.openai.com", "/v1/responses/resp_1", None),
    ],
)
def test_other_traffic_is_plain_http(method: str, host: str, path: str, body: Any) -> None:
    """Words that any web service uses need more than themselves."""
    assert recognise(method, host, path, [], b"" if body is None else json.dumps(body).encode()) is None


def test_a_telling_header_is_enough_without_a_readable_body() -> None:
    """A body that cannot be read does not hide who was asked."""
    headers = [("Anthropic-Version", "2023-06-01")]
    provider = recognise("POST", "gateway.example.com", "/v1/messages", headers, b"\x00\xff")
    assert provider is not None
    assert provider.shape.family == "anthropic"


@pytest.mark.parametrize(
    ("host", "vendor"),
    [
        ("api.openai.com", "openai"),
        ("eu.api.openai.com", "openai"),
        ("api.openai.com.evil.example", ""),
        ("notapi.openai.com", ""),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "bedrock"),
        ("bedrock-agent-runtime.us-east-1.amazonaws.com", ""),
        ("europe-west4-aiplatform.googleapis.com", "vertex"),
        ("", ""),
    ],
)
def test_the_vendor_is_the_host_or_its_parent(host: str, vendor: str) -> None:
    """Whole labels only: a look-alike name is nobody."""
    assert vendor_of(host) == vendor


@given(st.text(max_size=8), st.text(max_size=20), st.text(max_size=30), st.binary(max_size=30))
def test_no_request_raises(method: str, host: str, path: str, body: bytes) -> None:
    """Hosts, paths and bodies that are none are plain HTTP."""
    assert recognise(method, host, path, [], body) is None
