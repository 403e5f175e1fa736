"""What recording and replaying cost, as a user has them: `playhead record` with its defaults (journal, redaction, gate).

    python benchmarks/wire.py [--rounds N] [--calls N] [--seconds S]

The clients run as the recorded command, so the gate observes them as it would an agent. Direct calls and recorded
calls alternate in one run; read the ratios. Prints one line a figure, beside its target: first what the wire costs a
command of any language (a recording with PLAYHEAD_INSIDE=off), then a Python client that is on a tape inside as well,
which tells the clock and gives up uvloop.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))

import wire_engine as raw


def _engine_pid() -> int:
    """The engine is the launcher's other child."""
    launcher = os.getppid()
    found = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return next(int(pid) for pid in found if int(pid) != os.getpid())


def client(port: int, root: Path, trust: Path, rounds: int, calls: int, seconds: float, results: Path) -> None:
    """The recorded command: measures direct and recorded calls, leaves its figures in a file."""
    engine_port, engine = int(os.environ["PLAYHEAD_PORT"]), _engine_pid()
    direct, recorded = raw.connect(0, port, root), raw.connect(engine_port, port, trust)
    raw.sequential(direct, 50), raw.sequential(recorded, 50)
    times: dict[str, list[float]] = {"direct": [], "recorded": []}
    cpu_s = 0.0
    for _ in range(rounds):
        times["direct"] += raw.sequential(direct, calls)
        before = raw.cpu_s(engine)
        times["recorded"] += raw.sequential(recorded, calls)
        cpu_s += raw.cpu_s(engine) - before
    figures = {name: median(values) * 1000 for name, values in times.items()}
    figures["cpu_s_per_1000"] = cpu_s / rounds / calls * 1000
    for name, sock in (("direct", direct), ("recorded", recorded)):
        delays, reads = raw.stream(sock)
        figures[f"stream_{name}"], figures[f"reads_{name}"] = median(delays) * 1000, reads
    figures["rate_direct"] = raw.crowd(0, port, root, 50, seconds)
    figures["rate_recorded"] = raw.crowd(engine_port, port, trust, 50, seconds)
    figures |= httpx_times(port, rounds, max(calls // 4, 20))
    results.write_text(json.dumps(figures))


def httpx_times(port: int, rounds: int, calls: int) -> dict[str, float]:
    """The same through httpx, round by round in this recorded process and in one that our hooks do not reach."""
    clean = {k: v for k, v in os.environ.items() if "PROXY" not in k.upper() and not k.startswith("PLAYHEAD_")}
    clean |= {"PYTHONPATH": "", "SSL_CERT_FILE": os.environ["BENCH_ROOT"]}
    own = [sys.executable, __file__, "--role", "httpx", str(port), str(calls)]
    times: dict[str, list[float]] = {"httpx_direct": [], "httpx_recorded": []}
    with (
        subprocess.Popen(own, env=clean, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as direct,
        subprocess.Popen(own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as recorded,
    ):
        for round_number in range(rounds + 1):
            for name, process in (("httpx_direct", direct), ("httpx_recorded", recorded)):
                process.stdin.write("go\n")
                process.stdin.flush()
                found = json.loads(process.stdout.readline())
                if round_number:
                    times[name] += found
    return {name: median(values) * 1000 for name, values in times.items()}


def httpx_client(port: int, calls: int) -> None:
    """Measures a round of calls whenever it is told to."""
    import httpx

    body = raw.request().partition(b"\r\n\r\n")[2]
    url = f"https://{raw.HOST}:{port}/v1/chat/completions"
    with httpx.Client() as client:
        for _ in sys.stdin:
            times = []
            for _ in range(calls):
                begin = time.perf_counter()
                client.post(url, content=body, headers={"content-type": "application/json"})
                times.append(time.perf_counter() - begin)
            print(json.dumps(times), flush=True)


def replayed(port: int, trust: Path, calls: int, results: Path) -> None:
    """The replayed command: as many sequential calls as were recorded."""
    sock = raw.connect(int(os.environ["PLAYHEAD_PORT"]), port, trust)
    times = raw.sequential(sock, calls)
    results.write_text(json.dumps({"replayed": median(times) * 1000}))


def run(arguments: argparse.Namespace) -> None:
    """Start an upstream, record the client against it, print the figures."""
    from playhead.capture.wire import certificates

    playhead = [sys.executable, "-m", "playhead"]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        key = certificates.new_key()
        root_pem, leaf_key = certificates.sign_authority(key), certificates.new_key()
        root, leaf = directory / "root.pem", directory / "leaf.pem"
        root.write_bytes(root_pem)
        leaf.write_bytes(leaf_key + certificates.sign_leaf(raw.HOST, authority=(root_pem, key), key=leaf_key)[0])
        served, port, _ = raw.start("upstream", directory / "upstream.port", leaf)
        store, results = directory / "store", directory / "results.json"
        environment = {**os.environ, "PLAYHEAD_STORE": str(store), "BENCH_ROOT": str(root)}
        trust = store / "ca" / "ca.pem"
        own = [sys.executable, __file__, "--role"]
        try:
            subprocess.run([*playhead, "init"], env=environment, check=True, stdout=subprocess.DEVNULL)
            trust = next(iter((store / "ca").glob("ca*.pem")))
            begin = time.perf_counter()
            stamp = directory / "started"
            subprocess.run(
                [*playhead, "record", "--allow-empty", "--", "touch", str(stamp)],
                env=environment, check=True,
            )  # fmt: skip
            ready_ms = (stamp.stat().st_mtime - (time.time() - (time.perf_counter() - begin))) * 1000
            shape = [str(arguments.rounds), str(arguments.calls), str(arguments.seconds)]
            figures = {}
            for client_is, inside in (("wire", {"PLAYHEAD_INSIDE": "off"}), ("inside", {})):
                subprocess.run(
                    [*playhead, "record", "--upstream-ca", str(root), "--", *own, "client", str(port), str(root),
                     str(trust), *shape, str(results)],
                    env=environment | inside, check=True,
                )  # fmt: skip
                figures[client_is] = json.loads(results.read_text())
            # on a tape inside, the client would be told the recorded times
            environment["PLAYHEAD_INSIDE"] = "off"
            record_replay = [*own, "replayed", str(port), str(trust), "400", str(results)]
            subprocess.run(
                [*playhead, "record", "--name", "again", "--upstream-ca", str(root), "--", *record_replay],
                env=environment, check=True,
            )  # fmt: skip
            recorded = json.loads(results.read_text())["replayed"]
            subprocess.run([*playhead, "replay", "again"], env=environment, check=True, stderr=subprocess.DEVNULL)
            replayed_ms = json.loads(results.read_text())["replayed"]
        finally:
            served.terminate()
            served.wait()
    single = [
        ("start of record to command", ready_ms, "ms", "engine ready <= 150"),
        ("replayed p50", replayed_ms, "ms", f"<= {recorded:.3f} (recorded, zero-latency upstream)"),
    ]
    _print([*_rows(figures["wire"], ""), *_rows(figures["inside"], ", inside"), *single])


def _rows(f: dict[str, float], where: str) -> list[tuple[str, float, str, str]]:
    rows = [
        ("direct p50", f["direct"], "ms", ""),
        ("recorded p50", f["recorded"], "ms", ""),
        ("added p50", f["recorded"] - f["direct"], "ms", "<= 0.25"),
        ("ratio to direct", f["recorded"] / f["direct"], "x", "<= 4"),
        ("through httpx, ratio", f["httpx_recorded"] / f["httpx_direct"], "x", "<= 1.7"),
        ("engine CPU / 1000 calls", f["cpu_s_per_1000"], "s", "<= 0.20"),
        ("50 connections, direct", f["rate_direct"], "calls/s", ""),
        ("50 connections, recorded", f["rate_recorded"], "calls/s", ">= 3000"),
        ("stream, added a chunk", f["stream_recorded"] - f["stream_direct"], "ms", "<= 0.25"),
        ("stream, reads of 100 chunks", f["reads_recorded"], "reads", f"direct {f['reads_direct']:.0f}"),
    ]
    return [(name + where, *rest) for name, *rest in rows]


def _print(rows: list[tuple[str, float, str, str]]) -> None:
    for name, value, unit, target in rows:
        print(f"{name:<36} {value:9.3f} {unit:<8} {'target ' + target if target else ''}".rstrip())


def main() -> None:
    """Read the command line."""
    if sys.argv[1:2] == ["--role"]:
        role, *rest = sys.argv[2:]
        threading.current_thread().name = role
        if role == "client":
            client(
                int(rest[0]), Path(rest[1]), Path(rest[2]), int(rest[3]), int(rest[4]), float(rest[5]), Path(rest[6])
            )
        elif role == "httpx":
            httpx_client(int(rest[0]), int(rest[1]))
        else:
            replayed(int(rest[0]), Path(rest[1]), int(rest[2]), Path(rest[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3.0)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
