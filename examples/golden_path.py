"""Sorts a mail, and reads of the world what agents read: the date, a clock, an id, a random number, a sleep.

playhead record --name golden -- python golden_path.py
"""

from __future__ import annotations

import random
import time
import uuid
from datetime import datetime

from chat import ask

MAIL = "My teapot came broken. I want my money back."


def main() -> None:
    started = time.perf_counter()
    ticket = uuid.uuid4().hex[:8]
    now = datetime.now().astimezone()
    print(f"ticket {ticket} of {now:%Y-%m-%d %H:%M:%S}")
    kind = ask(f"Sort this mail, ticket {ticket}, now {now:%H:%M:%S}: {MAIL}")
    time.sleep(random.uniform(0.05, 0.2))
    print(f"{kind}, to be answered by clerk {random.getrandbits(32):08x}")
    print(f"took {time.perf_counter() - started:.6f} s")


if __name__ == "__main__":
    main()
