"""Forty secrets in every place and encoding of a run, drawn anew each time: none of them reaches the disk."""

import base64
import contextlib
import gzip
import json
import os
import random
import re
import subprocess
import sys
import textwrap
import zlib
from urllib.parse import quote

import brotli
import pytest
import zstandard

from tests.e2e.planted import draw, held
from tests.support.executable import PLAYHEAD, plain_environment, playhead
from tests.support.listener import Listener

PLACES = (
    "query", "header", "json", "escaped", "json in json", "form", "base64", "data url", "gzip", "br", "zstd", "deflate", "multipart",
    "answer", "answer gzip", "answer br", "answer zstd", "answer deflate", "events", "events gzip", "lines", "chunks", "argv", "stdin",
)  # fmt: skip
ZSTD = b"\x28\xb5\x2f\xfd"

AGENT = r"""
    import base64, gzip, http.client, json, re, sys, zlib
    from urllib.parse import quote
    plan, port = json.load(open(sys.argv[1])), int(sys.argv[2])

    def ask(path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        coding = answer.getheader("content-encoding")
        if coding in ("gzip", "deflate"):
            data = zlib.decompressobj(47).decompress(data)
        elif coding == "br":
            import brotli
            data = brotli.decompress(data)
        elif coding == "zstd":
            import zstandard
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        connection.close()
        return data.decode()

    def escaped(text, slashes):
        return "".join("\\" * slashes + "u%04x" % ord(c) if n % 3 == 0 else json.dumps(c)[1:-1].replace("\\", "\\" * slashes)
                       for n, c in enumerate(text))

    for number, (place, text) in enumerate(plan):
        note = f"Remember this: {text}\nThat is all."
        kind = {"content-type": "application/json"}
        if place == "query": ask("/x?api_key=" + quote(text, safe="") + "&page=1")
        elif place == "header": ask("/x", **{"x-note": "note " + text.replace("\n", " "), "x-service-token": text.replace("\n", " ")})
        elif place == "json": ask("/x", json.dumps({"prompt": note}), **kind)
        elif place == "escaped": ask("/x", '{"prompt": "' + escaped(note, 1) + '"}', **kind)
        elif place == "json in json": ask("/x", json.dumps({"arguments": json.dumps({"note": note})}), **kind)
        elif place == "form": ask("/x", "page=1&note=" + quote(note, safe=""), **{"content-type": "application/x-www-form-urlencoded"})
        elif place == "base64": ask("/x", json.dumps({"data": base64.b64encode(note.encode()).decode()}), **kind)
        elif place == "data url": ask("/x", json.dumps({"url": "data:text/plain;base64," + base64.b64encode(note.encode()).decode()}), **kind)
        elif place == "gzip": ask("/x", gzip.compress(json.dumps({"prompt": note}).encode(), mtime=0), **kind, **{"content-encoding": "gzip"})
        elif place == "deflate": ask("/x", zlib.compress(json.dumps({"prompt": note}).encode()), **kind, **{"content-encoding": "deflate"})
        elif place == "br":
            import brotli
            ask("/x", brotli.compress(json.dumps({"prompt": note}).encode()), **kind, **{"content-encoding": "br"})
        elif place == "zstd":
            import zstandard
            ask("/x", zstandard.ZstdCompressor().compress(json.dumps({"prompt": note}).encode()), **kind, **{"content-encoding": "zstd"})
        elif place == "multipart":
            part = '--b\r\ncontent-disposition: form-data; name="f"; filename="a.txt"\r\n\r\n' + note + "\r\n--b--\r\n"
            ask("/x", part, **{"content-type": "multipart/form-data; boundary=b"})
        elif place.startswith(("answer", "events", "lines", "chunks")):
            said = ask(f"/{place.replace(' ', '-')}/{number}")
            if place.startswith(("events", "lines")):
                said = "".join(json.loads(line[line.index("{"):])["delta"] for line in said.split("\n") if "{" in line)
            print(number, said)
    print("argv", sys.argv[3:])
    print("typed", sys.stdin.read())
    """


