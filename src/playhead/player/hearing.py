"""Listens to the client of a websocket in a replay: is it the recorded conversation?

A message is compared as a request body is, by its canonical form, masked by the facts of its own run and without secrets.
Redaction may wait for later messages before it decides on one, since a secret may go on in the next. One that says what the
recorded one says counts at once; one that differs counts as changed at once, unless the recorded one lost a secret.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from playhead.core.message import RequestMessage
from playhead.core.redact_answer import Text
from playhead.core.redact_rules import TOKEN
from playhead.core.websocket import CLOSE, TEXT
from playhead.matching.compare import first_difference
from playhead.matching.divergence import Divergence, DivergenceClass, describe
from playhead.player.talk import Said

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.redact import Scope
    from playhead.matching.fingerprint import Canonical
    from playhead.player.script import Part

_TOKEN = b"<redacted>"


class Listener:
    """The Hearing of one websocket. `recorded` and `live` make match keys by the facts of either run."""

    def __init__(
        self,
        part: Part,
        scope: Scope,
        recorded: Callable[[RequestMessage], Canonical],
        live: Callable[[RequestMessage], Canonical],
        address: str,
    ) -> None:
        self._part = part
        self._scope = scope
        self._recorded, self._live = recorded, live
        self._address = address
        self._text = Text(lambda: scope.stream(same_length=True), events=True)
        self._undecided: deque[tuple[int, Said, Said]] = deque()
        self._judged = bytearray()

    def said(self, number: int, recorded: Said | None, live: Said) -> Divergence | None:
        """The client's next; a divergence may be of an earlier one."""
        if live.opcode == CLOSE or recorded is None or recorded.opcode == CLOSE:
            return self._decided() or (
                None if recorded is not None and live[:2] == recorded[:2] else self._other(number, recorded, live)
            )
        self._judged += self._text.feed(live.text + b"\n")
        self._undecided.append((number, recorded, live))
        found = self._decided()
        if found is not None or not self._undecided or recorded.lossy:
            return found
        return self._changed(number, recorded, live)

    def ended(self, number: int, recorded: Said | None) -> Divergence | None:
        """Nothing more comes."""
        self._judged += self._text.close()
        return self._decided() or (None if recorded is None else self._other(number, recorded, None))

    def _decided(self) -> Divergence | None:
        """The first of those that redaction has decided on that says something else."""
        while self._undecided:
            number, recorded, live = self._undecided[0]
            size = len(live.text)
            if len(self._judged) <= size:
                return None
            self._undecided.popleft()
            clean = Said(live.opcode, bytes(self._judged[:size]))
            del self._judged[: size + 1]
            found = self._changed(number, recorded, clean)
            if found is not None:
                return found
        return None

    def _changed(self, number: int, recorded: Said, live: Said) -> Divergence | None:
        before, after = (Said(said.opcode, TOKEN.sub(_TOKEN, said.text)) for said in (recorded, live))
        if before == after:
            return None
        one = self._recorded(_request(before))
        other = self._live(_request(after))
        if one.fingerprint == other.fingerprint:
            return None
        clean = Said(after.opcode, TOKEN.sub(_TOKEN, self._scope.body(after.text)))
        difference = first_difference(one, self._live(_request(clean)))
        if difference is None:
            return None
        path = f"$.sent[{number}]{difference.path[1:]}"
        return self._divergence(DivergenceClass.CHANGED, number, path, difference.expected, difference.observed)

    def _other(self, number: int, recorded: Said | None, live: Said | None) -> Divergence:
        """Not the same kind of thing: one of the two is a close, or nothing."""
        kind = DivergenceClass.CHANGED
        if recorded is None:
            kind = DivergenceClass.EXTRA
        elif live is None:
            kind = DivergenceClass.MISSING
        return self._divergence(kind, number, f"$.sent[{number}]", self._words(recorded), self._words(live))

    def _words(self, said: Said | None) -> str:
        if said is None:
            return "nothing more"
        if said.opcode == CLOSE:
            status = int.from_bytes(said.text[:2], "big")
            reason = self._scope.body(said.text[2:]).decode("utf-8", "replace")
            return f"close {status} {reason}".strip() if said.text else "close"
        if said.opcode != TEXT:
            return f"{len(said.text)} bytes"
        return self._scope.body(said.text)[:200].decode("utf-8", "replace")

    def _divergence(self, kind: DivergenceClass, number: int, path: str, expected: str, observed: str) -> Divergence:
        asked = describe(self._part.canonical)
        return Divergence(
            kind,
            self._part.step,
            self._part.lane,
            path=path,
            expected=expected,
            observed=observed,
            nearest=self._address,
            asked=f"{asked}, message {number + 1}",
            nearest_asked=asked,
            headline="the run said something else over a websocket than the recording",
            meaning="what the client says over this websocket is not what it said when it was recorded",
        )


def _request(said: Said) -> RequestMessage:
    """A message in the shape in which requests are compared."""
    return RequestMessage("TEXT" if said.opcode == TEXT else "BINARY", "/", [], said.text)
