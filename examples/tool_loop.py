"""A refund agent whose tools are functions. `refund` pays: it must not run again in a replay, and does not.

playhead record --name tools -- python tool_loop.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chat import turn

import playhead

HERE = Path(__file__).parent
WISH = "My teapot (order 1001) came broken, and I want my money back for this and for 1002."


@playhead.tool(effect="read")
def look_up_order(order: str) -> dict[str, Any]:
    shop = {"1001": ("arrived broken", True), "1002": ("delivered and worn", False)}
    state, eligible = shop[order]
    return {"order": order, "state": state, "eligible": eligible}


@playhead.tool(effect="irreversible")
def refund(order: str, reason: str) -> dict[str, Any]:
    with (HERE / "paid.txt").open("a") as book:
        book.write(f"paid {order}: {reason}\n")
    return {"order": order, "refund": "rf_1", "cents": 4200}


@playhead.tool(effect="write")
def notify(text: str) -> None:
    with (HERE / "sent.txt").open("a") as sent:
        sent.write(text + "\n")


TOOLS = [look_up_order, refund]


def schema(tool: Any) -> dict[str, Any]:
    names = [name for name in tool.__annotations__ if name != "return"]
    parameters = {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": names}
    return {"type": "function", "function": {"name": tool.__name__, "parameters": parameters}}


def main() -> None:
    tools = {tool.__name__: tool for tool in TOOLS}
    prompt = (HERE / "prompt.txt").read_text().strip()
    messages: list[dict[str, Any]] = [{"role": "system", "content": prompt}, {"role": "user", "content": WISH}]
    while True:
        message = turn(messages, [schema(tool) for tool in TOOLS])
        messages.append(message)
        if not message.get("tool_calls"):
            break
        for call in message["tool_calls"]:
            function = call["function"]
            result = tools[function["name"]](**json.loads(function["arguments"]))
            print(f"  {function['name']}({function['arguments']}) -> {json.dumps(result)}")
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})
    print(message["content"])
    notify(message["content"])


if __name__ == "__main__":
    main()
