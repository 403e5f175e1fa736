"""A secret said over a websocket of a real client: masked, in fragments, compressed, and in deltas. None is in the store."""

import json
import sys
import threading

import pytest

from tests.core.secrets import shaped
from tests.e2e.test_planted import layers_of, spellings
from tests.support.authority import TestAuthority
from tests.support.executable import plain_environment, playhead

KEY = shaped()[0].secret.decode()
AGENT = """
import json, sys
from websockets.sync.client import connect
key = sys.stdin.read()
with connect("wss://shop.example/v1/realtime", compression=sys.argv[1] if sys.argv[1] != "none" else None) as ws:
    said = json.dumps({"type": "conversation.item.create", "item": {"content": [{"type": "input_text", "text": "Use " + key}]}})
    ws.send(said)
    ws.send(said[n:n + 7] for n in range(0, len(said), 7))
    heard = ""
    while "done" not in (event := json.loads(ws.recv()))["type"]:
        heard += event["delta"]
    print("same" if heard == "It is " + key + ", right?" else "other")
"""


def realtime(ws):
    """Says a message's secret again, some letters an event, as OpenAI's realtime interface does."""
    texts = [json.loads(ws.recv())["item"]["content"][0]["text"] for _ in range(2)]
    assert texts[0] == texts[1]
    said = f"It is {texts[0][4:]}, right?"
    for at in range(0, len(said), 5):
        ws.send(json.dumps({"type": "response.output_text.delta", "item_id": "i", "delta": said[at : at + 5]}))
    ws.send(json.dumps({"type": "response.done"}))


@pytest.mark.parametrize("compression", ["deflate", "none"])
@pytest.mark.parametrize("redact", ["secrets", "off"])
def test_a_secret_over_a_websocket_is_not_stored(tmp_path, compression, redact):
    """The client and the server have it; the disk does not. With redaction off it is there, at least in what was
    typed: the search can see it."""
    from websockets.sync.server import serve

    authority = TestAuthority(tmp_path)
    env = plain_environment(tmp_path)
    with serve(
        realtime,
        "127.0.0.1",
        0,
        ssl=authority.server_context(),
        compression=None if compression == "none" else compression,
    ) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        port = served.socket.getsockname()[1]
        done = playhead(
            *("record", "--redact", redact, "--map", f"shop.example=https://127.0.0.1:{port}"),
            *("--upstream-ca", authority.pem, "--", sys.executable, "-c", AGENT, compression),
            env=env,
            input=KEY,
        )
        served.shutdown()
        thread.join()
    assert done.stdout == "same\n", done.stderr
    layers = [d for p in (tmp_path / "store").rglob("*") if p.is_file() for d in layers_of(p.read_bytes())]
    found = {name for name, spelled in spellings(KEY) if any(spelled in data for data in layers)}
    assert bool(found) == (redact == "off"), found
