"""The `openai` SDK, synchronous, Chat Completions. argv: plain|stream [prompt]."""

import sys

from openai import OpenAI

mode, prompt = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "Name three rivers."
client = OpenAI(max_retries=2)
messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}]
if mode == "plain":
    print(client.chat.completions.create(model="gpt-4o-mini", messages=messages).choices[0].message.content)
else:
    options = {"include_usage": True}
    for chunk in client.chat.completions.create(
        model="gpt-4o-mini", messages=messages, stream=True, stream_options=options
    ):
        if chunk.choices and chunk.choices[0].delta.content:
            print(chunk.choices[0].delta.content, end="", flush=True)
    print()
