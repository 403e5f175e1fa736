"""`urllib3` alone: a plain PoolManager, which never reads proxy variables. argv: plain|stream [prompt]."""

import json
import os
import sys

import urllib3

mode, prompt = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "Name three rivers."
url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions"
body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}], "stream": mode == "stream"}
with urllib3.PoolManager() as pool:
    answer = pool.request("POST", url, json=body, preload_content=mode == "plain")
    if mode == "plain":
        print(answer.json()["choices"][0]["message"]["content"])
    else:
        for line in answer:
            if line.startswith(b"data: {"):
                print(json.loads(line[6:])["choices"][0]["delta"].get("content", ""), end="", flush=True)
        print()
        answer.release_conn()
