"""How values beyond JSON's own types are written and read, type by type (see `encode`).

A form is a function (value, depth, unknown) -> what JSON has; a reader takes that back. Types of modules that the agent
may never have imported are told by their names. Only modules of the standard library are ever imported, by names that
stand here; numpy is used when the agent has loaded it.
"""

from __future__ import annotations

import sys
from base64 import b64decode, b64encode
from enum import Enum, Flag
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import raised
from playhead.capture.boundary.classes import find, is_plain, is_record, mro, name_of, set_state, state_of, static
from playhead.capture.boundary.encode import MARK, Unreadable, pairs, tree, value_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Form = Callable[[Any, int, Callable[[Any, int], Any]], Any]
    Reader = Callable[[dict[str, Any], int], Any]

_forms: dict[type, Form] = {}


def form_of(cls: type) -> Form:
    """How values of that class are written."""
    form = _forms.get(cls)
    if form is None:
        form = _find_form(cls)
        if len(_forms) < 1000:  # classes are kept alive by this
            _forms[cls] = form
    return form


def _find_form(cls: type) -> Form:
    by_name = _NAMED.get(name_of(cls).replace("pathlib._local:", "pathlib:"))
    if by_name is not None:
        return by_name
    bases = mro(cls)
    if issubclass(cls, Enum):
        return _enum
    if issubclass(cls, type):
        return _class
    if issubclass(cls, BaseException):
        return raised.tree_of
    if any(name_of(base) == "numpy:generic" for base in bases):
        return _numpy_scalar
    for base in _BASES:
        if base in bases:
            return _derived
    if is_record(cls):
        return _record
    return _unknown


def _unknown(value: Any, depth: int, unknown: Callable[[Any, int], Any]) -> Any:
    return unknown(value, depth)


# -- builtin types


def _bytes(value: Any, _depth: int, _unknown: Any) -> Any:
    cls = type(value).__name__
    if value.isascii():
        return {MARK: cls, "v": value.decode("ascii")}  # so that redaction and search see it
    return {MARK: cls, "b64": b64encode(value).decode()}


def _bytes_of(found: dict[str, Any]) -> bytes:
    if "b64" in found:
        return b64decode(found["b64"], validate=True)
    text: str = found["v"]
    return text.encode()  # ASCII, but for a redacted secret's token


def _complex(value: Any, _depth: int, _unknown: Any) -> Any:
    return {MARK: "complex", "v": [repr(value.real), repr(value.imag)]}


def _range(value: Any, depth: int, unknown: Any) -> Any:
    return {
        MARK: type(value).__name__,
        "v": [tree(each, depth, unknown) for each in (value.start, value.stop, value.step)],
    }


def _singleton(value: Any, _depth: int, _unknown: Any) -> Any:
    return {MARK: "constant", "v": repr(value)}


_CONSTANTS = {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented}


def _set(value: Any, depth: int, unknown: Any) -> Any:
    # in its own order: a set built in that order iterates in it again, as far as sets can
    return {MARK: type(value).__name__, "v": [tree(each, depth, unknown) for each in value]}


def _namespace(value: Any, depth: int, unknown: Any) -> Any:
    return {MARK: "namespace", "v": tree(dict(value.__dict__), depth, unknown)}


def _parts(found: dict[str, Any], depth: int) -> list[Any]:
    return [value_of(each, depth) for each in found["v"]]


# -- the standard library


def _datetime(value: Any, depth: int, unknown: Any) -> Any:
    zone = value.tzinfo
    found = {MARK: type(value).__name__, "v": value.replace(tzinfo=None, fold=0).isoformat()}
    if value.fold:
        found["fold"] = 1
    if zone is not None:
        found["zone"] = tree(zone, depth, unknown)
    return found


def _read_datetime(found: dict[str, Any], depth: int) -> Any:
    value = getattr(sys.modules["datetime"], found[MARK]).fromisoformat(found["v"])
    zone = value_of(found["zone"], depth) if "zone" in found else None
    return value.replace(tzinfo=zone, fold=found.get("fold", 0))


