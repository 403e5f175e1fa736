"""OpenAI Responses: create, compact, and retrieval by id, plain and streamed. A stream's closing event carries the whole
response; only a stream that was cut before it is put together from its items."""

from __future__ import annotations

from typing import Any

from playhead.providers import usage
from playhead.providers.answers import read_answer
from playhead.providers.base import (
    Answer,
    Asked,
    Message,
    NormalRequest,
    NormalResponse,
    Part,
    Shape,
    ToolCall,
    leading_system,
    other,
    reasoning_part,
    result_part,
    text_of,
    text_part,
)
from playhead.providers.openai_chat import read_content, read_params, read_tool
from playhead.providers.raw import (
    JsonObject,
    as_index,
    as_list,
    as_name,
    as_object,
    as_text,
    first,
)

_SHOWN_APART = ("model", "input", "instructions", "tools", "stream")
_CLIENT_RUNS = {
    "function_call",
    "custom_tool_call",
    "computer_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
}
_ARGUMENTS = ("arguments", "input", "action", "actions", "operation", "queries", "code")
_CLOSING = {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}


def _request(asked: Asked) -> NormalRequest:
    data = asked.data
    given = data.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else as_list(given)
    messages = [_message(item) for item in items]
    instructions = data.get("instructions")
    return NormalRequest(
        "",
        "",
        model=as_name(data.get("model")),
        system=text_of(read_content(instructions)) or leading_system(messages),
        messages=messages,
        tools=[read_tool(each) for each in as_list(data.get("tools"))],
        params=read_params(data, _SHOWN_APART),
        stream=data.get("stream") is True or "stream=true" in asked.path.lower(),
    )


def _message(raw: Any) -> Message:
    """One item of `input` as a message: items that are no messages belong to whoever says them."""
    item = as_object(raw)
    parts = read_item(raw)
    role = as_name(item.get("role"))
    if role is None:
        role = "tool" if any(part["type"] == "tool_result" and "server" not in part for part in parts) else "assistant"
    return Message(role, parts)


def read_item(raw: Any) -> list[Part]:
    """An item of `input` or `output`. The many kinds follow three patterns: a message, a `*_call` (some of which carry
    their own result), a `*_output` that answers one."""
    item = as_object(raw)
    kind = as_text(item.get("type"))
    if kind in ("message", "") and "content" in item:
        return read_content(item["content"])
    if kind == "reasoning":
        return [_reasoning(item)]
    if kind.endswith("_output"):
        return [result_part(as_name(item.get("call_id")), read_content(item.get("output")))]
    if kind.endswith("_call"):
        return _call(item, kind)
    return [other(raw)]


def _reasoning(item: JsonObject) -> Part:
    shown = read_content(item.get("summary")) + read_content(item.get("content"))
    return reasoning_part(
        "\n\n".join(part["text"] for part in shown if part["type"] == "text"), item.get("encrypted_content")
    )


def _call(item: JsonObject, kind: str) -> list[Part]:
    server = kind not in _CLIENT_RUNS and item.get("execution") != "client"
    name = as_name(item.get("name")) or kind.removesuffix("_call")
    call_id = as_name(item.get("call_id")) or as_name(item.get("id"))
    arguments = first(*(item.get(each) for each in _ARGUMENTS))
    if kind == "custom_tool_call":
        call = ToolCall(call_id, name, as_text(arguments), as_text(arguments))
    elif isinstance(arguments, str) and kind != "code_interpreter_call":
        call = ToolCall.of_text(call_id, name, arguments)
    else:
        call = ToolCall.of_value(call_id, name, {} if arguments is None else arguments)
    parts = [call.to_part(server=server)]
    if server:
        parts[0]["raw"] = item
        if isinstance(item.get("output"), str):
            error = item.get("error") is not None
            parts.append(
                {**result_part(call_id, [text_part(item["output"])], name=name, is_error=error), "server": True}
            )
    return parts


def _response(answer: Answer) -> NormalResponse:
    return read_answer(answer, read_response, fold_events)


def read_response(data: JsonObject) -> NormalResponse:
    """A `response` object."""
    status = as_name(data.get("status"))
    why = as_name(as_object(data.get("incomplete_details")).get("reason"))
    return NormalResponse(
        [part for item in as_list(data.get("output")) for part in read_item(item)],
        usage.of_openai(data.get("usage")),
        why or (None if status in ("in_progress", "queued") else status),
        as_name(data.get("model")),
        as_name(data.get("id")),
        tier=as_name(data.get("service_tier")),
    )


def fold_events(events: list[JsonObject]) -> JsonObject:
    """The response that a stream of events spells: the closing event's, with items it left out filled in."""
    whole: JsonObject = {}
    items: dict[int, JsonObject] = {}
    pieces: dict[tuple[int, str], list[str]] = {}
    for event in events:
        kind = as_text(event.get("type"))
        if isinstance(event.get("response"), dict):
            whole = event["response"]
            if kind in _CLOSING:
                break
        index = as_index(event.get("output_index"), 0)
        if kind in ("response.output_item.added", "response.output_item.done"):
            items[index] = as_object(event.get("item"))
        elif kind.endswith(".delta") and isinstance(event.get("delta"), str):
            pieces.setdefault((index, kind), []).append(event["delta"])
    if as_list(whole.get("output")):
        return whole
    for (index, kind), texts in pieces.items():
        item = items.get(index)
        if item is not None and item.get("status") == "in_progress":
            items[index] = _grown(item, kind, "".join(texts))
    return {**whole, "output": [items[index] for index in sorted(items)]}


def _grown(item: JsonObject, kind: str, text: str) -> JsonObject:
    """An item that was cut, with the text its deltas had brought."""
    if "arguments" in kind:
        return {**item, "arguments": text}
    if "tool_call_input" in kind:
        return {**item, "input": text}
    if item.get("type") == "message" and ("output_text" in kind or "refusal" in kind):
        return {**item, "content": [{"type": "output_text", "text": text}]}
    if item.get("type") == "reasoning":
        return {**item, "summary": [*as_list(item.get("summary")), {"type": "summary_text", "text": text}]}
    return item


RESPONSES = Shape("openai", "responses", _request, _response)
COMPACT = Shape("openai", "responses.compact", _request, _response)
RETRIEVE = Shape("openai", "responses.retrieve", _request, _response)
