"""Anthropic Messages: what the recordings do not show."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.traffic import answered, asked, cut_up, events, recordings

_HOST, _PATH = "api.anthropic.com", "/v1/messages"


def test_a_request_reads_in_full() -> None:
    """System blocks, thinking, calls, results with errors, pictures, unknown blocks, both kinds of tool."""
    _, request = asked(
        _HOST,
        _PATH,
        {
            "model": "claude-opus-5-5",
            "max_tokens": 5,
            "stream": True,
            "stop_sequences": ["|"],
            "system": [
                {"type": "text", "text": "Be "},
                {"type": "text", "text": "brief.", "cache_control": {"type": "ephemeral"}},
            ],
            "messages": [
                {"role": "user", "content": [{"type": "image", "source": {}}, {"type": "text", "text": "hi"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "s"},
                        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "t",
                            "is_error": True,
                            "content": [{"type": "text", "text": "no"}],
                        }
                    ],
                },
                {"role": "user", "content": [{"type": "brand_new", "x": 1}]},
            ],
            "tools": [
                {"name": "f", "description": "d", "input_schema": {"type": "object"}},
                {"type": "web_search_20250305", "name": "web_search"},
            ],
        },
    )
    assert (request.system, request.stream, request.params) == ("Be brief.", True, {"max_tokens": 5, "stop": ["|"]})
    assert [[part["type"] for part in message.content] for message in request.messages] == [
        ["image", "text"],
        ["reasoning", "tool_call"],
        ["tool_result"],
        ["other"],
    ]
    assert request.messages[2].content[0] == {
        "type": "tool_result",
        "id": "t",
        "name": None,
        "content": [{"type": "text", "text": "no"}],
        "is_error": True,
    }
    assert request.messages[3].content[0]["raw"] == {"type": "brand_new", "x": 1}
    assert [(tool["type"], tool["name"], tool["parameters"]) for tool in request.tools] == [
        ("function", "f", {"type": "object"}),
        ("web_search_20250305", "web_search", None),
    ]


def test_redacted_thinking_is_kept_and_says_nothing() -> None:
    """Its data is a seal, not text."""
    answer = answered(
        _HOST,
        _PATH,
        {"type": "message", "content": [{"type": "redacted_thinking", "data": "abc"}], "stop_reason": "end_turn"},
    )
    assert answer.content == [{"type": "reasoning", "text": "", "signature": "abc", "redacted": True}]
    assert answer.reasoning == ""


def test_usage_of_a_stream_is_the_last_word() -> None:
    """message_delta replaces what message_start said, field by field."""
    start = {
        "type": "message_start",
        "message": {"id": "m", "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1}},
    }
    delta = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 9, "cache_read_input_tokens": None},
    }
    answer = answered(_HOST, _PATH, events(start, delta, {"type": "message_stop"}, named=True), "text/event-stream")
    assert (answer.usage.input_tokens, answer.usage.cached_input_tokens, answer.usage.output_tokens) == (15, 5, 9)


def test_an_error_event_keeps_what_was_said() -> None:
    """An overloaded provider in mid-stream."""
    stream = [
        {"type": "message_start", "message": {"id": "m", "model": "c"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "So"}},
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    ]
    answer = answered(_HOST, _PATH, events(*stream, named=True), "text/event-stream")
    assert (answer.text, answer.stop_reason, answer.error) == (
        "So",
        None,
        {"type": "overloaded_error", "message": "Overloaded"},
    )


def test_counting_tokens_spends_none() -> None:
    """The count is the answer and no usage."""
    answer = answered(_HOST, "/v1/messages/count_tokens", {"input_tokens": 2095})
    assert (answer.usage.total_tokens, answer.content, answer.error) == (
        None,
        [{"type": "other", "raw": {"input_tokens": 2095}}],
        None,
    )


def test_a_call_cut_in_its_arguments_keeps_their_text() -> None:
    """What came of the input, as text."""
    stream = [
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        },
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": '{"city": "Par'},
        },
    ]
    (call,) = answered(_HOST, _PATH, events(*stream), "text/event-stream").tool_calls
    assert (call.arguments, call.arguments_text) == ('{"city": "Par', '{"city": "Par')


_PLAIN = [
    told for told in recordings() if told.provider.operation == "messages" and told.answer and not told.response.error
]


@settings(max_examples=8)
@given(st.lists(st.integers(0, 10_000), max_size=6))
def test_every_recorded_answer_reads_the_same_when_streamed(cuts: list[int]) -> None:
    """A plain message sent as events, with text, thinking and arguments cut anywhere, reads as the plain one."""
    for told in _PLAIN:
        message = told.answer
        stream: list[dict[str, Any]] = [
            {"type": "message_start", "message": {**message, "content": [], "stop_reason": None, "usage": {}}},
            {"type": "ping"},
        ]
        for index, block in enumerate(message["content"]):
            start, deltas = _exploded(block, cuts)
            stream.append({"type": "content_block_start", "index": index, "content_block": start})
            stream += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
            stream.append({"type": "content_block_stop", "index": index})
        stream.append(
            {"type": "message_delta", "delta": {"stop_reason": message["stop_reason"]}, "usage": message["usage"]}
        )
        body = events(*stream, {"type": "message_stop"}, named=True)
        assert (
            told.provider.normal_response(200, [("content-type", "text/event-stream")], body, told.request)
            == told.response
        )


def _exploded(block: dict[str, Any], cuts: list[int]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if block["type"] == "text":
        deltas = [{"type": "text_delta", "text": piece} for piece in cut_up(block["text"], cuts)]
        deltas += [{"type": "citations_delta", "citation": each} for each in block.get("citations") or []]
        return {"type": "text", "text": ""}, deltas
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in cut_up(block["thinking"], cuts)]
        return {**block, "thinking": "", "signature": ""}, [
            *deltas,
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    if block["type"].endswith("tool_use"):
        text = json.dumps(block["input"], ensure_ascii=False)
        return {**block, "input": {}}, [
            {"type": "input_json_delta", "partial_json": piece} for piece in cut_up(text, cuts)
        ]
    return block, []
