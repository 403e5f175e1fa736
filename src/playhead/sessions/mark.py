"""What a program said of itself, as steps: `@playhead.step`, states, notes, errors, and what it added by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from playhead.core.events import EventKind
from playhead.sessions.call import lane_label
from playhead.sessions.inside_step import InsideStep, call_text, json_or_text, raised_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from playhead.core.events import Event
    from playhead.providers.base import NormalRequest, NormalResponse, Provider
    from playhead.sessions.model import Recording

KINDS = {
    "enter": "node",
    "node": "node",
    "state": "state",
    "note": "state",
    "error": "state",
    "llm": "llm",
    "tool": "tool",
}
"""Kinds of steps by what a mark is."""

_ENDS = ("leave", "fail")


@dataclass(slots=True, eq=False)
class RecordedMark:
    """One mark as its process wrote it, a step's end with its beginning. `number` is its step; times are monotonic, an end of
    0 = it never ended."""

    process: str
    lane: str
    what: str
    name: str
    body: bytes
    began_ns: int
    number: int = 0
    ended_ns: int = 0
    end: str = ""  # `leave` or `fail`
    end_body: bytes = b""


def marks_of(process: str, events: Iterable[Event]) -> Iterator[RecordedMark]:
    """The marks of one process, in order. Raises KeyError, ValueError or TypeError for events that make no sense."""
    paths: dict[int, str] = {}
    marks: dict[int, RecordedMark] = {}
    for event in events:
        if event.kind is EventKind.LANE:
            paths[event.subject] = str(event.meta["key"])
        elif event.kind is EventKind.MARK:
            meta = event.meta
            what, number = str(meta["what"]), int(meta["n"])
            if what not in _ENDS:
                KINDS[what]  # a kind that this version knows
                lane = lane_label(process, paths[meta["lane"]])
                marks[number] = RecordedMark(process, lane, what, str(meta["name"]), event.body, event.t_ns)
            elif number in marks:
                mark = marks[number]
                mark.ended_ns, mark.end, mark.end_body = event.t_ns, what, event.body
    return iter(marks.values())


class MarkStep(InsideStep):
    """A mark as people see it."""

    def __init__(self, recording: Recording, mark: RecordedMark, parents: list[int]) -> None:
        ended_ns = mark.ended_ns if mark.what == "enter" else mark.began_ns
        super().__init__(recording, mark.number, mark.lane, parents, mark.began_ns, ended_ns)
        self.mark = mark

    @property
    def kind(self) -> str:
        return KINDS[self.mark.what]

    @property
    def status(self) -> str:
        """`ok`; `error` when it raised or is an error; `aborted` for a step that never ended."""
        mark = self.mark
        if mark.what == "enter":
            return {"leave": "ok", "fail": "error"}.get(mark.end, "aborted")
        is_bad = mark.what == "error" or self._told.get("error") or (self.response is not None and self.response.error)
        return "error" if is_bad else "ok"

    @cached_property
    def _told(self) -> dict[str, Any]:
        """What was added by hand."""
        told = json_or_text(self.mark.body) if self.mark.what in ("node", "llm", "tool") else None
        return told if isinstance(told, dict) else {}

    @property
    def said(self) -> str:
        mark, told = self.mark, self._told
        if mark.what == "note":
            return str(json_or_text(mark.body))
        if mark.what == "error":
            return raised_text(mark.body)
        if mark.what == "tool":
            arguments = json.dumps(told.get("args"), ensure_ascii=False)
            ending = (
                f"raised {told['error']}"
                if told.get("error")
                else f"-> {json.dumps(told.get('result'), ensure_ascii=False)}"
            )
            return f"{call_text(mark.name, arguments)} {ending}"
        if mark.what == "llm" and self.response is not None:
            calls = ", ".join(f"{call.name}({call.arguments_text})" for call in self.response.tool_calls)
            return f"{self.response.text} -> {calls}".strip() if calls else self.response.text
        if mark.end == "fail":
            return f"{mark.name} raised {raised_text(mark.end_body)}"
        return f"checkpoint {mark.name}".rstrip() if mark.what == "state" else mark.name

    @property
    def duration_s(self) -> float | None:
        told = self._told.get("duration_s")
        return float(told) if isinstance(told, (int, float)) else super().duration_s

    @cached_property
    def provider(self) -> Provider | None:  # type: ignore[override]
        """Of a model's call that was added by hand; None where its shape is nobody's."""
        if self.mark.what != "llm":
            return None
        from playhead.providers.by_shape import provider_of

        return provider_of(str(self._told.get("provider") or ""), self._told.get("request"), self._told.get("response"))

    @cached_property
    def request(self) -> NormalRequest | None:  # type: ignore[override]
        if self.mark.what != "llm":
            return None
        from playhead.providers.base import NormalRequest
        from playhead.providers.by_shape import read_request

        told = self._told
        if self.provider is not None:
            read = read_request(self.provider, told.get("request"))
        else:
            read = NormalRequest(str(told.get("provider") or ""), "", params={"request": told.get("request")})
        return replace(read, model=str(told["model"])) if told.get("model") else read

    @cached_property
    def response(self) -> NormalResponse | None:  # type: ignore[override]
        told = self._told
        if self.mark.what != "llm" or told.get("response") is None:
            return None
        from playhead.providers.by_shape import read_response, usage_from

        read = read_response(self.provider, told["response"], self.request)
        return replace(read, usage=usage_from(told["usage"])) if isinstance(told.get("usage"), dict) else read

    @property
    def model(self) -> str | None:
        if self.response is not None and self.response.model:
            return self.response.model
        return self.request.model if self.request is not None else None

    @cached_property
    def cost_usd(self) -> float | None:
        """What the answer cost at the recorded date; None where no price is known."""
        if self.response is None or self.request is None:
            return None
        from playhead.cost.price import price  # here: most who read a step ask no price

        vendor = self.provider.name if self.provider is not None else str(self._told.get("provider") or "")
        operation = self.provider.operation if self.provider is not None else "chat"
        names = (self.response.model, self.request.model)
        cost = price(vendor, operation, names, self.response.usage, self.wall_ns, tier=self.response.tier)
        return None if cost is None else float(cost)

    def asked_and_answered(self) -> tuple[Any, Any]:
        mark = self.mark
        if self.request is not None:
            return self.request.to_json(), self.response.to_json() if self.response is not None else None
        if mark.what == "tool":
            told = self._told
            asked = {"tool": mark.name, "effect": told.get("effect") or None, "arguments": told.get("args")}
            raised = told.get("error")
            return asked, {"raised": bool(raised), "value": raised or told.get("result")}
        if mark.what == "node":
            return {"node": mark.name, "state": self._told.get("before"), "metadata": self._told.get("metadata")}, {
                "state": self._told.get("after")
            }
        if mark.what == "enter":
            ended = {"raised": mark.end == "fail", "value": json_or_text(mark.end_body)} if mark.end else None
            return {"node": mark.name, "arguments": json_or_text(mark.body)}, ended
        return {"label": mark.name}, {mark.what: json_or_text(mark.body)}

    def bytes_of(self) -> tuple[bytes, bytes]:
        return self.mark.body, self.mark.end_body

    def shown(self) -> Iterator[tuple[str, str]]:
        """What there is to read of it, each part under its title."""
        mark = self.mark
        if mark.what == "error":
            yield "error", raised_text(mark.body)
        elif mark.what in ("node", "tool"):
            for title, value in self._told.items():
                if value not in (None, "", {}):
                    yield title, json.dumps(value, ensure_ascii=False)
        else:
            yield "arguments" if mark.what == "enter" else mark.what, mark.body.decode("utf-8", "replace")
        if mark.end:
            is_raised = mark.end == "fail"
            end = raised_text(mark.end_body) if is_raised else mark.end_body.decode("utf-8", "replace")
            yield "raised" if is_raised else "returned", end
