"""Values as JSON and back."""

import collections
import contextlib
import datetime as dt
import json
import math
import sys
import threading
import types
import uuid
import zoneinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.capture.boundary import encode
from tests.capture.boundary import values as v

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs", "Lu"]))
    | st.binary()
    | st.binary().map(bytearray)
    | st.complex_numbers()
    | st.decimals()
    | st.fractions()
    | st.uuids()
    | st.datetimes(timezones=st.none() | st.timezones() | st.just(dt.UTC))
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.sampled_from([v.Colour.CRIMSON, v.Level.LOW, v.Word.YES, v.Right.READ | v.Right.WRITE, v.Right(0), ...])
    | st.builds(range, st.integers(), st.integers(), st.integers(1))
)
KEYS = st.text(max_size=3) | st.just("$") | st.integers() | st.binary() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    SCALARS,
    lambda each: (
        st.lists(each, max_size=4)
        | st.lists(each, max_size=4).map(tuple)
        | st.lists(each, max_size=3).map(v.Row)
        | st.dictionaries(KEYS, each, max_size=4)
        | st.dictionaries(KEYS, each, max_size=4).map(v.Bag)
        | st.dictionaries(KEYS, each, max_size=4).map(collections.OrderedDict)
        | st.sets(st.integers() | st.text(), max_size=4)
        | st.frozensets(st.binary(), max_size=4)
        | st.builds(v.Point, each, each)
        | st.builds(v.Order, st.integers(), st.lists(each, max_size=3))
        | st.builds(v.Defined, each, each)
        | st.builds(collections.deque, st.lists(each, max_size=3), st.none() | st.integers(3, 5))
    ),
    max_leaves=12,
)


def frozen():
    """One whose `__post_init__` did not run."""
    value = v.Frozen.__new__(v.Frozen)
    object.__setattr__(value, "at", (1,))
    object.__setattr__(value, "also", {2})
    return value


