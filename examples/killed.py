"""An agent that is killed while it pays, as by a lack of memory or a deploy: nobody can say whether the money went out.

playhead record --name killed -- python killed.py
"""

from __future__ import annotations

import os
import signal

from chat import ask

import playhead


@playhead.tool(effect="irreversible")
def pay(order: str) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return f"paid {order}"


def main() -> None:
    print(ask("Sort this mail: My teapot (order 1001) came broken. I want my money back."), flush=True)
    print(pay("1001"), flush=True)


if __name__ == "__main__":
    main()
