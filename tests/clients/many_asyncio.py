"""Concurrent prompts on asyncio, then one prompt that contains their completion order; prints all.

argv: distinct|identical|burst COUNT [prompt prefix]. `burst` asks COUNT distinct prompts and prints who got what.
With `identical`, which caller got which answer goes to stderr, since nothing on the wire decides it."""

import asyncio
import os
import sys

import httpx

kind, count = sys.argv[1], int(sys.argv[2])
prefix = sys.argv[3] if len(sys.argv) > 3 else ""
url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions"


async def ask(client: httpx.AsyncClient, prompt: str) -> str:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]}
    answer = await client.post(url, json=body, timeout=60)
    return answer.raise_for_status().json()["choices"][0]["message"]["content"]


async def main() -> None:
    order: list[str] = []
    answers: list[str] = []

    async def one(client: httpx.AsyncClient, caller: int) -> None:
        prompt = "Pick a number." if kind == "identical" else f"Pick number {caller}."
        answer = await ask(client, prefix + prompt)
        order.append(answer if kind == "identical" else str(caller))
        answers.append(answer if kind == "identical" else f"{caller}: {answer}")
        print(f"{caller}: {answer}", file=sys.stderr)

    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=count)) as client:
        await asyncio.gather(*(one(client, caller) for caller in range(count)))
        print("\n".join(sorted(answers) if kind == "burst" else answers))
        if kind != "burst":
            print(await ask(client, "They came in this order: " + " | ".join(order)))


asyncio.run(main())
