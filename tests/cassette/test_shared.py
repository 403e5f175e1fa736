"""Bodies that share elements: the bytes, and how one is made of another."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from hypothesis import assume, given
from hypothesis import strategies as st

from playhead.cassette.likeness import NotTold, hear, tell
from playhead.cassette.limits import Budget
from playhead.cassette.making import cassette_bytes
from playhead.cassette.opening import decoded
from playhead.cassette.payload import STYLES, serialise
from playhead.cassette.shared import SharedBodies
from playhead.journal.bodies.form import COPY
from playhead.sessions.session import Session
from tests.cassette.recordings import messages, values
from tests.cassette.test_likeness import Talk

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_ONE_OF = st.sampled_from(["messages", "tools", "input"])


@st.composite
def conversations(draw: Callable[..., Any]) -> list[dict[str, Any]]:
    """Bodies each of which keeps, clears, drops, doubles and adds some of the one before."""
    body: dict[str, Any] = {draw(_ONE_OF): draw(st.lists(messages, max_size=8)), "model": "größe"}
    told = [body]
    for _ in range(draw(st.integers(1, 6))):
        body = dict(body)
        for name in [*body, draw(_ONE_OF)]:
            kept = body.get(name, [])
            if isinstance(kept, list):
                out = [e for e in kept if draw(st.integers(0, 5))]
                for _ in range(draw(st.integers(0, 3))):
                    out.insert(draw(st.integers(0, len(out))), draw(values | st.sampled_from([*kept, "x"])))
                body[name] = out
        if draw(st.booleans()):
            body = dict(reversed(body.items()))
        told.append(body)
    return told


@given(conversations(), st.sampled_from(sorted(STYLES)), st.randoms(use_true_random=False))
def test_a_body_is_what_its_form_makes_of_the_one_before(
    told: list[dict[str, Any]], style: str, dice: random.Random
) -> None:
    """To the byte, whatever bodies were asked for before; copies go forward, as readers expect."""
    has_halves = re.search("[\ud800-\udfff]", json.dumps(told, ensure_ascii=False)) is not None
    assume(STYLES[style][1] or not has_halves)  # of surrogate pairs: no body in UTF-8 holds them but as escapes
    shared, heard = SharedBodies(), told[:1]
    for value in told[1:]:
        try:
            heard.append(hear(tell(value, heard[-1]), heard[-1], Budget(1 << 20)))
        except NotTold:
            heard.append(value)
    for number, value in enumerate(heard, 1):
        shared.put(number, value, style, number - 1)
    for number in dice.choices(range(1, len(heard) + 1), k=2 * len(heard)):
        body = serialise(heard[number - 1], style)
        assert shared.body(number) == body
        form = shared.form(number)
        if number == 1:
            assert form is None
            continue
        assert form is not None
        base, made, reached = serialise(heard[number - 2], style), b"", 0
        for op in form.ops:
            assert op.length > 0
            if op.kind == COPY:
                assert op.offset >= reached
                reached = op.offset + op.length
                made += base[op.offset : reached]
            else:
                made += body[len(made) : len(made) + op.length]
        assert (form.base, made) == (number - 1, body)


def test_a_step_of_a_cassette_is_read_by_what_it_added() -> None:
    """As one of a session file, also while early messages are cleared."""
    talk = Talk()
    sent = [talk.message() for _ in range(60)]
    for step in range(1, 40):
        sent = [*sent, talk.message()]
        if step > 20:
            sent[step] = {"role": "user", "content": "cleared"}
        talk.ask({"model": "m", "messages": sent, "stream": False})
    recording, _, _ = decoded(cassette_bytes(talk.recording))
    forms = [exchange.read_form() for exchange in recording.exchanges if exchange.read_form is not None]
    assert [form is None for form in forms] == [True] + [False] * 38
    sizes = [(len(step.exchange.body), len(step._shortened)) for step, _ in Session(recording).walk()]
    assert [short for _, short in sizes[3:] if short > 3000] == []
    assert sizes[-1][0] > 30_000
    assert json.loads(recording.exchanges[-1].body)["messages"] == sent
