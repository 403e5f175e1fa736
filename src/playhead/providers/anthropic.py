"""Anthropic Messages (also as Vertex AI, Azure and Bedrock Invoke carry it), token counting, and legacy Complete."""

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
    image,
    other,
    reasoning_part,
    result_part,
    text_of,
    text_part,
    tool,
)
from playhead.providers.raw import (
    JsonObject,
    as_index,
    as_list,
    as_name,
    as_object,
    as_text,
    decoded,
    without,
)

_SHOWN_APART = ("model", "messages", "system", "tools", "stream", "stop_sequences", "prompt", "max_tokens_to_sample")
_GROWS = {  # delta type: (its field, the block's field)
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "compaction_delta": ("content", "content"),
}


def _request(asked: Asked) -> NormalRequest:
    data = asked.data
    messages = [_message(each) for each in as_list(data.get("messages"))]
    if isinstance(data.get("prompt"), str):
        messages.append(Message("user", [text_part(data["prompt"])]))
    params = without(data, _SHOWN_APART)
    for name, ours in (("stop_sequences", "stop"), ("max_tokens_to_sample", "max_tokens")):
        if data.get(name) is not None:
            params[ours] = data[name]
    return NormalRequest(
        "",
        "",
        model=as_name(data.get("model")),
        system=text_of(read_blocks(data.get("system"))) or None,
        messages=messages,
        tools=[_tool(each) for each in as_list(data.get("tools"))],
        params=params,
        stream=data.get("stream") is True or ":stream" in asked.path,
    )


def _message(raw: Any) -> Message:
    entry = as_object(raw)
    if not entry:
        return Message("unknown", [other(raw)])
    return Message(as_text(entry.get("role")) or "user", read_blocks(entry.get("content")))


def _tool(raw: Any) -> JsonObject:
    entry = as_object(raw)
    kind = as_name(entry.get("type"))
    if kind in (None, "custom"):
        return tool(entry.get("name"), entry.get("description"), entry.get("input_schema"))
    return tool(entry.get("name"), entry.get("description"), None, kind=kind or "", raw=raw)


def read_blocks(content: Any) -> list[Part]:
    """Content: text, or a list of typed blocks."""
    if isinstance(content, str):
        return [text_part(content)] if content else []
    return [_block(each) for each in as_list(content)]


def _block(raw: Any) -> Part:
    block = as_object(raw)
    kind = as_text(block.get("type"))
    if kind == "text" and isinstance(block.get("text"), str):
        return text_part(block["text"])
    if kind == "thinking":
        return reasoning_part(as_text(block.get("thinking")), block.get("signature"))
    if kind == "redacted_thinking":
        return {**reasoning_part("", block.get("data")), "redacted": True}
    if kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
        value = block.get("input")
        call_id, name = as_name(block.get("id")), as_text(block.get("name"))
        # A streamed input that was cut is text; see fold_events.
        call = (
            ToolCall.of_text(call_id, name, value)
            if isinstance(value, str)
            else ToolCall.of_value(call_id, name, value)
        )
        return call.to_part(server=kind != "tool_use")
    if kind == "tool_result" or kind.endswith("_tool_result"):
        content = block.get("content")
        parts = read_blocks(content) if isinstance(content, (str, list)) else [other(content)] if content else []
        failed = block.get("is_error") if isinstance(block.get("is_error"), bool) else None
        result = result_part(as_name(block.get("tool_use_id")), parts, is_error=failed)
        return result if kind == "tool_result" else {**result, "server": True}
    return image(raw) if kind == "image" else other(raw)


def _response(answer: Answer) -> NormalResponse:
    return read_answer(answer, read_message, fold_events)


def read_message(data: JsonObject) -> NormalResponse:
    """A `message` object, or a legacy `completion`."""
    content = read_blocks(data.get("content"))
    if isinstance(data.get("completion"), str):
        content = [text_part(data["completion"])]
    return NormalResponse(
        content,
        usage.of_anthropic(data.get("usage")),
        as_name(data.get("stop_reason")),
        as_name(data.get("model")),
        as_name(data.get("id")),
    )


def fold_events(events: list[JsonObject]) -> JsonObject:
    """The message that a stream of events spells. Usage in `message_delta` is cumulative and replaces what it names."""
    whole: JsonObject = {}
    blocks: dict[int, _Growing] = {}
    completion: list[str] = []
    for event in events:
        kind = event.get("type")
        index = as_index(event.get("index"), 0)
        if kind == "message_start":
            whole = {**as_object(event.get("message"))}
        elif kind == "content_block_start":
            blocks[index] = _Growing(as_object(event.get("content_block")))
        elif kind == "content_block_delta":
            blocks.setdefault(index, _Growing({})).add(as_object(event.get("delta")))
        elif kind == "message_delta":
            whole.update(without(as_object(event.get("delta")), ()))
            whole["usage"] = {**as_object(whole.get("usage")), **without(as_object(event.get("usage")), ())}
        elif kind == "completion":
            completion.append(as_text(event.get("completion")))
            whole.update(without(event, ("completion",)))
    if completion:
        return {**whole, "completion": "".join(completion)}
    return {**whole, "content": [blocks[index].whole() for index in sorted(blocks)]}


class _Growing:
    """One content block of a stream."""

    def __init__(self, block: JsonObject) -> None:
        self._block = block
        self._pieces: dict[str, list[str]] = {}
        self._citations: list[Any] = []

    def add(self, delta: JsonObject) -> None:
        kind = as_text(delta.get("type"))
        if kind == "input_json_delta":
            self._pieces.setdefault("input", []).append(as_text(delta.get("partial_json")))
        elif kind == "citations_delta":
            self._citations.append(delta.get("citation"))
        elif kind in _GROWS:
            theirs, ours = _GROWS[kind]
            self._pieces.setdefault(ours, []).append(as_text(delta.get(theirs)))

    def whole(self) -> JsonObject:
        block = dict(self._block)
        for name, pieces in self._pieces.items():
            text = "".join(pieces)
            if name == "input":
                value = decoded(text) if text.strip() else block.get("input")
                block["input"] = text if value is None else value
            else:
                block[name] = as_text(block.get(name)) + text
        if self._citations:
            block["citations"] = [*as_list(block.get("citations")), *self._citations]
        return block


def _counted(answer: Answer) -> NormalResponse:
    """Counting is free and spends no tokens, so its result is content and not usage."""

    def read(data: JsonObject) -> NormalResponse:
        return NormalResponse([other(data)] if data else [])

    return read_answer(answer, read)


MESSAGES = Shape("anthropic", "messages", _request, _response)
COUNT = Shape("anthropic", "messages.count_tokens", _request, _counted)
COMPLETE = Shape("anthropic", "complete", _request, _response)
