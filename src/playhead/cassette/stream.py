"""Answers as people read them: their head, their chunked framing undone, event streams as templates and what fills them.

A streamed answer repeats a frame around every word. Consecutive events that differ in at most HOLES of their strings
and numbers are told as `{"each": [text, text, ...], "of": [fill, fill, ...]}`: the event is the texts with the fills
between them; a fill is a string, or a list of them where there are several holes. Other events are strings, exact.
"""

from __future__ import annotations

import re
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, TypeGuard

from playhead.cassette.payload import Unshown, hide, hide_head, show, show_head

if TYPE_CHECKING:
    from playhead.cassette.limits import Budget

HOLES = 3
_ALIKE = 3  # events at least, for a template
_BLANK = re.compile(rb"\r\n\r\n|\n\n")
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*+"?|-?\d++(?:\.\d++)?)', re.DOTALL)  # linear, also where a quote is not closed
_CHUNKED = re.compile(rb"^transfer-encoding:[^\r\n]*\bchunked\b", re.IGNORECASE | re.MULTILINE)
_STREAM = re.compile(rb"^content-type:[ \t]*text/event-stream\b", re.IGNORECASE | re.MULTILINE)
_CHUNK_LINE = re.compile(rb"(0|[1-9a-f][0-9a-f]{0,7})\r\n")
_LAST_CHUNK = b"0\r\n\r\n"


def show_answer(raw: bytes) -> dict[str, Any]:
    """An answer's bytes: `head`, maybe `chunked`, and a payload as `payload.show` has it, or `events`."""
    if not raw:
        return {}
    end = raw.find(b"\r\n\r\n") + 4
    if end < 4:
        return show(raw)
    head, body = raw[:end], raw[end:]
    shown: dict[str, Any] = {"head": show_head(head)}
    sizes = _unchunked(body) if _CHUNKED.search(head) else None
    if sizes is not None:
        body = _joined(body, sizes)
    events = _events(body) if _STREAM.search(head) else None
    if sizes is not None:
        # most servers flush each event as one chunk: then its size need not be told
        each = events is not None and sizes == [len(event.encode()) for event in events]
        shown["chunked"] = "events" if each else runs(sizes)
    if events is not None:
        shown["events"] = _templates(events)
    elif body:
        shown |= show(body)
    return shown


def hide_answer(shown: dict[str, Any], budget: Budget) -> bytes:
    """The bytes of a shown answer. Raises Unshown, and UnfoldsTooFar when the budget ends."""
    head = hide_head(shown["head"]) if "head" in shown else b""
    if "events" in shown:
        try:
            events = [event.encode() for event in _filled(shown["events"], budget)]
        except UnicodeEncodeError:
            raise Unshown("an event with half a character") from None
        body = b"".join(events)
    else:
        events, body = [], hide(shown)
        budget.take(len(body))
    if "chunked" not in shown:
        return head + body
    sizes = [len(event) for event in events] if shown["chunked"] == "events" else unrun(shown["chunked"], budget)
    if sum(sizes) != len(body) or 0 in sizes:
        raise Unshown("chunks that are not those of the body")
    parts = [head]
    at = 0
    for size in sizes:
        parts.append(b"%x\r\n%b\r\n" % (size, body[at : at + size]))
        at += size
    return b"".join([*parts, _LAST_CHUNK])


def unit_ends(raw: bytes) -> list[int]:
    """Where in an answer a read is likely to end: behind its head, behind each chunk, or else behind each event."""
    end = raw.find(b"\r\n\r\n") + 4
    if end < 4:
        return [len(raw)]
    body = raw[end:]
    if _CHUNKED.search(raw[:end]):
        sizes = _unchunked(body)
        if sizes is not None:
            return list(accumulate([*(len(b"%x" % size) + size + 4 for size in sizes), 5], initial=end))
    ends = [end, *(end + match.end() for match in _BLANK.finditer(body))]
    return ends if ends[-1] == len(raw) else [*ends, len(raw)]


def _unchunked(body: bytes) -> list[int] | None:
    """The sizes of a chunked body's chunks, when framing the same pieces again gives the same bytes."""
    sizes: list[int] = []
    at = 0
    while not body.startswith(_LAST_CHUNK, at):
        line = _CHUNK_LINE.match(body, at)
        size = int(line[1], 16) if line else 0
        if line is None or not size or not body.startswith(b"\r\n", line.end() + size):
            return None
        sizes.append(size)
        at = line.end() + size + 2
    return sizes if at + len(_LAST_CHUNK) == len(body) else None