def same(a, b):
    """Equal, of equal types, at every place; NaN is itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (a != a and b != b)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, Decimal):
        return a.as_tuple() == b.as_tuple()
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) and same(a[x], b[y]) for x, y in zip(a, b, strict=True))
    if isinstance(a, (list, tuple, collections.deque)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, v.Order):
        return same(vars(a), vars(b))
    if isinstance(a, v.Defined):
        return same((a.a, a._b), (b.a, b._b))
    if isinstance(a, dt.datetime):
        return a.replace(tzinfo=None) == b.replace(tzinfo=None) and (a.fold, a.tzinfo) == (b.fold, b.tzinfo)
    return a == b


def again(value):
    """Written, read, and the JSON is sound."""
    body = encode.write(value)
    json.loads(body)
    return encode.read(body)


@given(VALUES)
@settings(max_examples=150, deadline=None)
def test_values_come_back_as_they_were(value):
    """Of the same type and equal at every place, in the same order."""
    assert same(again(value), value)


@given(VALUES)
@settings(max_examples=50, deadline=None)
def test_descriptions_are_canonical(value):
    """A description of the same value is the same, and of a copy of it too."""
    assert encode.describe(value) == encode.describe(again(value))


@pytest.mark.parametrize(
    "value",
    [
        10**4000,
        -(1 << 63) - 1,
        "\ud83d\ude00",
        {"a\udcff": 1},
        {"$": "tuple", "v": [1]},
        {1: "a", "1": "b", (1, 2): "c"},
        float("-inf"),
        -0.0,
        slice(1, None, "x"),
        NotImplemented,
        dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        dt.timezone(dt.timedelta(hours=1), "mine"),
        Path("/tmp/x"),
        PurePosixPath("a/b"),
        PureWindowsPath("c:/x"),
        uuid.UUID(int=5),
        Fraction(1, 3),
        Decimal("-sNaN12"),
        types.SimpleNamespace(a=1, b=[2]),
        collections.Counter("abca"),
        collections.defaultdict(list, {"a": [1]}),
        v.Old(1, 2),
        frozen(),
        v.Extra(n=1, other="x"),
        v.Model(name="a", inner=v.Model(name="b")),
        v.Colour,
        (),
        [[], {}, set()],
    ],
    ids=lambda value: repr(value)[:40],
)
def test_awkward_values_come_back(value):
    """Those that a simpler encoding gets wrong."""
    found = again(value)
    if isinstance(value, Decimal):
        assert str(found) == str(value)
    else:
        assert found == value
    assert type(found) is type(value)
    assert repr(found) == repr(value)


def test_private_and_slotted_state_comes_back():
    """Private attributes of models, fields that were set, slots of derived builtins."""
    model = v.Model(name="a")
    model._secret = (1, 2)
    found = again(model)
    assert found._secret == (1, 2)
    assert found.model_fields_set == {"name"}
    text = v.Id("x")
    text.kind = "order"
    assert (again(text), again(text).kind, type(again(text))) == ("x", "order", v.Id)


def test_numpy_comes_back():
    """Arrays of every order and kind but objects, and scalars."""
    np = pytest.importorskip("numpy")
    for value in (
        np.arange(6, dtype=">i2").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([], dtype="U5"),
        np.array(["a", "\u00e9"]),
        np.zeros((0, 3)),
        np.array(5),
        np.array([1, 2], dtype="M8[ns]"),
    ):
        found = again(value)
        assert (found.dtype, found.shape, found.flags.f_contiguous) == (
            value.dtype,
            value.shape,
            value.flags.f_contiguous,
        )
        assert found.tobytes() == value.tobytes()
        assert found.flags.writeable
    for scalar in (np.float64(1.5), np.int8(-3), np.bool_(True), np.str_("x"), np.datetime64("2026-01-01")):
        assert again(scalar) == scalar
        assert type(again(scalar)) is type(scalar)
    with pytest.raises(encode.Unreadable, match=r"numpy:ndarray cannot be stored"):
        again(np.array([object()]))


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (threading.Lock(), "lock"),
        (v.Plain(a=1), "values:Plain"),
        ({"deep": [object()]}, "builtins:object"),
        (lambda: 1, "function"),
        (open, "builtin_function"),
        ((i for i in ()), "generator"),
    ],
    ids=["lock", "plain", "inside", "lambda", "builtin", "generator"],
)
def test_what_cannot_be_stored_is_named_when_it_is_read(value, word):
    """Writing goes on; reading refuses, names the class and says what to return instead."""
    with pytest.raises(encode.Unreadable, match=f"{word}.* cannot be stored.*plain data"):
        again(value)


def test_a_class_inside_a_function_cannot_be_stored():
    """Nothing finds it by name; a class of another module that only bears the name is not taken for it."""
    order = type("Order", (v.Order,), {"__module__": v.__name__, "__qualname__": "Order"})
    with pytest.raises(encode.Unreadable, match="values:Order cannot be stored"):
        again(order(1))


def test_deep_wide_and_endless_values_do_not_break_the_recording(monkeypatch):
    """Nesting and size have limits, and cycles end at them."""
    endless = []
    endless.append(endless)
    deep = []
    for _ in range(5000):
        deep = [deep]
    for value in (endless, deep):
        with pytest.raises(encode.Unreadable, match="deeper than 100 levels"):
            again(value)
    monkeypatch.setattr(encode, "LARGEST", 100)
    with pytest.raises(encode.Unreadable, match="larger than"):
        again("x" * 200)
    assert encode.describe("x" * 200) != encode.describe("y" * 200)


def test_arguments_are_told_without_addresses_and_in_order():
    """Objects by class and public attributes, functions by name, dicts and sets sorted."""

    def told(value):
        return json.loads(encode.describe(value))

    one, other = v.Plain(b=1, a=threading.Lock(), _cache=object()), v.Plain(a=threading.Lock(), b=1, _cache=2)
    assert encode.describe(one) == encode.describe(other)
    assert encode.describe(one) != encode.describe(v.Plain(a=threading.Lock(), b=2))
    assert told(one)["state"]["b"] == 1
    assert told(len) == {"$": "function", "name": "builtins:len"}
    assert told([].append)["$"] == "function"
    assert told(one.__init__)["$"] == "method"
    assert told(json) == {"$": "module", "name": "json"}
    assert encode.describe({"b": 1, "a": {3, 1, 2}}) == encode.describe({"a": {2, 3, 1}, "b": 1})
    assert encode.describe({(1,): 1, 2: 3}) == encode.describe({2: 3, (1,): 1})
    assert b"0x" not in encode.describe([object(), one, lambda: 1, threading.Lock(), sys.stdout])


def test_objects_that_hold_each_other_are_told():
    """A cycle ends at its class."""
    one, other = v.Plain(), v.Plain()
    one.other, other.other = other, one
    assert encode.describe(one).count(b"Plain") == 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"$":"derived","class":"builtins:list","of":"list","v":' * 400 + b"1" + b"}" * 400,
        b'{"$":"os"}',
        b'{"$":["tuple"],"v":[]}',
        b'{"$":"object","class":"subprocess:Popen","state":{"pid":1}}',
        b'{"$":"object","class":"os:path.join","state":{}}',
        b'{"$":"object","class":"nowhere_to_be_found:X","state":{}}',
        b'{"$":"object","class":"tests.capture.boundary.values:Frozen","state":{"nothing":1}}',
        b'{"$":"derived","class":"builtins:object","of":"list","v":[]}',
        b'{"$":"derived","class":"builtins:bool","of":"dict","v":[]}',
        b'{"$":"raised","class":"subprocess:Popen","bases":[],"args":[],"text":""}',
        b'{"$":"enum","class":"subprocess:Popen","name":"x"}',
        b'{"$":"path","class":"__class__","v":"x"}',
        b'{"$":"set","v":[[]]}',
        b'{"$":"ndarray","dtype":"O","shape":[1],"b64":""}',
        b'{"$":"ndarray","dtype":"i8","shape":[99999999999],"order":"C","b64":""}',
        b'{"$":"bytes","b64":"*"}',
        b'{"$":"unstorable","class":7}',
        b"1" * 5000,
    ],
    ids=lambda body: body[:60],
)
def test_hostile_input_is_refused(body):
    """Whatever stands there, it is a value or Unreadable."""
    with pytest.raises(encode.Unreadable):
        encode.read(body)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda each: (
            st.lists(each, max_size=3)
            | st.dictionaries(
                st.sampled_from(["$", "v", "class", "of", "state", "args", "bases", "text", "b64", "x"]),
                each
                | st.sampled_from(
                    [
                        "tuple",
                        "dict",
                        "object",
                        "raised",
                        "list",
                        "derived",
                        "builtins:ValueError",
                        "datetime",
                        "set",
                        "ndarray",
                        "enum",
                        "slice",
                        "defaultdict",
                        "deque",
                    ]
                ),
                max_size=6,
            )
        ),
    )
)
@settings(max_examples=150, deadline=None)
def test_any_json_is_a_value_or_unreadable(found):
    """No input makes reading fail in another way, nor loads a module but ours and Python's own."""
    before = set(sys.modules)
    with contextlib.suppress(encode.Unreadable):
        encode.read(json.dumps(found).encode())
    loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
    assert loaded <= {"playhead", *sys.stdlib_module_names}


def test_no_code_of_a_class_runs_when_it_is_read(monkeypatch):
    """Neither `__init__` nor `__setattr__` nor `__getattr__` of a module."""

    def never(*_args):
        raise AssertionError

    body = encode.write(v.Order(1, [v.Plain.__name__]))
    monkeypatch.setattr(v.Order, "__init__", never)
    monkeypatch.setattr(v.Order, "__setattr__", never, raising=False)
    monkeypatch.setattr(v, "__getattr__", never, raising=False)
    assert encode.read(body).number == 1
    with pytest.raises(encode.Unreadable):
        encode.read(body.replace(b"values:Order", b"values:Gone"))
