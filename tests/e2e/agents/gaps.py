"""Programs that go past a recorder, each in its own way. argv: WAY [PLACE]. Prints what came of it."""

import os
import socket
import subprocess
import sys


def raw(port):
    """A socket of its own, to a server of this machine."""
    with socket.create_connection(("127.0.0.1", int(port)), timeout=60) as sock:
        sock.sendall(b"GET /raw HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        print(sock.makefile("rb").read().decode())


def both(port):
    """One call that is captured, one that is not."""
    plain("https://shop.example/captured")
    raw(port)


def plain(url):
    """A call that any route captures."""
    import urllib.request

    with urllib.request.urlopen(url, timeout=60) as answer:
        print(answer.read().decode())


def stubborn(url):
    """aiohttp that does not look at the environment."""
    import asyncio

    import aiohttp

    async def main():
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            print(await answer.text())

    asyncio.run(main())


def pinned(cafile):
    """A client that trusts one authority and no other, and tries again."""
    from raw_client import connect, read_answer

    for _ in range(2):
        try:
            with connect("shop.example", cafile=cafile) as sock:
                sock.sendall(b"GET /pinned HTTP/1.1\r\nHost: shop.example\r\n\r\n")
                print(read_answer(sock).decode())
        except OSError as error:
            print(type(error).__name__)


def websocket(url):
    """One message and its echo."""
    from websockets.sync.client import connect

    with connect(url) as ws:
        ws.send("hello")
        print(ws.recv())


def h2(url):
    """A client that speaks HTTP/2 and nothing else."""
    import httpx

    with httpx.Client(http1=False, http2=True) as client:
        answer = client.get(url)
        print(answer.http_version, answer.text)


def garbage(host):
    """Something that is no HTTP, where HTTP was agreed on."""
    from raw_client import connect, read_all

    with connect(host) as sock:
        sock.sendall(b"HELLO WHAT IS THIS\r\n\r\n")
        print(read_all(sock).split(b"\r\n")[0].decode())


def udp(port):
    """A datagram to this machine, and a connected socket that sends nothing, as name look-ups make one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"datagram", ("127.0.0.1", int(port)))
        sock.connect(("192.0.2.1", 53))
    print("sent")


def unix(path):
    """A socket in the file system."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        print(sock.recv(100).decode())


def family(url):
    """Calls, and starts a Node that calls and starts a curl that calls."""
    plain(f"{url}/python")
    script = (
        "const url = process.argv[1];"
        "console.log(await (await fetch(url + '/node')).text());"
        "const { spawnSync } = await import('node:child_process');"
        "spawnSync('curl', ['-sS', url + '/curl'], { stdio: 'inherit' });"
    )
    sys.stdout.flush()
    subprocess.run(["node", "--input-type=module", "-e", script, url], check=True)


globals()[sys.argv[1]](*sys.argv[2:])
sys.stdout.flush()
os._exit(0)  # no clean-up of libraries' own: what was asked has been answered
