"""Gemini Interactions (google-genai 3): create and retrieval by id, plain, streamed and resumed."""

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
from playhead.providers.gemini import read_config
from playhead.providers.raw import (
    JsonObject,
    as_index,
    as_list,
    as_name,
    as_object,
    as_text,
    decoded,
    first,
    without,
)

_SHOWN_APART = ("model", "agent", "input", "system_instruction", "tools", "stream", "generation_config")
_ROLES = {"user_input": "user", "function_result": "tool"}
_UNFINISHED = {"in_progress", "queued"}


def _request(asked: Asked) -> NormalRequest:
    data = asked.data
    given = data.get("input")
    items = given if isinstance(given, list) else [] if given is None else [given]
    system = data.get("system_instruction")
    return NormalRequest(
        "",
        "",
        model=as_name(data.get("model")) or as_name(data.get("agent")),
        system=(system if isinstance(system, str) else text_of(_content(system))) or None,
        messages=[_message(each) for each in items],
        tools=[_tool(each) for each in as_list(data.get("tools"))],
        params={**without(data, _SHOWN_APART), **read_config(data.get("generation_config"))},
        stream=data.get("stream") is True or "stream=true" in asked.path.lower(),
    )


def _message(raw: Any) -> Message:
    """An entry of `input`: text, a content block, a step, or a turn with a role."""
    entry = as_object(raw)
    role = as_name(entry.get("role"))
    if role:
        return Message("assistant" if role == "model" else role, _content(entry.get("content")))
    kind = as_text(entry.get("type"))
    if kind in _ROLES or kind in ("model_output", "thought") or kind.endswith(("_call", "_result")):
        return Message(_ROLES.get(kind, "assistant"), read_step(raw))
    return Message("user", _content(raw))


def _tool(raw: Any) -> JsonObject:
    entry = as_object(raw)
    kind = as_text(entry.get("type")) or "other"
    if kind == "function":
        return tool(entry.get("name"), entry.get("description"), entry.get("parameters"))
    return tool(entry.get("name") or kind, entry.get("description"), None, kind=kind, raw=raw)


def _content(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [text_part(content)] if content else []
    blocks = content if isinstance(content, list) else [content] if content else []
    return [_block(each) for each in blocks]


def _block(raw: Any) -> Part:
    block = as_object(raw)
    if isinstance(raw, str):
        return text_part(raw)
    if block.get("type") == "text" and isinstance(block.get("text"), str):
        return text_part(block["text"])
    return image(raw) if block.get("type") == "image" else other(raw)


def read_step(raw: Any) -> list[Part]:
    """The parts of one step."""
    step = as_object(raw)
    kind = as_text(step.get("type"))
    if kind in ("model_output", "user_input"):
        return _content(step.get("content"))
    if kind == "thought":
        return [
            reasoning_part(
                "\n\n".join(part["text"] for part in _content(step.get("summary")) if part["type"] == "text"),
                step.get("signature"),
            )
        ]
    if kind.endswith("_call"):
        value = first(step.get("arguments"), {})
        name = as_name(step.get("name")) or kind.removesuffix("_call")
        call_id = as_name(step.get("id"))
        # A streamed call that was cut has text here; see fold_events.
        call = (
            ToolCall.of_text(call_id, name, value)
            if isinstance(value, str)
            else ToolCall.of_value(call_id, name, value)
        )
        return [call.to_part(server=kind != "function_call")]
    if kind.endswith("_result"):
        failed = step.get("is_error") if isinstance(step.get("is_error"), bool) else None
        content = _content(step.get("result"))
        result = result_part(as_name(step.get("call_id")), content, name=as_name(step.get("name")), is_error=failed)
        return [result if kind == "function_result" else {**result, "server": True}]
    return [other(raw)]


def _response(answer: Answer) -> NormalResponse:
    return read_answer(answer, read_interaction, fold_events)


def read_interaction(data: JsonObject) -> NormalResponse:
    """An `interaction` object. The user's own steps, which retrieval repeats, are no part of the answer."""
    steps = [
        step
        for step in as_list(data.get("steps"))
        if as_object(step).get("type") not in ("user_input", "function_result")
    ]
    status = as_name(data.get("status"))
    return NormalResponse(
        [part for step in steps for part in read_step(step)],
        usage.of_interaction(data.get("usage")),
        None if status in _UNFINISHED else status,
        as_name(data.get("model")) or as_name(data.get("agent")),
        as_name(data.get("id")),
        {"type": "failed", "message": "the provider reports a failed interaction"} if status == "failed" else None,
    )


def fold_events(events: list[JsonObject]) -> JsonObject:
    """The interaction that a stream of events spells. A resumed stream may start in the middle of a step."""
    whole: JsonObject = {}
    steps: dict[int, _Growing] = {}
    for event in events:
        index = as_index(event.get("index"), 0)
        if isinstance(event.get("interaction"), dict):
            whole.update(without(event["interaction"], ()))
        elif event.get("event_type") == "interaction.status_update" and as_name(event.get("status")):
            whole["status"] = event["status"]
        elif event.get("event_type") == "step.start":
            steps[index] = _Growing(as_object(event.get("step")))
        elif event.get("event_type") == "step.delta":
            steps.setdefault(index, _Growing({})).add(as_object(event.get("delta")))
    if as_list(whole.get("steps")):
        return whole
    return {**whole, "steps": [steps[index].whole() for index in sorted(steps)]}


class _Growing:
    """One step of a stream."""

    def __init__(self, step: JsonObject) -> None:
        self._step = step
        self._content: list[Any] = list(as_list(step.get("content")))
        self._summary: list[Any] = list(as_list(step.get("summary")))
        self._arguments: list[str] = []
        self._fields: JsonObject = {}

    def add(self, delta: JsonObject) -> None:
        kind = as_text(delta.get("type"))
        if kind == "text":
            last = self._content[-1] if self._content else None
            if not isinstance(last, _Text):
                self._content.append(_Text())
            self._content[-1].append(as_text(delta.get("text")))
        elif kind == "arguments_delta":
            self._arguments.append(as_text(delta.get("arguments")))
        elif kind == "thought_summary":
            self._summary.append(delta.get("content"))
        elif kind == "thought_signature" or kind.endswith(("_call", "_result")):
            self._fields.update(without(delta, ("type",)))
        elif kind != "text_annotation_delta":
            self._content.append(delta)

    def whole(self) -> JsonObject:
        step: JsonObject = {"type": "model_output", **self._step, **self._fields}
        if self._content:
            step["content"] = [
                {"type": "text", "text": "".join(each)} if isinstance(each, _Text) else each for each in self._content
            ]
        if self._summary:
            step["summary"] = self._summary
        if self._arguments:
            text = "".join(self._arguments)
            value = decoded(text)
            step["arguments"] = text if value is None else value
        return step


class _Text(list[str]):
    """Text of a stream, as its pieces."""


CREATE = Shape("gemini", "interactions", _request, _response)
RETRIEVE = Shape("gemini", "interactions.retrieve", _request, _response)
