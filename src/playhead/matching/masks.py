"""Masks: the named, versioned rules by which a literal of a request stops counting, and what of it still counts.

Every mask is narrow and depends on facts of one run only; a request is masked by its own run's facts, so a literal is
free to differ only where both sides explain it. A masked literal becomes a token that keeps its form and the number of
the distinct literal by first appearance (same literal, same token), so a changed relation between two literals still
counts. Each use is counted for the verdict.

    date@1        a date or time within 24 h of the run's clock (see `dates`); a moment that neither argv nor files hold
    uuid@1        a uuid that neither argv, environment, files, edits nor an earlier answer hold
    tmp-path@1    the run's TMPDIR, and a name directly in it that Python's tempfile or mktemp drew
    client-id@1   ids that frameworks draw: pyd_ai_HEX, adk-UUID, lc_run--UUID, stainless-LANG-retry-UUID
    issued-id@1   an id that an earlier answer of the run issued, named by where it was issued
    user:PATH     what the user named: a host pattern, a JSON path and a reason
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from playhead.errors import UsageError
from playhead.matching.dates import NearNow, Span, is_bare
from playhead.matching.issued import LONGEST_ID, IssuedIds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from playhead.matching.canonical import Node

RULES_VERSION = 2
DATE, UUID, TMP_PATH, CLIENT_ID, ISSUED_ID = "date@1", "uuid@1", "tmp-path@1", "client-id@1", "issued-id@1"
RULES = (DATE, UUID, TMP_PATH, CLIENT_ID, ISSUED_ID)

_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_UUID_MIDDLE = re.compile(r"-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-")  # fixed first sign: a fast search
_HEX = frozenset("0123456789abcdefABCDEF")
_CLIENT_PREFIX = re.compile(r"(?:\badk-|\blc_run--|\bstainless-[a-z]{2,10}-retry-)$")
_PYDANTIC_ID = re.compile(r"pyd_ai_([0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9A-Za-z])")
_TEMP_NAME = re.compile(r"/(?:tmp[a-z0-9_]{8}(?![A-Za-z0-9_])|tmp\.[A-Za-z0-9]{6,16}(?![A-Za-z0-9_]))")
_WORD = re.compile(rf"[A-Za-z0-9_\-]{{1,{LONGEST_ID + 1}}}")  # bounded: hostile text may be one long word
_STEP = re.compile(r"\.([A-Za-z_][\w\-]*|\*)|\[(\d+|\*)\]|\[\"((?:[^\"\\]|\\.)+)\"\]")

Steps: TypeAlias = tuple[str | int | None, ...]  # names and indexes; None is any


@dataclass(frozen=True)
class RunFacts:
    """What is known of one run, to tell its own volatile values from meant ones. `wall_ns` is its start; `tmpdir` its
    TMPDIR; `known_text` whatever was given to it (files, environment, edits), in which a uuid, a generated id or a moment
    is meant, or what reads it: it is only called when a request holds one."""

    wall_ns: int
    argv: tuple[str, ...] = ()
    tmpdir: str = ""
    known_text: str | frozenset[str] | Callable[[], frozenset[str]] = ""
    zone_offset_s: int = 0

    @cached_property
    def near_now(self) -> NearNow:
        """This run's reader of dates."""
        return NearNow(DATE, self.wall_ns, self.zone_offset_s)

    @cached_property
    def known_ids(self) -> frozenset[str]:
        """The uuids and 32-digit hexes the run was given, in lower case."""
        given = self._given.lower()
        return frozenset(_UUID.findall(given)) | frozenset(re.findall(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", given))

    @cached_property
    def _given(self) -> str:
        known = self.known_text() if callable(self.known_text) else self.known_text
        return "\n".join((*self.argv, *((known,) if isinstance(known, str) else sorted(known))))

    @cached_property
    def _moments(self) -> dict[str, bool]:
        return {}

    def is_given(self, moment: str) -> bool:
        """Whether this spelling of a moment stands in what the run was given."""
        found = self._moments.get(moment)
        if found is None:
            found = self._moments[moment] = moment in self._given
        return found

    @cached_property
    def tmp_root(self) -> str:
        """TMPDIR without a slash at its end; "" when it is no directory of its own."""
        root = self.tmpdir.rstrip("/")
        return root if root.startswith("/") and len(root) > 1 else ""


@dataclass(frozen=True)
class UserMask:
    """A part of requests that the user declared volatile. `host` is a pattern (`*.example.com`), `path` a JSON path of
    names, indexes and `*`: `$.metadata.user_id`, `$.messages[*].id`, `$.headers.idempotency-key`."""

    host: str
    path: str
    reason: str

    @property
    def rule(self) -> str:
        """How verdicts name it."""
        return f"user:{self.path}"

    @cached_property
    def steps(self) -> Steps:
        """The path in pieces. Raises UsageError when it is no path, or covers the whole request."""
        steps: list[str | int | None] = []
        at = 1
        while self.path.startswith("$") and at < len(self.path):
            match = _STEP.match(self.path, at)
            if match is None:
                break
            name, index, quoted = match.groups()
            key = quoted if quoted is not None else name
            steps.append(None if "*" in (key, index) else key if key is not None else int(index))
            at = match.end()
        if not steps or at != len(self.path):
            raise UsageError(
                f"'{self.path}' cannot be masked",
                code="mask-path",
                expected="a path below the request, such as $.metadata.user_id or $.messages[*].id",
                seen=self.path or "nothing",
                todo="name the smallest part that changes from run to run",
            )
        return tuple(steps)


@dataclass(frozen=True)
class Masks:
    """Which masks apply: all rules but those in `disabled` (`date` or `date@1`), and the user's."""

    disabled: frozenset[str] = frozenset()
    user: tuple[UserMask, ...] = ()

    @cached_property
    def active(self) -> frozenset[str]:
        """The rules in force."""
        return frozenset(rule for rule in RULES if not {rule, rule.partition("@")[0]} & self.disabled)


class Pass:
    """One request's way through the masks: numbers distinct literals and counts uses. `used` maps rule to count."""

    def __init__(self, facts: RunFacts, issued: Mapping[str, str], masks: Masks) -> None:
        self._facts, self._active = facts, masks.active
        self._issued = IssuedIds.of(issued if ISSUED_ID in self._active else {})
        self._numbers: dict[tuple[str, str], int] = {}
        self._seen: dict[str, int] = {}
        self.used: dict[str, int] = {}

    def leaves(self, strings: list[str]) -> list[str]:
        """The leaves in canonical order, masked; the same list when nothing applies."""
        bare = self._issued.bare
        touched = {at for at, leaf in enumerate(strings) if leaf in bare} if bare else set()
        joined = "\0".join(strings)
        if joined.count("\0") != len(strings) - 1:  # a leaf holds the separator: positions say nothing
            return [self._leaf(leaf) for leaf in strings]
        hits = [match.start() for match in _UUID_MIDDLE.finditer(joined)]
        for literal in self._triggers():
            at = joined.find(literal)
            while at >= 0:
                hits.append(at)
                at = joined.find(literal, at + 1)
        leaf_number = before = 0
        for at in sorted(hits):
            leaf_number += joined.count("\0", before, at)
            before = at
            touched.add(leaf_number)
        if not touched:
            return strings
        masked = strings.copy()
        for at in sorted(touched):
            masked[at] = self._leaf(strings[at])
        return masked

    def _triggers(self) -> list[str]:
        """Literals one of which is in every leaf that a mask covers, uuids apart. Few, for each is a search."""
        literals: list[str] = []
        if DATE in self._active:
            literals += self._facts.near_now.triggers
        if TMP_PATH in self._active and self._facts.tmp_root:
            literals.append(self._facts.tmp_root)
        if CLIENT_ID in self._active:
            literals.append("pyd_ai_")
        literals += self._issued.prefixes
        return literals

    def _leaf(self, leaf: str) -> str:
        name = self._issued.get(leaf)
        if name is not None:
            self._count(ISSUED_ID)
            return f"⟨{name}⟩"
        spans = [*self._uuids(leaf), *self._found(leaf)]
        return self._covered(leaf, spans) if spans else leaf

    def _found(self, leaf: str) -> Iterator[Span]:
        if DATE in self._active:
            yield from self._moments(leaf)
        if TMP_PATH in self._active and self._facts.tmp_root:
            yield from self._temp_paths(leaf)
        if CLIENT_ID in self._active and "pyd_ai_" in leaf:
            for match in _PYDANTIC_ID.finditer(leaf):
                if match[1] not in self._facts.known_ids and match[0] not in self._issued:
                    yield Span(match.start(), match.end(), CLIENT_ID, "pyd_ai")
        for prefix in self._issued.prefixes:
            at = leaf.find(prefix)
            while at >= 0:
                word = _WORD.match(leaf, at)
                end = word.end() if word else at
                name = self._issued.get(leaf[at:end])
                if name is not None and _begins_word(leaf, at):
                    yield Span(at, end, ISSUED_ID, name)
                at = leaf.find(prefix, at + 1)

    def _moments(self, leaf: str) -> Iterator[Span]:
        for span in self._facts.near_now.spans(leaf):
            # a bare date counts by its distance from today anyhow, and stands in many files
            if is_bare(span) or not self._facts.is_given(leaf[span.start : span.end]):
                yield span

    def _uuids(self, leaf: str) -> Iterator[Span]:
        for middle in _UUID_MIDDLE.finditer(leaf):
            start, end = middle.start() - 8, middle.end() + 12
            if start < 0 or _UUID.fullmatch(leaf, start, end) is None:
                continue
            if (start and leaf[start - 1] in _HEX) or leaf[end : end + 1] in _HEX:
                continue
            literal = leaf[start:end]
            if literal in self._issued:
                yield Span(start, end, ISSUED_ID, self._issued[literal])
                continue
            if literal.lower() in self._facts.known_ids or literal.lower() in self._issued.uuids:
                continue
            prefix = _CLIENT_PREFIX.search(leaf, max(0, start - 24), start) if CLIENT_ID in self._active else None
            if prefix is not None:
                if leaf[prefix.start() : end] not in self._issued:
                    yield Span(prefix.start(), end, CLIENT_ID, prefix[0].rstrip("-"))
            elif UUID in self._active:
                yield Span(start, end, UUID, "")

    def _temp_paths(self, leaf: str) -> Iterator[Span]:
        root = self._facts.tmp_root
        at = leaf.find(root)
        while at >= 0:
            end = at + len(root)
            after = leaf[end : end + 1]
            below_another = leaf[at - 1 : at] in (".", "/") and not leaf.endswith("://", 0, at)
            if _begins_word(leaf, at) and not below_another and not (after.isalnum() or (after and after in "_-.")):
                drawn = _TEMP_NAME.match(leaf, end)
                yield Span(at, drawn.end() if drawn else end, TMP_PATH, "drawn" if drawn else "")
            at = leaf.find(root, end)

    def _covered(self, leaf: str, spans: list[Span]) -> str:
        pieces: list[str] = []
        at = 0
        for span in sorted(spans, key=lambda span: (span.start, -span.end)):
            if span.start < at:
                continue
            pieces += (leaf[at : span.start], self._token(span.rule, span.label, leaf[span.start : span.end]))
            at = span.end
        return "".join((*pieces, leaf[at:]))

    def _token(self, rule: str, label: str, literal: str) -> str:
        self._count(rule)
        if rule == ISSUED_ID:
            return f"⟨{label}⟩"
        key = (rule, literal)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._seen[rule] = self._seen.get(rule, 0) + 1
        return f"⟨{rule.partition('@')[0]}{label and ' '}{label} #{number}⟩"

    def _count(self, rule: str) -> None:
        self.used[rule] = self.used.get(rule, 0) + 1


def _begins_word(text: str, at: int) -> bool:
    """Whether nothing runs into `at` from the left; the letter of an escape (JSON inside a JSON string) does not."""
    before = text[at - 1 : at] if at else ""
    if before.isalnum():
        return text[max(0, at - 2)] == "\\" and before in "nrt"
    return not before or before not in "_-"


def hide_user_masks(tree: Node, host: str, masks: Masks, used: dict[str, int]) -> Node:
    """The request tree with every part that a user's mask names replaced by the mask's own name. A path is read from
    the body's root, or from the request's (`$.headers.x`, `$.query.x`, `$.path`) when the body has no such part."""
    for mask in masks.user:
        if not fnmatchcase(host, mask.host.lower()):
            continue
        pairs = dict(tree)
        body, count = _hide(pairs["body"], mask.steps, mask.rule)
        if count:
            pairs["body"] = body
            tree = tuple(pairs.items())
        elif mask.steps[0] in ("headers", "query", "path"):
            tree, count = _hide(tree, mask.steps, mask.rule)
        if count:
            used[mask.rule] = used.get(mask.rule, 0) + count
    return tree


def _hide(node: Node, steps: Steps, rule: str) -> tuple[Node, int]:
    if node is None:
        return node, 0  # absent equals null, so there is nothing to hide
    if not steps:
        return f"⟨{rule}⟩", 1
    step, rest = steps[0], steps[1:]
    if type(node) is list:
        items = list(enumerate(node))
        changed = [_hide(item, rest, rule) if step in (None, index) else (item, 0) for index, item in items]
        return [item for item, _ in changed], sum(count for _, count in changed)
    if type(node) is tuple:
        pairs: list[tuple[str, Node]] = []
        total = 0
        for name, value in node:
            hidden, count = _hide(value, rest, rule) if step is None or step == name else (value, 0)
            pairs.append((name, hidden))
            total += count
        return tuple(pairs), total
    return node, 0
