"""Chat Completions, Completions and Embeddings: what the recordings do not show."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.traffic import answered, asked, cut_up, events, recordings

_HOST, _PATH = "api.openai.com", "/v1/chat/completions"


def _chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": finish}], **more}


def test_a_request_reads_in_full() -> None:
    """System text, roles, pictures, earlier calls and their results, tools of both kinds, parameters."""
    _, request = asked(
        _HOST,
        _PATH,
        {
            "model": "gpt-5",
            "stream": True,
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is this?"},
                        {"type": "image_url", "image_url": {"url": "data:x"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
            ],
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "look", "description": "Look.", "parameters": {"type": "object"}},
                },
                {"type": "custom", "custom": {"name": "code", "description": "Run."}},
            ],
            "max_completion_tokens": 9,
            "temperature": 0,
            "stop": None,
        },
    )
    assert (request.provider, request.operation, request.model, request.system, request.stream) == (
        "openai",
        "chat",
        "gpt-5",
        "Be brief.",
        True,
    )
    assert [(message.role, [part["type"] for part in message.content]) for message in request.messages] == [
        ("developer", ["text"]),
        ("user", ["text", "image"]),
        ("assistant", ["tool_call"]),
        ("tool", ["tool_result"]),
    ]
    assert request.messages[2].content[0]["arguments"] == {"at": "it"}
    assert request.messages[3].content[0] == {
        "type": "tool_result",
        "id": "call_1",
        "name": None,
        "content": [{"type": "text", "text": "a cat"}],
        "is_error": None,
    }
    assert [(tool["type"], tool["name"], tool["parameters"]) for tool in request.tools] == [
        ("function", "look", {"type": "object"}),
        ("custom", "code", None),
    ]
    assert request.params == {"max_tokens": 9, "temperature": 0}


def test_interleaved_parallel_calls_fold_by_index() -> None:
    """Pieces of two calls that arrive in turns find their own call."""
    call = [
        {"index": at, "id": f"call_{at}", "type": "function", "function": {"name": f"f{at}", "arguments": ""}}
        for at in (0, 1)
    ]
    piece = [
        {"index": at, "function": {"arguments": text}}
        for at, text in ((1, '{"b"'), (0, '{"a":'), (1, ": 2}"), (0, " 1}"))
    ]
    body = events(*(_chunk({"tool_calls": [each]}) for each in [*call, *piece]), _chunk({}, "tool_calls"))
    answer = answered(_HOST, _PATH, body + b"data: [DONE]\n\n", "text/event-stream")
    assert [(call.id, call.name, call.arguments) for call in answer.tool_calls] == [
        ("call_0", "f0", {"a": 1}),
        ("call_1", "f1", {"b": 2}),
    ]
    assert answer.stop_reason == "tool_calls"
    assert answer.error is None


def test_calls_without_an_index_fold_by_id() -> None:
    """Some compatible servers leave the index out: a new id begins a new call."""
    first = {"id": "a", "function": {"name": "f", "arguments": '{"x"'}}
    rest = {"function": {"arguments": ":1}"}}
    second = {"id": "b", "function": {"name": "g", "arguments": "{}"}}
    answer = answered(
        _HOST, _PATH, events(*(_chunk({"tool_calls": [each]}) for each in (first, rest, second))), "text/event-stream"
    )
    assert [(call.id, call.arguments) for call in answer.tool_calls] == [("a", {"x": 1}), ("b", {})]


def test_reasoning_of_compatible_servers() -> None:
    """`reasoning_content` (DeepSeek, vLLM) and `reasoning` (OpenRouter), plain and streamed."""
    for name in ("reasoning_content", "reasoning"):
        plain = answered(
            _HOST,
            _PATH,
            {"choices": [{"message": {"role": "assistant", name: "Hmm.", "content": "Yes."}, "finish_reason": "stop"}]},
        )
        streamed = answered(
            _HOST,
            _PATH,
            events(_chunk({name: "Hm"}), _chunk({name: "m."}), _chunk({"content": "Yes."}, "stop")),
            "text/event-stream",
        )
        assert (plain.reasoning, plain.text) == (streamed.reasoning, streamed.text) == ("Hmm.", "Yes.")


def test_usage_in_every_chunk_and_beside_it() -> None:
    """The last usage counts (vLLM sends it in each chunk); Groq puts it under `x_groq`."""
    chunks = [
        _chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": n, "total_tokens": 3 + n})
        for n in (1, 2)
    ]
    assert answered(_HOST, _PATH, events(*chunks), "text/event-stream").usage.output_tokens == 2
    groq = _chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}})
    assert answered(_HOST, _PATH, events(groq), "text/event-stream").usage.total_tokens == 11


def test_an_error_in_mid_stream_keeps_what_was_said() -> None:
    """The text so far and the error, and no stop reason."""
    answer = answered(
        _HOST,
        _PATH,
        events(_chunk({"content": "So"}), {"error": {"message": "overloaded", "type": "server_error"}}),
        "text/event-stream",
    )
    assert (answer.text, answer.stop_reason, answer.error) == (
        "So",
        None,
        {"type": "server_error", "message": "overloaded"},
    )


def test_arguments_that_are_no_json_stay_text() -> None:
    """A call cut in its arguments, and a custom tool's free text."""
    function = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"city": "Par'}}
    custom = {"id": "2", "type": "custom", "custom": {"name": "sql", "input": "1"}}
    answer = answered(
        _HOST, _PATH, {"choices": [{"message": {"tool_calls": [function, custom, "odd"]}, "finish_reason": "length"}]}
    )
    assert [call.arguments for call in answer.tool_calls] == ['{"city": "Par', "1"]
    assert answer.content[-1] == {"type": "other", "raw": "odd"}


