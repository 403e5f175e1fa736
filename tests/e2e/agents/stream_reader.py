"""Reads one stream by hand and prints the length of every read.

argv: FILE, where the seconds it took are written, HEARD, which grows by a byte with every read.
"""

import sys
import time
from pathlib import Path

from raw_client import connect

import playhead

sock = connect("shop.example")
with playhead.unrecorded():  # the time it is, not the one that it was
    began = time.monotonic()
sock.sendall(b"GET /stream HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
while piece := sock.recv(65536):
    print(len(piece), piece[:20], flush=True)
    with Path(sys.argv[2]).open("ab") as heard:
        heard.write(b".")
with playhead.unrecorded():
    Path(sys.argv[1]).write_text(str(time.monotonic() - began))
