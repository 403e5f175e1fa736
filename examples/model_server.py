"""A scripted model and a shop, so that the examples run without a key. Standard library only.

    python examples/model_server.py --port 0        prints its address and serves until it is stopped

    POST /v1/chat/completions   OpenAI Chat Completions, plain and streaming, with tool calls
    POST /v1/messages           Anthropic Messages, plain and streaming
    GET  /shop/orders/ID        an order
    POST /shop/refunds          refunds an order, each time it is asked
    GET  /shop/refunds          how many refunds were paid

The model reads the conversation: it looks the orders up, refunds those the shop calls eligible, as far as it has tools for
it, and says what it did. "Sort this mail: ..." and "Summarise: ..." it does at once. Ids are random, as the real ones are.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import sys
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]

ORDERS: dict[str, Json] = {
    "1001": {"order": "1001", "item": "teapot", "cents": 4200, "state": "arrived broken", "eligible": True},
    "1002": {"order": "1002", "item": "scarf", "cents": 1850, "state": "delivered and worn", "eligible": False},
    "1003": {"order": "1003", "item": "lamp", "cents": 6900, "state": "lost by the carrier", "eligible": True},
}


class Shop:
    """The refunds paid so far."""

    def __init__(self) -> None:
        self.refunds: list[Json] = []
        self._lock = threading.Lock()

    def refund(self, order: str, reason: str) -> Json:
        with self._lock:
            paid = {
                "refund": f"rf_{secrets.token_hex(4)}",
                "order": order,
                "cents": ORDERS[order]["cents"],
                "reason": reason,
            }
            self.refunds.append(paid)
            return paid


def think(messages: list[Json], tools: list[Json]) -> tuple[str, list[tuple[str, Json]]]:
    """What the model does next: `(text, [])`, or `("", [(tool, arguments), ...])`."""
    offered = {tool["function"]["name"] for tool in tools}
    names = {call["id"]: call["function"]["name"] for m in messages for call in m.get("tool_calls") or []}
    results: dict[str, list[Json]] = {"look_up_order": [], "refund": []}
    for message in messages:
        if message["role"] == "tool":
            results[names[message["tool_call_id"]]].append(json.loads(message["content"]))
    wish = next((str(m["content"]) for m in reversed(messages) if m["role"] == "user"), "")
    task, _, text = wish.partition(": ")
    if task.startswith("Sort this mail"):
        return "a refund" if "money back" in text else "a question" if "?" in text else "praise", []
    if task == "Summarise":
        return f"In short, {text}.", []
    orders = [order for order in re.findall(r"\b\d{4}\b", wish) if order in ORDERS]
    if not results["look_up_order"] and orders and "look_up_order" in offered:
        return "", [("look_up_order", {"order": order}) for order in orders]
    eligible = [found for found in results["look_up_order"] if found["eligible"]]
    if eligible and not results["refund"] and "refund" in offered:
        return "", [("refund", {"order": found["order"], "reason": found["state"]}) for found in eligible]
    paid = [f"{done['order']} ({done['cents'] / 100:.2f}, {done['refund']})" for done in results["refund"]]
    kept = [f"{found['order']} ({found['state']})" for found in results["look_up_order"] if not found["eligible"]]
    said = f"I refunded {' and '.join(paid)}." if paid else "There was nothing to refund."
    return said + (f" I could not refund {' and '.join(kept)}." if kept else ""), []


class Handler(BaseHTTPRequestHandler):
    """One connection of an agent."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        if self.path == "/shop/refunds":
            self._json({"count": len(self.server.shop.refunds), "refunds": self.server.shop.refunds})
        elif self.path.startswith("/shop/orders/") and self.path.rpartition("/")[2] in ORDERS:
            self._json(ORDERS[self.path.rpartition("/")[2]])
        else:
            self._json({"error": {"message": f"nothing at {self.path}", "type": "not_found"}}, status=404)

    def do_POST(self) -> None:
        body: Json = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        if self.path == "/v1/chat/completions":
            self._chat(body)
        elif self.path == "/v1/messages":
            self._messages(body)
        elif self.path == "/shop/refunds" and body.get("order") in ORDERS:
            self._json(self.server.shop.refund(body["order"], body.get("reason", "")), status=201)
        else:
            self._json({"error": {"message": f"nothing at {self.path}", "type": "not_found"}}, status=404)

    def _chat(self, body: Json) -> None:
        text, calls = think(body["messages"], body.get("tools") or [])
        base = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(datetime.now(UTC).timestamp()),
            "model": body["model"],
        }
        asked, said = len(json.dumps(body["messages"])) // 4, len(text.split()) + 20 * len(calls)
        usage = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
        finish = "tool_calls" if calls else "stop"
        asked_for = [
            {
                "id": f"call_{secrets.token_hex(12)}",
                "type": "function",
                "function": {"name": n, "arguments": json.dumps(a)},
            }
            for n, a in calls
        ]
        if not body.get("stream"):
            message = {"role": "assistant", "content": text or None, **({"tool_calls": asked_for} if calls else {})}
            choice = {"index": 0, "message": message, "finish_reason": finish}
            self._json({**base, "object": "chat.completion", "choices": [choice], "usage": usage})
            return
        deltas: list[Json] = [{"role": "assistant", "content": None if calls else ""}]
        for index, call in enumerate(asked_for):
            arguments = call["function"]["arguments"]
            deltas.append({"tool_calls": [{"index": index, **call, "function": {**call["function"], "arguments": ""}}]})
            pieces = [arguments[start : start + 12] for start in range(0, len(arguments), 12)]
            deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces]
        deltas += [{"content": word} for word in re.findall(r"\S+\s*", text)]
        choices: list[list[Json]] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
        choices.append([{"index": 0, "delta": {}, "finish_reason": finish}])
        frames: list[Json] = [{**base, "object": "chat.completion.chunk", "choices": choice} for choice in choices]
        if (body.get("stream_options") or {}).get("include_usage"):
            frames.append({**base, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        self._stream([f"data: {json.dumps(frame)}\n\n" for frame in frames] + ["data: [DONE]\n\n"])

    def _messages(self, body: Json) -> None:
        content = body["messages"][-1]["content"]
        wish = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
        text = f"Dear customer, {wish.partition(':')[2].strip() or wish} With kind regards, the shop."
        usage = {"input_tokens": len(json.dumps(body["messages"])) // 4, "output_tokens": len(text.split())}
        whole: Json = {
            "id": f"msg_{secrets.token_hex(12)}", "type": "message", "role": "assistant", "model": body["model"],
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": None, "usage": usage,
        }  # fmt: skip
        if not body.get("stream"):
            self._json(whole)
            return
        events: list[Json] = [{"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}]
        events.append({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        words = [{"type": "text_delta", "text": word} for word in re.findall(r"\S+\s*", text)]
        events += [{"type": "content_block_delta", "index": 0, "delta": word} for word in words]
        events.append({"type": "content_block_stop", "index": 0})
        ended = {"stop_reason": "end_turn", "stop_sequence": None}
        events.append({"type": "message_delta", "delta": ended, "usage": {"output_tokens": usage["output_tokens"]}})
        events.append({"type": "message_stop"})
        self._stream([f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events])

    def _json(self, value: Json, *, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, events: list[str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            data = event.encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            time.sleep(self.server.pace)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: the agent's terminal is the show."""


class Server(ThreadingHTTPServer):
    """The shop's books and the pace of the model, in seconds between chunks."""

    daemon_threads = True

    def __init__(self, port: int, pace: float) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.shop, self.pace = Shop(), pace


def main() -> None:
    parser = argparse.ArgumentParser(description="A scripted model and a shop for the examples.")
    parser.add_argument("--port", type=int, default=8765, help="0 picks a free one (default: 8765)")
    parser.add_argument("--pace", type=float, default=0.01, help="seconds between the chunks of a stream")
    options = parser.parse_args()
    server = Server(options.port, options.pace)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
