"""Amazon Bedrock Converse, ConverseStream, InvokeModel and InvokeModelWithResponseStream. Converse is one format for all
models; Invoke carries each model's own, told apart by its keys (a model may be named by an ARN that says nothing)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from playhead.providers import anthropic, bedrock_native, openai_chat, usage
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
    as_objects,
    as_text,
    decoded,
    encoded,
    first,
    without,
)

_MODEL = re.compile(r"/model/(.+)/[a-z-]+(?:\?|$)")
_SHOWN_APART = ("messages", "system", "toolConfig", "inferenceConfig", "schemaVersion")
_PARAMS = {
    "topP": "top_p",
    "topK": "top_k",
    "maxTokens": "max_tokens",
    "max_new_tokens": "max_tokens",
    "stopSequences": "stop",
}


def _request(asked: Asked) -> NormalRequest:
    """Converse, and Amazon Nova's own format, which is nearly the same."""
    data = asked.data
    config = as_object(data.get("inferenceConfig"))
    tools = as_object(data.get("toolConfig"))
    params = {_PARAMS.get(name, name): value for name, value in without(config, ()).items()}
    if tools.get("toolChoice") is not None:
        params["tool_choice"] = tools["toolChoice"]
    return NormalRequest(
        "",
        "",
        model=_model(asked),
        system=text_of(_blocks(data.get("system"))) or None,
        messages=[_message(each) for each in as_list(data.get("messages"))],
        tools=[_tool(each) for each in as_list(tools.get("tools"))],
        params={**without(data, _SHOWN_APART), **params},
        stream=_streams(asked),
    )


def _model(asked: Asked) -> str | None:
    named = _MODEL.search(asked.path)
    return unquote(named[1]) if named else as_name(asked.data.get("modelId"))


def _streams(asked: Asked) -> bool:
    return asked.path.partition("?")[0].endswith("-stream")


def _message(raw: Any) -> Message:
    entry = as_object(raw)
    if not entry:
        return Message("unknown", [other(raw)])
    return Message(as_text(entry.get("role")) or "user", _blocks(entry.get("content")))


def _tool(raw: Any) -> JsonObject:
    spec = as_object(as_object(raw).get("toolSpec"))
    if not spec:
        kind = next(iter(as_object(raw)), "other")
        return tool(as_object(as_object(raw).get(kind)).get("name") or kind, None, None, kind=kind, raw=raw)
    return tool(spec.get("name"), spec.get("description"), as_object(spec.get("inputSchema")).get("json"))


