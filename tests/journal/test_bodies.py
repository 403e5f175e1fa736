"""Request bodies: whatever was encoded is read back, costs what is new in it, and hostile forms are refused."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.core.redact import Redactor
from playhead.journal.bodies import Bodies, Encoder, Extent, joined, split
from playhead.journal.bodies.form import COPY, LITERAL, MOST, RECALL, Op, read_ops, write_flat, write_ops
from playhead.journal.bodies.spans import common_prefix, common_suffix
from tests.core.secrets import planted

PLANTED = planted()


def stored(bodies: dict[int, bytes]) -> dict[int, bytes]:
    """The stored forms, encoded in the order of the dictionary."""
    encoder = Encoder()
    return {number: encoder.encode(number, body) for number, body in bodies.items()}


def read_back(encoded: dict[int, bytes]) -> Bodies:
    reader = Bodies()
    for number, form in encoded.items():
        reader.put(number, form)
    return reader


def form(number: int, base: int, *ops: Op, literal: bytes = b"") -> bytes:
    return joined(write_ops(number, base, ops), literal)


def noise(seed: int, size: int) -> str:
    """Text without quotes that no other seed has."""
    return "".join(random.Random(seed).choices("abcdefghijklmnopqrstuvwxyz ,.", k=size))


PIECE = (
    st.binary(max_size=60)
    | st.sampled_from([b"", b"\xff\x00", b'{"role":"user"}', b"a" * 200])
    | st.integers(0, 9).map(lambda seed: noise(seed, 900).encode())
)
EDIT = st.tuples(st.sampled_from(["append", "edit", "cut", "new", "same", "insert"]), st.integers(0, 3000), PIECE)


def edited(body: bytes, how: str, at: int, piece: bytes) -> bytes:
    at = min(at, len(body))
    if how == "append":
        return body + piece
    if how == "edit":
        return body[:at] + piece + body[at + len(piece) :]
    if how == "insert":
        return body[:at] + piece + body[at:]
    if how == "cut":
        return body[:at]
    return body if how == "same" else piece


@settings(max_examples=120, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 3), EDIT), max_size=40),
    order=st.randoms(use_true_random=False),
    flat=st.sampled_from([0.0, 0.2, 1.0]),
)
def test_any_series_of_four_agents_comes_back(steps: list, order, flat: float) -> None:
    """Growing, edited, cut, replaced and empty bodies of interleaved agents, in any order of storing and reading, as
    recorded and with some made of literals alone; their extents are the same bytes."""
    latest = dict.fromkeys(range(4), b'{"messages":[' * 3)
    bodies: dict[int, bytes] = {}
    for number, (agent, edit) in enumerate(steps, 1):
        latest[agent] = bodies[number] = edited(latest[agent], *edit)
    numbers = list(bodies)
    order.shuffle(numbers)  # of requests under way together the later one may be complete first
    encoded = stored({number: bodies[number] for number in numbers})
    reader = read_back(encoded)
    sealed = Bodies(reader.literal)
    for number in numbers:
        whole = order.random() < flat
        ops = write_flat(reader.extents(number)) if whole else split(encoded[number])[0]
        sealed.put_ops(number, ops, len(reader.literal(number)))
    order.shuffle(numbers)
    for number in numbers:
        assert reader.get(number) == bodies[number]
        assert sealed.get(number) == bodies[number]
        assert reader.length(number) == len(bodies[number])
        extents = reader.extents(number)
        assert b"".join(reader.literal(n)[at : at + size] for n, at, size in extents) == bodies[number]
        assert all(a[0] != b[0] or a[1] + a[2] != b[1] for a, b in pairwise(extents))


def messages(talk: list[str], **more: object) -> bytes:
    return json.dumps({"model": "m", **more, "messages": [{"role": "user", "content": text} for text in talk]}).encode()


class Whole:
    """A control: every body as it is."""

    def encode(self, number: int, body: bytes) -> bytes:
        return form(number, 0, Op(LITERAL, len(body)), literal=body)


class Ends:
    """A control: what lies between the common prefix and suffix with the body before."""

    def __init__(self) -> None:
        self.before = (0, b"")

    def encode(self, number: int, body: bytes) -> bytes:
        base, old = self.before
        prefix = common_prefix(old, body)
        suffix = common_suffix(old, body, min(len(old), len(body)) - prefix)
        middle = body[prefix : len(body) - suffix]
        ops = [Op(COPY, prefix), Op(LITERAL, len(middle)), Op(COPY, suffix, len(old) - suffix)]
        self.before = (number, body)
        return form(number, base, *[op for op in ops if op.length], literal=middle)


def size(encoder: Whole | Ends | Encoder, bodies: dict[int, bytes]) -> int:
    """Stored bytes, which are shown to be the bodies."""
    encoded = {number: encoder.encode(number, body) for number, body in bodies.items()}
    last = max(bodies)
    assert read_back(encoded).get(last) == bodies[last]
    return sum(map(len, encoded.values()))


def test_a_conversation_costs_what_is_new_also_when_four_are_interleaved() -> None:
    """400 steps that each add a message to one of four conversations take little more than the messages."""
    talks: dict[int, list[str]] = {agent: [noise(agent, 1000)] for agent in range(4)}
    bodies = {}
    for step in range(1, 401):
        talk = talks[step % 4]
        talk.append(noise(step + 9, 100))
        bodies[step] = messages(talk, stream=True)
    unique = sum(len(text) for talk in talks.values() for text in talk)
    assert size(Encoder(), bodies) < 1.8 * unique
    assert size(Whole(), bodies) > 50 * unique
    assert size(Ends(), bodies) > 20 * unique  # the body before is another agent's


@pytest.mark.parametrize("window", [3, 20, 60])
@pytest.mark.parametrize("volatile", [False, True])
def test_clearing_old_results_costs_no_more_than_appending(window: int, volatile: bool) -> None:
    """At every step a result far up is blanked and a new one comes behind; with a clock in front, too."""
    talk: list[str] = []
    bodies = {}
    for step in range(1, 161):
        talk.append(noise(step, 1500))
        shown = ["[cleared]" if at < step - window else text for at, text in enumerate(talk)]
        bodies[step] = messages(shown, clock=f"2026-11-21 13:{step}") if volatile else messages(shown)
    encoded = stored(bodies)
    new = sum(map(len, talk))
    assert size(Encoder(), bodies) < 1.15 * new
    assert size(Whole(), bodies) > 5 * new
    assert size(Ends(), bodies) > 2.5 * new
    assert max(len(split(f)[0]) for f in encoded.values()) < 60
    reader = read_back(encoded)
    assert all(reader.get(step) == bodies[step] for step in (160, 1, 80))


def test_what_comes_back_or_moves_to_another_agent_is_stored_once() -> None:
    """Results that were cleared and return in another order, and are handed to an agent whose requests are otherwise
    different."""
    results = [noise(seed, 3000) for seed in range(20)]
    bodies = {
        1: messages(results),
        2: messages(["forget it"]),
        3: messages([*results[10:], "and", *results[:10]]),
        4: json.dumps({"system": "you are new", "input": [{"text": text} for text in reversed(results)]}).encode(),
    }
    encoded = stored(bodies)
    assert len(encoded[1]) > 60_000
    assert sum(len(encoded[number]) for number in (2, 3, 4)) < 3000
    assert read_back(encoded).get(4) == bodies[4]


def test_the_agent_whose_prompt_begins_with_a_clock_keeps_its_own_base() -> None:
    """Six agents with a common prompt behind a clock, interleaved: each is stored against its own conversation."""
    talks: dict[int, list[str]] = {agent: [noise(99, 3000), f"task {agent}"] for agent in range(6)}
    bodies = {}
    for step in range(1, 241):
        talk = talks[step % 6]
        talk += [noise(step, 300)]
        bodies[step] = messages([f"now {step * 7919 % 1000:03}", *talk])
    assert sum(map(len, stored(bodies).values())) < 2.2 * sum(len(t) for talk in talks.values() for t in talk[2:])


def test_a_cleared_tool_result_in_the_middle_costs_little() -> None:
    """Both sides of the edit come from the base."""
    before = b"a" * 50_000 + b"tool result" + b"b" * 50_000
    after = b"a" * 50_000 + b"[cleared]" + b"b" * 50_000
    encoded = stored({1: before, 2: after})
    assert len(encoded[2]) < 40
    assert read_back(encoded).get(2) == after


TEXTS = st.lists(
    st.sampled_from(PLANTED).map(lambda item: item.text)
    | st.integers(0, 5).map(lambda seed: noise(seed, 400).encode())
    | st.sampled_from(
        [
            b"password=",
            b"api_key: ",
            b'"',
            b"\\n",
            b"sk-",
            b"A" * 60,
            b"<redacted:openai-key:3>",
            b"<redact",
            b"ed:x:1>",
            b"\r\n1f\r\n",
        ]
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(series=st.lists(st.tuples(TEXTS, st.integers(0, 2000), st.integers(0, 400), st.integers(0, 400)), max_size=6))
def test_spans_known_to_be_clean_hide_no_secret(series: list) -> None:
    """Bodies with secrets, cut and put together anew at any place: what is scanned is enough, also against bases in which
    redaction did replace something."""
    encoder = Encoder()
    body = b""
    for number, (texts, at, cut, back) in enumerate(series, 1):
        body = body[cut : max(cut, at)] + b"".join(texts) + body[max(0, at - back) :]
        known = encoder.clean_spans(body)
        clean = Redactor().message().body(body, known)
        assert clean == Redactor().message().body(body)
        encoder.encode(number, clean)


def test_a_history_with_a_secret_in_it_is_known_all_around_the_secret() -> None:
    """Only the secret and what is new is scanned again, although redaction changed the base."""
    encoder = Encoder()
    first = messages([noise(1, 20_000), PLANTED[0].text.decode(), noise(2, 20_000)])
    encoder.encode(1, Redactor().message().body(first))
    now = first[:-2] + messages([noise(3, 500)])
    known = encoder.clean_spans(now)
    assert sum(end - start for start, end in known) > len(first) - 300
    assert all(PLANTED[0].secret not in now[start:end] for start, end in known)


def test_known_spans_hold_no_tokens() -> None:
    """An agent that sends back what it was served from a recording has tokens in its history: they are numbered anew,
    wherever in it they are."""
    encoder = Encoder()
    token = b"<redacted:openai-key:%d>"
    first = b"a" * 3000 + token % 1 + b"b" * 3000 + token % 2 + b"c" * 3000
    encoder.encode(1, first)
    second = b"a" * 3000 + token % 1 + b"b" * 3000 + token % 2 + b"c" * 3000 + b"d" * 3000
    assert len(encoder.clean_spans(second)) == 3
    encoder.encode(2, second)
    for body in (second, second[100:], second + b"more", b"a" * 5 + second[3000:]):
        known = encoder.clean_spans(body)
        assert known
        assert all(b"<redacted:" not in body[start:end] for start, end in known)
        assert Redactor().message().body(body, known) == Redactor().message().body(body)


def test_the_end_of_a_body_in_parts_vouches_for_nothing() -> None:
    """What redaction thought of it depended on the parts before."""
    encoder = Encoder()
    encoder.encode(1, b"x" * 5000, part=True)
    assert encoder.clean_spans(b"x" * 5000) == ()
    encoder.encode(2, b"y" * 5000)
    assert encoder.clean_spans(b"y" * 5000) == ((0, 5000),)
    assert encoder.clean_spans(b"y" * 4000) == ((0, 3999),)  # a cut word may be a secret that the whole one was not


ABC = form(1, 0, Op(LITERAL, 3), literal=b"abc")


@pytest.mark.parametrize(
    ("forms", "asked"),
    [
        ({}, 1),
        ({1: form(1, 1, Op(COPY, 1))}, 1),
        ({1: form(1, 2, Op(COPY, 1)), 2: form(2, 1, Op(COPY, 1))}, 1),
        ({1: form(1, 2, Op(COPY, 1)), 2: form(2, 1, Op(COPY, 1))}, 2),
        ({2: form(2, 1, Op(COPY, 1)), 1: ABC}, 2),
        ({1: ABC, 2: form(2, 1, Op(COPY, 4))}, 2),
        ({1: ABC, 2: form(2, 1, Op(COPY, 2), Op(COPY, 2, 2))}, 2),
        ({1: ABC, 2: form(2, 1, Op(COPY, 1, 2**60))}, 2),
        ({1: ABC, 2: form(2, 0, Op(RECALL, 2, 2, 1))}, 2),
        ({1: ABC, 2: form(2, 0, Op(RECALL, 2, 0, 7))}, 2),
        ({2: form(2, 0, Op(RECALL, 2, 0, 1)), 1: ABC}, 2),
        ({1: form(1, 0, Op(LITERAL, 4), literal=b"abc")}, 1),
        ({1: form(1, 0, Op(LITERAL, 3), Op(LITERAL, 1), literal=b"abc")}, 1),
        ({1: form(1, 0, Op(LITERAL, 0), literal=b"abc")}, 1),
        ({1: form(1, 0, Op(LITERAL, 2**40), literal=b"abc")}, 1),
        ({1: joined(b"\xff" * 20, b"")}, 1),
        ({1: joined(b"\0\xff\xff\xff\xff\x0f", b"")}, 1),
        ({1: joined(write_flat([Extent(1, 0, 3)])[:-1], b"abc")}, 1),
        ({1: joined(write_flat([Extent(1, 0, 0)]), b"abc")}, 1),
    ],
)
def test_hostile_forms_are_refused(forms: dict[int, bytes], asked: int) -> None:
    """Missing bases, circles and lengths beyond a base or literal are ValueErrors, in `check` as in `get`."""
    reader = read_back(forms)
    for ask in (reader.get, reader.check, reader.extents, reader.length):
        with pytest.raises(ValueError, match="exchange"):
            ask(asked)


@pytest.mark.parametrize("data", [b"", b"\x05ab", b"\xff" * 12])
def test_a_form_without_its_operations_is_refused_at_once(data: bytes) -> None:
    """There is nothing to keep."""
    with pytest.raises(ValueError, match="operations"):
        Bodies().put(1, data)


def test_bodies_cannot_double_at_every_step() -> None:
    """Copies go forward in the base, and what repeats a literal is bounded: small files stay small."""
    twice = joined(write_ops(2, 1, [Op(COPY, 3)]) + b"\x0d\x00", b"")
    with pytest.raises(ValueError, match="past the end"):
        read_back({1: ABC, 2: twice}).get(2)
    big = form(1, 0, Op(LITERAL, 1 << 20), literal=b"x" * (1 << 20))
    bomb = form(2, 0, *[Op(RECALL, 1 << 20, 0, 1)] * 65)
    with pytest.raises(ValueError, match="exchange 2"):
        read_back({1: big, 2: bomb}).get(2)
    many = form(1, 0, *[Op(LITERAL, 1)] * (MOST + 2), literal=b"x" * (MOST + 2))
    with pytest.raises(ValueError, match="exchange 1"):
        read_back({1: many}).check(1)


@settings(max_examples=250, deadline=None)
@given(forms=st.dictionaries(st.integers(1, 6), st.binary(max_size=40), max_size=6), asked=st.integers(1, 6))
def test_hostile_bytes_give_a_body_or_a_value_error(forms: dict[int, bytes], asked: int) -> None:
    """Nothing else, and it always ends; `check` and `get` agree."""
    reader = Bodies()
    for number, data in forms.items():
        reader.put(number, joined(data, data))
    try:
        reader.check(asked)
    except ValueError:
        with pytest.raises(ValueError, match="exchange"):
            reader.get(asked)
    else:
        assert len(reader.get(asked)) == reader.length(asked)
        assert sum(extent.length for extent in reader.extents(asked)) == reader.length(asked)


@settings(max_examples=120, deadline=None)
@given(
    number=st.integers(1, 1 << 20),
    base=st.integers(0, 1 << 20),
    ops=st.lists(
        st.builds(Op, st.just(LITERAL), st.integers(1, 1 << 20), st.just(0), st.just(0))
        | st.builds(Op, st.just(RECALL), st.integers(1, 1 << 20), st.integers(0, 1 << 30), st.integers(1, 1 << 20)),
        max_size=9,
    ),
)
def test_operations_are_read_as_they_were_written(number: int, base: int, ops: list[Op]) -> None:
    """Also where exchange numbers go back, as when a later request was complete first."""
    base = 0 if base == number else base
    assert read_ops(number, write_ops(number, base, ops)) == (base, ops)
    extents = [Extent(op.number or number, op.offset, op.length) for op in ops]
    if extents:
        flat = read_ops(number, write_flat(extents))
        assert flat == (0, [Op(RECALL, e.length, e.offset, e.number) for e in extents])
