"""`@playhead.tool`: what runs once, and is told afterwards."""

import contextlib
import functools
import gc
import inspect
import sys
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import playhead
from playhead.capture.boundary import active
from playhead.core.boundary import Diverged
from playhead.errors import UsageError
from tests.capture.boundary.tapes import Tapes

RAN = []


@pytest.fixture(autouse=True)
def nothing_has_run():
    RAN.clear()


@playhead.tool
def refund(order_id: str, amount: float = 1.0, *, notify: bool = False) -> str:
    """Pay back."""
    RAN.append((order_id, amount, notify))
    return f"{order_id} {amount} {len(RAN)}"


class Bank:
    """Tools of every kind that a class has."""

    rate = 2

    @playhead.tool(effect="read")
    def balance(self, name):
        RAN.append(name)
        return self.rate * len(RAN)

    @classmethod
    @playhead.tool
    def open(cls, name):
        RAN.append(name)
        return cls.__name__, name

    @playhead.tool
    @staticmethod
    def close(name):
        RAN.append(name)
        return name

    def __call__(self, name):
        RAN.append(name)
        return len(RAN)


@playhead.tool
def count(start, *, until=5):
    """Counts; can be set back, and told to raise."""
    RAN.append("count")
    n = start
    try:
        while n < until:
            try:
                back = yield n
            except KeyError:
                yield "caught"
                back = None
            n = n + 1 if back is None else back
    finally:
        RAN.append("cleaned")
    return "end"


def test_each_call_runs_once_and_is_told_ever_after(tapes):
    """Whatever the arguments are written as."""

    def agent():
        return [
            refund("A"),
            refund("A", 1.0),
            refund(order_id="A", amount=2, notify=True),
            Bank().balance("x"),
            Bank.open("y"),
            Bank.close("z"),
        ]

    first = tapes.record(agent)
    ran = list(RAN)
    assert len(ran) == 6
    for _ in range(3):
        assert tapes.replay(agent) == first
        assert tapes.end["unplayed"] == []
    assert ran == RAN


def test_what_is_asked_is_names_and_bound_arguments(tapes):
    """Defaults are part of it; the object of a method is told by its class."""

    def agent():
        refund("A")
        refund(notify=True, order_id="B")
        Bank().balance(name="x")

    tapes.record(agent)
    asked = [(call.name, call.arguments) for call in tapes.recorded()]
    assert asked == [
        ("refund", b'{"amount":1.0,"notify":false,"order_id":"A"}'),
        ("refund", b'{"amount":1.0,"notify":true,"order_id":"B"}'),
        ("Bank.balance", b'{"name":"x","self":{"$":"class","class":"tests.capture.boundary.test_tool:Bank"}}'),
    ]
    assert [event.meta.get("effect") for event in tapes.events() if event.kind.name == "ASK"] == [None, None, "read"]


def test_a_tool_inside_a_tool_is_part_of_its_answer(tapes):
    """And does not run either."""

    @playhead.tool
    def outer():
        return refund("A") + "!"

    first = tapes.record(outer)
    assert [call.name for call in tapes.recorded()] == [outer.__qualname__]
    assert tapes.replay(outer) == first
    assert len(RAN) == 1


def test_generators_are_told_item_by_item(tapes):
    """With what is sent and thrown in, and what they return."""

    def agent():
        items = count(0, until=4)
        seen = [next(items), next(items), items.send(1), items.throw(KeyError("k"))]
        try:
            while True:
                seen.append(next(items))
        except StopIteration as end:
            seen.append(end.value)
        return seen + list(count(9))

    first = tapes.record(agent)
    assert first == [0, 1, 1, "caught", 2, 3, "end"]
    ran = list(RAN)
    assert ran == ["count", "cleaned"] * 2
    assert tapes.replay(agent) == first
    assert ran == RAN
    kinds = [call.kind for call in tapes.recorded()]
    assert kinds == ["tool", *["item"] * 6, "tool"]


