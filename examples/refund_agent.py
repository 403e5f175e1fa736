"""A refund agent on the real `openai` SDK: it looks orders up, refunds them over the shop's HTTP API, and reports.

    python examples/model_server.py &                            # a scripted model and a shop, no key needed
    export OPENAI_BASE_URL=http://127.0.0.1:8765/v1 OPENAI_API_KEY=none
    playhead record --name refund -- python examples/refund_agent.py

Nothing in it knows of Playhead. Its answers stream, and the calls of one turn run at the same time.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from openai import OpenAI

SHOP = os.environ.get("SHOP_URL", "http://127.0.0.1:8765/shop")
WISH = "My teapot (order 1001) came broken and order 1003 never came. I want my money back for these and for 1002."
ORDER = {"order": {"type": "string", "description": "Four digits."}}


def tool(name: str, description: str, properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": schema, "strict": True},
    }


TOOLS = [
    tool("look_up_order", "Say what was ordered and whether it may be refunded.", ORDER),
    tool("refund", "Pay an order back. Cannot be undone.", {**ORDER, "reason": {"type": "string"}}),
]


def shop(path: str, body: dict[str, Any] | None = None) -> str:
    """Ask the shop: GET, or POST with a body. Returns the answer's JSON as text."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(SHOP + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


def call(name: str, arguments: dict[str, str]) -> str:
    if name == "look_up_order":
        return shop(f"/orders/{arguments['order']}")
    return shop("/refunds", arguments)


def ask(client: OpenAI, messages: list[Any]) -> dict[str, Any]:
    """One turn of the model, printed as it streams; the assistant's message."""
    text, calls = "", {}
    stream = client.chat.completions.create(
        model="gpt-5.4-mini", messages=messages, tools=TOOLS, stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        for choice in chunk.choices:
            if choice.delta.content:
                print(choice.delta.content, end="", flush=True)
                text += choice.delta.content
            for part in choice.delta.tool_calls or []:
                entry = calls.setdefault(part.index, {"id": part.id, "name": part.function.name, "arguments": ""})
                entry["arguments"] += part.function.arguments or ""
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [
            {"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}}
            for c in calls.values()
        ]
    return message


def main() -> None:
    client = OpenAI()
    wish = " ".join(sys.argv[1:]) or WISH
    messages: list[Any] = [
        {"role": "system", "content": "You refund what the shop's rules allow, and nothing else."},
        {"role": "user", "content": wish},
    ]
    print(f"customer: {wish}")
    for _ in range(8):
        message = ask(client, messages)
        messages.append(message)
        calls = message.get("tool_calls")
        if not calls:
            print()
            return
        with ThreadPoolExecutor() as pool:
            results = pool.map(lambda c: call(c["function"]["name"], json.loads(c["function"]["arguments"])), calls)
        for made, result in zip(calls, results, strict=True):
            print(f"  {made['function']['name']}({made['function']['arguments']}) -> {result}")
            messages.append({"role": "tool", "tool_call_id": made["id"], "content": result})
    sys.exit("The agent did not come to an end within 8 turns.")


if __name__ == "__main__":
    main()
