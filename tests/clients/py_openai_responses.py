"""The `openai` SDK, Responses. argv: plain|stream [prompt]."""

import sys

from openai import OpenAI

mode, prompt = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "Name three rivers."
client = OpenAI()
if mode == "plain":
    print(client.responses.create(model="gpt-5-mini", instructions="Be brief.", input=prompt).output_text)
else:
    with client.responses.stream(model="gpt-5-mini", instructions="Be brief.", input=prompt) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                print(event.delta, end="", flush=True)
        print()
