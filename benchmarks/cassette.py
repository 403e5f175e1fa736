"""What a cassette costs: its size beside other forms, and what git keeps after four versions of it.

One session of a synthetic agent (agent_runs.py) whose answers are event streams, one chunk for each event, is
exported four times: each version is a re-recording with other moments, other read boundaries and another second half. The
other forms hold the same requests, answers, read sizes and moments: JSON with base64 (as Rewind's .rw does), a zip of files, an
SQLite database. `git gc` packs each repository. Then: CPU of exporting and of reading back.

    python benchmarks/cassette.py [--seed 1] [--steps 50] [--shape openai]
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import agent_runs

from playhead.cassette.making import cassette_bytes
from playhead.cassette.opening import read_cassette
from playhead.core.events import Ending, Flag
from playhead.core.tape import Target
from playhead.sessions.header import Header
from playhead.sessions.model import Chunk, RecordedExchange, Recording, StdioChunk

VERSIONS = 4
HEAD = (
    "HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 13:{:02}:{:02} GMT\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    "transfer-encoding: chunked\r\nx-request-id: req_{:016x}\r\nopenai-version: 2020-10-01\r\nserver: cloudflare\r\n\r\n"
)


def answer_events(shape: str, text: str, dice: random.Random) -> list[str]:
    """The event stream of an answer, a few characters an event."""
    pieces, at = [], 0
    while at < len(text):
        size = dice.randint(2, 20)
        pieces.append(text[at : at + size])
        at += size
    if shape == "anthropic":
        events = [
            "event: content_block_delta\ndata: "
            + agent_runs.compact(
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": p}}
            )
            for p in pieces
        ]
        return [f"{event}\n\n" for event in [*events, 'event: message_stop\ndata: {"type":"message_stop"}']]
    name, out = f"chatcmpl-{dice.getrandbits(96):024x}", []
    for delta, reason in [*(({"content": p}, None) for p in pieces), ({}, "stop")]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        told = {"id": name, "object": "chat.completion.chunk", "created": 1795255423, "model": "gpt-5.4-mini"}
        out.append(f"data: {agent_runs.compact({**told, 'choices': [choice], 'usage': None})}\n\n")
    return [*out, "data: [DONE]\n\n"]


def recording(seed: int, shape: str, steps: int, version: int, **options: object) -> Recording:
    """One version of a session."""
    moments = random.Random(f"moments {seed} {version}")
    made = Recording(
        Header(f"{moments.getrandbits(64):016x}", 1_795_255_423_000_000_000, ["python", "agent.py"], "/home/me/agent"),
        10**12,
    )
    first = agent_runs.run(seed, shape, steps, **options)
    second = agent_runs.Talk(f"{seed} {shape} second half {version}")
    talk = agent_runs.Talk(f"{seed} {shape} 0", image=bool(options.get("image")))
    order, now = 1, 10**12
    for number, sent in enumerate(first, 1):
        body = sent.body
        if version and number > steps // 2:  # another second half: the same first half, then another conversation
            if number == steps // 2 + 1:
                for _ in range(number - 1):
                    talk.step()
            fresh = second.step()
            talk.messages += fresh
            body = agent_runs.SHAPES[shape](talk, talk.messages, talk.system)[0].encode()
        said = random.Random(f"{seed} {number} {version if number > steps // 2 else 0}")
        text = (
            second.words(900)
            if version and number > steps // 2
            else agent_runs.prose()[(at := said.randrange(10**5)) : at + 900]
        )
        events = [event.encode() for event in answer_events(shape, text, said)]
        pieces = [HEAD.format(number // 60, number % 60, said.getrandbits(64)).encode()]
        pieces += [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
        pieces.append(b"0\r\n\r\n")
        exchange = RecordedExchange(
            number,
            Target("https", "api.openai.com", 443),
            "proxy",
            1,
            number > 1,
            "http/1.1",
            now,
            order,
            asked_order=order + 1,
        )
        exchange.head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nAccept: application/json\r\n"
            f"Content-Type: application/json\r\nUser-Agent: OpenAI/Python 3.3.0\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        exchange.read_body = lambda body=body: body
        order += 2
        now += moments.randrange(4 * 10**8, 9 * 10**8)
        while pieces:
            take = moments.choice((1, 1, 1, 2, 3))
            data, pieces = b"".join(pieces[:take]), pieces[take:]
            flags = (Flag.FIRST if not exchange.chunks else 0) | (0 if pieces else Flag.LAST)
            exchange.chunks.append(Chunk(now, data, order, int(flags)))
            order += 1
            now += moments.randrange(10**6, 4 * 10**7)
        last = exchange.chunks[-1]
        exchange.ending, exchange.ended_ns, exchange.ended_order, exchange.ended_flags = (
            Ending.COMPLETE,
            last.t_ns,
            last.order,
            last.flags,
        )
        made.exchanges.append(exchange)
    made.stdio.append(StdioChunk(now, 1, b"Done.\n"))
    made.has_exit, made.exit_code, made.duration_s = True, 0, 60.0
    return made


def as_json(made: Recording) -> bytes:
    """Whole bodies, base64."""
    steps = [
        {
            "request": base64.b64encode(e.head + e.body).decode(),
            "response": base64.b64encode(e.answer).decode(),
            "chunks": [[c.t_ns, len(c.data)] for c in e.chunks],
        }
        for e in made.exchanges
    ]
    return json.dumps({"header": made.header.to_json(), "steps": steps}, indent=1).encode()


def as_zip(made: Recording) -> bytes:
    """A file for each request, each answer and its moments."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps(made.header.to_json()))
        for e in made.exchanges:
            archive.writestr(f"{e.number:04}.request", e.head + e.body)
            archive.writestr(f"{e.number:04}.response", e.answer)
            archive.writestr(f"{e.number:04}.chunks", json.dumps([[c.t_ns, len(c.data)] for c in e.chunks]))
    return out.getvalue()


