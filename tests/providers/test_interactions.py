"""Gemini Interactions: what the recordings do not show. Shapes as in google-genai 3.4's type definitions."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.traffic import answered, asked, cut_up, events, recordings

_HOST, _PATH = "generativelanguage.googleapis.com", "/v1beta/interactions"


def test_inputs_of_every_form() -> None:
    """Text, blocks, turns and steps; a function result is the client's."""
    _, request = asked(
        _HOST,
        _PATH,
        {
            "agent": "deep-research",
            "system_instruction": "Be brief.",
            "stream": True,
            "input": [
                {"type": "text", "text": "hi"},
                {"type": "image", "data": "eA=="},
                {"role": "model", "content": [{"type": "text", "text": "yes"}]},
                {"type": "function_call", "id": "c", "name": "f", "arguments": {"a": 1}},
                {
                    "type": "function_result",
                    "call_id": "c",
                    "name": "f",
                    "result": [{"type": "text", "text": "ok"}],
                    "is_error": False,
                },
            ],
            "tools": [{"type": "function", "name": "f", "parameters": {}}, {"type": "google_search"}],
            "generation_config": {"temperature": 0, "max_output_tokens": 3},
            "previous_interaction_id": "v1_x",
        },
    )
    assert (request.model, request.system, request.stream) == ("deep-research", "Be brief.", True)
    assert [(message.role, [part["type"] for part in message.content]) for message in request.messages] == [
        ("user", ["text"]),
        ("user", ["image"]),
        ("assistant", ["text"]),
        ("assistant", ["tool_call"]),
        ("tool", ["tool_result"]),
    ]
    assert request.params == {"previous_interaction_id": "v1_x", "temperature": 0, "max_tokens": 3}
    assert [tool["name"] for tool in request.tools] == ["f", "google_search"]
    _, plain = asked(_HOST, _PATH, {"model": "m", "input": "hi"})
    assert [message.to_json() for message in plain.messages] == [
        {"role": "user", "content": [{"type": "text", "text": "hi"}]}
    ]


def test_a_stream_with_a_call_folds() -> None:
    """Thoughts with summary and signature, arguments in pieces, a picture between texts, the last status."""
    deltas: list[tuple[int, dict[str, Any]]] = [
        (0, {"type": "thought_summary", "content": {"type": "text", "text": "Hm."}}),
        (0, {"type": "thought_signature", "signature": "s"}),
        (1, {"type": "text", "text": "A"}),
        (1, {"type": "text", "text": "B"}),
        (1, {"type": "image", "data": "eA=="}),
        (1, {"type": "text", "text": "C"}),
        (1, {"type": "text_annotation_delta", "annotations": []}),
        (2, {"type": "arguments_delta", "arguments": '{"a"'}),
        (2, {"type": "arguments_delta", "arguments": ": 1}"}),
    ]
    starts = [
        {"type": "thought"},
        {"type": "model_output"},
        {"type": "function_call", "id": "c", "name": "f", "arguments": {}},
    ]
    stream: list[dict[str, Any]] = [{"event_type": "interaction.created", "interaction": {"id": "i", "model": "m"}}]
    for index, step in enumerate(starts):
        stream.append({"event_type": "step.start", "index": index, "step": step})
        stream += [{"event_type": "step.delta", "index": at, "delta": delta} for at, delta in deltas if at == index]
        stream.append({"event_type": "step.stop", "index": index})
    stream.append(
        {
            "event_type": "interaction.completed",
            "interaction": {"id": "i", "status": "requires_action", "usage": {"total_input_tokens": 1}},
        }
    )
    answer = answered(_HOST, _PATH, events(*stream) + b"event: done\ndata: [DONE]\n\n", "text/event-stream")
    assert [part["type"] for part in answer.content] == ["reasoning", "text", "image", "text", "tool_call"]
    assert (answer.reasoning, answer.text, answer.stop_reason) == ("Hm.", "ABC", "requires_action")
    assert [(call.id, call.arguments) for call in answer.tool_calls] == [("c", {"a": 1})]
    assert answer.content[0]["signature"] == "s"
    assert (answer.id, answer.model, answer.usage.input_tokens) == ("i", "m", 1)


def test_a_failed_interaction_is_an_error() -> None:
    """Also when the object says no more than that; and as an event."""
    assert answered(_HOST, _PATH, {"id": "i", "status": "failed", "steps": []}).error == {
        "type": "failed",
        "message": "the provider reports a failed interaction",
    }
    event = {"event_type": "error", "error": {"code": "unavailable", "message": "later"}}
    assert answered(_HOST, _PATH, events(event), "text/event-stream").error == {
        "type": "unavailable",
        "message": "later",
    }


def test_what_the_user_said_is_no_answer() -> None:
    """Retrieval repeats the user's steps."""
    steps = [
        {"type": "user_input", "content": [{"type": "text", "text": "hi"}]},
        {"type": "model_output", "content": [{"type": "text", "text": "yes"}]},
    ]
    assert answered(_HOST, _PATH, {"status": "completed", "steps": steps}).text == "yes"


_PLAIN = [
    told
    for told in recordings()
    if told.provider.operation.startswith("interactions") and told.answer and told.response.stop_reason == "completed"
]


@settings(max_examples=8)
@given(st.lists(st.integers(0, 10_000), max_size=6))
def test_every_recorded_answer_reads_the_same_when_streamed(cuts: list[int]) -> None:
    """A plain interaction sent as steps and deltas, text cut anywhere, reads as the plain one."""
    for told in _PLAIN:
        whole = {name: value for name, value in told.answer.items() if name != "steps"}
        stream: list[dict[str, Any]] = [{"event_type": "interaction.created", "interaction": {"id": whole["id"]}}]
        for index, step in enumerate(told.answer["steps"]):
            bare = {name: value for name, value in step.items() if name not in ("content", "signature")}
            stream.append({"event_type": "step.start", "index": index, "step": bare})
            if "signature" in step:
                stream.append(
                    {
                        "event_type": "step.delta",
                        "index": index,
                        "delta": {"type": "thought_signature", "signature": step["signature"]},
                    }
                )
            for block in step.get("content", []):
                deltas = [{"type": "text", "text": piece} for piece in cut_up(block["text"], cuts)]
                stream += [{"event_type": "step.delta", "index": index, "delta": delta} for delta in deltas]
        stream.append({"event_type": "interaction.completed", "interaction": whole})
        assert told.provider.normal_response(200, [], events(*stream), told.request) == told.response
