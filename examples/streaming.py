"""Prints an answer as it streams, with the time that each of its words took.

playhead record --name stream -- python streaming.py
"""

from __future__ import annotations

import time

from chat import stream


def main() -> None:
    last = time.monotonic()
    for word in stream("Summarise: a teapot that came broken"):
        now = time.monotonic()
        print(f"  {(now - last) * 1000:9.3f} ms  {word.strip()}")
        last = now


if __name__ == "__main__":
    main()
