"""The `anthropic` SDK, Messages. argv: plain|stream [prompt]."""

import sys

from anthropic import Anthropic

mode, prompt = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "Name three rivers."
client = Anthropic()
request = {"model": "claude-sonnet-5-5", "max_tokens": 200, "messages": [{"role": "user", "content": prompt}]}
if mode == "plain":
    print(client.messages.create(**request).content[0].text)
else:
    with client.messages.stream(**request) as stream:
        for text in stream.text_stream:
            print(text, end="", flush=True)
        print()
