"""Judges live requests against a recording: match keys, and words for what does not match."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

from playhead.core.ids import shown
from playhead.core.message import parse_request
from playhead.matching.canonical import host_class, other_host, semantic_headers
from playhead.matching.compare import first_difference, similarity
from playhead.matching.divergence import Divergence, DivergenceClass, describe, render
from playhead.matching.fingerprint import canonicalise
from playhead.matching.issued import IssuedIds
from playhead.matching.masks import Masks, RunFacts
from playhead.player.given import Given
from playhead.player.hearing import Listener
from playhead.player.refusal import refusal
from playhead.providers.detect import recognise
from playhead.sessions.session import Session
from playhead.sessions.step import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playhead.core.message import RequestMessage
    from playhead.core.redact import Redactor
    from playhead.core.tape import Exchange, Target
    from playhead.matching.fingerprint import Canonical
    from playhead.player.script import Part
    from playhead.sessions.header import Header
    from playhead.sessions.model import RecordedExchange, Recording

ALIKE = 0.3  # below this a live request is nobody's changed version
CLOSE_BY = 8  # expected requests among which a changed one is looked for first
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d+)")


class RecordingJudge:
    """The Judge of one replay. `live` are the facts of the run that is under way, `redactor` one of the session's rule
    pack: a live request is redacted as the recorded one was before the two are compared."""

    def __init__(self, recording: Recording, redactor: Redactor, live: RunFacts, masks: Masks | None = None) -> None:
        header = recording.header
        self._session = header.id
        self._redactor = redactor
        self._masks = masks or Masks()
        self._live = live
        self._recorded = recorded_facts(header)
        self._literal: dict[bytes, Canonical] = {}
        self._issued = IssuedIds()
        for step in Session(recording).steps:
            if isinstance(step, Step) and step.answered is not None:
                self._issued.note(step.number, step.answered.body)

    def recorded(self, recording: Recording) -> Iterator[tuple[RecordedExchange, Canonical]]:
        """The playable exchanges of the recording, each with its match key; without those that a recorded call of the
        agent's process made, which is answered as a whole."""
        for exchange in recording.exchanges:
            if exchange.within:
                continue
            if exchange.is_playable:
                yield exchange, self._recorded_key(exchange)

    def _recorded_key(self, exchange: RecordedExchange) -> Canonical:
        """Its own function so that a body is let go before the next one is read, which then goes on in its memory."""
        body = exchange.body
        request = parse_request(exchange.head, body, redacted=exchange.request_redacted)
        canonical = canonicalise(request, exchange.target, self._recorded, self._issued, self._masks)
        self._literal.setdefault(_literal(exchange.target, exchange.head, body), replace(canonical, masks_used={}))
        return canonical

    def canonical(self, exchange: Exchange, head: bytes, body: bytes) -> Canonical:
        """The match key of a live request. One that says to the letter what a recorded one said, secrets apart, has its
        key without a mask: a date that was near the recording's clock and stands in the code is equal for ever."""
        scope = self._redactor.message()
        same = self._literal.get(_literal(exchange.target, scope.head(head), body))
        if same is not None:  # most requests of a replay: nobody has to look for secrets in these bytes again
            return same
        clean_head, clean_body = scope.request(head, body)
        if clean_body is not body:
            same = self._literal.get(_literal(exchange.target, clean_head, clean_body))
            if same is not None:
                return same
        request = parse_request(clean_head, clean_body, redacted=clean_body is not body)
        return canonicalise(request, exchange.target, self._live, self._issued, self._masks)

    def begins(self, part: Part, exchange: Exchange, head: bytes, body: bytes) -> bool:
        """Whether a live request, as far as it has come, is how the recorded one of `part`, never completed, began."""
        recorded, scope = part.exchange, self._redactor.message()
        if _LENGTH.findall(head) != _LENGTH.findall(recorded.head):
            return False
        known = recorded.body if len(body) == recorded.cut else recorded.body[: len(body)]
        live = parse_request(*scope.request(head, body))
        once = parse_request(recorded.head, known)
        one = canonicalise(live, exchange.target, self._live, self._issued, self._masks)
        other = canonicalise(once, recorded.target, self._recorded, self._issued, self._masks)
        return one.fingerprint == other.fingerprint

    def divergence(
        self, canonical: Canonical, lane: str, expected: list[Part], used: list[Part]
    ) -> tuple[Divergence, Part | None]:
        """What a request without an equal is: `changed` (with the part it replaces), `exhausted` or `extra`."""
        asked = describe(canonical)
        again = next((p for p in used if p.canonical.fingerprint == canonical.fingerprint), None)
        if again is not None:
            count = sum(p.canonical.fingerprint == canonical.fingerprint for p in used)
            return (
                Divergence(
                    DivergenceClass.EXHAUSTED,
                    None,
                    lane,
                    expected=f"{count} such request{'' if count == 1 else 's'}",
                    observed=f"{count + 1}",
                    nearest=self._address(again),
                    asked=asked,
                    nearest_asked=describe(again.canonical),
                    likeness=1.0,
                ),
                None,
            )
        replaced = self._changed_version(canonical, lane, expected)
        nearest = replaced or max((*expected, *used), key=lambda p: similarity(p.canonical, canonical), default=None)
        difference = None if nearest is None else first_difference(nearest.canonical, canonical)
        if nearest is None or difference is None:
            return Divergence(DivergenceClass.EXTRA, None, lane, asked=asked), None
        return (
            Divergence(
                DivergenceClass.CHANGED if replaced else DivergenceClass.EXTRA,
                replaced.step if replaced else None,
                lane,
                path=difference.path,
                expected=difference.expected,
                observed=difference.observed,
                nearest=self._address(nearest),
                asked=asked,
                nearest_asked=describe(nearest.canonical),
                column=difference.column,
                likeness=difference.similarity,
                masks=tuple(sorted(canonical.masks_used)),
            ),
            replaced,
        )

    def _changed_version(self, canonical: Canonical, lane: str, expected: list[Part]) -> Part | None:
        """The expected request that this one most likely is with something changed: alike, and due soon."""
        possible = [p for p in expected if p.lane == lane or not p.is_settled(lane)]
        own = [p for p in possible if p.lane == lane] or possible
        for candidates in (own[:CLOSE_BY], possible):
            best = max(candidates, key=lambda p: (similarity(p.canonical, canonical), -p.step), default=None)
            if best is not None and similarity(best.canonical, canonical) >= ALIKE:
                return best
        return None

    def absent(self, part: Part, *, swapped: bool) -> Divergence:
        """A recorded exchange that was not asked (`missing`), or asked after one that followed it (`reordered`)."""
        return Divergence(
            DivergenceClass.REORDERED if swapped else DivergenceClass.MISSING,
            part.step,
            part.lane,
            expected=describe(part.canonical),
            observed="asked after a request that came later in the recording" if swapped else "not asked",
            nearest=self._address(part),
            asked=describe(part.canonical) if swapped else "",
        )

    def refusal(self, exchange: Exchange, head: bytes, body: bytes, divergence: Divergence) -> bytes:
        """The HTTP answer to a request that is not on the tape."""
        request = parse_request(head, body)
        provider = recognise(request.method, exchange.target.authority, request.target, request.headers, request.body)
        message = f"playhead replay: {self.report(divergence)}"
        family = provider.shape.family if provider else None
        answer = refusal(family, divergence.kind, divergence.step, message)
        return answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if request.method == "HEAD" else answer

    def hearing(self, part: Part, head: bytes) -> Listener:
        """Who judges what the client says over the websocket of `part` that it asked for with that head."""
        scope = self._redactor.message()
        scope.head(head)  # its secrets are numbered first

        def recorded(request: RequestMessage) -> Canonical:
            return canonicalise(request, part.exchange.target, self._recorded, self._issued, self._masks)

        def live(request: RequestMessage) -> Canonical:
            return canonicalise(request, part.exchange.target, self._live, self._issued, self._masks)

        return Listener(part, scope, recorded, live, self._address(part))

    def report(self, divergence: Divergence) -> str:
        """The report for people, at most 25 lines."""
        return render(divergence, f"playhead inspect {divergence.nearest or shown(self._session)}")

    def _address(self, part: Part) -> str:
        return f"{shown(self._session)}:{part.step}"


def _literal(target: Target, head: bytes, body: bytes) -> bytes:
    """Stands for what counts of a request, to the letter: place, request line, semantic headers, body as framed."""
    digest = sha256(_asked(target, head))
    digest.update(body)
    return digest.digest()


@lru_cache(maxsize=64)  # a client says the same again and again
def _asked(target: Target, head: bytes) -> bytes:
    asked = parse_request(head, b"")
    place = f"{host_class(target)}\0{other_host(asked, target)}"
    what = f"{place}\0{asked.method}\0{asked.target}\0{semantic_headers(asked)}\0"
    return what.encode("utf-8", "surrogatepass")


def recorded_facts(header: Header) -> RunFacts:
    """What is known of the recorded run."""
    given = Given(header.command, header.cwd, header.environment, header.created_ns)
    return RunFacts(header.created_ns, tuple(header.command), header.tmpdir, given, header.zone_s)
