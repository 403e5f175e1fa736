"""OpenAI Chat Completions, legacy Completions and Embeddings, as OpenAI, Azure, vLLM, OpenRouter, Groq, DeepSeek, LM
Studio and many others serve them. Additions read where they occur: `reasoning_content` and `reasoning` (vLLM, DeepSeek,
OpenRouter), `x_groq.usage`, usage in every chunk, tool-call deltas without an index."""

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
    first,
    without,
)

_SHOWN_APART = ("model", "messages", "tools", "functions", "stream", "prompt", "input")
_JOINED = ("content", "refusal", "reasoning_content", "reasoning")


def _request(asked: Asked) -> NormalRequest:
    data = asked.data
    messages = [read_message(each) for each in as_list(data.get("messages"))]
    tools = [
        *as_list(data.get("tools")),
        *({"type": "function", "function": each} for each in as_list(data.get("functions"))),
    ]
    return NormalRequest(
        "",
        "",
        model=as_name(data.get("model")),
        system=leading_system(messages),
        messages=messages,
        tools=[read_tool(each) for each in tools],
        params=read_params(data, _SHOWN_APART),
        stream=data.get("stream") is True,
    )


def read_params(data: JsonObject, shown_apart: tuple[str, ...]) -> JsonObject:
    """The remaining fields; `max_completion_tokens` and `max_output_tokens` read `max_tokens`."""
    params = without(data, shown_apart)
    for name in ("max_completion_tokens", "max_output_tokens"):
        if name in params:
            params.setdefault("max_tokens", params.pop(name))
    return params


def read_tool(raw: Any) -> JsonObject:
    """A tool of Chat Completions, where a function's fields lie one level down, or of Responses, where they do not."""
    entry = as_object(raw)
    kind = as_text(entry.get("type")) or "other"
    if kind == "function":
        inner = as_object(entry.get("function")) or entry
        return tool(inner.get("name"), inner.get("description"), inner.get("parameters"))
    inner = as_object(entry.get(kind)) or entry
    return tool(inner.get("name") or inner.get("server_label"), inner.get("description"), None, kind=kind, raw=raw)


def read_message(raw: Any) -> Message:
    """One entry of `messages`, or the `message` of a choice."""
    entry = as_object(raw)
    if not entry:
        return Message("unknown", [other(raw)])
    role = as_text(entry.get("role")) or "assistant"
    parts = read_content(entry.get("content"))
    if role in {"tool", "function"}:
        return Message(role, [result_part(as_name(entry.get("tool_call_id")), parts, name=as_name(entry.get("name")))])
    reasoning = as_name(entry.get("reasoning_content")) or as_name(entry.get("reasoning"))
    if reasoning:
        parts.insert(0, reasoning_part(reasoning))
    if as_name(entry.get("refusal")):
        parts.append(text_part(entry["refusal"]))
    for name in ("audio", "images"):
        if entry.get(name):
            parts.append(other({name: entry[name]}))
    parts += [read_call(each) for each in as_list(entry.get("tool_calls"))]
    if entry.get("function_call"):
        parts.append(read_call({"type": "function", "function": entry["function_call"]}))
    return Message(role, parts)


def read_call(raw: Any) -> Part:
    """A tool call: a function with arguments as text, or a custom tool with free text."""
    entry = as_object(raw)
    inner = as_object(entry.get("function")) or as_object(entry.get("custom"))
    if not inner:
        return other(raw)
    text = first(inner.get("arguments"), inner.get("input"), "")
    call_id, name = as_name(entry.get("id")), as_text(inner.get("name"))
    if "custom" in entry and "function" not in entry:
        return ToolCall(call_id, name, as_text(text), as_text(text)).to_part()
    if not isinstance(text, str):  # some servers send the object
        return ToolCall.of_value(call_id, name, text).to_part()
    return ToolCall.of_text(call_id, name, text).to_part()


def read_content(content: Any) -> list[Part]:
    """Message content: text, or a list of typed parts (of Chat Completions or of Responses)."""
    if isinstance(content, str):
        return [text_part(content)] if content else []
    return [_read_part(each) for each in (content if isinstance(content, list) else [content] if content else [])]


def _read_part(raw: Any) -> Part:
    if isinstance(raw, str):
        return text_part(raw)
    entry = as_object(raw)
    kind = entry.get("type")
    if kind in ("text", "input_text", "output_text", "summary_text", "reasoning_text") and isinstance(
        entry.get("text"), str
    ):
        return text_part(entry["text"])
    if kind == "refusal" and isinstance(entry.get("refusal"), str):
        return text_part(entry["refusal"])
    return image(raw) if kind in ("image_url", "input_image", "computer_screenshot") else other(raw)


def _response(answer: Answer) -> NormalResponse:
    return read_answer(answer, read_completion, fold_chunks)


