"""Sorts mails in two worker processes, and runs a program. Each process of Python has a tape of its own.

    playhead record --name many -- python multi_process.py

Which worker takes which mail is the machine's: the ids are drawn here and not in the workers, so that they follow the mail.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import uuid
from concurrent.futures import ProcessPoolExecutor

from chat import ask

MAILS = ["I want my money back.", "Is the lamp in stock?", "I love the scarf!"]


def sort(ticket: str, mail: str) -> str:
    return f"{ticket}: {ask(f'Sort this mail, ticket {ticket}: {mail}')}"


def main() -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        for line in pool.map(sort, [uuid.uuid4().hex[:8] for _ in MAILS], MAILS):
            print(f"  ticket {line}")
    number = int(subprocess.check_output(["sh", "-c", "echo $$"]))
    print(f"  the program was process {number:08x}")


if __name__ == "__main__":
    main()
