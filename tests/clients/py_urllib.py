"""`urllib.request` of the standard library. argv: plain|stream [prompt]."""

import json
import os
import sys
import urllib.request

mode, prompt = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "Name three rivers."
url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions"
body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}], "stream": mode == "stream"}
request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
with urllib.request.urlopen(request, timeout=30) as answer:
    if mode == "plain":
        print(json.load(answer)["choices"][0]["message"]["content"])
    else:
        for line in answer:
            if line.startswith(b"data: {"):
                print(json.loads(line[6:])["choices"][0]["delta"].get("content", ""), end="", flush=True)
        print()