def as_sqlite(made: Recording) -> bytes:
    """A row for each exchange, bodies compressed with zlib."""
    import zlib

    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE steps (number INTEGER PRIMARY KEY, request BLOB, response BLOB, chunks BLOB)")
    for e in made.exchanges:
        chunks = json.dumps([[c.t_ns, len(c.data)] for c in e.chunks]).encode()
        db.execute(
            "INSERT INTO steps VALUES (?,?,?,?)",
            (e.number, *(zlib.compress(x) for x in (e.head + e.body, e.answer, chunks))),
        )
    db.commit()
    return db.serialize()


FORMS = {
    "JSON + base64": as_json,
    "zip": as_zip,
    "SQLite file": as_sqlite,
    "cassette, compact": lambda made: cassette_bytes(made, compact=True),
    "cassette, text": cassette_bytes,
}


def in_git(folder: Path, versions: list[bytes]) -> tuple[int, list[str]]:
    """Bytes of the object store after committing each version, packed; added lines of each version, as git counts them."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), "-c", "user.name=b", "-c", "user.email=b@example.com", *arguments],
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    folder.mkdir()
    git("init", "-q")
    changed = []
    for data in versions:
        (folder / "it.rw").write_bytes(data)
        git("add", "it.rw")
        git("commit", "-qm", "version")
        changed.append(git("show", "--numstat", "--format=").split("\t")[0])
    git("gc", "-q", "--aggressive", "--prune=now")
    return sum(path.stat().st_size for path in (folder / ".git/objects").rglob("*.pack")), changed


def main() -> None:
    """Print one line a form."""
    options = argparse.ArgumentParser()
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--steps", type=int, default=50)
    options.add_argument("--shape", choices=list(agent_runs.SHAPES), default="openai")
    given = options.parse_args()
    versions = [recording(given.seed, given.shape, given.steps, number) for number in range(VERSIONS)]
    raw = sum(len(e.head) + len(e.body) + len(e.answer) for e in versions[0].exchanges)
    print(f"{given.shape}, {given.steps} steps, seed {given.seed}: {raw / 1e6:.2f} MB raw\n")
    print(f"{'form':20} {'size MB':>8} {'git after 4, MB':>16} {'lines of it':>12}  added by each version")
    with tempfile.TemporaryDirectory() as place:
        for name, form in FORMS.items():
            made = [form(version) for version in versions]
            stored, changed = in_git(Path(place) / name.replace(" ", "_"), made)
            lines = made[0].count(b"\n") if name.endswith("text") else 0
            print(
                f"{name:20} {len(made[0]) / 1e6:8.3f} {stored / 1e6:16.3f} {lines or '':>12}  {', '.join(changed) if lines else ''}"
            )
        print()
        for name, compact in (("text", False), ("compact", True)):
            began = time.process_time()
            data = cassette_bytes(versions[0], compact=compact)
            exported = time.process_time() - began
            file = Path(place) / "it.rw"
            file.write_bytes(data)
            began = time.process_time()
            opened = read_cassette(file).recording
            read = time.process_time() - began
            bodies = [exchange.body for exchange in opened.exchanges]
            bodied = time.process_time() - began - read
            assert bodies == [exchange.body for exchange in versions[0].exchanges]
            print(
                f"{name:8} export {exported * 1000:.0f} ms CPU, open {read * 1000:.0f} ms, all request bodies {bodied * 1000:.0f} ms"
            )


if __name__ == "__main__":
    main()
