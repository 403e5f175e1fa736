"""Every single change one could make to a JSON body, and where a report must say it is.

Deliberately knows nothing of the code under test: paths are built here a second time.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")


class Mutation(NamedTuple):
    """One change. `paths`: where it may be said to be (more than one only where a list's neighbours are equal, or a
    name is replaced by another). `what` names the kind of change, `leaf` the text before it."""

    what: str
    paths: tuple[str, ...]
    leaf: str
    body: Any


def member(path: str, name: str) -> str:
    """The path of a member."""
    return f"{path}.{name}" if _PLAIN.fullmatch(name) else f"{path}[{json.dumps(name, ensure_ascii=False)}]"


def other_character(character: str) -> str:
    """A character like this one, so that a digit stays a digit and a hex digit a hex digit."""
    if character.isdigit():
        return str((int(character) + 1) % 10) if character.isascii() else "7"
    if character.isascii() and character.isalpha():
        return {"f": "e", "F": "E", "z": "y", "Z": "Y"}.get(character, chr(ord(character) + 1))
    return "~" if character != "~" else "-"


def changed_text(text: str, at: int) -> str:
    """`text` with the character at `at` replaced."""
    return text[:at] + other_character(text[at]) + text[at + 1 :]


def mutations(body: Any, *, every_character: bool = False) -> Iterator[Mutation]:
    """All changes of `body`, which is mutated in place between yields and whole again in the end. With
    `every_character`, each character of each text is changed in turn; else the one in its middle."""
    yield from _inside(body, "$", body, every_character=every_character)


def _inside(root: Any, path: str, node: Any, *, every_character: bool) -> Iterator[Mutation]:
    if isinstance(node, dict):
        yield from _of_object(root, path, node, every_character=every_character)
    elif isinstance(node, list):
        yield from _of_list(root, path, node, every_character=every_character)


def _of_object(root: Any, path: str, node: dict[str, Any], *, every_character: bool) -> Iterator[Mutation]:
    node["playhead_added"] = 0
    yield Mutation("add member", (member(path, "playhead_added"),), "", root)
    del node["playhead_added"]
    pairs = list(node.items())
    for name, value in pairs:
        here = member(path, name)
        for replacement, what, leaf in _leaf_changes(value, every_character=every_character):
            node[name] = replacement
            yield Mutation(what, (here,), leaf, root)
        node[name] = value
        if value is not None:
            node.clear()
            node.update((other, each) for other, each in pairs if other != name)
            yield Mutation("drop member", (here,), "", root)
            renamed = changed_text(name, len(name) // 2) if name else "x"
            if renamed not in node:
                node.clear()
                node.update((renamed if other == name else other, each) for other, each in pairs)
                yield Mutation("rename member", (here, member(path, renamed)), name, root)
            node.clear()
            node.update(pairs)
        yield from _inside(root, here, value, every_character=every_character)


def _of_list(root: Any, path: str, node: list[Any], *, every_character: bool) -> Iterator[Mutation]:
    node.append({"playhead": "added"})
    yield Mutation("append element", (f"{path}[{len(node) - 1}]",), "", root)
    node.pop()
    for at, value in enumerate(list(node)):
        here = f"{path}[{at}]"
        for replacement, what, leaf in _leaf_changes(value, every_character=every_character):
            node[at] = replacement
            yield Mutation(what, (here,), leaf, root)
        node[at] = value
        equal = at
        while equal + 1 < len(node) and same_json(node[equal + 1], value):
            equal += 1
        del node[at]
        yield Mutation("drop element", (f"{path}[{equal}]",), "", root)
        node.insert(at, "playhead inserted")
        node.insert(at + 1, value)
        yield Mutation("insert element", (f"{path}[{at}]",), "", root)
        del node[at]
        if at + 1 < len(node) and not same_json(node[at + 1], value):
            node[at], node[at + 1] = node[at + 1], node[at]
            yield Mutation("swap elements", (f"{path}[{at}]*",), "", root)
            node[at], node[at + 1] = node[at + 1], node[at]
        yield from _inside(root, here, value, every_character=every_character)


def same_json(one: Any, other: Any) -> bool:
    """Equality that keeps 1 and true apart."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _leaf_changes(value: Any, *, every_character: bool) -> Iterator[tuple[Any, str, str]]:
    """(replacement, what, leaf before) of a leaf; nothing for a container."""
    if isinstance(value, str):
        size = len(value)
        for at in range(size) if every_character else range(size // 2, size)[:1]:
            yield changed_text(value, at), f"character {at}", value
        yield value + "x", "longer text", value
    elif isinstance(value, bool):
        yield not value, "flip", str(value)
        yield str(value).lower(), "retype", str(value)
    elif isinstance(value, (int, float)):
        yield value + 1, "number", str(value)
        yield str(value), "retype", str(value)
        if isinstance(value, int):
            yield float(value), "number's form", str(value)
    elif value is None:
        yield False, "null", ""
