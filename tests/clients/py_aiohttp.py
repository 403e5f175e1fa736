"""`aiohttp` as it comes (trust_env off), against OpenAI Chat Completions. argv: plain|stream [prompt]."""

import asyncio
import json
import os
import sys

import aiohttp

mode, prompt = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "Name three rivers."
url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions"
body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}], "stream": mode == "stream"}


async def main() -> None:
    async with aiohttp.ClientSession() as session, session.post(url, json=body, raise_for_status=True) as answer:
        if mode == "plain":
            print((await answer.json())["choices"][0]["message"]["content"])
            return
        async for line in answer.content:
            if line.startswith(b"data: {"):
                print(json.loads(line[6:])["choices"][0]["delta"].get("content", ""), end="", flush=True)
        print()


asyncio.run(main())
