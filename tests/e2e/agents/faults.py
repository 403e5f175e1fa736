"""A client that meets faults and goes on: prints, for each scenario, what it got or the exceptions it caught.

argv: openai | httpx | requests. Each scenario is one prompt to the model server, which reads its faults from the prompt.
"""

import asyncio
import sys

BASE, REFUSED = "https://api.openai.com/v1", "https://refused.example/v1"
SCENARIOS = {
    "cut stream": ("stream", "{{cut=3}}"),
    "cut body": ("plain", "{{cut=1}}"),
    "cut before the head": ("plain", "{{cut=0}}"),
    "reset before the head": ("plain", "{{reset=0}}"),
    "reset mid-stream": ("stream", "{{reset=3}}"),
    "reset in a body": ("plain", "{{reset=1}}"),
    "refused": ("refused", ""),
    "429": ("plain", "flaky"),
    "500": ("plain", "{{status=500}}"),
    "gzip": ("plain", "{{gzip}}"),
    "end of file": ("stream", "{{close}}"),
    "timeout before the head": ("timeout", "{{delay=30}}"),
    "timeout mid-stream": ("timeout", "{{chunk_delay=30}} stream"),
    "early break": ("break", "{{chunk_delay=30 flowing=4}} one two three four five six seven eight"),
    "cancel": ("cancel", "{{chunk_delay=30}} stream"),
    "after all that": ("plain", "fine"),
}
client_name = sys.argv[1]


def body(prompt, how):
    streaming = how in ("stream", "break", "cancel") or "stream" in prompt
    text = f"{prompt} for {client_name}"
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], "stream": streaming}


class OfOpenai:
    def __init__(self):
        from openai import OpenAI

        self.client = OpenAI(max_retries=1)

    def ask(self, prompt, how):
        client = self.client.with_options(base_url=REFUSED) if how == "refused" else self.client
        client = client.with_options(timeout=1.5, max_retries=0) if how == "timeout" else client
        answer = client.chat.completions.create(**body(prompt, how))
        if not body(prompt, how)["stream"]:
            return answer.choices[0].message.content
        return take((chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices), answer, how)

    async def cancelled(self, prompt, heard):
        from openai import AsyncOpenAI

        async with AsyncOpenAI(max_retries=0) as client:
            async for chunk in await client.chat.completions.create(**body(prompt, "cancel")):
                print("heard", chunk.choices[0].delta.role)
                heard.set()


class OfHttpx:
    def __init__(self):
        import httpx

        self.httpx, self.client = httpx, httpx.Client()

    def ask(self, prompt, how):
        base = REFUSED if how == "refused" else BASE
        timeout = 1.5 if how == "timeout" else 20
        with self.client.stream("POST", f"{base}/chat/completions", json=body(prompt, how), timeout=timeout) as answer:
            print("status", answer.status_code)
            return take((line for line in answer.iter_lines() if line), answer, how)

    async def cancelled(self, prompt, heard):
        async with (
            self.httpx.AsyncClient() as client,
            client.stream("POST", f"{BASE}/chat/completions", json=body(prompt, "cancel")) as answer,
        ):
            async for line in answer.aiter_lines():
                print("heard", len(line))
                heard.set()


class OfRequests:
    def __init__(self):
        import requests

        self.client = requests.Session()

    def ask(self, prompt, how):
        base = REFUSED if how == "refused" else BASE
        timeout = 1.5 if how == "timeout" else 20
        with self.client.post(
            f"{base}/chat/completions", json=body(prompt, how), timeout=timeout, stream=True
        ) as answer:
            print("status", answer.status_code)
            return take((line.decode() for line in answer.iter_lines() if line), answer, how)


def take(pieces, answer, how):
    """All pieces as they come; of a break, three."""
    taken = []
    for piece in pieces:
        taken.append(piece)
        print("piece", piece[:40])
        if how == "break" and len(taken) == 3:
            answer.close()
            break
    return f"{len(taken)} pieces"


async def cancel(prompt):
    """Cancel once the first piece was heard, while the next is awaited."""
    heard = asyncio.Event()
    task = asyncio.get_running_loop().create_task(client.cancelled(prompt, heard))
    await heard.wait()
    await asyncio.sleep(0.05)
    task.cancel()
    await task


client = {"openai": OfOpenai, "httpx": OfHttpx, "requests": OfRequests}[client_name]()
for name, (how, prompt) in SCENARIOS.items():
    print(f"== {name}")
    try:
        if how != "cancel":
            print(client.ask(prompt, how))
        elif hasattr(client, "cancelled"):
            asyncio.run(cancel(prompt))
    except (Exception, asyncio.CancelledError) as error:
        causes = []
        while error is not None:
            causes.append(type(error).__name__)
            error = error.__cause__ or error.__context__
        print("caught", " < ".join(causes))
