"""A step that the agent's own processes tell of, and no wire: what its kinds have in common."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playhead.providers.base import NormalRequest, NormalResponse, Provider
    from playhead.sessions.model import Recording

TITLE_LENGTH = 100


class InsideStep:
    """Has what Step has, for code that shows steps. `began_ns` and `ended_ns` are monotonic; 0 = it has no end."""

    ttft_s = None
    lost = ""
    is_playable = True
    lossy = False
    provider: Provider | None = None
    request: NormalRequest | None = None
    response: NormalResponse | None = None

    def __init__(
        self, recording: Recording, number: int, lane: str, parents: list[int], began_ns: int, ended_ns: int
    ) -> None:
        self._recording = recording
        self.number = number
        self.lane = lane
        self.parents = parents
        self._began_ns = began_ns
        self._ended_ns = ended_ns

    @property
    def address(self) -> str:
        """`7f3a2b9c:4`."""
        return f"{self._recording.header.id[:8]}:{self.number}"

    @property
    def kind(self) -> str:
        """`tool`, `node`, `state` or `llm`."""
        raise KeyError(type(self))  # every kind of step has its own

    @property
    def status(self) -> str:
        """`ok`, `error` or `aborted`."""
        return "ok"

    @property
    def title(self) -> str:
        """One line."""
        return one_line(self.said)

    @property
    def said(self) -> str:
        """What it says, in words."""
        return ""

    @property
    def model(self) -> str | None:
        return None

    @property
    def cost_usd(self) -> float | None:
        return None

    @property
    def started_s(self) -> float:
        """Seconds since the run began."""
        return (self._began_ns - self._recording.started_ns) / 1e9

    @property
    def wall_ns(self) -> int:
        """Wall-clock time of its start."""
        return self._recording.header.created_ns + self._began_ns - self._recording.started_ns

    @property
    def duration_s(self) -> float | None:
        return (self._ended_ns - self._began_ns) / 1e9 if self._ended_ns else None

    def asked_and_answered(self) -> tuple[Any, Any]:
        """`request` and `response` of `inspect S:4 --json`."""
        return None, None

    def bytes_of(self) -> tuple[bytes, bytes]:
        """The bytes that were written of it, before and after."""
        return b"", b""

    def searchable(self) -> Iterator[str]:
        """Its words, for full-text search."""
        yield self.said
        for body in self.bytes_of():
            yield body.decode("utf-8", "replace")

    def to_json(self, *, cost_usd: float | None = None, whole: bool = False, raw: bool = False) -> dict[str, Any]:
        """The object of `inspect --json`, as `Step.to_json`."""
        response = self.response
        data: dict[str, Any] = {
            "step": self.number,
            "kind": self.kind,
            "lane": self.lane,
            "title": self.title,
            "provider": self.provider.name if self.provider is not None else None,
            "model": self.model,
            "started_s": round(self.started_s, 6),
            "duration_s": None if self.duration_s is None else round(self.duration_s, 6),
            "ttft_s": None,
            "status": self.status,
            "usage": response.usage.to_json() if response is not None else None,
            "cost_usd": cost_usd,
            "stop_reason": response.stop_reason if response is not None else None,
            "parents": self.parents,
            "origin": "edited" if self.number in self._recording.header.edited else "recorded",
            "ending": None if self.status == "aborted" else "complete",
            "lossy": self.lossy,
        }
        if whole:
            data["request"], data["response"] = self.asked_and_answered()
        if raw:
            asked, answered = (b64encode(body).decode() for body in self.bytes_of())
            data["raw"] = {"request": {"bytes": asked}, "response": {"bytes": answered}}
        return data


def one_line(text: str) -> str:
    """Text as a title."""
    text = " ".join(text.split())
    return text if len(text) <= TITLE_LENGTH else text[: TITLE_LENGTH - 3] + "..."


def json_or_text(data: bytes | str) -> Any:
    """JSON where it is that, else text; None for nothing."""
    try:
        return json.loads(data) if data else None
    except (ValueError, RecursionError):
        return data.decode("utf-8", "replace") if isinstance(data, bytes) else data


def call_text(name: str, arguments: bytes | str) -> str:
    """A call as code has it: `weather(city="Paris", days=2)`; what is not JSON stands as it is."""
    told = json_or_text(arguments)
    if isinstance(told, dict):
        told = ", ".join(f"{each}={json.dumps(value, ensure_ascii=False)}" for each, value in told.items())
    return f"{name}({'' if told is None else told})"


def raised_text(body: bytes) -> str:
    """An exception as its class and arguments, as far as its stored form says so."""
    told = json_or_text(body)
    if isinstance(told, dict):
        name = str(told.get("c") or told.get("class") or "").rpartition(":")[2]
        arguments = told.get("args") or told.get("a") or []
        if name:
            return f"{name}({', '.join(json.dumps(a, ensure_ascii=False) for a in arguments)})"
    return body.decode("utf-8", "replace")
