"""The `google-genai` SDK, generateContent. argv: plain|stream [prompt]."""

import sys

from google import genai

mode, prompt = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "Name three rivers."
client = genai.Client()
if mode == "plain":
    print(client.models.generate_content(model="gemini-2.5-flash", contents=prompt).text)
else:
    for chunk in client.models.generate_content_stream(model="gemini-2.5-flash", contents=prompt):
        print(chunk.text, end="", flush=True)
    print()
