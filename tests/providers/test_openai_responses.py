"""Responses: what the recordings do not show."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.traffic import answered, asked, events, recordings

_HOST, _PATH = "api.openai.com", "/v1/responses"


def test_input_items_read_by_their_pattern() -> None:
    """Messages, calls, outputs, reasoning and unknown items, one message each and in order."""
    _, request = asked(
        _HOST,
        _PATH,
        {
            "model": "gpt-5",
            "instructions": "Be brief.",
            "max_output_tokens": 5,
            "input": [
                {"role": "user", "content": "hi"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]},
                {
                    "type": "reasoning",
                    "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
                    "encrypted_content": "x",
                },
                {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a": 1}'},
                {"type": "function_call_output", "call_id": "call_1", "output": "done"},
                {
                    "type": "computer_call_output",
                    "call_id": "call_2",
                    "output": {"type": "computer_screenshot", "image_url": "data:x"},
                },
                {"type": "item_reference", "id": "msg_1"},
                "odd",
            ],
            "tools": [
                {"type": "function", "name": "f", "parameters": {}},
                {"type": "mcp", "server_label": "wiki", "server_url": "https://x"},
            ],
        },
    )
    assert (request.system, request.params) == ("Be brief.", {"max_tokens": 5})
    assert [(message.role, [part["type"] for part in message.content]) for message in request.messages] == [
        ("user", ["text"]),
        ("assistant", ["text"]),
        ("assistant", ["reasoning"]),
        ("assistant", ["tool_call"]),
        ("tool", ["tool_result"]),
        ("tool", ["tool_result"]),
        ("assistant", ["other"]),
        ("assistant", ["other"]),
    ]
    assert request.messages[2].content[0] == {"type": "reasoning", "text": "a\n\nb", "signature": "x"}
    assert request.messages[5].content[0]["content"][0]["type"] == "image"
    assert [(tool["type"], tool["name"]) for tool in request.tools] == [("function", "f"), ("mcp", "wiki")]


@pytest.mark.parametrize(
    ("item", "name", "arguments", "server"),
    [
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, "f", {}, False),
        ({"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "{}"}, "sql", "{}", False),
        ({"type": "computer_call", "call_id": "c", "action": {"type": "click"}}, "computer", {"type": "click"}, False),
        (
            {"type": "local_shell_call", "call_id": "c", "action": {"command": ["ls"]}},
            "local_shell",
            {"command": ["ls"]},
            False,
        ),
        (
            {"type": "apply_patch_call", "call_id": "c", "operation": {"type": "create_file"}},
            "apply_patch",
            {"type": "create_file"},
            False,
        ),
        (
            {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {}},
            "tool_search",
            {},
            False,
        ),
        ({"type": "tool_search_call", "id": "c", "execution": "server", "arguments": {}}, "tool_search", {}, True),
        ({"type": "web_search_call", "id": "c", "action": {"query": "q"}}, "web_search", {"query": "q"}, True),
        ({"type": "code_interpreter_call", "id": "c", "code": "1"}, "code_interpreter", "1", True),
        ({"type": "mcp_call", "id": "c", "name": "ask", "arguments": '{"q": 1}', "output": "a"}, "ask", {"q": 1}, True),
        ({"type": "brand_new_call", "id": "c"}, "brand_new", {}, True),
    ],
)
def test_calls_of_every_kind(item: dict[str, Any], name: str, arguments: Any, server: bool) -> None:
    """What the client is to run is a tool call; what the provider ran is shown with its raw item."""
    answer = answered(_HOST, _PATH, {"status": "completed", "output": [item]})
    part = answer.content[0]
    assert (part["type"], part["id"], part["name"], part["arguments"], part.get("server", False)) == (
        "tool_call",
        "c",
        name,
        arguments,
        server,
    )
    assert len(answer.tool_calls) == (not server)
    assert ("raw" in part) == server


def test_an_mcp_call_brings_its_result() -> None:
    """Call and result of the provider's own round in one item."""
    answer = answered(
        _HOST,
        _PATH,
        {"output": [{"type": "mcp_call", "id": "c", "name": "ask", "arguments": "{}", "output": "a", "error": None}]},
    )
    assert answer.content[1] == {
        "type": "tool_result",
        "id": "c",
        "name": "ask",
        "content": [{"type": "text", "text": "a"}],
        "is_error": False,
        "server": True,
    }


@pytest.mark.parametrize(
    ("response", "stop_reason"),
    [
        ({"status": "completed"}, "completed"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "in_progress"}, None),
        ({"status": "queued"}, None),
        ({}, None),
    ],
)
def test_the_stop_reason_is_why_it_ended(response: dict[str, Any], stop_reason: str | None) -> None:
    """The reason when it was cut short, else the status, unless it still runs."""
    assert answered(_HOST, _PATH, response).stop_reason == stop_reason


def test_a_failed_response_has_its_error() -> None:
    """Plain, in the closing event, and as an event of its own."""
    failed = {"id": "r", "status": "failed", "error": {"code": "server_error", "message": "broke"}, "output": []}
    for body in (
        failed,
        events({"type": "response.failed", "response": failed}),
        events({"type": "error", "code": "server_error", "message": "broke"}),
    ):
        kind = "application/json" if body is failed else "text/event-stream"
        assert answered(_HOST, _PATH, body, kind).error == {"type": "server_error", "message": "broke"}


def test_a_cut_stream_holds_what_came() -> None:
    """Text, arguments and free-form input of items that were still being written."""
    added = [
        {"type": "message", "status": "in_progress", "content": []},
        {"type": "function_call", "status": "in_progress", "call_id": "c", "name": "f", "arguments": ""},
        {"type": "custom_tool_call", "status": "in_progress", "call_id": "d", "name": "g", "input": ""},
        {"type": "reasoning", "status": "in_progress", "summary": []},
    ]
    kinds = ["output_text", "function_call_arguments", "custom_tool_call_input", "reasoning_summary_text"]
    stream = [
        {"type": "response.created", "response": {"id": "r", "model": "m", "status": "in_progress", "output": []}}
    ]
    for index, (item, kind) in enumerate(zip(added, kinds, strict=True)):
        stream.append({"type": "response.output_item.added", "output_index": index, "item": item})
        stream += [
            {"type": f"response.{kind}.delta", "output_index": index, "delta": piece} for piece in ('{"a', '": 1')
        ]
    answer = answered(_HOST, _PATH, events(*stream, named=True), "text/event-stream")
    assert (answer.text, answer.reasoning, answer.stop_reason, answer.id) == ('{"a": 1', '{"a": 1', None, "r")
    assert [(call.name, call.arguments_text) for call in answer.tool_calls] == [("f", '{"a": 1'), ("g", '{"a": 1')]


def test_requests_of_recordings_say_whether_they_stream() -> None:
    """The request's word and the answer's framing agree in all recordings."""
    for told in recordings():
        if told.provider.operation.startswith("responses") and told.published.status == 200:
            assert told.request.stream == told.published.response_body.startswith(b"event:"), str(told.published)
