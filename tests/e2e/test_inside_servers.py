"""A Python program that is a server, and asks itself: the answers are on the tape, what its handlers did is not."""

import pytest

from tests.support.executable import plain_environment
from tests.support.inside import Agent

CLIENT = """
    import json, threading, time, urllib.request, uuid

    def ask(port):
        for number in range(3):
            print(json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/{number}")), flush=True)

    def answer(path):
        return json.dumps({"path": path, "at": time.time(), "id": str(uuid.uuid4())}).encode()
    """
SERVERS = {
    "asyncio": """
    import asyncio

    async def serve(reader, writer):
        path = (await reader.readuntil(b"\\r\\n\\r\\n")).split()[1].decode()
        await asyncio.sleep(0.01)
        body = answer(path)
        writer.write(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        await asyncio.to_thread(ask, server.sockets[0].getsockname()[1])
        server.close()
        print("over", time.time())

    asyncio.run(main())
    """,
    "threads": """
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            time.sleep(0.01)
            body = answer(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ask(server.server_address[1])
    server.shutdown()
    print("over", time.time())
    """,
    "uvicorn": """
    import uvicorn

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        body = answer(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets)
            threading.Thread(target=self.be_asked, args=(self.servers[0].sockets[0].getsockname()[1],)).start()

        def be_asked(self, port):
            ask(port)
            self.should_exit = True

    Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off")).run()
    print("over", time.time())
    """,
}


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_asks_itself_is_identical(home, tmp_path, kind):
    """Handlers wait, read clocks and draw ids while recording; in a replay nobody connects, and nothing of theirs is missing."""
    agent = Agent(plain_environment(home), tmp_path, CLIENT + SERVERS[kind])
    recorded = agent.record()
    assert recorded.stdout.count("path") == recorded.summary["exchanges"] == 3, recorded.stderr
    replayed = agent.replay()
    assert replayed.stdout == recorded.stdout
    assert (replayed.returncode, replayed.summary["verdict"]) == (0, "identical"), replayed.stderr