def _date(value: Any, _depth: int, _unknown: Any) -> Any:
    return {MARK: "date", "v": value.isoformat()}


def _timedelta(value: Any, _depth: int, _unknown: Any) -> Any:
    return {MARK: "timedelta", "v": [value.days, value.seconds, value.microseconds]}


def _timezone(value: Any, depth: int, unknown: Any) -> Any:
    return {MARK: "timezone", "v": [tree(each, depth, unknown) for each in value.__getinitargs__()]}


def _zone(value: Any, depth: int, unknown: Any) -> Any:
    return {MARK: "zone", "v": value.key} if value.key is not None else unknown(value, depth)


def _text_form(kind: str) -> Form:
    def form(value: Any, depth: int, unknown: Any) -> Any:
        return {MARK: kind, "v": tree(str(value), depth, unknown)}

    return form


def _fraction(value: Any, depth: int, unknown: Any) -> Any:
    return {MARK: "fraction", "v": [tree(each, depth, unknown) for each in (value.numerator, value.denominator)]}


def _path(value: Any, depth: int, unknown: Any) -> Any:
    return {MARK: "path", "class": type(value).__name__, "v": tree(str(value), depth, unknown)}


_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")


def _read_path(found: dict[str, Any], depth: int) -> Any:
    if found["class"] not in _PATHS:
        raise Unreadable("no class of paths")
    return getattr(import_module("pathlib"), found["class"])(value_of(found["v"], depth))


def _defaultdict(value: Any, depth: int, unknown: Any) -> Any:
    factory = value.default_factory
    return {MARK: "defaultdict", "of": tree(factory, depth, unknown), "v": pairs(value, depth, unknown)}


def _ordered(value: Any, depth: int, unknown: Any) -> Any:
    return {MARK: "OrderedDict", "v": pairs(value, depth, unknown)}


def _deque(value: Any, depth: int, unknown: Any) -> Any:
    return {MARK: "deque", "max": value.maxlen, "v": [tree(each, depth, unknown) for each in value]}


def _items(found: dict[str, Any], depth: int) -> Any:
    return ((value_of(key, depth), value_of(each, depth)) for key, each in found["v"])


