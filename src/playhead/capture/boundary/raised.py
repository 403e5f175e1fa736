"""Exceptions as JSON and back: type, arguments, attributes, notes, members of a group, and what they were raised from.

The builtin class below the exception's own makes it, with the arguments that class keeps; attributes are put back as they
were, so `__init__` of the agent's classes does not run. A class that is not loaded is stood in for by one of the same
name below its nearest loaded base: `except` clauses that name that base still catch it.
"""

from __future__ import annotations

from types import GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary.classes import find, instance_dict, mro, name_of, static
from playhead.capture.boundary.encode import MARK, Unreadable, marked, tree, unstorable, value_of

if TYPE_CHECKING:
    from collections.abc import Callable

CHAIN = 20
"""Links of `__cause__` and `__context__` that are kept."""

_stand_ins: dict[tuple[str, type], type[BaseException]] = {}


def tree_of(
    error: BaseException,
    depth: int,
    unknown: Callable[[Any, int], Any],
    outer: BaseException | None = None,
    links: int = CHAIN,
) -> dict[str, Any]:
    """What JSON has for the exception; one that could not be built again is marked as unstorable."""
    cls = type(error)
    reduced = _builtin(cls).__reduce__(error)
    found: dict[str, Any] = {
        MARK: "raised",
        "class": name_of(cls),
        "bases": [name_of(base) for base in mro(cls)[1:] if issubclass(base, BaseException)],
        "args": [tree(each, depth, unknown) for each in reduced[1]],
        "text": tree(str(error), depth, unknown),
    }
    state, lost = {}, []
    attributes = dict(reduced[2]) if len(reduced) > 2 and isinstance(reduced[2], dict) else {}
    for name, value in (attributes | (instance_dict(error) or {})).items():
        stored = tree(value, depth, marked)
        if _has_no_form(stored):
            lost.append(str(name))
        else:
            state[str(name)] = stored
    if state:
        found["state"] = state
    if lost:
        found["lost"] = lost
    for name, link in (("cause", error.__cause__), ("context", error.__context__)):
        if link is not None and link is not outer and links and not (name == "context" and link is error.__cause__):
            found[name] = tree_of(link, depth, unknown, outer, links - 1)
    if error.__suppress_context__:
        found["suppress"] = True
    return found if cls.__module__ == "builtins" or _comes_back(found, error) else unstorable(error, str(error)[:500])


def error_of(found: dict[str, Any], depth: int) -> BaseException:
    """The exception that `tree_of` told of. Raises Unreadable, and what builtin types raise for bad input."""
    names = [found["class"], *found["bases"]]
    cls = find(found["class"])
    if cls is None or not issubclass(cls, BaseException):
        cls = _stand_in(names)
    arguments = [value_of(each, depth) for each in found["args"]]
    base = _builtin(cls)
    error: BaseException = base.__new__(cls, *arguments)
    base.__init__(error, *arguments)
    namespace = instance_dict(error)
    if namespace is None:
        raise Unreadable("an exception without attributes")
    for name, value in found.get("state", {}).items():
        member = static(base, name)
        if type(member) in (MemberDescriptorType, GetSetDescriptorType):
            member.__set__(error, value_of(value, depth))
        else:
            namespace[name] = value_of(value, depth)
    if (found["class"], cls.__base__) in _stand_ins:
        namespace["_playhead_text"] = value_of(found["text"], depth)
    if "cause" in found:
        error.__cause__ = error_of(found["cause"], depth + 1)
    if "context" in found:
        error.__context__ = error_of(found["context"], depth + 1)
    elif error.__cause__ is not None:
        error.__context__ = error.__cause__
    error.__suppress_context__ = found.get("suppress", False)
    return error


def _builtin(cls: type) -> Any:
    return next(base for base in mro(cls) if base.__module__ == "builtins")


def _comes_back(found: dict[str, Any], error: BaseException) -> bool:
    """Whether reading gives an exception of the same type that says the same: some classes keep what they say where only
    their own code reaches it."""
    try:
        again = error_of(found, 0)
        return (type(again) is type(error) or find(found["class"]) is None) and str(again) == str(error)
    except Unreadable:
        return True  # marked further down, where it is said better
    except Exception:  # noqa: BLE001  a class of the agent may do anything
        return False


def _stand_in(names: list[str]) -> type[BaseException]:
    for name in names[1:]:
        base = find(name)
        if (
            base is not None
            and issubclass(base, BaseException)
            and type(base) is type
            and static(base, "__init_subclass__") is object.__dict__["__init_subclass__"]
        ):
            known = _stand_ins.get((names[0], base))
            if known is None:
                module, _, qualname = names[0].partition(":")
                members = {"__module__": module, "__qualname__": qualname, "__str__": _text, "__init__": base.__init__}
                known = _stand_ins[names[0], base] = type(qualname.rpartition(".")[2], (base,), members)
            return known
    raise Unreadable(f"no class of exceptions above {names[0]} is loaded here")


def _text(self: BaseException) -> str:
    return str(self.__dict__.get("_playhead_text", ""))


def _has_no_form(stored: Any) -> bool:
    if isinstance(stored, dict):
        return stored.get(MARK) == "unstorable" or any(_has_no_form(each) for each in stored.values())
    return isinstance(stored, list) and any(_has_no_form(each) for each in stored)
