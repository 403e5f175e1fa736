"""No false green: every single change to any known request is seen, and named where it is.

Over the samples of all providers and over every published recording. First with masks that have nothing to cover (a
clock far away, every id known): no change may survive. Then with masks active: exactly those changes survive that hit a
masked literal, and the literals are counted.
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import pytest

from playhead.core.message import RequestMessage
from playhead.matching.compare import first_difference
from playhead.matching.fingerprint import Canonical, canonicalise
from playhead.matching.masks import Masks, RunFacts, UserMask
from tests.matching.mutations import Mutation, mutations
from tests.matching.requests import A_UUID, HEADERS, SAMPLES, TODAY, target_of
from tests.support.published import exchanges

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX_ID = re.compile(r"pyd_ai_[0-9a-f]{32}")
FAR_PAST_NS = 946_684_800 * 10**9


class Known(NamedTuple):
    """A request with a JSON body, and when it was made."""

    name: str
    url: str
    method: str
    headers: list[tuple[str, str]]
    body: bytes
    asked_ns: int

    def canonical(self, body: Any, facts: RunFacts, masks: Masks) -> Canonical:
        """The canonical form with another body."""
        path = "/" + self.url.partition("://")[2].partition("/")[2]
        message = RequestMessage(self.method, path, self.headers, json.dumps(body, separators=(",", ":")).encode())
        return canonicalise(message, target_of(self.url), facts, None, masks)


@functools.cache
def samples() -> tuple[Known, ...]:
    """The requests of tests.matching.requests."""
    return tuple(
        Known(name, url, "POST", HEADERS, json.dumps(body).encode(), TODAY.wall_ns)
        for name, (url, body) in SAMPLES.items()
    )


@functools.cache
def published() -> tuple[Known, ...]:
    """Every distinct published request with a JSON body."""
    found: dict[tuple[str, str, bytes], Known] = {}
    for exchange in exchanges():
        try:
            json.loads(exchange.request_body)
        except ValueError:
            continue
        dates = [value for name, value in exchange.response_headers if name.lower() == "date"]
        asked = (
            parsedate_to_datetime(dates[0])
            if dates and "REDACTED" not in dates[0]
            else datetime(2025, 1, 1, tzinfo=UTC)
        )
        known = Known(
            str(exchange),
            exchange.url,
            exchange.method,
            exchange.request_headers,
            exchange.request_body,
            int(asked.timestamp()) * 10**9,
        )
        found.setdefault((known.method, known.url, known.body), known)
    return tuple(found.values())


class Tally(NamedTuple):
    """What became of all changes of some requests. `misnamed`: seen, but said to be elsewhere."""

    changes: int
    survivors: list[tuple[Known, str, str, str]]
    misnamed: list[tuple[str, str, tuple[str, ...], str]]


def tally(requests: tuple[Known, ...], facts_of: Any, masks: Masks, *, every_character: bool = False) -> Tally:
    """Make every change to every request and compare with the original."""
    changes = 0
    survivors: list[tuple[Known, str, str, str]] = []
    misnamed: list[tuple[str, str, tuple[str, ...], str]] = []
    for known in requests:
        facts = facts_of(known)
        body = json.loads(known.body)
        original = known.canonical(body, facts, masks)
        for mutation in mutations(body, every_character=every_character):
            changes += 1
            difference = first_difference(original, known.canonical(mutation.body, facts, masks))
            if difference is None:
                survivors.append((known, mutation.what, mutation.paths[0], mutation.leaf))
            elif not named(mutation, difference.path):
                misnamed.append((known.name, mutation.what, mutation.paths, difference.path))
        assert original.fingerprint == known.canonical(body, facts, masks).fingerprint
    return Tally(changes, survivors, misnamed)


def named(mutation: Mutation, path: str) -> bool:
    """Whether `path` says where the change is; a swap may be said inside the first of the two."""
    return any(path == each or (each.endswith("*") and path.startswith(each[:-1])) for each in mutation.paths)


def nothing_to_mask(known: Known) -> RunFacts:
    """A run long ago that was given every id of the request."""
    return RunFacts(wall_ns=FAR_PAST_NS, known_text=known.body.decode())


def as_it_ran(known: Known) -> RunFacts:
    """The run that made the request: its clock, its TMPDIR, no id known."""
    return RunFacts(wall_ns=known.asked_ns, tmpdir="/tmp/run-a")


def test_no_change_to_a_sample_survives():
    """Every character of every text, every number, flag, name and element of every provider's request."""
    result = tally(samples(), nothing_to_mask, Masks(), every_character=True)
    assert result.changes > 1900
    assert result.survivors == []
    assert result.misnamed == []


SOURCES = {
    "langchain-anthropic": 7236,
    "langchain-openai": 11953,
    "langsmith": 4352,
    "opentelemetry-instrumentation-botocore": 4246,
    "opentelemetry-instrumentation-genai-anthropic": 1488,
    "opentelemetry-instrumentation-genai-bedrock": 293,
    "opentelemetry-instrumentation-genai-openai": 3071,
    "opentelemetry-instrumentation-google-genai": 639,
}


