"""The fingerprint of a request: SHA-256 over its canonical, masked form.

Two requests have one fingerprint exactly when, after each was masked by its own run's facts, nothing that counts
differs. The hash is taken of what redaction left, never of a secret. Not stable across `CANONICAL_VERSION` or
`RULES_VERSION`, which are part of it; recordings store requests, not fingerprints.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING

from playhead.matching.canonical import (
    CANONICAL_VERSION,
    MAX_DEPTH,
    Node,
    Number,
    Opaque,
    host_class,
    request_tree,
    text_body,
)
from playhead.matching.masks import RULES_VERSION, Masks, Pass, RunFacts, hide_user_masks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playhead.core.message import RequestMessage
    from playhead.core.tape import Target

_NO_MASKS = Masks()
_NAME = itemgetter(0)
_SIGNS = {str: '"', Number: "#", Opaque: "b"}


@dataclass(frozen=True, eq=False)
class Canonical:
    """One request in canonical, masked form. `fingerprint` is 64 hex digits; `masks_used` counts uses by rule. `shape`
    and `leaves` are the tree in flat form: one sign a node, and the names and leaf texts in canonical order."""

    fingerprint: str
    masks_used: dict[str, int]
    shape: list[str] = field(repr=False)
    leaves: list[str] = field(repr=False)

    @cached_property
    def tree(self) -> Node:
        """The tree as nodes of `canonical`, objects sorted by name and without null members."""
        return _rebuild(iter(self.shape), iter(self.leaves))

    @cached_property
    def shingles(self) -> frozenset[int]:
        """Hashes of what the request is made of, names and leaves, long texts by their lines; for telling how alike two
        requests are. Only comparable inside one process."""
        found: set[int] = set()
        for leaf in self.leaves:
            if len(leaf) <= 160:
                found.add(hash(leaf))
            else:
                lines = leaf.split("\n") if "\n" in leaf else [leaf[at : at + 80] for at in range(0, len(leaf), 80)]
                found.update(map(hash, lines))
        return frozenset(found)


def canonicalise(
    request: RequestMessage,
    target: Target,
    facts: RunFacts,
    issued: Mapping[str, str] | None = None,
    masks: Masks = _NO_MASKS,
) -> Canonical:
    """The canonical form of a redacted request meant for `target`, masked by the facts of its own run. `issued` maps ids
    that earlier answers of this run issued to their stable names (best an `IssuedIds`). Never raises for what a request
    holds; raises UsageError for a user mask that is no path."""
    used: dict[str, int] = {}
    try:
        tree = request_tree(request, target)
        if masks.user:
            tree = hide_user_masks(tree, host_class(target), masks, used)
        shape, leaves = _flatten(tree)
    except RecursionError:
        used.clear()
        plain = dict(request_tree(request._replace(body=b""), target))
        plain["kind"], plain["body"] = text_body(request.body)
        shape, leaves = _flatten(tuple(plain.items()))
    masking = Pass(facts, issued or {}, masks)
    leaves = masking.leaves(leaves)
    used.update(masking.used)
    return Canonical(_digest(shape, leaves, used), used, shape, leaves)


def _flatten(tree: Node) -> tuple[list[str], list[str]]:
    """Shape and leaves of `tree`. Raises RecursionError when it is nested deeper than MAX_DEPTH. This runs for every
    node of every request: hence the closure, the old string formatting and the two checks for text."""
    shape: list[str] = []
    leaves: list[str] = []
    sign, leaf = shape.append, leaves.append

    def visit(node: Node, depth: int) -> None:
        kind = type(node)
        if kind is tuple:
            members = sorted(_without_null(node), key=_NAME)
            sign("{%d" % len(members))  # noqa: UP031
            for name, value in members:
                leaf(name)
                if type(value) is str:
                    sign('"')
                    leaf(value)
                else:
                    visit(value, depth + 1)
        elif kind is list:
            sign("[%d" % len(node))  # noqa: UP031
            for item in node:
                if type(item) is str:
                    sign('"')
                    leaf(item)
                else:
                    visit(item, depth + 1)
        elif kind is bool or node is None:
            sign("N" if node is None else "T" if node else "F")
        else:
            sign(_SIGNS[kind])
            leaf(node)
        if depth > MAX_DEPTH:
            raise RecursionError

    visit(tree, 0)
    return shape, leaves


def _without_null(node: Node) -> list[tuple[str, Node]]:
    """The members of an object without those that are null, but of a name that stands twice all: the last of them
    counts for most readers, also when it is null."""
    members = [pair for pair in node if pair[1] is not None]
    if len(members) == len(node):
        return members
    names = {name for name, _ in members}
    return [pair for pair in node if pair[1] is not None or pair[0] in names]


def _rebuild(shape: Iterator[str], leaves: Iterator[str]) -> Node:
    sign = next(shape)
    if sign[0] == "{":
        return tuple([(next(leaves), _rebuild(shape, leaves)) for _ in range(int(sign[1:]))])
    if sign[0] == "[":
        return [_rebuild(shape, leaves) for _ in range(int(sign[1:]))]
    if sign == '"':
        return next(leaves)
    if sign == "#":
        return Number(next(leaves))
    if sign == "b":
        return Opaque(next(leaves))
    return {"T": True, "F": False, "N": None}[sign]


def _digest(shape: list[str], leaves: list[str], used: dict[str, int]) -> str:
    """SHA-256 of the flat form. Injective: `shape` says the type of each node, the separator splits the leaves (their
    lengths are added when one of them holds it), and the counts tell a mask's token from a text that imitates one."""
    text = "\0".join(leaves)
    counts = ",".join(f"{rule}={count}" for rule, count in sorted(used.items()))
    lengths = "" if text.count("\0") == len(leaves) - 1 else ",".join(str(len(leaf)) for leaf in leaves)
    head = f"playhead {CANONICAL_VERSION}.{RULES_VERSION}\n{counts}\n{''.join(shape)}\n{lengths}\n"
    digest = hashlib.sha256(head.encode())
    digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
