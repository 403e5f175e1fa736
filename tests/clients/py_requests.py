"""`requests`, against OpenAI Chat Completions. argv: plain|stream [prompt]."""

import json
import os
import sys

import requests

mode, prompt = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "Name three rivers."
url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions"
body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}], "stream": mode == "stream"}
with requests.Session() as session, session.post(url, json=body, stream=mode == "stream", timeout=30) as answer:
    answer.raise_for_status()
    if mode == "plain":
        print(answer.json()["choices"][0]["message"]["content"])
    else:
        for line in answer.iter_lines():
            if line.startswith(b"data: {"):
                print(json.loads(line[6:])["choices"][0]["delta"].get("content", ""), end="", flush=True)
        print()
