"""What keeping the order of concurrent answers costs while recording.

    python benchmarks/order.py [--rounds N]

Eight concurrent calls to an upstream that takes 300 ms for each, direct and recorded by turns. All answers come at
once, which is the worst case for the gate: every completion waits until the client has read the one before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

CALLS, DELAY_S = 8, 0.3


async def _serve(port_file: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            await reader.readexactly(length)
            await asyncio.sleep(DELAY_S)
            body = json.dumps({"choices": [{"message": {"content": "x" * 400}}]}).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            writer.write(head + body)

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(quietly, "127.0.0.1", 0)
    port_file.with_suffix(".new").write_text(str(server.sockets[0].getsockname()[1]))
    port_file.with_suffix(".new").rename(port_file)
    await server.serve_forever()


async def _ask(url: str) -> float:
    import httpx

    async with httpx.AsyncClient(timeout=30) as client:
        await client.post(url, json={"messages": ["warm"]})  # loads what httpx loads at its first call
        begin = time.perf_counter()
        await asyncio.gather(*(client.post(url, json={"messages": [n]}) for n in range(CALLS)))
        return time.perf_counter() - begin


def main() -> None:
    """Read the command line, run, print."""
    if sys.argv[1:2] == ["--role"]:
        role, first, *rest = sys.argv[2:]
        if role == "upstream":
            asyncio.run(_serve(Path(first)))
        else:
            Path(rest[0]).write_text(str(asyncio.run(_ask(first))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    own = [sys.executable, __file__, "--role"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port_file, result = folder / "port", folder / "result"
        upstream = subprocess.Popen([*own, "upstream", str(port_file)])
        try:
            while not port_file.exists():
                time.sleep(0.01)
            ask = [*own, "client", f"http://127.0.0.1:{port_file.read_text()}/v1/chat/completions", str(result)]
            recorded = [sys.executable, "-m", "playhead", "record", "--", *ask]
            environment = {**os.environ, "PLAYHEAD_STORE": str(folder / "store")}
            times: dict[str, list[float]] = {"direct": [], "recorded": []}
            for _ in range(rounds):
                for label, command in (("direct", ask), ("recorded", recorded)):
                    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
                    times[label].append(float(result.read_text()) * 1000)
        finally:
            upstream.terminate()
            upstream.wait()
    for label, values in times.items():
        target = "   target <= 400" if label == "recorded" else ""
        print(f"{CALLS} concurrent calls of 300 ms, {label:<9} {median(values):8.1f} ms{target}")


if __name__ == "__main__":
    main()
