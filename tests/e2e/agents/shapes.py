"""Unusual shapes of HTTP, spoken by hand to shop.example and by clients. Prints what came back, by shape."""

import hashlib
import os
import subprocess
import sys

from raw_client import connect, read_all, read_answer, read_head

HOST = "shop.example"


def ask(method, path, fields="", body=b""):
    return f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n".encode() + body


def told(name, data):
    digest = hashlib.sha256(data).hexdigest()[:16]
    print(name, len(data), digest, data[:60], flush=True)


def kept():
    """One connection that is used on and on, whatever comes."""
    sock = connect(HOST)
    sock.sendall(ask("HEAD", "/head"))
    told("head", read_head(sock))
    sock.sendall(ask("GET", "/204"))
    told("204", read_head(sock))
    sock.sendall(ask("GET", "/304", 'If-None-Match: "x"\r\n'))
    told("304", read_head(sock))
    sock.sendall(ask("GET", "/trailers", "TE: trailers\r\n"))
    data = b""
    while not data.endswith(b"X-Sum: 42\r\n\r\n"):
        data += sock.recv(65536)
    told("trailers", data)
    sock.sendall(ask("GET", "/interim"))
    told("interim", read_head(sock) + read_answer(sock))
    sock.sendall(ask("GET", "/one") + ask("GET", "/two") + ask("POST", "/three", "Content-Length: 3\r\n", b"abc"))
    for name in ("one", "two", "three"):
        told(f"pipelined {name}", read_answer(sock))
    sock.sendall(
        ask("POST", "/chunked", "Transfer-Encoding: chunked\r\n", b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n")
    )
    told("chunked request", read_answer(sock))
    sock.sendall(ask("GET", "/500"))
    told("error", read_answer(sock))
    sock.sendall(ask("GET", "/one?again"))
    told("after an error", read_answer(sock))
    sock.close()


def expected():
    """Expect: 100-continue, granted, and refused."""
    sock = connect(HOST)
    sock.sendall(ask("POST", "/granted", "Expect: 100-continue\r\nContent-Length: 5\r\n"))
    told("may continue", read_head(sock))
    sock.sendall(b"hello")
    told("granted", read_answer(sock))
    sock.sendall(ask("POST", "/refused", "Expect: 100-continue\r\nContent-Length: 5\r\n"))
    told("refused", read_all(sock))


def early():
    """An answer before the request is complete, and one whose rest is never asked for."""
    sock = connect(HOST)
    sock.sendall(ask("POST", "/early", "Content-Length: 300000\r\n", b"x" * 1000))
    told("early", read_answer(sock))
    sock.sendall(b"y" * 299_000)
    sock.sendall(ask("GET", "/one?after"))
    told("after an early answer", read_answer(sock))
    sock.close()
    sock = connect(HOST)
    sock.sendall(ask("POST", "/early", "Content-Length: 300000\r\nX-And: leave\r\n", b"z" * 1000))
    told("early and left", read_answer(sock))
    sock.close()


def broken():
    """A request that its own client gives up halfway."""
    sock = connect(HOST)
    sock.sendall(ask("POST", "/half", "Content-Length: 1000\r\n", b"half of it"))
    sock.close()


def ended():
    """A body without a length, and one of HTTP/1.0."""
    for path in ("/eof", "/eof-1.0"):
        sock = connect(HOST)
        sock.sendall(ask("GET", path))
        told(path, read_all(sock))


def clients():
    """The same from clients people use."""
    curl = ["curl", "-sS", "--max-time", "20", "-w", " %{http_code}"]
    for name, arguments in {
        "curl gzip": ["--compressed", f"https://{HOST}/gzip"],
        "curl head": ["-I", f"https://{HOST}/head"],
        "curl expect": [
            "-H",
            "Expect: 100-continue",
            "--data-binary",
            "@" + os.environ["UPLOAD"],
            f"https://{HOST}/granted",
        ],
        "curl refused": [
            "-H",
            "Expect: 100-continue",
            "--data-binary",
            "@" + os.environ["UPLOAD"],
            f"https://{HOST}/refused",
        ],
        "curl trailers": [f"https://{HOST}/trailers"],
        "curl eof": [f"https://{HOST}/eof"],
    }.items():
        done = subprocess.run([*curl, *arguments], capture_output=True, check=False)
        told(f"{name} {done.returncode} {done.stderr.decode().strip()}", done.stdout)
    import httpx
    import requests

    with httpx.Client() as client:
        for path in ("gzip", "204", "304", "trailers", "eof", "eof-1.0"):
            answer = client.get(f"https://{HOST}/{path}")
            told(f"httpx {path} {answer.status_code}", answer.content)
        told("httpx head", repr(dict(client.head(f"https://{HOST}/head").headers)).encode())
    with requests.Session() as session:
        for path in ("gzip", "204", "304", "trailers", "eof"):
            answer = session.get(f"https://{HOST}/{path}")
            told(f"requests {path} {answer.status_code}", answer.content)


for name in sys.argv[1:] or ("kept", "expected", "early", "broken", "ended", "clients"):
    print(f"== {name}", flush=True)
    globals()[name]()