def _blocks(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [text_part(content)] if content else []
    return [_block(each) for each in as_list(content)]


def _block(raw: Any) -> Part:
    block = as_object(raw)
    if isinstance(block.get("text"), str):
        return text_part(block["text"])
    use = block.get("toolUse")
    if isinstance(use, dict):
        value, call_id, name = use.get("input"), as_name(use.get("toolUseId")), as_text(use.get("name"))
        # A streamed input that was cut is text; see fold_events.
        call = (
            ToolCall.of_text(call_id, name, value)
            if isinstance(value, str)
            else ToolCall.of_value(call_id, name, value)
        )
        return call.to_part(server=use.get("type") == "server_tool_use")
    result = block.get("toolResult")
    if isinstance(result, dict):
        parts = [_result_block(each) for each in as_list(result.get("content"))]
        status = as_name(result.get("status"))
        return result_part(
            as_name(result.get("toolUseId")), parts, is_error=None if status is None else status == "error"
        )
    thought = block.get("reasoningContent")
    if isinstance(thought, dict):
        said = as_object(thought.get("reasoningText"))
        if said:
            return reasoning_part(as_text(said.get("text")), said.get("signature"))
        return {**reasoning_part("", thought.get("redactedContent")), "redacted": True}
    cited = block.get("citationsContent")
    if isinstance(cited, dict):
        return {
            **text_part("".join(as_text(each.get("text")) for each in as_objects(cited.get("content")))),
            "raw": raw,
        }
    return image(raw) if "image" in block else other(raw)


def _result_block(raw: Any) -> Part:
    block = as_object(raw)
    return text_part(encoded(block["json"])) if "json" in block else _block(raw)


def _response(answer: Answer) -> NormalResponse:
    return read_answer(answer, read_conversed, fold_events)


def read_conversed(data: JsonObject) -> NormalResponse:
    """A Converse response."""
    message = as_object(as_object(data.get("output")).get("message"))
    return NormalResponse(
        _blocks(message.get("content")), usage.of_bedrock(data.get("usage")), as_name(data.get("stopReason"))
    )


def fold_events(events: list[JsonObject]) -> JsonObject:
    """The Converse response that a stream spells. An event is `{its type: payload}`."""
    whole: JsonObject = {}
    blocks: dict[int, _Growing] = {}
    for event in events:
        for kind, given in event.items():
            payload = as_object(given)
            block = (
                blocks.setdefault(as_index(payload.get("contentBlockIndex"), 0), _Growing())
                if kind.startswith("contentBlock")
                else None
            )
            if block and kind == "contentBlockStart":
                block.start = as_object(payload.get("start"))
            elif block and kind == "contentBlockDelta":
                block.add(as_object(payload.get("delta")))
            elif kind == "messageStop":
                whole["stopReason"] = payload.get("stopReason")
            elif kind == "metadata":
                whole["usage"] = payload.get("usage")
    content: list[JsonObject] = []
    for part in (part for index in sorted(blocks) for part in blocks[index].whole()):
        if content and part.keys() == content[-1].keys() == {"text"}:  # Nova opens a block for every piece of text
            content[-1] = {"text": content[-1]["text"] + part["text"]}
        else:
            content.append(part)
    return {**whole, "output": {"message": {"content": content}}}


class _Growing:
    """One content block of a stream: what began it, and the pieces that came."""

    def __init__(self) -> None:
        self.start: JsonObject = {}
        self._pieces: dict[str, list[str]] = {}
        self._others: list[JsonObject] = []

    def add(self, delta: JsonObject) -> None:
        for kind, value in delta.items():
            if kind == "toolUse":
                self._keep("input", as_object(value).get("input"))
            elif kind == "reasoningContent":
                for name, piece in as_object(value).items():
                    self._keep(name if name != "text" else "reasoning", piece)
            elif kind == "text":
                self._keep("text", value)
            else:
                self._others.append({kind: value})

    def _keep(self, name: str, piece: Any) -> None:
        self._pieces.setdefault(name, []).append(as_text(piece))

    def whole(self) -> list[JsonObject]:
        said = {name: "".join(pieces) for name, pieces in self._pieces.items()}
        use = as_object(self.start.get("toolUse"))
        parts: list[JsonObject] = []
        if use or "input" in said:
            text = said.get("input", "")
            value = decoded(text) if text.strip() else {}
            parts.append({"toolUse": {**use, "input": text if value is None else value}})
        elif self.start:
            parts.append(self.start)
        if "reasoning" in said or "signature" in said:
            parts.append(
                {
                    "reasoningContent": {
                        "reasoningText": {"text": said.get("reasoning", ""), "signature": said.get("signature")}
                    }
                }
            )
        if "redactedContent" in said:
            parts.append({"reasoningContent": {"redactedContent": said["redactedContent"]}})
        if "text" in said:
            parts.append({"text": said["text"]})
        return parts + self._others


def _invoke_request(asked: Asked) -> NormalRequest:
    data = asked.data
    if "messages" not in data:
        read = bedrock_native.read_request(data)
    elif "anthropic_version" in data or "anthropic" in asked.path:
        read = anthropic.MESSAGES.read_request(asked)
    elif (
        "schemaVersion" in data
        or "inferenceConfig" in data
        or any(_is_nova(each) for each in as_list(data["messages"]))
    ):
        read = _request(asked)
    else:
        read = openai_chat.CHAT.read_request(asked)
    params = {name: value for name, value in read.params.items() if name != "anthropic_version"}
    return replace(read, model=_model(asked), stream=_streams(asked), params=params)


def _is_nova(message: Any) -> bool:
    content = as_object(message).get("content")
    return any("type" not in block for block in as_objects(content))


def _invoke_response(answer: Answer) -> NormalResponse:
    read = read_answer(answer, _read_native, _fold_native, unwrap=_unwrapped)
    return replace(read, usage=usage.completed(read.usage, usage.of_bedrock_headers(answer.headers)))


def _unwrapped(events: list[JsonObject]) -> list[JsonObject]:
    """The model's own chunks inside `chunk` events."""
    inner = []
    for event in events:
        payload = as_object(event.get("chunk"))
        if "bytes" not in payload:
            inner.append(event)
            continue
        try:
            value = decoded(base64.b64decode(as_text(payload["bytes"]), validate=True))
        except (binascii.Error, ValueError):
            value = None
        inner.append(value if isinstance(value, dict) else event)
    return inner


def _read_native(data: JsonObject) -> NormalResponse:
    if "content" in data or "completion" in data or data.get("type") == "message":
        read = anthropic.read_message(data)
    elif "output" in data:
        read = read_conversed(data)
    elif "choices" in data:
        read = openai_chat.read_completion(data)
    else:
        read = bedrock_native.read_response(data)
    metrics = usage.of_bedrock_metrics(data.get("amazon-bedrock-invocationMetrics"))
    return replace(read, usage=usage.completed(read.usage, metrics))


def _fold_native(chunks: list[JsonObject]) -> JsonObject:
    metrics = first(*(chunk.get("amazon-bedrock-invocationMetrics") for chunk in reversed(chunks)))
    kinds = {key for chunk in chunks for key in chunk}
    if kinds & {"messageStart", "contentBlockDelta", "messageStop"}:
        whole = fold_events(chunks)
    elif "choices" in kinds:
        whole = openai_chat.fold_chunks(chunks)
    elif any(as_text(chunk.get("type")) in ("message_start", "content_block_delta", "completion") for chunk in chunks):
        whole = anthropic.fold_events(chunks)
    else:
        whole = bedrock_native.fold_chunks(chunks)
    return whole if metrics is None else {**whole, "amazon-bedrock-invocationMetrics": metrics}


CONVERSE = Shape("bedrock", "converse", _request, _response)
INVOKE = Shape("bedrock", "invoke", _invoke_request, _invoke_response)