def serve(plan):
    """Answers that hold the secret of their number, coded and cut as their place says."""

    def answer(sock):
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while length and len(body) < int(length[1]):
            body += sock.recv(65536)
        path = head.split(b" ")[1].decode()
        if not path.startswith(("/answer", "/events", "/lines", "/chunks")):
            sock.sendall(b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=%d\r\nContent-Length: 4\r\n\r\nfine" % len(data))
            return
        _, place, number = path.split("/")
        note = f"Here you are: {plan[int(number)][1]}\nThat is all."
        coding = place.partition("-")[2]
        coded = f"Content-Encoding: {coding}\r\n".encode() if coding else b""
        if place.startswith("answer"):
            text = json.dumps({"said": note}).encode()
            packed = {
                "": bytes, "gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress,
                "zstd": zstandard.ZstdCompressor().compress,
            }[coding](text)  # fmt: skip
            sock.sendall(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (coded, len(packed), packed))
            return
        kind = (
            b"application/x-ndjson"
            if place == "lines"
            else b"text/event-stream"
            if coding or place == "events"
            else b"text/plain"
        )
        sock.sendall(b"HTTP/1.1 200 OK\r\n%bContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % (coded, kind))
        packer = zlib.compressobj(wbits=31) if coding else None
        for at in range(0, len(note), 5):
            delta = json.dumps({"type": "response.output_text.delta", "delta": note[at : at + 5]})
            piece = (
                note[at : at + 5] if place == "chunks" else f"{delta}\n" if place == "lines" else f"data: {delta}\n\n"
            ).encode()
            if packer is not None:
                piece = packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
            sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        last = packer.flush() if packer is not None else b""
        sock.sendall((b"%x\r\n%b\r\n" % (len(last), last) if last else b"") + b"0\r\n\r\n")

    return answer


class Run:
    """One recording with all secrets planted, its places shuffled."""

    def __init__(self, home, *, redact="secrets"):
        self.seed = int(os.environ.get("PLANTED_SEED", "0")) or random.randrange(1 << 32)
        print("PLANTED_SEED", self.seed)
        dice = random.Random(self.seed)
        planted, variables = draw(dice), held(dice)
        self.planted = len(planted)
        dice.shuffle(planted)
        self.secrets = [*planted, *variables.values()]
        places = [*(PLACES[n % len(PLACES)] for n in range(self.planted)), *dice.sample(PLACES, len(variables))]
        plan = [(place, secret.text) for place, secret in zip(places, self.secrets, strict=True)]
        (home / "plan.json").write_text(json.dumps(plan))
        (home / "agent.py").write_text(textwrap.dedent(AGENT))
        self.home = home
        self.env = plain_environment(home) | {name: secret.core for name, secret in variables.items()}
        argv = [text for place, text in plan if place == "argv"]
        typed = "\n".join(text for place, text in plan if place == "stdin")
        with Listener(serve(plan)) as listener:
            command = [sys.executable, home / "agent.py", home / "plan.json", listener.port, *argv]
            ran = subprocess.run(
                [PLAYHEAD, *map(str, ["record", "--name", "it", "--redact", redact, "--", *command])],
                env=self.env, cwd=home, input=typed, capture_output=True, text=True, timeout=200, check=False,
            )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        self.stdout = ran.stdout
        self.plan = plan

    def found(self):
        """(number, place, spelling) of each secret that a byte search finds, plain or in whatever holds bytes."""
        layers = [
            data for path in (self.home / "store").rglob("*") if path.is_file() for data in layers_of(path.read_bytes())
        ]
        hits = set()
        for number, secret in enumerate(self.secrets):
            for name, spelled in spellings(secret.core):
                if any(spelled in data for data in layers):
                    hits.add((number, self.plan[number][0], name))
        return sorted(hits)


def layers_of(data, depth=0):
    """Bytes, and what is packed in them: zstd frames, gzip members, zlib streams, base64 words."""
    yield data
    if depth == 3:
        return
    for magic, unpack in (
        (ZSTD, zstandard.ZstdDecompressor().decompressobj),
        (b"\x1f\x8b\x08", lambda: zlib.decompressobj(31)),
    ):
        at = data.find(magic)
        while at >= 0:
            with contextlib.suppress(zstandard.ZstdError, zlib.error):
                yield from layers_of(unpack().decompress(data[at:]), depth + 1)
            at = data.find(magic, at + 1)
    for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", data):
        try:
            yield zlib.decompressobj().decompress(data[match.start() :])
        except zlib.error:
            continue
    for word in re.findall(rb"[A-Za-z0-9+/_-]{24,}", data):
        yield base64.b64decode(word[: len(word) // 4 * 4], b"-_" if b"-" in word or b"_" in word else None)


def spellings(core):
    """The secret, and its middle, as bytes may say it."""
    middle = core[len(core) // 3 : len(core) // 3 + max(10, len(core) // 4)]
    yield "whole", core.encode()
    yield "middle", middle.encode()
    yield "utf-16", middle.encode("utf-16-le")
    yield "hex", middle.encode().hex().encode()
    yield "reversed", core[::-1].encode()
    if quote(core, safe="") != core:
        yield "percent", quote(core, safe="").encode()
    for shift in range(3):
        coded = base64.b64encode(b"x" * shift + core.encode())
        yield "base64", coded[4:-4]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Recorded once."""
    return Run(tmp_path_factory.mktemp("planted"))


def test_none_of_forty_secrets_is_in_the_store(run):
    """Whatever the place, however it is spelled; nor is one of the values of variables."""
    assert run.planted == 40 < len(run.secrets)
    assert len({place for place, _ in run.plan}) == len(PLACES) >= 15
    assert run.found() == []


def test_the_replay_is_identical(run):
    """With the answers' secrets replaced, which has to be allowed."""
    replayed = playhead("replay", "--allow-lossy", "it", env=run.env)
    assert replayed.returncode == 0, replayed.stderr
    assert "identical" in replayed.stderr


def test_scan_finds_nothing_in_it(run):
    """The command agrees with the byte search."""
    scanned = playhead("scan", "it", env=run.env)
    assert scanned.returncode == 0, scanned.stdout


def test_without_redaction_the_search_finds_them(tmp_path):
    """The control: the search can see what is there, and scan names it without a value."""
    run = Run(tmp_path, redact="off")
    found = {place for number, place, _ in run.found() if number < run.planted}
    assert found >= set(PLACES) - {"query", "header", "escaped", "events", "events gzip", "lines", "chunks"}
    scanned = playhead("scan", "it", env=run.env)
    assert scanned.returncode == 1
    assert not [secret.core for secret in run.secrets if secret.core in scanned.stdout + scanned.stderr]
