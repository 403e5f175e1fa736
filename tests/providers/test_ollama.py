"""Ollama's own API, on the examples of its documentation (docs/api.md of the project, MIT) shortened."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.traffic import answered, asked

_HOST = "localhost:11434"
_DONE = {
    "model": "llama3.2",
    "created_at": "2023-08-04T19:22:45Z",
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 26,
    "eval_count": 298,
}


def _lines(*values: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def test_a_request_reads_in_full() -> None:
    """Streaming by default; pictures beside content; results by tool name; options as parameters."""
    _, request = asked(
        _HOST,
        "/api/chat",
        {
            "model": "llama3.2",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "hi", "images": ["eA=="]},
                {
                    "role": "assistant",
                    "content": "",
                    "thinking": "hm",
                    "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}],
                },
                {"role": "tool", "tool_name": "f", "content": "11"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
            "options": {"temperature": 0, "num_predict": 3},
        },
    )
    assert (request.provider, request.model, request.system, request.stream) == (
        "ollama",
        "llama3.2",
        "Be brief.",
        True,
    )
    assert [[part["type"] for part in message.content] for message in request.messages] == [
        ["text"],
        ["text", "image"],
        ["reasoning", "tool_call"],
        ["tool_result"],
    ]
    assert (request.messages[3].content[0]["name"], request.messages[3].content[0]["id"]) == ("f", None)
    assert request.params == {"temperature": 0, "max_tokens": 3}


@given(st.lists(st.text(min_size=1, max_size=5), max_size=6), st.lists(st.text(min_size=1, max_size=5), max_size=3))
def test_a_stream_reads_as_the_plain_answer(said: list[str], thought: list[str]) -> None:
    """Text, thinking and calls of NDJSON lines equal the one object of `stream: false`."""
    call = {"function": {"name": "f", "arguments": {"city": "Tōkyō"}}}
    lines = [{"message": {"role": "assistant", "content": "", "thinking": each}} for each in thought]
    lines += [{"message": {"role": "assistant", "content": each}} for each in said]
    lines += [{"message": {"role": "assistant", "content": "", "tool_calls": [call]}}]
    last = {**_DONE, "message": {"role": "assistant", "content": ""}}
    streamed = answered(_HOST, "/api/chat", _lines(*lines, last), "application/x-ndjson")
    message = {"role": "assistant", "content": "".join(said), "thinking": "".join(thought), "tool_calls": [call]}
    assert streamed == answered(_HOST, "/api/chat", {**_DONE, "message": message})
    assert [(each.id, each.name, each.arguments) for each in streamed.tool_calls] == [(None, "f", {"city": "Tōkyō"})]
    assert (streamed.stop_reason, streamed.usage.total_tokens) == ("stop", 324)


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json", ""])
def test_generate_streams_too(kind: str) -> None:
    """`response` where chat has a message; told as a stream by its lines, whatever the content type says."""
    answer = answered(
        _HOST,
        "/api/generate",
        _lines({"response": "The "}, {"response": "sky"}, {**_DONE, "response": "", "context": [1, 2]}),
        kind,
    )
    assert (answer.text, answer.stop_reason, answer.model) == ("The sky", "stop", "llama3.2")


def test_generate_asks_with_prompt_system_and_pictures() -> None:
    """One user message; the system field stands apart."""
    _, request = asked(
        _HOST,
        "/api/generate",
        {"model": "m", "prompt": "hi", "system": "Be brief.", "images": ["eA=="], "stream": False},
    )
    assert (request.system, request.stream) == ("Be brief.", False)
    assert [part["type"] for part in request.messages[0].content] == ["text", "image"]


def test_errors_before_and_in_a_stream() -> None:
    """One object with an error, alone or after some text."""
    assert answered(_HOST, "/api/chat", {"error": "model 'm' not found"}, status=404).error == {
        "type": "error",
        "message": "model 'm' not found",
    }
    cut = answered(
        _HOST, "/api/chat", _lines({"message": {"content": "So"}}, {"error": "out of memory"}), "application/x-ndjson"
    )
    assert (cut.text, cut.error, cut.stop_reason) == ("So", {"type": "error", "message": "out of memory"}, None)


def test_embeddings_count_their_input() -> None:
    """Not streamed, no text."""
    _, request = asked(_HOST, "/api/embed", {"model": "m", "input": ["a", "b"]})
    assert (request.operation, request.stream, len(request.messages)) == ("embeddings", False, 2)
    answer = answered(_HOST, "/api/embed", {"model": "m", "embeddings": [[0.1]], "prompt_eval_count": 8})
    assert (answer.usage.input_tokens, answer.text, answer.error) == (8, "", None)