@pytest.mark.parametrize("source", SOURCES)
def test_no_change_to_a_published_request_survives(source: str):
    """Over all published recordings: no survivor, and the path is the right one. The number of changes is pinned, so
    that no request drops out of the test unseen."""
    requests = tuple(known for known in published() if source_of(known) == source)
    result = tally(requests, nothing_to_mask, Masks())
    assert result.survivors == []
    assert result.misnamed == []
    assert result.changes == SOURCES[source]


def test_every_published_request_is_under_test():
    """No source is forgotten above."""
    assert {source_of(known) for known in published()} == set(SOURCES)
    assert len(published()) > 400


def source_of(known: Known) -> str:
    """The package a request was published in, without its version."""
    return known.name.partition("/")[0].rpartition("-")[0]


def test_masks_cover_only_masked_literals_of_samples():
    """With masks active, a change survives only inside a date, uuid, temp name or framework id that is still one after
    it; everything beside them is seen, and the rules' uses are counted."""
    result = tally(samples(), as_it_ran, Masks(), every_character=True)
    used = {
        known.name: known.canonical(json.loads(known.body), as_it_ran(known), Masks()).masks_used for known in samples()
    }
    assert {name: masks for name, masks in used.items() if masks} == {
        "openai-chat": {"date@1": 1},
        "openai-responses": {"uuid@1": 1},
        "anthropic": {"tmp-path@1": 1, "uuid@1": 1},
        "gemini": {"date@1": 1, "client-id@1": 2},
    }
    # one of two equal client ids changed: their equality breaks, which shows at the second
    assert {(name, path, said) for name, _, (path,), said in result.misnamed} == {
        ("gemini", "$.contents[1].parts[0].functionCall.id", "$.contents[2].parts[0].functionResponse.id")
    }
    survived = Counter((known.name, path) for known, _, path, _ in result.survivors)
    # of a uuid 32 characters are hex digits; of the time 7 digits stay within 24 h; of two equal client ids none is free
    assert survived == {
        ("openai-responses", "$.instructions"): 32,
        ("anthropic", "$.metadata.user_id"): 32,
        ("gemini", "$.contents[0].parts[0].text"): 7,
    }
    for known, what, _, leaf in result.survivors:
        at = int(what.removeprefix("character "))
        start = leaf.index(A_UUID) if A_UUID in leaf else leaf.index("2026-11-21T")
        assert start <= at < start + 36, (known.name, what)


def test_masks_cover_only_masked_literals_of_published_requests():
    """The same for every published request, at the clock of its own recording: each survivor stands in a literal that a
    rule covers, and the requests that use masks at all are few and counted."""
    requests = published()
    used: Counter[str] = Counter()
    masked: list[Known] = []
    for known in requests:
        masks = known.canonical(json.loads(known.body), as_it_ran(known), Masks()).masks_used
        used.update(masks)
        if masks:
            masked.append(known)
    result = tally(tuple(masked), as_it_ran, Masks())
    assert (len(masked), dict(used)) == (8, {"uuid@1": 21})
    assert result.misnamed == []
    for known, what, path, leaf in result.survivors:
        assert what.startswith("character "), (known.name, what, path)
        at = int(what.removeprefix("character "))
        spans = [
            match.span()
            for match in (*_UUID.finditer(leaf), *_HEX_ID.finditer(leaf), *re.finditer(r"[\d\-:TZ]{10,}", leaf))
        ]
        assert any(start <= at < end for start, end in spans), (known.name, what, path, leaf[:80])


def test_control_a_wide_mask_lets_changes_survive():
    """The test above can fail: with a mask over all messages, their changes survive."""
    wide = Masks(user=tuple(UserMask("*", path, "control") for path in ("$.messages", "$.input", "$.contents")))
    result = tally(samples(), nothing_to_mask, wide)
    assert len(result.survivors) > 100
    assert {path.split(".")[1].split("[")[0] for _, _, path, _ in result.survivors} == {"messages", "input", "contents"}


@pytest.mark.parametrize("source", ["samples", "published"])
def test_no_change_beside_the_body_survives(source: str):
    """Method, host, each segment of the path, each query pair and each counted header of every request."""
    for known in {"samples": samples, "published": published}[source]():
        facts = nothing_to_mask(known)
        body = json.loads(known.body)
        original = known.canonical(body, facts, Masks())
        scheme, _, rest = known.url.partition("://")
        host, _, tail = rest.partition("/")
        path, _, query = tail.partition("?")
        others = {
            "$.method": known._replace(method="PATCH"),
            "$.path": known._replace(url=f"{scheme}://{host}/{path}x" + (f"?{query}" if query else "")),
            "$.host": known._replace(url=f"{scheme}://x{host}/{tail}"),
            "$.query.added": known._replace(url=f"{known.url}{'&' if query else '?'}added=1"),
            "$.headers.anthropic-beta": known._replace(
                headers=[
                    *(pair for pair in known.headers if pair[0].lower() != "anthropic-beta"),
                    ("anthropic-beta", "new"),
                ]
            ),
            "$.headers.content-type": known._replace(
                headers=[
                    *(pair for pair in known.headers if pair[0].lower() != "content-type"),
                    ("content-type", "application/other+json"),
                ]
            ),
        }
        for expected, other in others.items():
            difference = first_difference(original, other.canonical(body, facts, Masks()))
            assert difference is not None, (known.name, expected)
            assert difference.path == expected, (known.name, expected)
