"""From an answer's bytes to a normal response: what every shape does alike.

A shape brings two functions: `fold` makes, from the JSON objects of a stream, the one object the same API sends when it
does not stream; `read` makes a normal response of that object. So streamed and plain answers read alike by construction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from playhead.providers.base import Answer, NormalResponse, Part, other
from playhead.providers.eventstream import FrameDecoder
from playhead.providers.ndjson import ElementDecoder, LineDecoder
from playhead.providers.raw import JsonObject, as_name, as_object, as_text, decoded, encoded, header
from playhead.providers.sse import decode_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from playhead.providers.eventstream import Frame


_LOOKS_LIKE_EVENTS = re.compile(rb"\s*(event|data|id|retry)?:")


@dataclass(slots=True)
class Objects:
    """The JSON objects of an answer, in order; `strays` is what was between them and is none, `damage` why it broke off."""

    values: list[JsonObject] = field(default_factory=list)
    strays: list[Part] = field(default_factory=list)
    streamed: bool = False
    damage: str = ""

    def take(self, text: bytes | str) -> None:
        """Add one encoded object, or a stray."""
        value = decoded(text)
        if isinstance(value, dict):
            self.values.append(value)
        else:
            self.strays.append(other(text if isinstance(text, str) else text.decode("utf-8", "replace")))


def read_answer(
    answer: Answer,
    read: Callable[[JsonObject], NormalResponse],
    fold: Callable[[list[JsonObject]], JsonObject] | None = None,
    *,
    unwrap: Callable[[list[JsonObject]], list[JsonObject]] | None = None,
) -> NormalResponse:
    """Read `answer` by `read`, after `fold` when it was streamed; `unwrap` first turns stream objects into the inner
    ones they carry. Never raises."""
    objects = objects_of(answer)
    values = unwrap(objects.values) if unwrap and objects.streamed else objects.values
    if objects.streamed and fold is not None:
        data = fold(values)
        failed = next((error for error in (error_of(value, 200) for value in values) if error), None)
    else:
        data = values[0] if values else {}
        failed = None
    failed = failed or error_of(data, answer.status, header(answer.headers, "x-amzn-errortype"))
    if failed is None and (objects.damage or not values):
        failed = {"type": "undecodable", "message": objects.damage or "the body is not the JSON this API answers with"}
    response = read(data)
    return replace(response, content=[*response.content, *objects.strays], error=failed or response.error)


def objects_of(answer: Answer) -> Objects:
    """Take an answer's body apart, by its content type and, where that is missing or wrong, by its looks."""
    body, kind = answer.body, header(answer.headers, "content-type").lower()
    if "vnd.amazon.eventstream" in kind:
        return _of_frames(body)
    objects = Objects()
    if "event-stream" not in kind and "ndjson" not in kind:
        value = decoded(body)
        if isinstance(value, dict):
            objects.values.append(value)
            return objects
        if isinstance(value, list):  # Gemini streams an array, and some of its errors come in one
            objects.streamed = True
            for each in value:
                objects.take(encoded(each))
            return objects
    if _LOOKS_LIKE_EVENTS.match(body):
        objects.streamed = True
        _take_events(objects, body)
    elif body.lstrip()[:1] == b"[":
        objects.streamed = True
        elements = ElementDecoder()
        _take_all(objects, elements.feed(body) + elements.end())
    elif body.strip():
        lines = LineDecoder()
        _take_all(objects, lines.feed(body) + lines.end())
        objects.streamed = bool(objects.values) and ("ndjson" in kind or len(objects.values) > 1)
    return objects


def error_of(data: JsonObject, status: int, amazon_type: str = "") -> JsonObject | None:
    """The error an object reports, {"type", "message"}; None when it reports none and the status is no error."""
    kind = amazon_type.partition(":")[0]
    raw = data.get("error")
    if isinstance(raw, dict) and raw:
        names = (raw.get(name) for name in ("type", "status", "code"))
        kind = next((str(name) for name in names if isinstance(name, (str, int)) and name), kind)
        return {"type": kind or "error", "message": as_text(raw.get("message"))}
    if isinstance(raw, str) and raw:
        return {"type": kind or "error", "message": as_name(data.get("error_description")) or raw}
    if data.get("type") == "error" or status >= 400:
        said = next((data[name] for name in ("message", "Message", "detail") if data.get(name)), "")
        kind = kind or as_text(data.get("code")) or (f"http_{status}" if status >= 400 else "error")
        return {"type": kind, "message": said if isinstance(said, str) else encoded(said)}
    return None


def _take_all(objects: Objects, texts: Iterable[bytes]) -> None:
    for text in texts:
        objects.take(text)


def _take_events(objects: Objects, body: bytes) -> None:
    for event in decode_events(body):
        if event.data.strip() == "[DONE]":
            continue
        objects.take(event.data)
        if event.event and objects.values and not {"type", "event_type"} & objects.values[-1].keys():
            objects.values[-1]["type"] = event.event


def _of_frames(body: bytes) -> Objects:
    objects = Objects(streamed=True)
    decoder = FrameDecoder()
    for frame in decoder.feed(body):
        objects.values.append(_of_frame(frame))
    decoder.end()
    objects.damage = decoder.damage
    if decoder.damage and not objects.values:
        objects.strays.append(other(body.decode("utf-8", "replace")))
    return objects


def _of_frame(frame: Frame) -> JsonObject:
    """`{event type: payload}`; an exception becomes an `error` object."""
    payload: Any = decoded(frame.payload)
    if frame.header(":message-type") == "exception":
        message = as_object(payload).get("message")
        return {"error": {"type": frame.header(":exception-type"), "message": message}}
    if frame.header(":message-type") == "error":
        return {"error": {"type": frame.header(":error-code"), "message": frame.header(":error-message")}}
    return {frame.header(":event-type"): payload}