@pytest.mark.parametrize("how", ["close", "break", "collected"])
def test_a_generator_that_is_left_early_cleans_up_once(tapes, how):
    """Its cleaning up is part of its answer, and runs in no replay, whoever closes it and when."""

    def agent():
        items = count(0)
        if how == "break":
            for _ in items:
                break
        else:
            next(items)
            if how == "close":
                items.close()
            else:
                loop = [items]
                loop.append(loop)
                del items, loop
                gc.collect()
        return playhead.boundary("after", lambda: RAN.append("after"))

    tapes.record(agent)
    assert RAN.count("cleaned") == 1
    RAN.clear()
    tapes.replay(agent)
    assert RAN == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda: refund("B"), "changed"),
        (lambda: refund("A", 2), "changed"),
        (lambda: Bank.close("A"), "extra"),
    ],
    ids=["argument", "default", "tool"],
)
def test_another_call_is_not_answered_and_does_not_run(tapes, change, kind):
    """It diverges at its place, by name."""
    tapes.record(lambda: refund("A"))
    RAN.clear()
    with pytest.raises(Diverged):
        tapes.replay(change)
    assert RAN == []
    assert (tapes.divergence["class"], tapes.divergence["lane"]) == (kind, "0")
    assert tapes.divergence["recorded"]["name"] == "refund"


def test_arguments_that_do_not_fit_fail_as_they_do(tapes):
    """The error is the function's own, and its replay does not run it."""

    def agent():
        said = []
        for args, kwargs in [((), {}), (("A", 1, 2), {}), (("A",), {"order_id": "B"}), (("A",), {"x": 1})]:
            with pytest.raises(TypeError) as caught:
                refund(*args, **kwargs)
            said.append(str(caught.value))
        return said

    first = tapes.record(agent)
    assert first[0] == "refund() missing 1 required positional argument: 'order_id'"
    assert tapes.replay(agent) == first
    assert RAN == []


def test_a_wrapper_that_hides_its_signature_never_runs_in_a_replay(tapes):
    """One whose `__wrapped__` promises other parameters than it takes."""

    def with_bank(function):
        @functools.wraps(function)
        def wrapper(name):
            return function("bank", name)

        return wrapper

    @playhead.tool
    @with_bank
    def pay(bank, name):
        RAN.append((bank, name))
        return len(RAN)

    assert tapes.record(lambda: pay("x")) == 1
    assert tapes.replay(lambda: pay("x")) == 1
    assert RAN == [("bank", "x")]


def test_partials_and_callable_objects(tapes):
    """They are functions afterwards, named as what they are made of."""
    paid = playhead.tool(functools.partial(refund.__wrapped__, amount=3.0))
    asked = playhead.tool(Bank())
    bound = playhead.tool(Bank().__call__)
    assert (paid.__name__, asked.__name__, bound.__name__) == ("refund", "Bank", "__call__")

    def agent():
        return [paid("A"), asked("x"), bound("y")]

    first = tapes.record(agent)
    assert tapes.replay(agent) == first
    assert [call.name for call in tapes.recorded()] == ["refund", "Bank", "Bank.__call__"]


def test_a_wrapper_looks_like_its_function():
    """To inspect, typing and documentation."""
    assert refund.__name__ == "refund"
    assert refund.__doc__ == "Pay back."
    assert list(inspect.signature(refund).parameters) == ["order_id", "amount", "notify"]
    assert typing.get_type_hints(refund)["amount"] is float
    assert inspect.isgeneratorfunction(count)
    assert inspect.isgenerator(count(1))
    assert count(1).__name__ == "count"

    @playhead.tool
    async def wait():
        return 1

    @playhead.tool
    async def stream():
        yield 1

    assert inspect.iscoroutinefunction(wait)
    assert inspect.isasyncgenfunction(stream)
    assert isinstance(vars(Bank)["close"], staticmethod)


