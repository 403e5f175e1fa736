"""Gates: what is held, for how long, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from playhead.journal import gate as gates
from playhead.journal.gate import SUSPENSION_NS, WAITING_MOST, OpenGate, QuietGate
from tests.journal.peers import FakeRest, connection, exchange

if TYPE_CHECKING:
    from playhead.core.tape import Connection, Exchange


class Clock:
    """Monotonic nanoseconds, as the test sets them."""

    def __init__(self) -> None:
        self.now = 10**12

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(gates, "monotonic_ns", clock)
    return clock


class Releases:
    """Asks a gate for releases and keeps what it let go: (exchange number, observed)."""

    def __init__(self, gate: OpenGate | QuietGate, exchanges: int) -> None:
        self.gate = gate
        self.let_go: list[tuple[int, bool]] = []
        self.exchanges = {n: exchange(n) for n in range(1, exchanges + 1)}
        for each in self.exchanges.values():
            gate.begun(each)

    def release(self, number: int) -> bool:
        asked = self.exchanges[number]
        return self.gate.release(asked, lambda observed: self.let_go.append((number, observed)))

    def end(self, number: int) -> None:
        self.gate.ended(self.exchanges[number])


def test_a_single_exchange_is_never_held_nor_looked_at() -> None:
    """First byte and end of one exchange after another pass at once, observed."""
    rest = FakeRest()
    gate = QuietGate(rest)
    on = connection()
    for number in range(1, 4):
        one = exchange(number, on)
        gate.begun(one)
        passed: list[bool] = []
        assert gate.release(one, passed.append)
        assert gate.release(one, passed.append)
        gate.ended(one)
        assert passed == [True, True]
    assert (rest.looks, rest.waits) == ([], [])


def test_a_second_completion_waits_for_rest_after_the_first() -> None:
    """Held until the client was seen at rest on the port that was answered, within the bound; then observed."""
    rest = FakeRest()
    seen = Releases(QuietGate(rest), 2)
    assert seen.release(1)
    assert not seen.release(2)
    assert seen.let_go == [(1, True)]
    ((ports, _, bound),) = rest.waits
    assert ports == (seen.exchanges[1].connection.peer[1],)
    assert bound == gates.HOLD
    rest.say(rested=True)
    assert seen.let_go == [(1, True), (2, True)]


def test_one_look_that_finds_rest_is_enough() -> None:
    """No waiting when the client rests already."""
    rest = FakeRest(at_rest=True)
    seen = Releases(QuietGate(rest), 2)
    seen.release(1)
    assert seen.release(2)
    assert seen.let_go == [(1, True), (2, True)]
    assert rest.waits == []


def test_waiters_leave_one_at_a_time_in_their_order() -> None:
    """Each waits for rest after the one before it, also those whose rest comes at once."""
    rest = FakeRest()
    seen = Releases(QuietGate(rest), 4)
    for number in (3, 1, 4, 2):
        seen.release(number)
    ports = {n: e.connection.peer[1] for n, e in seen.exchanges.items()}
    asked = []
    for _ in range(3):
        asked.append(rest.waits[0][0])
        rest.say(rested=True)
    assert seen.let_go == [(3, True), (1, True), (4, True), (2, True)]
    assert asked == [(ports[3],), (ports[1],), (ports[4],)]
    assert rest.waits == []


def test_a_later_one_does_not_overtake_those_that_wait() -> None:
    """Even if the client rests just then."""
    rest = FakeRest()
    seen = Releases(QuietGate(rest), 3)
    seen.release(1)
    seen.release(2)
    rest.at_rest = True
    assert not seen.release(3)
    assert seen.let_go == [(1, True)]


def test_the_bound_lets_all_go_unobserved_and_suspends_for_100_ms(clock: Clock) -> None:
    """A client that does not rest is not slowed down again at once; after the suspension it is looked at again."""
    rest = FakeRest()
    seen = Releases(QuietGate(rest), 6)
    for number in (1, 2, 3):
        seen.release(number)
    rest.say(rested=False)
    assert seen.let_go == [(1, True), (2, False), (3, False)]
    assert SUSPENSION_NS == 100_000_000
    clock.now += SUSPENSION_NS - 1
    assert seen.release(4)
    assert seen.let_go[-1] == (4, False)
    clock.now += 1
    assert not seen.release(5)
    rest.say(rested=True)
    assert seen.let_go[-1] == (5, True)


def test_more_than_eight_waiting_let_all_go(clock: Clock) -> None:
    """The ninth that waits opens the gate, in order, unobserved; the wait that was under way then changes nothing."""
    rest = FakeRest()
    seen = Releases(QuietGate(rest), 12)
    numbers = list(range(1, WAITING_MOST + 3))
    for number in numbers[:-1]:
        seen.release(number)
    assert seen.let_go == [(1, True)]
    assert seen.release(numbers[-1])
    assert seen.let_go == [(1, True), *((n, False) for n in numbers[1:])]
    rest.say(rested=False)
    assert len(seen.let_go) == len(numbers)
    assert seen.release(12)


def test_asking_again_on_the_answered_connection_shows_that_the_answer_was_read() -> None:
    """Rest is not looked for then; asking on another connection shows nothing."""
    for same in (True, False):
        rest = FakeRest()
        seen = Releases(QuietGate(rest), 2)
        seen.release(1)
        seen.end(1)
        on: Connection = seen.exchanges[1].connection if same else connection(9)
        third: Exchange = exchange(3, on)
        seen.gate.begun(third)
        assert seen.release(2) is same
        assert bool(rest.waits) is not same


def test_nothing_is_held_for_an_exchange_that_was_alone() -> None:
    """Whatever begins after an answer that no other exchange could race with needs no look."""
    rest = FakeRest()
    seen = Releases(QuietGate(rest), 1)
    seen.release(1)
    seen.end(1)
    second = exchange(2)
    seen.gate.begun(second)
    assert seen.gate.release(second, lambda _: None)
    assert (rest.looks, rest.waits) == ([], [])


def test_an_exchange_that_ends_while_it_waits_does_not_stop_the_others() -> None:
    """An abandoned one passes through like any other."""
    rest = FakeRest()
    seen = Releases(QuietGate(rest), 3)
    for number in (1, 2, 3):
        seen.release(number)
    seen.end(2)
    rest.say(rested=True)
    rest.say(rested=True)
    assert [n for n, _ in seen.let_go] == [1, 2, 3]


def test_a_reset_waits_until_the_client_has_read_what_came_before() -> None:
    """Even with nobody else under way: bytes and a reset found at once may be reported as either. Bounded."""
    for rested in (True, False):
        rest = FakeRest()
        one = exchange()
        gate = QuietGate(rest)
        gate.begun(one)
        passed: list[bool] = []
        assert gate.release(one, passed.append)
        assert not gate.release(one, passed.append, read_first=True)
        ((ports, _, bound),) = rest.waits
        assert (ports, bound) == ((one.connection.peer[1],), gates.READ)
        assert passed == [True]
        rest.say(rested=rested)
        assert passed == [True, True]
    rest.at_rest = True
    assert gate.release(one, passed.append, read_first=True)


def test_an_open_gate_holds_nothing_and_claims_nothing() -> None:
    """With others under way only the first release is certain; alone, all are."""
    seen = Releases(OpenGate(), 3)
    assert all(seen.release(n) for n in (2, 1, 3))
    assert seen.let_go == [(2, True), (1, False), (3, False)]
    for number in (1, 2, 3):
        seen.end(number)
    alone = Releases(seen.gate, 1)
    alone.release(1)
    alone.release(1)
    assert alone.let_go == [(1, True), (1, True)]
