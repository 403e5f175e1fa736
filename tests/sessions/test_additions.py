"""What a request adds: found without reading the rest, and nothing that was added is missed."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playhead.journal.bodies import Encoder, split
from playhead.journal.bodies.form import Form, read_ops
from playhead.journal.store import Store
from playhead.sessions import additions
from playhead.sessions.additions import Additions
from playhead.sessions.fact import Fact
from playhead.sessions.reader import read_recording
from playhead.sessions.searchable import searchable
from playhead.sessions.session import Session
from playhead.sessions.step import Step
from tests.sessions.tapes import Tape, said

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _bodies_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additions, "LEAST", 1)


def message(dice: random.Random) -> dict[str, Any]:
    """Long or short, with signs that mean something in JSON, and letters of several bytes."""
    words = " ".join(dice.choices(["alpha", "]", '"},{"', "größe", "\u4e2d", "\\", "0", "[3,"], k=dice.choice((1, 60))))
    return {"role": dice.choice(("user", "assistant", "tool")), "content": f"{words} {dice.getrandbits(64):x}"}


def conversations(seed: int, steps: int) -> list[list[dict[str, Any]]]:
    """A conversation as it is sent at each step: it grows, is edited, loses messages, begins anew or comes back."""
    dice = random.Random(seed)
    now = [message(dice) for _ in range(4)]
    sent = []
    for _ in range(steps):
        what = dice.random()
        at = dice.randrange(len(now))
        if what < 0.15:
            now = [*now[:at], {**now[at], "content": "[cleared]"}, *now[at + 1 :]]
        elif what < 0.25:
            now = [*now[:at], *now[at + 1 :]] or [message(dice)]
        elif what < 0.35:
            now = [*now[:at], message(dice), *now[at:]]
        elif what < 0.4:
            now = list(dice.choice(sent)) if sent else now
        elif what < 0.45:
            now = now[at:] + now[:at]
        now = [*now, *(message(dice) for _ in range(dice.randrange(3)))]
        sent.append(now)
    return sent


def expanded(short: list[Any], whole: list[Any]) -> list[Any]:
    """A shortened conversation with what its counts stand for taken from the whole one."""
    out: list[Any] = []
    for each in short:
        out += whole[len(out) : len(out) + each] if type(each) is int else [each]
    return out


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    field=st.sampled_from(sorted(additions.CONVERSATIONS)),
    indent=st.sampled_from([None, 1]),
    is_ascii=st.booleans(),
    behind=st.booleans(),
)
def test_a_shortened_body_is_the_whole_one_but_for_what_was_read_before(
    seed: int, field: str, indent: int | None, is_ascii: bool, behind: bool
) -> None:
    """In any layout and any letters, after edits anywhere; and it is much shorter where much is the same."""
    encoder, cut = Encoder(), Additions()
    shorter = 0
    for number, conversation in enumerate(conversations(seed, 25), 1):
        rest = {"model": "m-1", "tools": [{"name": "t"}, 7], "nested": {field: [1, {"a": [2]}]}}
        whole = {**rest, field: conversation} if behind else {field: conversation, **rest}
        body = json.dumps(whole, indent=indent, ensure_ascii=is_ascii).encode()
        form = read_ops(number, split(encoder.encode(number, body))[0])
        short = json.loads(cut.of(number, body, form))
        assert expanded(short.pop(field), conversation) == conversation
        assert short == rest
        shorter += len(cut.of(number, body, form)) < len(body)
    assert shorter


@settings(max_examples=150, deadline=None)
@given(
    bodies=st.lists(st.binary(max_size=80) | st.text('{}[]",:\\ 1mesagput', max_size=60).map(str.encode), min_size=2)
)
def test_no_body_is_too_strange(bodies: list[bytes]) -> None:
    """Whatever was sent: the result is bytes, and the body itself where it is no conversation."""
    encoder, cut = Encoder(), Additions()
    for number, end in enumerate(bodies, 1):
        for body in (b'{"messages":[{"a":1},{"b":"' + b"x" * 90 + b'"},' + end, end):
            form = read_ops(number, split(encoder.encode(number, body))[0])
            short = cut.of(number, body, form)
            if not body.startswith(b'{"mess'):
                assert short == body or b"messages" in body or b"input" in body


def test_a_form_that_lies_does_no_harm() -> None:
    """Spans that put an entry where none is, as a hostile file may have: the body is read whole."""
    cut = Additions()
    body = json.dumps({"messages": [{"role": "user", "content": "one " * 30}] * 3}).encode()
    assert cut.of(1, body, Form(0, [])) == body
    for offset in (0, 1, 5, 40):
        shifted = read_ops(2, split(Encoder().encode(2, body))[0])._replace(base=1)
        lying = shifted._replace(ops=[shifted.ops[0]._replace(kind=1, length=len(body) - offset, offset=offset)])
        short = cut.of(2, body, lying)
        assert short == body or expanded(json.loads(short)["messages"], [*range(3)])


def recorded(store: Store, seed: int, *, agents: int = 1) -> Path:
    """A sealed session of agents that take turns."""
    tape = Tape(store)
    runs = [conversations(seed + agent, 12) for agent in range(agents)]
    for number, turn in enumerate(zip(*runs, strict=True)):
        for conversation in turn:
            body = {"model": "gpt-5-mini", "messages": conversation, "tools": [{"type": "function"}]}
            tape.exchange(json.dumps(body).encode(), said(f"answer number {number}, and some more words behind it"))
    return tape.seal()


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(seed=st.integers(0, 10_000), agents=st.integers(1, 3))
def test_every_text_is_found_in_the_step_that_brought_it(
    tmp_path_factory: pytest.TempPathFactory, seed: int, agents: int
) -> None:
    """As by reading every request whole; and models, usage, costs and titles are the same."""
    path = recorded(Store.open(tmp_path_factory.mktemp("store")), seed, agents=agents)
    recording = read_recording(path)
    whole = [Step(recording, exchange, []) for exchange in recording.exchanges]
    steps = [step for step, _ in Session(recording).walk()]
    assert any(step.added is not step.request for step in steps)
    first: list[dict[str, int]] = [{}, {}]
    for found, row in zip(first, (whole, steps), strict=True):
        before: set[int] = set()
        for step in row:
            for line in searchable(step, before).split("\n"):
                found.setdefault(line, step.number)
    assert first[0] == first[1]
    told: tuple[set[str], set[str]] = (set(), set())
    for a, b in zip(whole, steps, strict=True):
        assert Fact.of(a, told[0]) == Fact.of(b, told[1])
        assert (a.title, a.cost_usd, a.kind, a.model) == (b.title, b.cost_usd, b.kind, b.model)
        assert a.request == b.request
        assert a.response == b.response
