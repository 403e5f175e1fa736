"""The text of a step that people search: what it added to the conversation, and what came back.

Every request of an agent carries the whole conversation again. A message counts where it was first said, so that a
word is found in the step that brought it and the index grows with what is new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playhead.sessions.inside_step import InsideStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playhead.sessions.step import Step

PART_LIMIT = 64 * 1024  # characters of one message part or body that are searchable
STEP_LIMIT = 512 * 1024  # characters of one step
_LONG = 64  # a shorter text may well be said twice; at the same place in the conversation it is the same one


def searchable(step: Step | InsideStep, said: set[int]) -> str:
    """The text of a step, pieces on lines of their own; `said` are hashes of what earlier ones held, and grows."""
    found: list[str] = []
    size = 0
    if isinstance(step, InsideStep):
        return "\n".join(text[:PART_LIMIT] for text in step.searchable() if text)[:STEP_LIMIT]
    for mark, text in (*_asked(step), *_answered(step)):
        if mark is not None:
            if hash(mark) in said:
                continue
            said.add(hash(mark))
        if text:
            found.append(text)
            size += len(text) + 1
        if size > STEP_LIMIT:
            break
    return "\n".join(found)[:STEP_LIMIT]


def _asked(step: Step) -> Iterator[tuple[object, str]]:
    """What was asked, piece by piece, each with what tells it from others that were said."""
    request = step.added
    if request is None:
        target = step.exchange.target
        yield None, f"{step.asked.method} {target.scheme}://{target.authority}{step.asked.target}"
        yield from ((None, text) for text in _plain(step.asked.body))
        return
    if request.system:
        yield ("system", request.system), request.system[:PART_LIMIT]
    for tool in request.tools:
        name = str(tool.get("name") or "")
        if name:
            yield ("tool", name), name
    place = -1
    for message in request.messages:
        place += 1
        if len(message.content) == 1 and type(message.content[0].get("raw")) is int:
            place += message.content[0]["raw"] - 1  # so many messages that were there before
            continue
        for text in _texts(message.content):
            own = len(text) > _LONG or message.role == "assistant"
            yield (text if own else (place, text)), text


def _answered(step: Step) -> Iterator[tuple[object, str]]:
    """What came back; it is new even when the same was said before, and what later requests repeat."""
    response = step.response
    if response is not None:
        if response.error:
            yield None, f"{response.error.get('type') or ''} {response.error.get('message') or ''}"[:PART_LIMIT]
        for text in _texts(response.content):
            yield text, ""
            yield None, text
    elif step.answered is not None:
        yield None, f"{step.answered.status} {step.answered.reason}"
        yield from ((None, said.text[:PART_LIMIT]) for said in step.spoken)
        if not step.spoken:
            yield from ((None, text) for text in _plain(step.answered.body))
    if step.exchange.detail:
        yield None, f"{step.exchange.ending}: {step.exchange.detail}"[:PART_LIMIT]


def _texts(parts: list[Any]) -> Iterator[str]:
    for part in parts:
        kind = part.get("type")
        if kind in ("text", "reasoning"):
            text = str(part.get("text") or "")
        elif kind == "tool_call":
            text = f"{part.get('name') or ''} {part.get('arguments_text') or ''}"
        elif kind == "tool_result":
            content = part.get("content")
            yield from _texts(content if isinstance(content, list) else [])
            continue
        else:
            continue  # pictures, and what this version does not read
        text = text[:PART_LIMIT].strip()
        if text:
            yield text


def _plain(body: bytes) -> Iterator[str]:
    """A body of plain HTTP, if it is text."""
    text = body[: 4 * PART_LIMIT].decode("utf-8", "replace")[:PART_LIMIT]
    if text and "\0" not in text and text.count("\ufffd") <= len(text) // 20:
        yield text
