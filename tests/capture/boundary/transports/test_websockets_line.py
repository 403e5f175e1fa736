"""The socket of a connection of `websockets`, closed by one thread while another waits at it."""

import os
import select
import threading
from types import SimpleNamespace

from playhead.capture.boundary.transports import websockets_sync
from playhead.capture.boundary.transports.websockets_sync import Line


def test_what_is_waited_for_is_closed_by_who_waits(monkeypatch):
    """The number must not have gone to a pipe of the agent's in between, which would not end while somebody waits at it."""
    is_about_to, may, found = threading.Event(), threading.Event(), []

    class Late:
        def __init__(self):
            self._real = select.poll()

        def register(self, descriptor, events):
            self._waited_for = descriptor
            self._real.register(descriptor, events)

        def poll(self, timeout):
            before = os.fstat(self._waited_for).st_ino
            is_about_to.set()
            assert may.wait(20)
            found.append((before, _pipe(self._waited_for)))
            return self._real.poll(timeout)

    monkeypatch.setattr(websockets_sync, "select", SimpleNamespace(poll=Late, POLLIN=select.POLLIN))
    pipe = SimpleNamespace(take=lambda _size: None, has_news=False, is_gone=False, leave=lambda: None)
    line, read = Line(pipe, lambda: None), []
    reader = threading.Thread(target=lambda: read.append(line.recv(10)))
    reader.start()
    assert is_about_to.wait(20)
    ready = line.fileno()
    line.close()
    agents = [each for _ in range(4) for each in os.pipe()]  # they take the numbers that are free
    may.set()
    reader.join(20)
    for each in agents:
        os.close(each)
    assert read == [b""]
    assert [before == after for before, after in found] == [True]
    assert _pipe(ready) is None, "it is left open"


def _pipe(descriptor):
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return None
