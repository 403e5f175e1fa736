"""Classes by name, and the state of their instances, without running a line of theirs."""

from __future__ import annotations

import sys
from types import GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

_module_dict: Any = vars(ModuleType)["__dict__"].__get__
_class_dict: Any = type.__dict__["__dict__"].__get__
_mro: Any = type.__dict__["__mro__"].__get__

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE of object.h
_flags: Any = type.__dict__["__flags__"].__get__
_NOT_STATE = ("__dict__", "__weakref__")
_RECORD_MARKS = ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_core_schema__", "__fields_set__")
"""What tells a class whose instances are their attributes: dataclasses, attrs, pydantic 2 and 1."""


def name_of(cls: type) -> str:
    """`module:qualname`."""
    return f"{_said(cls, '__module__')}:{_said(cls, '__qualname__')}"


def _said(cls: type, name: str) -> str:
    found = type.__getattribute__(cls, name)
    return found if isinstance(found, str) else "?"


def mro(cls: type) -> tuple[type, ...]:
    """The class and its bases, in order."""
    found: tuple[type, ...] = _mro(cls)
    return found


def find(name: str) -> type | None:
    """The loaded class of that name. Attributes of modules and classes are read from their dicts: no `__getattr__` runs,
    and nothing is imported."""
    module_name, _, qualname = name.partition(":")
    module = sys.modules.get(module_name)
    if not issubclass(type(module), ModuleType):
        return None
    namespace = _module_dict(module)
    found: Any = None
    for part in qualname.split("."):
        found = namespace.get(part)
        if not issubclass(type(found), type):
            return None
        namespace = _class_dict(found)
    return found if issubclass(type(found), type) else None


def static(cls: type, name: str) -> Any:
    """An attribute of the class or its bases as it stands there, None when there is none; no descriptor runs."""
    for each in mro(cls):
        namespace = _class_dict(each)
        if name in namespace:
            return namespace[name]
    return None


def is_record(cls: type) -> bool:
    """Whether instances of the class are nothing but their attributes, and it says so."""
    return any(static(cls, name) is not None for name in _RECORD_MARKS)


def is_plain(cls: type) -> bool:
    """Whether instances are made by `object.__new__`: no base of the class is one of C that adds a layout."""
    return all(base is object or _flags(base) & _HEAP_TYPE for base in mro(cls))


def instance_dict(value: Any) -> dict[str, Any] | None:
    """`__dict__` of an instance; None when it has none."""
    found = static(type(value), "__dict__")
    if type(found) is not GetSetDescriptorType:
        return None
    try:
        namespace = found.__get__(value)
    except (AttributeError, TypeError):
        return None
    return namespace if isinstance(namespace, dict) else None


def state_of(value: Any) -> dict[str, Any]:
    """The attributes of an instance, those in slots included."""
    state = dict(instance_dict(value) or {})
    for cls in mro(type(value)):
        namespace = _class_dict(cls)
        if "__slots__" not in namespace:
            continue
        for name, member in namespace.items():
            if type(member) is MemberDescriptorType and name not in _NOT_STATE and name not in state:
                try:
                    state[name] = member.__get__(value)
                except AttributeError:
                    continue  # never set
    return state


def set_state(value: Any, state: dict[str, Any]) -> None:
    """Put attributes back where `state_of` found them. Raises TypeError when the class has no place for one."""
    rest = {}
    for name, each in state.items():
        member = static(type(value), name)
        if type(member) is MemberDescriptorType:
            member.__set__(value, each)
        else:
            rest[name] = each
    if rest:
        namespace = instance_dict(value)
        if namespace is None:
            raise TypeError(f"{type(value).__qualname__} has no attribute {next(iter(rest))}")
        namespace.update(rest)
