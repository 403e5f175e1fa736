"""Synthetic runs of agents, from a seed: the request bodies they send, one after the other, and what is new in each.

The text is real (sources and docs of the Python that runs this), the shapes are those of OpenAI's and Anthropic's
clients. No traffic of a real agent is in here. `python benchmarks/agent_runs.py` lists the runs and their sizes.
"""

from __future__ import annotations

import base64
import json
import random
import sysconfig
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLEARED = "[Old tool result content cleared]"
CALLS = {
    "read_file": ("path", "offset", "limit"),
    "grep": ("pattern", "path"),
    "run_tests": ("command", "timeout"),
    "edit_file": ("path", "old_text", "new_text"),
}


class Sent(NamedTuple):
    """One request: its body, and the bytes of it that no request of the run had before (each new message once, and the
    parameters with the first)."""

    body: bytes
    new: bytes


@cache
def sources() -> str:
    """Python source, a few megabytes of it."""
    folder = Path(sysconfig.get_path("stdlib"))
    return "\n".join(path.read_text("utf-8", "replace") for path in sorted(folder.glob("*.py")))


@cache
def prose() -> str:
    """English text about Python."""
    return "\n\n".join(" ".join(text.split()) for _, text in sorted(topics.items()))


def compact(value: object) -> str:
    """JSON as the clients write it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Talk:
    """A conversation that grows by one tool call and its result a step. Messages in a neutral form:
    ("user", text), ("assistant", text, tool, arguments, id) and ("tool", text, id)."""

    def __init__(self, seed: str, *, image: bool = False) -> None:
        self.dice = random.Random(seed)
        self.system = "You are a careful engineer. " + self.words(5000)
        self.tools = [(name, self.words(300), names) for name, names in CALLS.items()] + [
            (f"tool_{n}", self.words(400), ("query", "limit")) for n in range(8)
        ]
        self.image = base64.b64encode(self.dice.randbytes(750_000)).decode() if image else ""
        self.messages: list[tuple[str, ...]] = [("user", self.words(800))]
        self.written: dict[tuple[tuple[str, ...], bool], str] = {}  # messages as JSON, with a mark or without

    def words(self, size: int) -> str:
        text = prose()
        at = self.dice.randrange(len(text) - size)
        return text[at : at + size]

    def code(self, size: int) -> str:
        text = sources()
        at = self.dice.randrange(len(text) - size)
        return "\n".join(f"{n:6}\t{line}" for n, line in enumerate(text[at : at + size].split("\n"), 1))

    def identifier(self, head: str) -> str:
        return head + "".join(self.dice.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=24))

    def step(self) -> list[tuple[str, ...]]:
        """Two more messages."""
        name = self.dice.choice(list(CALLS))
        arguments = {
            key: self.code(self.dice.randint(40, 600)) if key.endswith("text") else self.words(self.dice.randint(8, 60))
            for key in CALLS[name]
        }
        call = self.identifier("toolu_01")
        size = min(int(self.dice.lognormvariate(7.0, 1.1)) + 40, 30_000)
        result = self.code(size) if self.dice.random() < 0.7 else self.words(size)
        fresh = [
            ("assistant", self.words(self.dice.randint(60, 700)), name, compact(arguments), call),
            ("tool", result, call),
        ]
        self.messages += fresh
        return fresh


def openai(talk: Talk, messages: list[tuple[str, ...]], system: str) -> tuple[str, Callable[[tuple[str, ...]], str]]:
    """A chat completion request, and what one message is in it."""
    tools = [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": text,
                "parameters": {"type": "object", "properties": {key: {"type": "string"} for key in keys}},
            },
        }
        for name, text, keys in talk.tools
    ]

    def shaped(message: tuple[str, ...]) -> str:
        if (message, False) in talk.written:
            return talk.written[message, False]
        role, text, *more = message
        said: dict[str, Any] = {"role": role, "content": text}
        if role == "assistant":
            called = {"name": more[0], "arguments": more[1]}
            said["tool_calls"] = [{"id": more[2], "type": "function", "function": called}]
        elif role == "tool":
            said["tool_call_id"] = more[0]
        elif talk.image and role == "user":
            picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + talk.image}}
            said["content"] = [{"type": "text", "text": text}, picture]
        return talk.written.setdefault((message, False), compact(said))

    shown = ",".join(map(shaped, [("system", system), *messages]))
    body = f'{{"messages":[{shown}],"model":"gpt-5.4-mini","stream":true,"tools":{compact(tools)}}}'
    return body, shaped


def anthropic(talk: Talk, messages: list[tuple[str, ...]], system: str) -> tuple[str, Callable[[tuple[str, ...]], str]]:
    """A messages request whose `cache_control` is on the last two tool results, and what one message is in it without."""
    marked = {id(message) for message in messages if message[0] != "assistant"}
    marked &= {id(message) for message in messages[-4:]}
    tools = [
        {
            "name": name,
            "description": text,
            "input_schema": {"type": "object", "properties": {key: {"type": "string"} for key in keys}},
        }
        for name, text, keys in talk.tools
    ]
    mark = {"cache_control": {"type": "ephemeral"}}

    def shaped(message: tuple[str, ...]) -> str:
        key = (message, id(message) in marked)
        if key in talk.written:
            return talk.written[key]
        role, text, *more = message
        block: dict[str, Any] = {"type": "text", "text": text}
        blocks = [block]
        if role == "assistant":
            blocks.append({"type": "tool_use", "id": more[2], "name": more[0], "input": json.loads(more[1])})
        elif role == "tool":
            block = {"type": "tool_result", "tool_use_id": more[0], "content": text}
            blocks = [block]
        elif talk.image and role == "user":
            picture = {"type": "base64", "media_type": "image/png", "data": talk.image}
            blocks.append({"type": "image", "source": picture})
        if id(message) in marked:
            block |= mark
        said = {"role": "assistant" if role == "assistant" else "user", "content": blocks}
        return talk.written.setdefault(key, compact(said))

    shown = ",".join(map(shaped, messages))
    head = compact([{"type": "text", "text": system, **mark}])
    body = (
        f'{{"max_tokens":8192,"messages":[{shown}],"model":"claude-opus-5","system":{head},"stream":true,'
        f'"tools":{compact(tools)}}}'
    )
    marked.clear()
    return body, shaped


SHAPES = {"openai": openai, "anthropic": anthropic}


def run(
    seed: int,
    shape: str,
    steps: int,
    *,
    clear: int = 0,
    batch: int = 1,
    volatile: bool = False,
    image: bool = False,
    agents: int = 1,
    plant: str = "",
) -> Iterator[Sent]:
    """The requests of a run.

    With `clear`, tool results more than so many messages back are blanked in place, `batch` steps' worth at a time; with
    `volatile`, the system prompt begins with a clock; with `image`, the first message has one of 1 MB; several `agents`
    take turns with conversations of their own; `plant` is text that the first message ends with.
    """
    talks = [Talk(f"{seed} {shape} {agent}", image=image) for agent in range(agents)]
    for talk in talks:
        talk.messages[0] = ("user", talk.messages[0][1] + plant)
    asked = [0] * agents
    for number in range(steps):
        agent = number % agents
        talk = talks[agent]
        fresh = talk.messages[:] if not asked[agent] else talk.step()
        asked[agent] += 1
        until = len(talk.messages) - clear if clear else 0
        until -= until % (2 * batch)
        shown = [
            (message[0], CLEARED, *message[2:]) if at < until and message[0] == "tool" else message
            for at, message in enumerate(talk.messages)
        ]
        clock = f"Now: 2026-11-21T13:{number // 60 % 60:02}:{number % 60:02}Z, load {talk.dice.random():.6f}. "
        body, shaped = SHAPES[shape](talk, shown, clock + talk.system if volatile else talk.system)
        new = "".join(map(shaped, fresh))
        if asked[agent] == 1:
            new = SHAPES[shape](talk, [], talk.system)[0] + new
        yield Sent(body.encode(), new.encode())


class Bounded(NamedTuple):
    """A run to measure: its name, how it is made, and how many times the floor it may take."""

    name: str
    options: dict[str, Any]
    bound: float


def runs(*, long: bool = True) -> list[Bounded]:
    """The runs of the benchmark, for each shape; `long` ones too."""
    made = []
    for shape in SHAPES:
        made += [
            Bounded(f"{shape} 200", {"shape": shape, "steps": 200}, 1.5),
            Bounded(f"{shape} 200 clear@20", {"shape": shape, "steps": 200, "clear": 20}, 2.0),
            Bounded(f"{shape} 200 clear@60", {"shape": shape, "steps": 200, "clear": 60}, 2.0),
            Bounded(f"{shape} 200 clear@60 by 10", {"shape": shape, "steps": 200, "clear": 60, "batch": 10}, 2.0),
            Bounded(f"{shape} 200 clock in the prompt", {"shape": shape, "steps": 200, "volatile": True}, 1.5),
            Bounded(f"{shape} 200 of four agents", {"shape": shape, "steps": 200, "agents": 4}, 2.2),
            Bounded(f"{shape} 50 with a 1 MB image", {"shape": shape, "steps": 50, "image": True}, 1.2),
        ]
        if long:
            made += [
                Bounded(f"{shape} 1000", {"shape": shape, "steps": 1000}, 1.8),
                Bounded(f"{shape} 1000 clear@200", {"shape": shape, "steps": 1000, "clear": 200}, 2.0),
            ]
    return made


def main() -> None:
    """Print one line a run."""
    for name, options, _ in runs():
        sent = new = last = 0
        for body, fresh in run(1, **options):
            sent, new, last = sent + len(body), new + len(fresh), len(body)
        print(f"{name:36} {sent / 1e6:8.1f} MB sent, {new / 1e6:5.2f} MB new, last body {last / 1e6:5.2f} MB")


if __name__ == "__main__":
    main()
