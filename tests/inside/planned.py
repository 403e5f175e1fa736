"""An agent that does what a plan says: lanes of questions, each answered by a tool or a model.

    python planned.py PLAN.json

A plan is `{"lanes": [[[NAME, ARGUMENTS], ...], ...], "threads": BOOL}`; the name `model` asks the server that MODEL names, by
urllib in a thread and by httpx in a task.
Every answer carries its question, so the agent itself sees when it is given another one's: it prints `WRONG` and the two.
"""

import asyncio
import json
import os
import sys
import threading
import urllib.request
from pathlib import Path

from playhead.capture.boundary import calls, loops

PATH = "/v1/chat/completions"


def told(name, arguments):
    """A question as canonical JSON."""
    return json.dumps({"name": name, **arguments}, sort_keys=True).encode()


def check(name, arguments, answer, wrong):
    """Note an answer that is that of another question."""
    if answer["of"] != told(name, arguments).decode():
        wrong.append((told(name, arguments).decode(), answer["of"]))


def answer_of(name, arguments):
    """What the tool returns."""
    return {"of": told(name, arguments).decode()}


def asked_of_model(arguments):
    """The body of that question."""
    return {"model": arguments["model"], "messages": [{"role": "user", "content": arguments["text"]}]}


def ask_model(arguments):
    """What the model server heard, as an answer."""
    request = urllib.request.Request(
        os.environ["MODEL"] + PATH,
        json.dumps(asked_of_model(arguments)).encode(),
        {"Content-Type": "application/json"},
    )
    return heard_by_model(json.load(urllib.request.urlopen(request)))


def heard_by_model(found):
    """What the model server says that it heard, as an answer."""
    heard = found["choices"][0]["message"]["content"].partition("I heard: ")[2].rpartition(" (")[0]
    return answer_of("model", {"model": found["model"], "text": heard})


def work_through(lane, wrong):
    """One lane, in a thread."""
    for name, arguments in lane:
        if name == "model":
            answer = ask_model(arguments)
        else:
            answer = calls.call("tool", name, told(name, arguments), lambda: answer_of(name, arguments))  # noqa: B023
        check(name, arguments, answer, wrong)


async def await_all(lane, wrong):
    """One lane, in a task."""
    client = None
    for name, arguments in lane:
        if name == "model":
            import httpx

            client = client or httpx.AsyncClient(timeout=60)
            answered = await client.post(os.environ["MODEL"] + PATH, json=asked_of_model(arguments))
            check(name, arguments, heard_by_model(answered.raise_for_status().json()), wrong)
            continue

        async def work(name=name, arguments=arguments):
            await asyncio.sleep(0)
            return answer_of(name, arguments)

        check(name, arguments, await loops.acall("tool", name, told(name, arguments), work), wrong)
    if client is not None:
        await client.aclose()


def run(plan, wrong):
    """The whole plan: the first lane in the main thread, then the others side by side."""
    work_through(plan["lanes"][0], wrong)

    async def main():
        await asyncio.gather(*[await_all(lane, wrong) for lane in plan["lanes"][1:]])

    if plan["threads"]:
        threads = [threading.Thread(target=work_through, args=(lane, wrong)) for lane in plan["lanes"][1:]]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    else:
        asyncio.run(main())


if __name__ == "__main__":
    found = []
    try:
        run(json.loads(Path(sys.argv[1]).read_text()), found)
    finally:
        for question, answer in found:
            print("WRONG", question, "was given the answer to", answer, flush=True)
        print("done", flush=True)
