"""Asks four shops at once and takes the two fastest: who wins is a race, with another winner each time it is recorded.

playhead record --name race -- python fan_out.py
"""

from __future__ import annotations

import asyncio
import random

from chat import ask

import playhead

SHOPS = ("north", "south", "east", "west")


@playhead.tool(effect="read")
async def price(shop: str) -> int:
    await asyncio.sleep(random.uniform(0, 0.05))
    if shop == "east":
        raise ConnectionError("closed")
    return random.randint(30, 60)


async def offer(shop: str) -> str | None:
    try:
        said = f"{shop} {await price(shop)}"
    except ConnectionError as error:
        print(f"  {shop} is {error}")
        return None
    print(f"  {said}")
    return said


async def main() -> None:
    tasks = [asyncio.create_task(offer(shop)) for shop in SHOPS]
    offers = [await task for task in asyncio.as_completed(tasks)]
    fastest = [each for each in offers if each][:2]
    both = await asyncio.gather(*(asyncio.to_thread(ask, f"Summarise: {each}") for each in fastest))
    print(" | ".join(both))


if __name__ == "__main__":
    asyncio.run(main())
