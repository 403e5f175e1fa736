"""An agent that asks a database, of which no boundary knows. A replay would read what stands there now: it says so.

    playhead record --name stock -- python unwrapped.py

`@playhead.tool` above `in_stock` puts it on the tape.
"""

from __future__ import annotations

import sqlite3
import sys

from chat import ask

DATABASE = "../stock.db"


def in_stock(item: str) -> int:
    with sqlite3.connect(DATABASE) as database:
        return int(database.execute("select count from stock where item = ?", [item]).fetchone()[0])


def fill(count: int) -> None:
    with sqlite3.connect(DATABASE) as database:
        database.execute("create table if not exists stock (item, count)")
        database.execute("delete from stock")
        database.execute("insert into stock values ('teapot', ?)", [count])


if __name__ == "__main__":
    if sys.argv[1:]:
        fill(int(sys.argv[1]))
    else:
        print(ask(f"Summarise: {in_stock('teapot')} teapots are left"))
