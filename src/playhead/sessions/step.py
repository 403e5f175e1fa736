"""One step: an exchange and what it means."""

from __future__ import annotations

from base64 import b64encode
from functools import cached_property
from typing import TYPE_CHECKING, Any

from playhead.core.events import Ending
from playhead.core.message import parse_answer, parse_request
from playhead.providers.detect import recognise

if TYPE_CHECKING:
    from playhead.core.message import AnswerMessage, RequestMessage
    from playhead.providers.base import NormalRequest, NormalResponse, Provider
    from playhead.sessions.additions import Additions
    from playhead.sessions.model import RecordedExchange, Recording
    from playhead.sessions.talk import Spoken

TITLE_LENGTH = 100


class Step:
    """An exchange as people see it. Everything is decoded on first use from the bytes of the wire."""

    def __init__(
        self, recording: Recording, exchange: RecordedExchange, parents: list[int], additions: Additions | None = None
    ) -> None:
        self._recording = recording
        self._additions = additions
        self.exchange = exchange
        self.number = exchange.number
        self.parents = parents

    @property
    def address(self) -> str:
        """`7f3a2b9c:4`."""
        return f"{self._recording.header.id[:8]}:{self.number}"

    @property
    def lane(self) -> str:
        return self._recording.lane_of(self.exchange)

    @property
    def lossy(self) -> bool:
        """Whether redaction changed its answer."""
        return self.exchange.lossy

    @property
    def lost(self) -> str:
        """What of it is damaged; "" = nothing."""
        return self.exchange.lost

    @property
    def is_playable(self) -> bool:
        """Whether a replay can answer it at all."""
        return self.exchange.is_playable

    @cached_property
    def asked(self) -> RequestMessage:
        """The request as an HTTP message, body decoded."""
        return parse_request(self.exchange.head, self._body, redacted=self.exchange.request_redacted)

    @cached_property
    def _body(self) -> bytes:
        return self.exchange.body

    @cached_property
    def answered(self) -> AnswerMessage | None:
        """The answer as an HTTP message, body decoded; None when no answer head came."""
        raw = self.exchange.answer
        return parse_answer(raw, method=self.asked.method, redacted=self.exchange.lossy) if raw else None

    @cached_property
    def spoken(self) -> list[Spoken]:
        """What both sides of a websocket said; empty for other exchanges."""
        if self.exchange.protocol != "websocket":
            return []
        from playhead.sessions.talk import spoken  # here: few sessions have one

        return spoken(self.exchange)

    @cached_property
    def provider(self) -> Provider | None:
        """The provider whose wire shape this exchange has; None for plain HTTP."""
        asked = self.asked
        if self.exchange.protocol != "http/1.1" or not asked.method:
            return None
        return recognise(asked.method, self.exchange.target.authority, asked.target, asked.headers, self._shortened)

    @cached_property
    def _shortened(self) -> bytes:
        """The request's body without what an earlier one had, as far as that is known."""
        body = self.asked.body
        read_form = self.exchange.read_form
        if self._additions is None or read_form is None or body is not self._body:
            return body
        return self._additions.of(self.exchange.number, body, read_form())

    @cached_property
    def added(self) -> NormalRequest | None:
        """The question as `request`, where a message of type `other` that holds a number N may stand for N messages in
        its place that an earlier step's question had; None for plain HTTP."""
        if self.provider is None:
            return None
        if self._shortened is self.asked.body:
            return self.request
        asked = self.asked
        return self.provider.normal_request(asked.method, asked.target, asked.headers, self._shortened)

    @property
    def kind(self) -> str:
        """`llm` or `http`."""
        return "llm" if self.provider is not None else "http"

    @cached_property
    def request(self) -> NormalRequest | None:
        """The normalised question to a model; None for plain HTTP."""
        asked = self.asked
        if self.provider is None:
            return None
        return self.provider.normal_request(asked.method, asked.target, asked.headers, asked.body)

    @cached_property
    def response(self) -> NormalResponse | None:
        """The normalised answer of a model; None for plain HTTP and where no answer came."""
        if self.provider is None or self.answered is None or self.added is None:
            return None
        answered = self.answered
        return self.provider.normal_response(answered.status, answered.headers, answered.body, self.added)

    @property
    def model(self) -> str | None:
        if self.response is not None and self.response.model:
            return self.response.model
        return self.added.model if self.added is not None else None

    @property
    def status(self) -> str:
        """`ok`; `error` for a status of 400 and above or a broken connection; `aborted` when the caller went away or
        the run ended before the model had said why it stopped (SDKs hang up once they have read what they need)."""
        if self.exchange.protocol != "http/1.1" and self.exchange.ending is Ending.ABANDONED:
            return "ok"  # either side may close what is no single answer
        if self.exchange.ending in (None, Ending.ABANDONED):
            if self.response is None or self.response.stop_reason is None or self.response.error:
                return "aborted"
        elif self.exchange.ending not in (Ending.COMPLETE, Ending.CLOSED):
            return "error"
        return "error" if self.answered is None or self.answered.status >= 400 else "ok"

    @property
    def title(self) -> str:
        """One line: what a model said or called, or the request line of plain HTTP. Begins with `in doubt` where
        recording ended before the answer did."""
        response = self.response
        if self.exchange.ending not in (Ending.COMPLETE, Ending.CLOSED, Ending.ABANDONED, None):
            text = f"{self.exchange.ending}: {self.exchange.detail}".rstrip(": ")
        elif response is not None and response.error:
            text = f"{self.answered.status if self.answered else ''} {response.error.get('message') or response.error.get('type')}"
        elif response is not None and response.tool_calls:
            calls = ", ".join(f"{c.name}({_arguments(c.arguments_text)})" for c in response.tool_calls)
            text = f"{response.text} -> {calls}" if response.text else f"-> {calls}"
        elif response is not None and response.text:
            text = response.text
        else:
            answered = self.answered
            path = self.asked.target.partition("?")[0]
            text = f"{self.asked.method} {self.exchange.target.host}{path}"
            if self.exchange.protocol != "http/1.1":
                text = f"{self.exchange.protocol} {self.exchange.target.authority}"
            elif answered is not None:
                text += f" {answered.status}"
        if self.exchange.ending is None and not self._recording.being_written:
            text = f"in doubt: {text}"
        return _one_line(text)

    @property
    def started_s(self) -> float:
        """Seconds since the run began."""
        return (self.exchange.opened_ns - self._recording.started_ns) / 1e9

    @property
    def wall_ns(self) -> int:
        """Wall-clock time of its start."""
        return self._recording.header.created_ns + self.exchange.opened_ns - self._recording.started_ns

    @cached_property
    def cost_usd(self) -> float | None:
        """What the answer cost at the recorded date; None for plain HTTP and where no price is known."""
        if self.provider is None or self.response is None or self.added is None:
            return None
        from playhead.cost.price import price  # here: most who read a step ask no price

        names = (self.response.model, self.added.model)
        cost = price(
            self.provider.name,
            self.provider.operation,
            names,
            self.response.usage,
            self.wall_ns,
            tier=self.response.tier,
        )
        return None if cost is None else float(cost)

    @property
    def duration_s(self) -> float | None:
        ended = self.exchange.ended_ns
        return (ended - self.exchange.opened_ns) / 1e9 if ended else None

    @property
    def ttft_s(self) -> float | None:
        """Seconds to the first byte of the answer."""
        chunks = self.exchange.chunks
        return (chunks[0].t_ns - self.exchange.opened_ns) / 1e9 if chunks else None

    def to_json(self, *, cost_usd: float | None = None, whole: bool = False, raw: bool = False) -> dict[str, Any]:
        """The object of `inspect --json`; `whole` adds the normalised request and response, `raw` the exact bytes.
        The cost is the session's to say: what an earlier step told already is not paid again."""
        response = self.response
        data: dict[str, Any] = {
            "step": self.number,
            "kind": self.kind,
            "lane": self.lane,
            "title": self.title,
            "provider": self.provider.name if self.provider else None,
            "model": self.model,
            "started_s": _rounded(self.started_s),
            "duration_s": _rounded(self.duration_s),
            "ttft_s": _rounded(self.ttft_s),
            "status": self.status,
            "usage": response.usage.to_json() if response is not None else None,
            "cost_usd": cost_usd,
            "stop_reason": response.stop_reason if response is not None else None,
            "parents": self.parents,
            "origin": "edited" if self.number in self._recording.header.edited else "recorded",
            "ending": self.exchange.ending.value if self.exchange.ending else None,
            "lossy": self.exchange.lossy,
        }
        if whole:
            data["request"] = self.request.to_json() if self.request else self._plain_request()
            data["response"] = response.to_json() if response else self._plain_response()
            if self.spoken:
                data["messages"] = [said.to_json(self.exchange.opened_ns) for said in self.spoken]
        if raw:
            data["raw"] = self._raw()
        return data

    def _plain_request(self) -> dict[str, Any]:
        asked = self.asked
        return {
            "method": asked.method,
            "url": f"{self.exchange.target.scheme}://{self.exchange.target.authority}{asked.target}",
            "text": asked.body.decode("utf-8", "replace"),
        }

    def _plain_response(self) -> dict[str, Any] | None:
        answered = self.answered
        if answered is None:
            return None
        text = "" if self.spoken else answered.body.decode("utf-8", "replace")
        return {"status": answered.status, "text": text}

    def _raw(self) -> dict[str, Any]:
        exchange, offsets, position = self.exchange, [], 0
        for chunk in exchange.chunks:
            offsets.append(
                {
                    "offset": position,
                    "length": len(chunk.data),
                    "t_s": _rounded((chunk.t_ns - exchange.opened_ns) / 1e9),
                }
            )
            position += len(chunk.data)
        answered = self.answered
        return {
            "request": {
                "bytes": b64encode(exchange.head + exchange.body).decode(),
                "head_length": len(exchange.head),
                "headers": [list(h) for h in self.asked.headers],
            },
            "response": {
                "bytes": b64encode(exchange.answer).decode(),
                "status": answered.status if answered else None,
                "headers": [list(h) for h in answered.headers] if answered else [],
                "chunks": offsets,
                "ending": exchange.ending.value if exchange.ending else None,
            },
        }


def _arguments(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= TITLE_LENGTH else text[: TITLE_LENGTH - 3] + "..."


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
