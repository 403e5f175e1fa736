"""Concurrent prompts on threads, then one prompt that contains their completion order; prints all.

argv: distinct|identical|burst COUNT [prompt prefix]. `burst` asks COUNT distinct prompts and prints who got what.
With `identical`, which caller got which answer goes to stderr, since nothing on the wire decides it."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import requests

kind, count = sys.argv[1], int(sys.argv[2])
prefix = sys.argv[3] if len(sys.argv) > 3 else ""
url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1") + "/chat/completions"
order: list[str] = []
answers: list[str] = []
lock = threading.Lock()


def ask(prompt: str) -> str:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]}
    with requests.Session() as session, session.post(url, json=body, timeout=60) as answer:
        answer.raise_for_status()
        return answer.json()["choices"][0]["message"]["content"]


def one(caller: int) -> None:
    prompt = "Pick a number." if kind == "identical" else f"Pick number {caller}."
    answer = ask(prefix + prompt)
    with lock:
        order.append(answer if kind == "identical" else str(caller))
        answers.append(answer if kind == "identical" else f"{caller}: {answer}")
        print(f"{caller}: {answer}", file=sys.stderr)


with ThreadPoolExecutor(count) as pool:
    list(pool.map(one, range(count)))
print("\n".join(sorted(answers) if kind == "burst" else answers))
if kind != "burst":
    print(ask("They came in this order: " + " | ".join(order)))
