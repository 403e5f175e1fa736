"""Gemini generateContent and streamGenerateContent, embeddings and token counting, on Google AI and Vertex AI. A stream
is SSE (`alt=sse`) or one JSON array; each element is a partial response. Field names are camelCase on the wire; the
snake_case the API also accepts in requests is read too."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

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
    as_objects,
    as_text,
    encoded,
    first,
    without,
)

_MODEL = re.compile(r"/models/([^/:?]+)")
_SHOWN_APART = (
    "contents",
    "content",
    "requests",
    "systemInstruction",
    "system_instruction",
    "tools",
    "model",
    "generationConfig",
    "generation_config",
)
_PARAMS = {"topP": "top_p", "topK": "top_k", "maxOutputTokens": "max_tokens", "stopSequences": "stop"}
_PARAMS |= {"top_p": "top_p", "top_k": "top_k", "max_output_tokens": "max_tokens", "stop_sequences": "stop"}
_STEP = re.compile(r"\.([^.\[\]]+)|\[(?:'([^']*)'|\"([^\"]*)\"|(\d{1,6}))\]")


def _request(asked: Asked) -> NormalRequest:
    data = asked.data
    named = _MODEL.search(asked.path)
    given = data.get("contents")
    contents = [given] if isinstance(given, (str, dict)) else as_list(given)
    if "content" in data:
        contents = [data["content"]]
    contents += [each.get("content") for each in as_objects(data.get("requests"))]
    instruction = first(data.get("systemInstruction"), data.get("system_instruction"))
    return NormalRequest(
        "",
        "",
        model=unquote(named[1]) if named else as_name(data.get("model")),
        system=(instruction if isinstance(instruction, str) else text_of(_parts(instruction))) or None,
        messages=[_message(each) for each in contents],
        tools=[entry for each in as_list(data.get("tools")) for entry in _tools(each)],
        params={
            **without(data, _SHOWN_APART),
            **read_config(first(data.get("generationConfig"), data.get("generation_config"))),
        },
        stream=":stream" in asked.path,
    )


def read_config(raw: Any) -> JsonObject:
    """`generationConfig` with the common names for what is common."""
    return {_PARAMS.get(name, name): value for name, value in without(as_object(raw), ()).items()}


def _message(raw: Any) -> Message:
    if isinstance(raw, str):
        return Message("user", [text_part(raw)])
    role = as_text(as_object(raw).get("role")) or "user"
    return Message("assistant" if role == "model" else role, _parts(raw) if isinstance(raw, dict) else [other(raw)])


def _tools(raw: Any) -> list[JsonObject]:
    entry = as_object(raw)
    declared = first(entry.get("functionDeclarations"), entry.get("function_declarations"))
    tools = []
    for each in as_objects(declared):
        schema = first(each.get("parameters"), each.get("parametersJsonSchema"), each.get("parameters_json_schema"))
        tools.append(tool(each.get("name"), each.get("description"), schema))
    for name, value in entry.items():
        if name not in ("functionDeclarations", "function_declarations"):
            tools.append(tool(name, None, None, kind=name, raw={name: value}))
    return tools


def _parts(content: Any) -> list[Part]:
    return [_part(each) for each in as_list(as_object(content).get("parts"))]


def _part(raw: Any) -> Part:
    part = as_object(raw)
    seal = first(part.get("thoughtSignature"), part.get("thought_signature"))
    sealed = {"signature": seal} if seal else {}
    if isinstance(part.get("text"), str):
        return (
            reasoning_part(part["text"], seal) if part.get("thought") is True else {**text_part(part["text"]), **sealed}
        )
    call = as_object(first(part.get("functionCall"), part.get("function_call")))
    if call:
        made = ToolCall.of_value(as_name(call.get("id")), as_text(call.get("name")), first(call.get("args"), {}))
        return {**made.to_part(), **sealed}
    result = as_object(first(part.get("functionResponse"), part.get("function_response")))
    if result:
        given = result.get("response")
        content = [] if given is None else [text_part(encoded(given))]
        return result_part(as_name(result.get("id")), content, name=as_name(result.get("name")))
    blob = as_object(
        first(part.get("inlineData"), part.get("inline_data"), part.get("fileData"), part.get("file_data"))
    )
    kind = as_text(first(blob.get("mimeType"), blob.get("mime_type")))
    return image(raw) if kind.startswith("image/") else other(raw)


def _response(answer: Answer) -> NormalResponse:
    return read_answer(answer, read_generated, fold_chunks)


def read_generated(data: JsonObject) -> NormalResponse:
    """A `GenerateContentResponse`. A blocked prompt has no candidate; its reason is the stop reason."""
    candidates = as_objects(data.get("candidates"))
    content: list[Part] = []
    for position, candidate in enumerate(candidates):
        parts = _parts(candidate.get("content"))
        content += [{**part, "choice": position} for part in parts] if position else parts
    blocked = as_name(as_object(data.get("promptFeedback")).get("blockReason"))
    return NormalResponse(
        content,
        usage.of_gemini(data.get("usageMetadata")),
        (as_name(candidates[0].get("finishReason")) if candidates else None) or blocked,
        as_name(data.get("modelVersion")),
        as_name(data.get("responseId")),
    )


def fold_chunks(chunks: list[JsonObject]) -> JsonObject:
    """The response that partial ones add up to: neighbouring text of one kind is joined, usage is the last one's."""
    whole: JsonObject = {}
    candidates: dict[int, _Candidate] = {}
    for chunk in chunks:
        whole.update(without(chunk, ("candidates",)))
        for raw in as_objects(chunk.get("candidates")):
            candidates.setdefault(as_index(raw.get("index"), 0), _Candidate()).add(raw)
    return {**whole, "candidates": [candidates[index].whole() for index in sorted(candidates)]}


