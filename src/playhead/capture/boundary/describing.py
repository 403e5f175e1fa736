"""Arguments as far as they tell one call from another: sorted, without addresses, whatever they are."""

from __future__ import annotations

import functools
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from playhead.capture.boundary.classes import name_of, state_of
from playhead.capture.boundary.encode import MARK, canonical, tree

_OBJECTS_INSIDE = 2
"""Levels of objects below an argument that are told by their attributes; deeper ones by their class alone."""

_AT_MOST = 1000
"""Objects of one call that are told by their attributes."""


class Describing:
    """One description. Objects without a form are told by class and public attributes: what an object keeps for itself
    (connections, caches) changes while tools run, which they do not in a replay."""

    def __init__(self) -> None:
        self._on_way: list[int] = []
        self._told = 0

    def unknown(self, value: Any, depth: int) -> Any:
        """What JSON has for a value without a form; `in_order` finishes it."""
        if isinstance(value, (FunctionType, BuiltinFunctionType)):
            return {MARK: "function", "name": f"{value.__module__}:{value.__qualname__}"}
        if isinstance(value, MethodType):
            return {MARK: "method", "of": name_of(type(value.__self__)), "name": value.__func__.__qualname__}
        if isinstance(value, ModuleType):
            return {MARK: "module", "name": value.__name__}
        if isinstance(value, type):
            return {MARK: "class", "class": name_of(value)}
        if isinstance(value, functools.partial):
            parts = [value.func, list(value.args), value.keywords]
            return {MARK: "partial", "v": [tree(each, depth, self.unknown) for each in parts]}
        found: dict[str, Any] = {MARK: "instance", "class": name_of(type(value))}
        if id(value) in self._on_way or len(self._on_way) > _OBJECTS_INSIDE or self._told >= _AT_MOST:
            return found
        self._told += 1
        self._on_way.append(id(value))
        public = {name: each for name, each in state_of(value).items() if not str(name).startswith("_")}
        if public:
            found["state"] = tree(public, depth, self.unknown)
        self._on_way.pop()
        return found


def in_order(found: Any) -> Any:
    """Sets, and dicts that are kept as pairs, sorted; JSON's own keys are sorted when they are written."""
    if isinstance(found, list):
        return [in_order(each) for each in found]
    if not isinstance(found, dict):
        return found
    found = {key: in_order(each) for key, each in found.items()}
    kind = found["of"] if found.get(MARK) == "derived" else found.get(MARK)
    if kind in ("set", "frozenset", "dict") and isinstance(found["v"], list):
        found["v"] = sorted(found["v"], key=canonical)
    return found
