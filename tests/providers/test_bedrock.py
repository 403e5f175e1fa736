"""Bedrock Converse and Invoke: what the recordings do not show."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.traffic import answered, asked, cut_up, event_frame, frame, recordings

_HOST = "bedrock-runtime.us-east-1.amazonaws.com"
_CONVERSE, _STREAM = "/model/amazon.nova-micro-v1%3A0/converse", "/model/amazon.nova-micro-v1%3A0/converse-stream"
_INVOKE_STREAM = "/model/m/invoke-with-response-stream"
_FRAMES = "application/vnd.amazon.eventstream"


def _chunk(value: Any) -> bytes:
    return event_frame("chunk", {"bytes": base64.b64encode(json.dumps(value).encode()).decode(), "p": "abc"})


def test_a_request_reads_in_full() -> None:
    """Model from the path, system, reasoning, calls and results, documents, tools, common parameter names."""
    _, request = asked(
        _HOST,
        _STREAM,
        {
            "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
            "messages": [
                {"role": "user", "content": [{"text": "hi"}, {"image": {}}, {"document": {}}]},
                {
                    "role": "assistant",
                    "content": [
                        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                        {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "toolResult": {
                                "toolUseId": "t",
                                "status": "error",
                                "content": [{"json": {"a": 1}}, {"text": "x"}],
                            }
                        }
                    ],
                },
            ],
            "toolConfig": {
                "tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}, {"cachePoint": {}}],
                "toolChoice": {"auto": {}},
            },
            "inferenceConfig": {"maxTokens": 3, "topP": 1},
            "additionalModelRequestFields": {"x": 1},
        },
    )
    assert (request.model, request.system, request.stream) == ("amazon.nova-micro-v1:0", "Be brief.", True)
    assert [[part["type"] for part in message.content] for message in request.messages] == [
        ["text", "image", "other"],
        ["reasoning", "tool_call"],
        ["tool_result"],
    ]
    result = request.messages[2].content[0]
    assert (result["id"], result["is_error"], [part["text"] for part in result["content"]]) == (
        "t",
        True,
        ['{"a":1}', "x"],
    )
    assert [(tool["type"], tool["parameters"]) for tool in request.tools] == [
        ("function", {"type": "object"}),
        ("cachePoint", None),
    ]
    assert request.params == {
        "additionalModelRequestFields": {"x": 1},
        "max_tokens": 3,
        "top_p": 1,
        "tool_choice": {"auto": {}},
    }


def test_reasoning_streams_with_its_signature() -> None:
    """Text and signature come in separate deltas; redacted reasoning says nothing."""
    deltas = [(0, {"text": "Hm"}), (0, {"text": "m."}), (0, {"signature": "s"}), (1, {"redactedContent": "eA=="})]
    body = b"".join(
        event_frame("contentBlockDelta", {"contentBlockIndex": at, "delta": {"reasoningContent": piece}})
        for at, piece in deltas
    )
    answer = answered(_HOST, _STREAM, body, _FRAMES)
    assert answer.reasoning == "Hmm."
    assert answer.content == [
        {"type": "reasoning", "text": "Hmm.", "signature": "s"},
        {"type": "reasoning", "text": "", "signature": "eA==", "redacted": True},
    ]


def test_an_exception_in_mid_stream_keeps_what_was_said() -> None:
    """Throttling after the first words: text, error, no stop reason."""
    exception = {
        ":exception-type": "throttlingException",
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    body = event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "So"}}) + frame(
        exception, b'{"message": "slow down"}'
    )
    answer = answered(_HOST, _STREAM, body, _FRAMES)
    assert (answer.text, answer.stop_reason, answer.error) == (
        "So",
        None,
        {"type": "throttlingException", "message": "slow down"},
    )
    failure = frame({":message-type": "error", ":error-code": "InternalError", ":error-message": "broke"}, b"")
    assert answered(_HOST, _STREAM, failure, _FRAMES).error == {"type": "InternalError", "message": "broke"}


def test_a_damaged_stream_says_so() -> None:
    """A flipped byte in the second frame: the first one counts, and the error names the damage."""
    first = event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "So"}})
    second = bytearray(event_frame("messageStop", {"stopReason": "end_turn"}))
    second[-8] ^= 1
    answer = answered(_HOST, _STREAM, first + bytes(second), _FRAMES)
    assert (answer.text, answer.stop_reason) == ("So", None)
    assert answer.error == {"type": "undecodable", "message": "the message's checksum does not match"}


def test_an_error_takes_its_type_from_the_header() -> None:
    """Amazon names errors in a header."""
    provider, request = asked(_HOST, _CONVERSE, {})
    headers = [
        ("x-amzn-ErrorType", "ValidationException:http://internal.amazon.com/"),
        ("Content-Type", "application/json"),
    ]
    answer = provider.normal_response(400, headers, b'{"message": "bad model"}', request)
    assert answer.error == {"type": "ValidationException", "message": "bad model"}


def test_invoke_tells_models_apart_by_their_keys() -> None:
    """A stream of each model's own chunks, with the counts of its last one."""
    metrics = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 7, "outputTokenCount": 8}}
    streams: dict[str, list[dict[str, Any]]] = {
        "titan": [{"outputText": "Y"}, {"outputText": "es", "completionReason": "FINISH", **metrics}],
        "llama": [{"generation": "Y"}, {"generation": "es", "stop_reason": "stop", **metrics}],
        "mistral": [
            {"outputs": [{"text": "Y", "stop_reason": None}]},
            {"outputs": [{"text": "es", "stop_reason": "stop"}], **metrics},
        ],
        "cohere": [
            {"text": "Y", "is_finished": False},
            {"text": "es"},
            {"is_finished": True, "finish_reason": "COMPLETE", **metrics},
        ],
        "command-r": [
            {"event_type": "text-generation", "text": "Y"},
            {"event_type": "text-generation", "text": "es"},
            {
                "event_type": "stream-end",
                "finish_reason": "COMPLETE",
                "response": {"text": "Yes", "finish_reason": "COMPLETE"},
                **metrics,
            },
        ],
        "anthropic": [
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Yes"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
            {"type": "message_stop", **metrics},
        ],
        "nova": [
            {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Y"}}},
            {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"text": "es"}}},
            {"messageStop": {"stopReason": "end_turn"}},
            metrics,
        ],
        "openai": [
            {"choices": [{"index": 0, "delta": {"content": "Yes"}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **metrics},
        ],
    }
    for model, chunks in streams.items():
        answer = answered(_HOST, _INVOKE_STREAM, b"".join(map(_chunk, chunks)), _FRAMES)
        assert (answer.text, answer.error) == ("Yes", None), model
        assert answer.stop_reason, model
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 8), model
        assert answer.model == "m"


