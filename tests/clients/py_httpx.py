"""`httpx` alone, against Anthropic Messages. argv: plain|stream [prompt]."""

import json
import os
import sys

import httpx

mode, prompt = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "Name three rivers."
url = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com") + "/v1/messages"
body = {"model": "claude-sonnet-5-5", "max_tokens": 200, "messages": [{"role": "user", "content": prompt}]}
with httpx.Client() as client:
    if mode == "plain":
        print(client.post(url, json=body).raise_for_status().json()["content"][0]["text"])
    else:
        with client.stream("POST", url, json={**body, "stream": True}) as answer:
            for line in answer.iter_lines():
                event = json.loads(line[6:]) if line.startswith("data: ") else {}
                if event.get("type") == "content_block_delta":
                    print(event["delta"]["text"], end="", flush=True)
        print()