class _Candidate:
    """One candidate of a stream, growing."""

    def __init__(self) -> None:
        self._fields: JsonObject = {}
        self._parts: list[JsonObject] = []
        self._pieces: list[str] = []
        self._is_calling = False

    def add(self, raw: JsonObject) -> None:
        self._fields.update(without(raw, ("content",)))
        for part in as_objects(as_object(raw.get("content")).get("parts")):
            if isinstance(part.get("text"), str):
                self._add_text(part)
            else:
                self._close()
                self._add_call(part)

    def _add_text(self, part: JsonObject) -> None:
        if not self._pieces or (self._parts[-1].get("thought") is True) != (part.get("thought") is True):
            self._close()
            self._parts.append({})
        self._parts[-1].update(part)
        self._pieces.append(part["text"])

    def _add_call(self, part: JsonObject) -> None:
        """A part as it is, or a function call whose arguments come value by value (`partialArgs`, Vertex AI)."""
        call = part.get("functionCall")
        if not isinstance(call, dict):
            self._is_calling = False
            self._parts.append(part)
            return
        if not self._is_calling or call.get("name"):
            self._parts.append(
                {**part, "functionCall": {**without(call, ("partialArgs",)), "args": first(call.get("args"), {})}}
            )
        arguments = self._parts[-1]["functionCall"]["args"]
        for each in as_objects(call.get("partialArgs")):
            _put(arguments, each)
        self._is_calling = call.get("willContinue") is True

    def _close(self) -> None:
        if self._pieces:
            self._parts[-1]["text"] = "".join(self._pieces)
            self._pieces = []

    def whole(self) -> JsonObject:
        self._close()
        return {**self._fields, "content": {"role": "model", "parts": self._parts}}


def _put(arguments: Any, piece: JsonObject) -> None:
    """Set, or lengthen if it is text, the one value of `arguments` that a `PartialArg` speaks of."""
    steps = [
        first(*match.groups()[:3]) or int(match[4] or 0) for match in _STEP.finditer(as_text(piece.get("jsonPath")))
    ]
    value = first(piece.get("stringValue"), piece.get("numberValue"), piece.get("boolValue"))
    if not steps:
        return
    place = arguments
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        fresh: Any = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(place, dict) and isinstance(step, str):
            known = place.get(step)
            place[step] = (
                known + value
                if following is None and isinstance(known, str) and isinstance(value, str)
                else first(known, fresh)
            )
            place = place[step]
        elif isinstance(place, list) and isinstance(step, int) and step <= len(place):
            if step == len(place):
                place.append(fresh)
            elif following is None and isinstance(place[step], str) and isinstance(value, str):
                place[step] += value
            place = place[step]
        else:
            return


def _embedded(answer: Answer) -> NormalResponse:
    def read(data: JsonObject) -> NormalResponse:
        return NormalResponse(usage=usage.of_gemini(data.get("usageMetadata")))

    return read_answer(answer, read)


def _counted(answer: Answer) -> NormalResponse:
    def read(data: JsonObject) -> NormalResponse:
        return NormalResponse([other(data)] if data else [])

    return read_answer(answer, read)


GENERATE = Shape("gemini", "generate_content", _request, _response)
EMBED = Shape("gemini", "embeddings", _request, _embedded)
COUNT = Shape("gemini", "count_tokens", _request, _counted)
