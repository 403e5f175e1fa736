"""What redaction costs where nothing is to be redacted, and where something is: `python benchmarks/redaction.py`.

Bodies are made of English, tool calls and ids, as an agent's requests are. Prints the least of several runs.
"""

from __future__ import annotations

import json
import random
import string
import time
import timeit
from typing import TYPE_CHECKING

from playhead.core.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

PROSE = (
    "The customer says that the order came broken and would like the money back. Look up the order first, then check "
    "that it is eligible under the shop's rules, and only then call the refund tool. Answer in one short paragraph. "
)
HEAD = b"".join(
    b"%s\r\n" % line
    for line in (
        b"POST /v1/chat/completions HTTP/1.1",
        b"host: api.openai.com",
        b"accept: application/json",
        b"content-type: application/json",
        b"user-agent: OpenAI/Python 3.52.0",
        b"x-stainless-lang: python",
        b"x-stainless-os: Linux",
        b"x-stainless-runtime: CPython",
        b"authorization: Bearer none-of-your-business",
        b"content-length: 3021",
        b"",
    )
)
CHUNK = b'data: {"id":"chatcmpl-0","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" a"}}]}\n\n\r\n'


def body(size: int) -> bytes:
    """A chat request of about `size` bytes."""
    dice = random.Random(1)
    messages: list[dict[str, str]] = []
    while sum(len(m["content"]) + 100 for m in messages) < size:
        call = "call_" + "".join(dice.choices(string.ascii_letters + string.digits, k=24))
        messages.append({"role": "tool", "tool_call_id": call, "content": PROSE * dice.randint(1, 6)})
    return json.dumps({"model": "gpt-5.4-mini", "messages": messages}).encode()


def microseconds(work: Callable[[], object], times: int) -> float:
    """The least CPU time of nine runs of `times` calls, per call."""
    return min(timeit.repeat(work, timer=time.process_time, number=times, repeat=9)) / times * 1e6


def main() -> None:
    """Print one line a figure."""
    redactor = Redactor()
    small, large = body(3_000), body(50_000)
    secret = large[:-2] + b" sk-" + b"aB3dE5gH7jK9mN1pQ2sT4vX6" * 2 + large[-2:]
    stream = redactor.message().answer()
    stream.feed(b"HTTP/1.1 200 OK\r\n\r\n")
    for name, work, times in (
        (f"clean body, {len(small)} bytes", lambda: redactor.message().body(small), 2000),
        (f"clean body, {len(large)} bytes", lambda: redactor.message().body(large), 200),
        ("the same, all but 1 kB known clean", lambda: redactor.message().body(large, [(0, len(large) - 1000)]), 2000),
        ("the same with one key", lambda: redactor.message().body(secret), 200),
        ("head of a request", lambda: redactor.redact_head(HEAD), 2000),
        (f"chunk of a stream, {len(CHUNK)} bytes", lambda: stream.feed(CHUNK), 2000),
    ):
        print(f"{name:40} {microseconds(work, times):8.1f} us")


if __name__ == "__main__":
    main()