def _library(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


# -- classes of the agent


def _class(value: Any, depth: int, unknown: Any) -> Any:
    name = name_of(value)
    return {MARK: "class", "class": name} if find(name) is value else unknown(value, depth)


def _enum(value: Any, depth: int, unknown: Any) -> Any:
    cls = type(value)
    members = static(cls, "_member_map_")
    name = value._name_
    if find(name_of(cls)) is not cls:
        return unknown(value, depth)
    if name in members and members[name] is value:
        return {MARK: "enum", "class": name_of(cls), "name": name}
    if issubclass(cls, Flag):
        return {MARK: "enum", "class": name_of(cls), "flags": value._value_}
    return unknown(value, depth)


def _read_enum(found: dict[str, Any], _depth: int) -> Any:
    cls = _loaded(found)
    if not issubclass(cls, Enum):
        raise Unreadable(f"{found['class']} is no Enum here")
    if "name" in found:
        return static(cls, "_member_map_")[found["name"]]
    if not issubclass(cls, Flag) or static(cls, "_missing_") is not static(Flag, "_missing_"):
        raise Unreadable(f"{found['class']} is no Flag here")
    return cls(found["flags"])


_BASES: tuple[Any, ...] = (int, float, complex, str, bytes, bytearray, tuple, list, set, frozenset, dict)


def _derived(value: Any, depth: int, unknown: Any) -> Any:
    """An instance of a class derived from a builtin one (named tuples, Counter, `class Id(str)`): its content as the
    builtin has it, and its attributes."""
    cls = type(value)
    if find(name_of(cls)) is not cls:
        return unknown(value, depth)
    base = next(base for base in _BASES if base in mro(cls))
    content: Any
    if base is dict:
        content = {MARK: "dict", "v": pairs(value, depth, unknown)}
    elif base in (list, tuple, set, frozenset):
        content = [tree(each, depth, unknown) for each in base.__iter__(value)]
    elif base is str:
        content = tree(str.__str__(value), depth, unknown)
    elif base in (bytes, bytearray):
        content = _bytes(bytes(memoryview(value)), depth, unknown)
    elif base is complex:
        content = _complex(complex(complex.real.__get__(value), complex.imag.__get__(value)), depth, unknown)
    else:
        content = tree(base.__pos__(value), depth, unknown)
    found = {MARK: "derived", "class": name_of(cls), "of": base.__name__, "v": content}
    state = state_of(value)
    if state:
        found["state"] = _state(state, depth, unknown)
    return found


def _read_derived(found: dict[str, Any], depth: int) -> Any:
    cls = _loaded(found)
    base = next((base for base in _BASES if base.__name__ == found["of"]), None)
    if base is None or base not in mro(cls):
        raise Unreadable(f"{found['class']} is no {found['of']} here")
    content = value_of(found["v"], depth)
    value: Any
    if base in (dict, list, set, bytearray):
        value = base.__new__(cls)
        fill = base.extend if base in (list, bytearray) else base.update
        fill(value, content)
    else:
        value = base.__new__(cls, content)
    if "state" in found:
        set_state(value, _read_state(found, depth))
    return value


def _record(value: Any, depth: int, unknown: Any) -> Any:
    cls = type(value)
    if find(name_of(cls)) is not cls or not is_plain(cls):
        return unknown(value, depth)
    return {MARK: "object", "class": name_of(cls), "state": _state(state_of(value), depth, unknown)}


def _read_record(found: dict[str, Any], depth: int) -> Any:
    cls = _loaded(found)
    if not is_record(cls):
        raise Unreadable(f"{found['class']} is neither a dataclass nor a model here")
    value: Any = object.__new__(cls)
    set_state(value, _read_state(found, depth))
    return value


def _state(state: dict[str, Any], depth: int, unknown: Any) -> dict[str, Any]:
    return {str(name): tree(each, depth, unknown) for name, each in state.items()}


def _read_state(found: dict[str, Any], depth: int) -> dict[str, Any]:
    return {name: value_of(each, depth) for name, each in found["state"].items()}


def _loaded(found: dict[str, Any]) -> type:
    cls = find(found["class"])
    if cls is None:
        raise Unreadable(
            f"the class {found['class']} is not loaded here: import it where the program starts, not in the call"
        )
    return cls


# -- numpy, when the agent has it


def _numpy_array(value: Any, depth: int, unknown: Any) -> Any:
    dtype = value.dtype
    if dtype.hasobject or dtype.kind == "V":
        return unknown(value, depth)
    order = "C" if value.flags.c_contiguous or not value.flags.f_contiguous else "F"
    data = b64encode(value.tobytes(order)).decode()
    return {MARK: "ndarray", "dtype": dtype.str, "shape": list(value.shape), "order": order, "b64": data}


def _numpy_scalar(value: Any, depth: int, unknown: Any) -> Any:
    dtype = value.dtype
    if dtype.hasobject or dtype.kind == "V":
        return unknown(value, depth)
    return {MARK: "numpy", "dtype": dtype.str, "b64": b64encode(value.tobytes()).decode()}


def _read_numpy(found: dict[str, Any], _depth: int) -> Any:
    numpy: Any = sys.modules.get("numpy")
    if numpy is None:
        raise Unreadable("numpy is not loaded here: import it where the program starts, not in the call")
    dtype = numpy.dtype(str(found["dtype"]))
    if dtype.hasobject:
        raise Unreadable("an array of objects")
    data = b64decode(found["b64"], validate=True)
    shape = [int(each) for each in found.get("shape", ())]
    if data:
        array = numpy.frombuffer(data, dtype).reshape(shape, order=found.get("order", "C"))
    elif dtype.itemsize and 0 not in shape:
        raise Unreadable("an array without its bytes")
    else:
        array = numpy.zeros(shape, dtype)
    return array[()] if found[MARK] == "numpy" else array.copy(order=found["order"])


def _refused(found: dict[str, Any], _depth: int) -> Any:
    why = f" ({found['why']})" if "why" in found else ""
    raise Unreadable(
        f"a {found['class']} cannot be stored{why}: return what it holds as plain data, a dataclass or a model"
    )


_NAMED: dict[str, Form] = {
    "builtins:bytes": _bytes,
    "builtins:bytearray": _bytes,
    "builtins:complex": _complex,
    "builtins:range": _range,
    "builtins:slice": _range,
    "builtins:ellipsis": _singleton,
    "builtins:NotImplementedType": _singleton,
    "builtins:set": _set,
    "builtins:frozenset": _set,
    "types:SimpleNamespace": _namespace,
    "datetime:datetime": _datetime,
    "datetime:time": _datetime,
    "datetime:date": _date,
    "datetime:timedelta": _timedelta,
    "datetime:timezone": _timezone,
    "zoneinfo:ZoneInfo": _zone,
    "decimal:Decimal": _text_form("decimal"),
    "fractions:Fraction": _fraction,
    "uuid:UUID": _text_form("uuid"),
    "collections:OrderedDict": _ordered,
    "collections:defaultdict": _defaultdict,
    "collections:deque": _deque,
    "numpy:ndarray": _numpy_array,
    **{f"pathlib:{name}": _path for name in _PATHS},
}

READERS: dict[str, Reader] = {
    "str": lambda found, _: bytes.fromhex(found["v"]).decode("utf-8", "surrogatepass"),
    "int": lambda found, _: int(found["v"], 16),
    "float": lambda found, _: float(found["v"]),
    "dict": lambda found, depth: dict(_items(found, depth)),
    "bytes": lambda found, _: _bytes_of(found),
    "bytearray": lambda found, _: bytearray(_bytes_of(found)),
    "complex": lambda found, _: complex(*[float(each) for each in found["v"]]),
    "range": lambda found, depth: range(*_parts(found, depth)),
    "slice": lambda found, depth: slice(*_parts(found, depth)),
    "constant": lambda found, _: _CONSTANTS[found["v"]],
    "set": lambda found, depth: set(_parts(found, depth)),
    "frozenset": lambda found, depth: frozenset(_parts(found, depth)),
    "namespace": lambda found, depth: SimpleNamespace(**value_of(found["v"], depth)),
    "datetime": _read_datetime,
    "time": _read_datetime,
    "date": lambda found, _: _library("datetime", "date").fromisoformat(found["v"]),
    "timedelta": lambda found, depth: _library("datetime", "timedelta")(*_parts(found, depth)),
    "timezone": lambda found, depth: _library("datetime", "timezone")(*_parts(found, depth)),
    "zone": lambda found, _: _library("zoneinfo", "ZoneInfo")(found["v"]),
    "decimal": lambda found, depth: _library("decimal", "Decimal")(value_of(found["v"], depth)),
    "fraction": lambda found, depth: _library("fractions", "Fraction")(*_parts(found, depth)),
    "uuid": lambda found, depth: _library("uuid", "UUID")(value_of(found["v"], depth)),
    "path": _read_path,
    "OrderedDict": lambda found, depth: _library("collections", "OrderedDict")(_items(found, depth)),
    "defaultdict": lambda found, depth: _library("collections", "defaultdict")(
        value_of(found["of"], depth), _items(found, depth)
    ),
    "deque": lambda found, depth: _library("collections", "deque")(_parts(found, depth), found["max"]),
    "class": lambda found, _: _loaded(found),
    "enum": _read_enum,
    "derived": _read_derived,
    "object": _read_record,
    "raised": raised.error_of,
    "ndarray": _read_numpy,
    "numpy": _read_numpy,
    "unstorable": _refused,
}
