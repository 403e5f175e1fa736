"""Gemini generateContent: what the recordings do not show."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.traffic import answered, asked, cut_up, events, recordings

_HOST = "generativelanguage.googleapis.com"
_PATH, _STREAM = "/v1beta/models/gemini-3:generateContent", "/v1beta/models/gemini-3:streamGenerateContent"


def _chunk(*parts: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "candidates": [
            {
                "content": {"role": "model", "parts": list(parts)},
                "index": 0,
                **({"finishReason": finish} if finish else {}),
            }
        ],
        **more,
    }


def test_a_request_reads_in_full() -> None:
    """Model from the path, system instruction, roles, calls and results, schema variants, common parameter names."""
    _, request = asked(
        _HOST,
        _STREAM + "?alt=sse",
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "hi"}, {"inlineData": {"mimeType": "image/png", "data": "eA=="}}]},
                {
                    "role": "model",
                    "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "s"}],
                },
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"ok": True}}}]},
                {"parts": [{"fileData": {"mimeType": "video/mp4", "fileUri": "x"}}]},
            ],
            "tools": [
                {"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]},
                {"googleSearch": {}},
            ],
            "generationConfig": {"topP": 0.5, "maxOutputTokens": 7, "stopSequences": ["|"], "temperature": 0},
            "safetySettings": [],
        },
    )
    assert (request.model, request.system, request.stream) == ("gemini-3", "Be brief.", True)
    assert [(message.role, [part["type"] for part in message.content]) for message in request.messages] == [
        ("user", ["text", "image"]),
        ("assistant", ["tool_call"]),
        ("user", ["tool_result"]),
        ("user", ["other"]),
    ]
    assert request.messages[1].content[0]["signature"] == "s"
    assert request.messages[2].content[0]["content"] == [{"type": "text", "text": '{"ok":true}'}]
    assert [(tool["type"], tool["name"], tool["parameters"]) for tool in request.tools] == [
        ("function", "f", {"type": "object"}),
        ("googleSearch", "googleSearch", None),
    ]
    assert request.params == {"safetySettings": [], "top_p": 0.5, "max_tokens": 7, "stop": ["|"], "temperature": 0}


@pytest.mark.parametrize("alt", ["sse", "json"])
def test_streams_in_both_framings(alt: str) -> None:
    """Server-sent events and one JSON array read alike; neighbouring text of one kind is one part."""
    chunks = [
        _chunk({"text": "Think", "thought": True}),
        _chunk({"text": "ing.", "thought": True}, {"text": "A"}),
        _chunk({"text": "B"}, modelVersion="gemini-3-001", responseId="r"),
        _chunk(
            {"functionCall": {"name": "f", "args": {}}},
            {"text": "C"},
            finish="STOP",
            usageMetadata={
                "promptTokenCount": 1,
                "candidatesTokenCount": 2,
                "thoughtsTokenCount": 3,
                "totalTokenCount": 6,
            },
        ),
    ]
    body = events(*chunks) if alt == "sse" else json.dumps(chunks, indent=1).encode()
    answer = answered(_HOST, _STREAM, body, "text/event-stream" if alt == "sse" else "application/json")
    assert [part["type"] for part in answer.content] == ["reasoning", "text", "tool_call", "text"]
    assert (answer.reasoning, answer.text, answer.stop_reason, answer.id) == ("Thinking.", "ABC", "STOP", "r")
    assert (answer.usage.output_tokens, answer.usage.total_tokens, answer.error) == (5, 6, None)
    assert answer.model == "gemini-3-001"


def test_a_cut_array_holds_its_whole_elements() -> None:
    """The chunks before the cut count, the torn one is kept raw."""
    body = json.dumps([_chunk({"text": "A"}), _chunk({"text": "B"})]).encode()[:-20]
    answer = answered(_HOST, _STREAM, body)
    assert (answer.text, answer.stop_reason) == ("A", None)
    assert answer.content[-1]["type"] == "other"


def test_a_blocked_prompt_says_why() -> None:
    """No candidate: the block reason is the stop reason."""
    answer = answered(
        _HOST,
        _PATH,
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}},
    )
    assert (answer.text, answer.stop_reason, answer.usage.total_tokens, answer.usage.output_tokens) == (
        "",
        "SAFETY",
        4,
        None,
    )


def test_errors_plain_and_in_an_array() -> None:
    """A stream's error comes as an array of one."""
    error = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}
    for body in (error, [error]):
        assert answered(_HOST, _STREAM, body, status=429).error == {
            "type": "RESOURCE_EXHAUSTED",
            "message": "slow down",
        }


def test_arguments_that_come_value_by_value() -> None:
    """Vertex AI's `partialArgs`: text grows, paths nest, lists append, and what does not fit is left out."""
    pieces: list[list[dict[str, Any]]] = [
        [{"jsonPath": "$.city.name", "stringValue": "Par", "willContinue": True}],
        [{"jsonPath": "$.city.name", "stringValue": "is"}],
        [
            {"jsonPath": "$.days[0]", "numberValue": 1},
            {"jsonPath": "$.days[1]", "numberValue": 2},
            {"jsonPath": "$.days[9]", "numberValue": 3},
        ],
        [
            {"jsonPath": "$['sure']", "boolValue": True},
            {"jsonPath": "$", "stringValue": "x"},
            {"jsonPath": "$.none", "nullValue": "NULL_VALUE"},
        ],
    ]
    chunks = [_chunk({"functionCall": {"name": "f", "id": "1", "willContinue": True}})]
    chunks += [_chunk({"functionCall": {"partialArgs": each, "willContinue": True}}) for each in pieces]
    chunks += [_chunk({"functionCall": {}}, finish="STOP")]
    (call,) = answered(_HOST, _STREAM, events(*chunks), "text/event-stream").tool_calls
    assert (call.id, call.name) == ("1", "f")
    assert call.arguments == {"city": {"name": "Paris"}, "days": [1, 2], "sure": True, "none": None}


_PLAIN = [
    told
    for told in recordings()
    if told.provider.operation == "generate_content" and told.answer and len(told.answer["candidates"]) == 1
]


@settings(max_examples=8)
@given(st.lists(st.integers(0, 10_000), max_size=6), st.booleans())
def test_every_recorded_answer_reads_the_same_when_streamed(cuts: list[int], sse: bool) -> None:
    """A plain response sent as partial ones, text cut anywhere, reads as the plain one."""
    for told in _PLAIN:
        (candidate,) = told.answer["candidates"]
        parts = candidate["content"]["parts"]
        chunks = [_chunk(piece) for part in parts for piece in _pieces(part, cuts)]
        last = {**told.answer, "candidates": [{**candidate, "content": {"role": "model"}}]}
        body = events(*chunks, last) if sse else json.dumps([*chunks, last]).encode()
        assert told.provider.normal_response(200, [], body, told.request) == told.response


def _pieces(part: dict[str, Any], cuts: list[int]) -> list[dict[str, Any]]:
    if "text" not in part:
        return [part]
    return [{**part, "text": piece} for piece in cut_up(part["text"], cuts)]
