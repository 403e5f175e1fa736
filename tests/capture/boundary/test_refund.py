"""A tool that does harm when it runs twice."""

import socket
import subprocess
import sys

import playhead
from playhead.capture.boundary import loops
from tests.support.boundaries import Taped, installed

REPLAYS = 1000


def test_a_refund_runs_0_times_in_1000_replays(tmp_path):
    """Nor does a replay make the connection or start the process that the tool did."""
    ran = tmp_path / "ran"
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    heard, ears = [], [True]  # a hook stays for as long as the process

    @playhead.tool(effect="irreversible")
    def refund(order, amount):
        with ran.open("a") as file:
            file.write(f"{order} ")
        subprocess.run([sys.executable, "-S", "-c", ""], check=True)
        socket.create_connection(listening.getsockname()).close()
        listening.accept()[0].close()
        return {"order": order, "amount": amount}

    def listen(event, _arguments):
        if ears and event in ("subprocess.Popen", "socket.connect"):
            heard.append(event)

    with listening, installed(loops):
        taped = Taped(tmp_path)
        first = taped.record(lambda: [refund("A", 1), refund("B", 2)])
        sys.addaudithook(listen)
        for _ in range(REPLAYS):
            assert taped.replay(lambda: [refund("A", 1), refund("B", 2)]) == first
        assert heard == []
        refund("C", 3)  # the control: without a tape it runs, and is heard
    ears.clear()
    assert heard == ["subprocess.Popen", "socket.connect"]
    assert ran.read_text() == "A B C "
