"""Ollama's own API: chat, generate, embed; streams are NDJSON. Tool calls have no id and carry arguments as objects."""

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
    leading_system,
    other,
    reasoning_part,
    result_part,
    text_part,
)
from playhead.providers.openai_chat import read_tool
from playhead.providers.raw import JsonObject, as_list, as_name, as_object, as_objects, as_text, first, without

_SHOWN_APART = ("model", "messages", "prompt", "system", "tools", "stream", "options", "images", "input")
_PARAMS = {"num_predict": "max_tokens"}


def _request(asked: Asked) -> NormalRequest:
    data = asked.data
    messages = [_message(each) for each in as_list(data.get("messages"))]
    given = first(data.get("prompt"), data.get("input"))
    prompts = given if isinstance(given, list) else [] if given is None else [given]
    pictures = [image(each) for each in as_list(data.get("images"))]
    messages += [
        Message("user", [text_part(each) if isinstance(each, str) else other(each), *pictures]) for each in prompts
    ]
    options = {_PARAMS.get(name, name): value for name, value in without(as_object(data.get("options")), ()).items()}
    embeds = asked.path.partition("?")[0].endswith(("/embed", "/embeddings"))
    return NormalRequest(
        "",
        "",
        model=as_name(data.get("model")),
        system=as_name(data.get("system")) or leading_system(messages),
        messages=messages,
        tools=[read_tool(each) for each in as_list(data.get("tools"))],
        params={**without(data, _SHOWN_APART), **options},
        stream=not embeds and data.get("stream") is not False,  # streaming is Ollama's default
    )


def _message(raw: Any) -> Message:
    entry = as_object(raw)
    if not entry:
        return Message("unknown", [other(raw)])
    role = as_text(entry.get("role")) or "user"
    if role == "tool":
        name = as_name(first(entry.get("tool_name"), entry.get("name")))
        call_id = as_name(entry.get("tool_call_id"))
        return Message(role, [result_part(call_id, [text_part(as_text(entry.get("content")))], name=name)])
    return Message(role, _said(entry))


def _said(message: JsonObject) -> list[Part]:
    parts: list[Part] = []
    if as_name(message.get("thinking")):
        parts.append(reasoning_part(message["thinking"]))
    if as_name(message.get("content")):
        parts.append(text_part(message["content"]))
    parts += [image(each) for each in as_list(message.get("images"))]
    for raw in as_list(message.get("tool_calls")):
        function = as_object(as_object(raw).get("function"))
        if function:
            call_id = as_name(as_object(raw).get("id"))
            value = first(function.get("arguments"), {})
            parts.append(ToolCall.of_value(call_id, as_text(function.get("name")), value).to_part())
        else:
            parts.append(other(raw))
    return parts


def _response(answer: Answer) -> NormalResponse:
    return read_answer(answer, read_message, fold_lines)


def read_message(data: JsonObject) -> NormalResponse:
    """The one object of an answer that is not streamed. `generate` has `response` where `chat` has a message."""
    message = as_object(data.get("message"))
    if isinstance(data.get("response"), str):
        message = {"content": data["response"], "thinking": data.get("thinking")}
    done = as_name(data.get("done_reason"))
    return NormalResponse(_said(message), usage.of_ollama(data), done, as_name(data.get("model")))


def fold_lines(lines: list[JsonObject]) -> JsonObject:
    """The object that a stream's lines spell."""
    whole: JsonObject = {}
    pieces: dict[str, list[str]] = {}
    calls: list[JsonObject] = []
    for line in lines:
        message = as_object(line.get("message"))
        whole.update(without(line, ("message", "response", "thinking")))
        for name, value in (*message.items(), *((each, line.get(each)) for each in ("response", "thinking"))):
            if name in ("content", "thinking", "response") and isinstance(value, str):
                pieces.setdefault(name, []).append(value)
        calls += as_objects(message.get("tool_calls"))
    texts = {name: "".join(each) for name, each in pieces.items()}
    if "response" in texts:
        return {**whole, **texts}
    return {**whole, "message": {"role": "assistant", **texts, "tool_calls": calls}}


CHAT = Shape("ollama", "chat", _request, _response)
GENERATE = Shape("ollama", "generate", _request, _response)
EMBED = Shape("ollama", "embeddings", _request, _response)