def read_completion(data: JsonObject) -> NormalResponse:
    """A `chat.completion` or `text_completion` object. Choices after the first mark their parts with `choice`."""
    content: list[Part] = []
    choices = as_objects(data.get("choices"))
    for position, choice in enumerate(choices):
        if isinstance(choice.get("text"), str):
            parts = [text_part(choice["text"])]
        else:
            parts = read_message(choice["message"]).content if as_object(choice.get("message")) else []
        content += [{**part, "choice": position} for part in parts] if position else parts
    return NormalResponse(
        content,
        usage.completed(
            usage.of_openai(data.get("usage")), usage.of_openai(as_object(data.get("x_groq")).get("usage"))
        ),
        as_name(choices[0].get("finish_reason")) if choices else None,
        as_name(data.get("model")),
        as_name(data.get("id")),
        tier=as_name(data.get("service_tier")),
    )


def fold_chunks(chunks: list[JsonObject]) -> JsonObject:
    """The completion that a stream of chunks spells."""
    whole: JsonObject = {}
    choices: dict[int, _Choice] = {}
    for chunk in chunks:
        # Azure's content-filter chunks, first and last, have an empty id and model.
        whole.update({name: value for name, value in without(chunk, ("choices",)).items() if value != ""})
        for raw in as_objects(chunk.get("choices")):
            choices.setdefault(as_index(raw.get("index"), 0), _Choice()).add(raw)
    return {**whole, "choices": [choices[index].whole() for index in sorted(choices)]}


class _Choice:
    """One choice of a stream, growing. Text grows as a list of pieces: a long answer is thousands of them."""

    def __init__(self) -> None:
        self._fields: JsonObject = {}
        self._message: JsonObject = {}
        self._pieces: dict[str, list[str]] = {}
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._legacy = _Call()

    def add(self, raw: JsonObject) -> None:
        self._fields.update(without(raw, ("delta", "text")))
        if isinstance(raw.get("text"), str):
            self._pieces.setdefault("text", []).append(raw["text"])
        delta = as_object(raw.get("delta"))
        for name, value in delta.items():
            if name in _JOINED and isinstance(value, str):
                self._pieces.setdefault(name, []).append(value)
            elif name == "tool_calls":
                for each in as_objects(value):
                    self._call(each).add(each)
            elif name == "function_call":
                self._legacy.add({"function": value})
            elif value is not None:
                self._message[name] = value

    def _call(self, raw: JsonObject) -> _Call:
        """The call a delta belongs to: by its index; without one, a new id begins a new call."""
        index = raw.get("index")
        if isinstance(index, int):
            call = self._by_index.get(index)
            if call is not None:
                return call
        elif self._calls and raw.get("id") in (None, "", self._calls[-1].id):
            return self._calls[-1]
        call = _Call()
        self._calls.append(call)
        if isinstance(index, int):
            self._by_index[index] = call
        return call

    def whole(self) -> JsonObject:
        pieces = {name: "".join(texts) for name, texts in self._pieces.items()}
        if "text" in pieces:
            return {**self._fields, "text": pieces["text"]}
        message = {**self._message, **pieces}
        if self._calls:
            message["tool_calls"] = [call.whole() for call in self._calls]
        if self._legacy.is_begun:
            message["function_call"] = self._legacy.whole()["function"]
        return {**self._fields, "message": message}


class _Call:
    """One tool call of a stream, growing."""

    def __init__(self) -> None:
        self._fields: JsonObject = {}
        self._kind = "function"
        self._name = ""
        self._pieces: list[str] = []
        self.is_begun = False

    @property
    def id(self) -> Any:
        return self._fields.get("id")

    def add(self, raw: JsonObject) -> None:
        self.is_begun = True
        self._fields.update(
            {name: value for name, value in raw.items() if name not in ("function", "custom") and value}
        )
        if "custom" in raw:
            self._kind = "custom"
        inner = as_object(raw.get("function")) or as_object(raw.get("custom"))
        self._name = as_text(inner.get("name")) or self._name
        self._pieces.append(as_text(first(inner.get("arguments"), inner.get("input"))))

    def whole(self) -> JsonObject:
        text = "input" if self._kind == "custom" else "arguments"
        return {**self._fields, self._kind: {"name": self._name, text: "".join(self._pieces)}}


def _prompt_request(asked: Asked) -> NormalRequest:
    """Completions and Embeddings: each prompt or input is one user message; token lists are kept raw."""
    data = asked.data
    given = first(data.get("prompt"), data.get("input"))
    batch = given if isinstance(given, list) and not all(isinstance(each, int) for each in given) else [given]
    return NormalRequest(
        "",
        "",
        model=as_name(data.get("model")),
        messages=[
            Message("user", [text_part(each) if isinstance(each, str) else other(each)])
            for each in batch
            if each is not None
        ],
        params=read_params(data, _SHOWN_APART),
        stream=data.get("stream") is True,
    )


def _embeddings(answer: Answer) -> NormalResponse:
    def read(data: JsonObject) -> NormalResponse:
        return NormalResponse(usage=usage.of_openai(data.get("usage")), model=as_name(data.get("model")))

    return read_answer(answer, read)


CHAT = Shape("openai", "chat", _request, _response)
COMPLETIONS = Shape("openai", "completions", _prompt_request, _response)
EMBEDDINGS = Shape("openai", "embeddings", _prompt_request, _embeddings)
