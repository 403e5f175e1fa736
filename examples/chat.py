"""How the small agents here talk to a model: OpenAI Chat Completions over the standard library. Nothing in it knows of
Playhead."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8765/v1") + "/chat/completions"
KEY = os.environ.get("OPENAI_API_KEY", "none")


def _post(body: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    request = urllib.request.Request(URL, json.dumps({"model": "gpt-5.4-mini", **body}).encode(), headers)
    try:
        return urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        message = json.load(error)["error"]["message"]
        sys.exit(f"the model said {error.code}: {message.splitlines()[0]}")


def turn(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> dict[str, Any]:
    """One turn of a conversation with tools; the assistant's message."""
    with _post({"messages": messages, "tools": tools}) as answer:
        message: dict[str, Any] = json.load(answer)["choices"][0]["message"]
    return message


def ask(prompt: str) -> str:
    """One question, one answer."""
    with _post({"messages": [{"role": "user", "content": prompt}]}) as answer:
        return str(json.load(answer)["choices"][0]["message"]["content"])


def stream(prompt: str) -> Iterator[str]:
    """One question, the answer in pieces as they come."""
    body = {"stream": True, "stream_options": {"include_usage": True}}
    with _post({"messages": [{"role": "user", "content": prompt}], **body}) as answer:
        for line in answer:
            data = line.decode().removeprefix("data: ").strip()
            if data and data != "[DONE]":
                yield from filter(None, (each["delta"].get("content") for each in json.loads(data)["choices"]))
