"""The `openai` SDK, asynchronous, Chat Completions. argv: plain|stream [prompt]."""

import asyncio
import sys

from openai import AsyncOpenAI

mode, prompt = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "Name three rivers."


async def main() -> None:
    messages = [{"role": "user", "content": prompt}]
    async with AsyncOpenAI() as client:
        if mode == "plain":
            done = await client.chat.completions.create(model="gpt-4o-mini", messages=messages)
            print(done.choices[0].message.content)
            return
        async for chunk in await client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True):
            if chunk.choices and chunk.choices[0].delta.content:
                print(chunk.choices[0].delta.content, end="", flush=True)
        print()


asyncio.run(main())
