"""An agent with a common mistake: an object without a `__repr__` in its prompt, so that its address in memory stands there.

    playhead record --name object -- python object_in_prompt.py

No boundary gives addresses: they are another machine's next time. The replay says so, and does not answer.
"""

from __future__ import annotations

from chat import ask


class Order:
    def __init__(self, number: int, item: str) -> None:
        self.number = number
        self.item = item


def main() -> None:
    order = Order(1001, "teapot")
    print(ask(f"Sort this mail about {order}: My teapot came broken. I want my money back."))


if __name__ == "__main__":
    main()