def _joined(body: bytes, sizes: list[int]) -> bytes:
    parts = []
    at = 0
    for size in sizes:
        at += len(b"%x" % size) + 2
        parts.append(body[at : at + size])
        at += size + 2
    return b"".join(parts)


def _events(body: bytes) -> list[str] | None:
    """The events of a stream, with their ends; None for bytes that are no text."""
    ends = [match.end() for match in _BLANK.finditer(body)]
    if not ends or ends[-1] < len(body):
        ends.append(len(body))
    try:
        return [body[start:end].decode() for start, end in pairwise([0, *ends]) if start < end]
    except UnicodeDecodeError:
        return None


def _templates(events: list[str]) -> list[Any]:
    told: list[Any] = []
    tokens = [_TOKEN.split(event) for event in events]
    at = 0
    while at < len(events):
        end, holes = _alike(tokens, at)
        if not holes:
            told += events[at:end]
            at = end
            continue
        if end - at < _ALIKE:
            told.append(events[at])
            at += 1
            continue
        told.append(_template(tokens[at:end], sorted(holes)))
        at = end
    return told


def _alike(tokens: list[list[str]], first: int) -> tuple[int, set[int]]:
    """Where the run of events that are like the first ends, and at which tokens they differ."""
    model = tokens[first]
    holes: set[int] = set()
    end = first + 1
    while end < len(tokens) and len(tokens[end]) == len(model):
        more = {n for n, (a, b) in enumerate(zip(tokens[end], model, strict=True)) if a != b} | holes
        if len(more) > HOLES or any(n % 2 == 0 for n in more):
            break
        holes = more
        end += 1
    return end, holes


def _template(events: list[list[str]], holes: list[int]) -> dict[str, Any]:
    model = events[0]
    quoted = {hole: all(_is_quoted(event[hole]) for event in events) for hole in holes}
    texts: list[str] = []
    start = 0
    opening = ""
    for hole in holes:
        quote = '"' if quoted[hole] else ""
        texts.append(opening + "".join(model[start:hole]) + quote)
        opening, start = quote, hole + 1
    texts.append(opening + "".join(model[start:]))
    fills: list[Any] = [[event[h][1:-1] if quoted[h] else event[h] for h in holes] for event in events]
    return {"each": texts, "of": [fill[0] for fill in fills] if len(holes) == 1 else fills}


def _is_quoted(token: str) -> bool:
    return len(token) > 1 and token[0] == token[-1] == '"'


def _filled(told: Any, budget: Budget) -> list[str]:
    events: list[str] = []
    if not isinstance(told, list):
        raise Unshown("events that are no list")
    for item in told:
        if isinstance(item, str):
            events.append(item)
            continue
        texts, fills = (item.get("each"), item.get("of")) if isinstance(item, dict) else (None, None)
        if not _strings(texts) or not isinstance(fills, list) or not 2 <= len(texts) <= HOLES + 1:
            raise Unshown("an event that is neither text nor template")
        budget.take(len(fills) * (sum(map(len, texts)) + 64))
        for fill in fills:
            parts = [fill] if isinstance(fill, str) else fill
            if not _strings(parts) or len(parts) != len(texts) - 1:
                raise Unshown("a fill that does not fit its template")
            events.append("".join(piece for pair in zip(texts, [*parts, ""], strict=True) for piece in pair))
    return events


def _strings(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def runs(numbers: list[int]) -> list[Any]:
    """Numbers with repetitions told once: `[7, [3, 20], 5]` is a 7, twenty 3 and a 5."""
    told: list[Any] = []
    at = 0
    while at < len(numbers):
        end = at
        while end < len(numbers) and numbers[end] == numbers[at]:
            end += 1
        told += [[numbers[at], end - at]] if end - at > 2 else numbers[at:end]
        at = end
    return told


def unrun(told: Any, budget: Budget) -> list[int]:
    """The numbers of `runs`, none negative. Raises Unshown, and UnfoldsTooFar when the budget ends."""
    numbers: list[int] = []
    if not isinstance(told, list):
        raise Unshown("no list of numbers")
    for item in told:
        number, times = item if isinstance(item, list) and len(item) == 2 else (item, 1)
        if type(number) is not int or type(times) is not int or number < 0 or times < 1:
            raise Unshown("no list of numbers")
        budget.pointers(times)
        numbers += [number] * times
    return numbers
