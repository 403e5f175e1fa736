"""Pumps, sinks and recorded input, on pipes of the test's own."""

import contextlib
import errno
import os
import select
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.runs import streams
from playhead.runs.streams import Feed, Input, Pump, Sink, inputs_of


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    for fd in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(fd)


def turn(flow):
    """One round of the launcher's loop."""
    waiting = select.poll()
    for fd, events in flow.wishes():
        waiting.register(fd, events)
    flow.turn(dict(waiting.poll(0)))


def test_a_sink_never_blocks_on_a_shared_pipe_and_leaves_its_mode_alone(pipe):
    """A full pipe takes nothing, whoever else holds it still finds it blocking."""
    reading, writing = pipe
    sink = Sink(writing)
    taken = 0
    while step := sink.write(bytes(65536)):
        taken += step
    assert taken >= 4096
    assert os.get_blocking(writing)
    os.read(reading, 65536)
    assert sink.write(b"more") == 4
    sink.close()


def test_a_sink_without_a_way_to_open_it_again_writes_only_what_has_room(pipe, monkeypatch):
    """The careful path (no /proc): never more than poll promises."""
    monkeypatch.setattr(streams.sys, "platform", "elsewhere")
    reading, writing = pipe
    sink = Sink(writing)
    taken = 0
    while step := sink.write(bytes(65536)):
        assert step <= select.PIPE_BUF
        taken += step
    assert len(os.read(reading, taken)) == taken


def test_a_sink_to_a_socket_does_not_block():
    """Sockets cannot be opened again; they are sent to without waiting."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = Sink(ours.fileno())
        while sink.write(bytes(65536)):
            pass
        assert ours.getblocking()
        sink.close()


def test_a_broken_sink_swallows(pipe):
    """Once its reader has gone everything is dealt with, and it says so."""
    reading, writing = pipe
    sink = Sink(writing)
    os.close(reading)
    assert sink.write(b"lost") == 4
    assert sink.is_broken
    sink.close()


def test_a_full_disk_breaks_the_sink_and_not_the_run():
    """Output that cannot be kept is dropped with its reason; nothing is raised into the loop."""
    full = os.open("/dev/full", os.O_WRONLY)
    sink = Sink(full)
    assert sink.write(b"lost") == 4
    assert sink.is_broken
    assert sink.error.errno == errno.ENOSPC
    sink.close()
    os.close(full)


def test_a_source_that_cannot_be_read_is_at_its_end(pipe):
    """A directory as standard input."""
    source = os.open("/", os.O_RDONLY)
    reported = []
    pump = Pump(source, Sink(pipe[1]), reported.append, is_output=False)
    pump.turn({source: select.POLLIN})
    assert reported == [b""]
    assert pump.is_finished
    os.close(source)


def test_nothing_is_a_sink_too():
    """A stream that is shown nowhere is read all the same."""
    assert Sink(None).write(b"abc") == 3


@given(st.lists(st.binary(min_size=1, max_size=4000), max_size=12))
def test_a_pump_passes_and_reports_the_same_bytes(pieces):
    """What went in comes out, was reported first, and the end is told once."""
    inner, outer = os.pipe(), os.pipe()
    reported = []
    pump = Pump(inner[0], Sink(outer[1]), reported.append, is_output=True)
    received = b""
    for piece in pieces:
        os.write(inner[1], piece)
        turn(pump)
        received += os.read(outer[0], 65536)
        assert b"".join(reported) == received
    os.close(inner[1])
    turn(pump)
    assert pump.is_finished
    assert received == b"".join(pieces)
    assert reported.count(b"") == 1
    pump.close()
    for fd in (inner[0], *outer):
        os.close(fd)


def test_a_pump_reads_no_more_than_one_piece_ahead():
    """While the sink is full the source is left alone."""
    inner, outer = os.pipe(), os.pipe()
    reported = []
    pump = Pump(inner[0], Sink(outer[1]), reported.append, is_output=True)
    os.set_blocking(inner[1], False)
    for _ in range(20):
        with contextlib.suppress(BlockingIOError):
            os.write(inner[1], bytes(65536))
        turn(pump)
    assert sum(map(len, reported)) <= 3 * 65536
    pump.close()
    for fd in (*inner, *outer):
        os.close(fd)


def test_input_comes_after_the_output_it_followed(pipe):
    """A piece recorded after 5 bytes of output is not given before them."""
    reading, writing = pipe
    os.set_blocking(reading, False)
    reported = []
    feed = Feed([Input(b"a"), Input(b"b", 5)], Sink(writing), reported.append, lambda: False)
    feed.turn({})
    assert os.read(reading, 9) == b"a"
    feed.saw_output(4)
    feed.turn({})
    assert reported == [b"a"]
    assert feed.is_waiting
    feed.saw_output(1)
    feed.turn({})
    assert os.read(reading, 9) == b"b"
    assert not feed.is_waiting


@pytest.mark.parametrize(("seen", "rest_ns", "is_given"), [(195, 200e6, True), (20, 200e6, False), (20, 11e9, True)])
def test_input_does_not_wait_for_ever(pipe, monkeypatch, seen, rest_ns, is_given):
    """Output nearly as long as recorded will do once the child rests; much less output, after a long rest."""
    clock = [1_000]
    monkeypatch.setattr(streams, "monotonic_ns", lambda: clock[0])
    reported = []
    feed = Feed([Input(b"x", 200)], Sink(pipe[1]), reported.append, lambda: True)
    feed.saw_output(seen)
    feed.turn({})
    assert reported == []
    clock[0] += int(rest_ns)
    feed.turn({})
    assert reported == ([b"x"] if is_given else [])


def test_a_child_at_work_is_not_hurried(pipe, monkeypatch):
    """Time in which the child runs does not count as rest."""
    clock = [1_000]
    monkeypatch.setattr(streams, "monotonic_ns", lambda: clock[0])
    feed = Feed([Input(b"x", 200)], Sink(pipe[1]), lambda data: None, lambda: False)
    for _ in range(5):
        clock[0] += 20_000_000_000
        feed.turn({})
    assert feed.is_waiting


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=5)), max_size=30))
def test_inputs_of_keeps_bytes_and_causes(pieces):
    """Recorded pieces become inputs in order; each waits for exactly the output recorded before it."""
    inputs = inputs_of(pieces)
    assert [i.data for i in inputs] == [data for fd, data in pieces if fd == 0]
    at = [n for n, (fd, _) in enumerate(pieces) if fd == 0]
    assert [i.after for i in inputs] == [sum(len(d) for fd, d in pieces[:n] if fd) for n in at]