def test_chunks_that_are_no_base64_are_no_crash() -> None:
    """An inner chunk that cannot be read leaves the others."""
    body = (
        event_frame("chunk", {"bytes": "*"})
        + event_frame("chunk", {"bytes": "eA=="})
        + event_frame("chunk", 5)
        + _chunk({"generation": "Yes"})
    )
    assert answered(_HOST, _INVOKE_STREAM, body, _FRAMES).text == "Yes"


def test_invoke_requests_of_every_family() -> None:
    """Messages in Anthropic's, Nova's and OpenAI's form, and prompts; the model is the path's."""
    bodies: list[dict[str, Any]] = [
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]},
        {
            "schemaVersion": "messages-v1",
            "messages": [{"role": "user", "content": [{"text": "hi"}]}],
            "inferenceConfig": {"max_new_tokens": 1},
        },
        {"messages": [{"role": "user", "content": [{"text": "hi"}]}], "max_tokens": 1},
        {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1},
        {"inputText": "hi", "textGenerationConfig": {"maxTokenCount": 1}},
        {"prompt": "hi", "max_gen_len": 1},
        {"message": "hi", "max_tokens": 1, "chat_history": []},
    ]
    for body in bodies:
        _, request = asked(_HOST, "/model/m%3A0/invoke", body)
        assert [message.to_json() for message in request.messages] == [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]}
        ]
        assert (request.model, request.params.get("max_tokens"), "anthropic_version" in request.params) == (
            "m:0",
            1,
            False,
        )


_PLAIN = [
    told for told in recordings() if told.provider.operation == "converse" and told.answer and not told.response.error
]


@settings(max_examples=8)
@given(st.lists(st.integers(0, 10_000), max_size=6))
def test_every_recorded_answer_reads_the_same_when_streamed(cuts: list[int]) -> None:
    """A plain Converse answer sent as frames, text and arguments cut anywhere, reads as the plain one."""
    for told in _PLAIN:
        body = event_frame("messageStart", {"role": "assistant"})
        for index, block in enumerate(told.answer["output"]["message"]["content"]):
            use = block.get("toolUse")
            if use:
                start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
                body += event_frame("contentBlockStart", {"contentBlockIndex": index, "start": start})
            text = json.dumps(use["input"]) if use else block["text"]
            for piece in cut_up(text, cuts):
                delta = {"toolUse": {"input": piece}} if use else {"text": piece}
                body += event_frame("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})
            body += event_frame("contentBlockStop", {"contentBlockIndex": index})
        body += event_frame("messageStop", {"stopReason": told.answer["stopReason"]}) + event_frame(
            "metadata", {"usage": told.answer["usage"]}
        )
        assert told.provider.normal_response(200, [("Content-Type", _FRAMES)], body, told.request) == told.response