def test_the_legacy_function_call_reads_as_a_call() -> None:
    """Before `tool_calls` there was one `function_call`, without an id."""
    deltas = [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}}]
    answer = answered(_HOST, _PATH, events(*map(_chunk, deltas), _chunk({}, "function_call")), "text/event-stream")
    assert [(call.id, call.name, call.arguments) for call in answer.tool_calls] == [(None, "f", {})]


def test_a_refusal_is_what_the_model_said() -> None:
    """Refusals have a field of their own on the wire."""
    answer = answered(
        _HOST, _PATH, events(_chunk({"refusal": "I can"}), _chunk({"refusal": "not."}, "stop")), "text/event-stream"
    )
    assert answer.text == "I cannot."


def test_prompts_and_inputs_are_messages() -> None:
    """One message for each prompt; token lists are kept raw."""
    for prompts, count in (("a", 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1], [2]], 2)):
        _, request = asked(_HOST, "/v1/embeddings", {"model": "m", "input": prompts})
        assert len(request.messages) == count
    _, request = asked(_HOST, "/v1/completions", {"model": "m", "prompt": "Say hi", "stream": True})
    assert [message.to_json() for message in request.messages] == [
        {"role": "user", "content": [{"type": "text", "text": "Say hi"}]}
    ]
    assert request.stream


_PLAIN = [
    told for told in recordings() if told.provider.operation == "chat" and told.answer and not told.response.error
]


@settings(max_examples=8)
@given(st.lists(st.integers(0, 10_000), max_size=6))
def test_every_recorded_answer_reads_the_same_when_streamed(cuts: list[int]) -> None:
    """A plain answer sent in pieces cut anywhere, characters and arguments alike, reads as the plain one."""
    for told in _PLAIN:
        head = {name: value for name, value in told.answer.items() if name not in ("choices", "usage")}
        chunks = []
        for choice in told.answer["choices"]:
            message = choice["message"]
            deltas: list[dict[str, Any]] = [{"role": "assistant"}]
            for name in ("content", "refusal"):
                deltas += [{name: piece} for piece in cut_up(message.get(name) or "", cuts)]
            for index, call in enumerate(message.get("tool_calls") or []):
                function = call["function"]
                deltas.append(
                    {
                        "tool_calls": [
                            {
                                "index": index,
                                "id": call["id"],
                                "type": "function",
                                "function": {"name": function["name"], "arguments": ""},
                            }
                        ]
                    }
                )
                deltas += [
                    {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
                    for piece in cut_up(function["arguments"], cuts)
                ]
            chunks += [{**head, "choices": [{"index": choice["index"], "delta": delta}]} for delta in deltas]
            chunks.append(
                {**head, "choices": [{"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}]}
            )
        body = events(*chunks, {**head, "choices": [], "usage": told.answer["usage"]}) + b"data: [DONE]\n\n"
        assert (
            told.provider.normal_response(200, [("content-type", "text/event-stream")], body, told.request)
            == told.response
        )


def test_json_without_a_content_type_is_still_read() -> None:
    """Hidden or wrong content types do not matter: the body's looks do."""
    body = json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}).encode()
    for kind in ("", "text/plain", "text/event-stream"):
        assert answered(_HOST, _PATH, body, kind).text == "x"
    stream = events(_chunk({"content": "x"}, "stop"))
    assert answered(_HOST, _PATH, stream, "application/json").text == "x"


def test_filter_chunks_without_a_name_change_nothing() -> None:
    """Azure opens and closes a stream with chunks whose id and model are empty."""
    bare = {"id": "", "model": "", "choices": [], "prompt_filter_results": []}
    answer = answered(_HOST, _PATH, events(bare, _chunk({"content": "x"}, "stop"), bare), "text/event-stream")
    assert (answer.id, answer.model, answer.text) == ("c", "m", "x")