def test_without_a_tape_it_is_the_function(tapes):
    """Results, errors and generators are its own."""
    value = object()
    assert playhead.tool(lambda: value)() is value
    items = count(0, until=2)
    assert (next(items), items.send(1), items.throw(KeyError())) == (0, 1, "caught")
    with pytest.raises(StopIteration) as end:
        while True:
            next(items)
    assert end.value.value == "end"
    assert active.tape is None


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: playhead.tool(effect="wirte"), "bad-effect"),
        (lambda: playhead.tool(int), "bad-tool"),
        (lambda: playhead.tool(5), "bad-tool"),
        (lambda: playhead.tool(property(len)), "bad-tool"),
    ],
    ids=["effect", "class", "value", "property"],
)
def test_what_cannot_be_meant_is_said_in_four_beats(make, code):
    """Where it is written, not where it is called."""
    with pytest.raises(UsageError) as caught:
        make()
    error = caught.value
    assert error.code == code
    assert error.where.startswith("@playhead.tool")
    assert error.expected
    assert error.seen
    assert error.todo


def test_decorating_loads_little():
    """A module full of tools costs an agent without a tape next to nothing."""
    code = "import sys; before = set(sys.modules); from playhead import tool, step; tool(lambda: 1); step('x')(lambda: 1); print(*sorted(set(sys.modules) - before))"
    import subprocess

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"json", "inspect", "asyncio", "dataclasses", "hashlib"} & set(loaded)


@playhead.tool
def note(text):
    RAN.append(text)
    return f"noted {text}"


def texts(names):
    return lambda: [note(name) for name in names]


@pytest.mark.parametrize(
    ("recorded", "asked", "kind", "about"),
    [
        ("abc", "aXc", "changed", '{"text":"b"}'),
        ("abc", "ac", "missing", '{"text":"b"}'),
        ("abcd", "d", "missing", '{"text":"a"}'),
        ("abc", "acb", "reordered", '{"text":"b"}'),
        ("abcde", "adbce", "reordered", '{"text":"b"}'),
        ("abab", "aab", "missing", '{"text":"b"}'),
    ],
)
def test_edits_are_named_for_what_they_are(tapes, recorded, asked, kind, about):
    """A call that changed, one that is gone, two that were swapped; what is served was asked in just these words."""
    tapes.record(texts(recorded))
    RAN.clear()
    try:
        assert tapes.replay(texts(asked)) == [f"noted {name}" for name in asked]
    except Diverged:
        assert kind != "missing"
    divergence = tapes.divergence
    assert (divergence["class"], divergence["lane"]) == (kind, "0")
    assert (divergence["recorded"]["name"], divergence["recorded"]["arguments"]) == ("note", about)
    assert len([facts for facts in tapes.said if "divergence" in facts]) == (3 if asked == "d" else 1)
    assert RAN == []


def test_a_call_more_is_extra(tapes):
    """Behind the last, or between two of other names."""
    tapes.record(texts("ab"))
    for agent in (texts("abc"), lambda: (note("a"), refund("A"), note("b"))):
        with pytest.raises(Diverged):
            tapes.replay(agent)
        assert tapes.divergence["class"] == "extra"


def test_the_last_calls_gone_are_left_unplayed(tapes):
    """A shorter run is incomplete."""
    tapes.record(texts("abc"))
    assert tapes.replay(texts("a")) == ["noted a"]
    assert [call["name"] for call in tapes.end["unplayed"]] == ["note", "note"]


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=8), st.lists(st.sampled_from("abcdX"), max_size=8))
@settings(max_examples=100, deadline=None)
def test_whatever_is_edited_no_answer_is_wrong(tmp_path_factory, recorded, asked):
    """Every served answer is that of its question; a run that differs is never without a divergence or a rest."""
    served = []

    def agent(names):
        served.extend((name, playhead.boundary("ask", "{}!".format, name)) for name in names)

    with Tapes(tmp_path_factory.mktemp("edits")) as tapes:
        tapes.record(lambda: agent(recorded))
        served.clear()
        with contextlib.suppress(Diverged):
            tapes.replay(lambda: agent(asked))
        assert all(answer == f"{name}!" for name, answer in served)
        is_same = not any("divergence" in facts for facts in tapes.said) and tapes.end["unplayed"] == []
        assert is_same == (recorded == asked)
