"""An agent that asks what it is told to, one prompt a line. argv: ORDERS REPLIES, two FIFOs, so that it can be steered
and heard when nobody holds its standard streams. First reply: its pid. `exit N` ends it.
"""

import http.client
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

base = urlsplit(os.environ["OPENAI_BASE_URL"])
kept = None
with Path(sys.argv[1]).open() as orders, Path(sys.argv[2]).open("w", buffering=1) as replies:
    replies.write(f"{os.getpid()}\n")
    for order in map(str.strip, orders):
        if order.startswith("exit "):
            sys.exit(int(order[5:]))
        body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": order}]})
        try:
            connection, kept = kept or http.client.HTTPConnection(base.hostname, base.port, timeout=30), None
            connection.request("POST", f"{base.path}/chat/completions", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status == 200:
                text = json.loads(text)["choices"][0]["message"]["content"]
                kept = connection
            replies.write(f"{answer.status} {' '.join(text.split())}\n")
        except (OSError, http.client.HTTPException) as error:
            replies.write(f"failed {type(error).__name__} {error}\n")
