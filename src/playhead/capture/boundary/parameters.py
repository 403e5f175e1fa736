"""What a callable is, and its arguments by the names of its parameters, without running it."""

from __future__ import annotations

from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from playhead.capture.boundary.classes import static

if TYPE_CHECKING:
    from collections.abc import Callable

_describe: Callable[[Any], bytes] | None = None

_VARIADIC, _KEYWORDS, _GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x04, 0x08, 0x20, 0x80, 0x200
"""Flags of code objects (`inspect.CO_*`; importing inspect takes longer than most starts of Python)."""


def shape_of(function: Any) -> str:
    """`async`, `generator`, `async generator`, or "" for what answers when it is called."""
    code = getattr(underlying(function), "__code__", None)
    flags = code.co_flags if code is not None else 0
    if flags & _ASYNC_GENERATOR:
        return "async generator"
    if flags & _GENERATOR:
        return "generator"
    return "async" if flags & _COROUTINE else ""


def underlying(function: Any) -> Any:
    """The function that runs when a partial, a method or a callable object is called."""
    while True:
        if isinstance(function, partial):
            function = function.func
        elif isinstance(function, MethodType):
            function = function.__func__
        elif not isinstance(function, FunctionType) and _own_call(function) is not None:
            return _own_call(function)
        else:
            return function


def _own_call(function: Any) -> FunctionType | None:
    found = static(type(function), "__call__")
    return found if isinstance(found, FunctionType) else None


class Parameters(NamedTuple):
    """The parameters of a callable: names of positional ones, of which the first `only` take no keyword; names of keyword
    ones; names of `*rest` and `**others` or ""; defaults."""

    positional: tuple[str, ...]
    only: int
    keyword: tuple[str, ...]
    rest: str
    others: str
    defaults: dict[str, Any]

    @property
    def is_simple(self) -> bool:
        """Whether there are positional ones only."""
        return not (self.keyword or self.rest or self.others)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:  # noqa: C901  as the language does
        """The arguments by name, defaults included; None when they do not fit. The object of a method is told by its
        class."""
        positional = self.positional
        count = len(args)
        if not kwargs and count == len(positional) and self.is_simple and positional[:1] != ("self",):
            return dict(zip(positional, args, strict=True))
        found = dict(zip(positional, args, strict=False))
        if count and positional and positional[0] == "self":
            found["self"] = type(args[0])
        if self.rest:
            found[self.rest] = list(args[len(positional) :])
        elif count > len(positional):
            return None
        others: dict[str, Any] = {}
        free = positional[max(count, self.only) :]
        for name, value in kwargs.items():
            if name in free or name in self.keyword:
                found[name] = value
            elif self.others and name not in positional[self.only : count]:
                others[name] = value
            else:
                return None
        for name in (*positional, *self.keyword):
            if name not in found:
                if name not in self.defaults:
                    return None
                found[name] = self.defaults[name]
        if self.others:
            found[self.others] = others
        return found

    def describe(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """The arguments as canonical JSON; by position when they do not fit, which the call will say itself."""
        global _describe  # noqa: PLW0603  an import statement takes half a microsecond of every call
        if _describe is None:
            from playhead.capture.boundary.encode import describe  # here: a tool without a tape needs none of it

            _describe = describe
        bound = self.bind(args, kwargs)
        return _describe({"args": list(args), "kwargs": kwargs} if bound is None else bound)


def parameters_of(function: Any) -> Parameters:
    """The parameters of any callable; of one that hides them, `*args` and `**kwargs`."""
    if isinstance(function, FunctionType) and not hasattr(function, "__wrapped__"):
        return _of_code(function)
    from inspect import Parameter, signature

    try:
        found = list(signature(function).parameters.values())
    except (ValueError, TypeError):
        return Parameters((), 0, (), "args", "kwargs", {})
    by_kind: dict[Any, list[str]] = {}
    for each in found:
        by_kind.setdefault(each.kind, []).append(each.name)
    only = by_kind.get(Parameter.POSITIONAL_ONLY, [])
    return Parameters(
        (*only, *by_kind.get(Parameter.POSITIONAL_OR_KEYWORD, [])),
        len(only),
        tuple(by_kind.get(Parameter.KEYWORD_ONLY, [])),
        "".join(by_kind.get(Parameter.VAR_POSITIONAL, [])),
        "".join(by_kind.get(Parameter.VAR_KEYWORD, [])),
        {each.name: each.default for each in found if each.default is not Parameter.empty},
    )


def _of_code(function: FunctionType) -> Parameters:
    code = function.__code__
    names = code.co_varnames
    positional, at = names[: code.co_argcount], code.co_argcount
    keyword = names[at : at + code.co_kwonlyargcount]
    at += code.co_kwonlyargcount
    rest = names[at] if code.co_flags & _VARIADIC else ""
    others = names[at + bool(rest)] if code.co_flags & _KEYWORDS else ""
    given = function.__defaults__ or ()
    defaults = dict(zip(positional[len(positional) - len(given) :], given, strict=True))
    return Parameters(
        positional, code.co_posonlyargcount, keyword, rest, others, defaults | (function.__kwdefaults__ or {})
    )
