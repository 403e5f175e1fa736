"""An agent that writes down every answer it got before it asks again, and stops at the first that fails.

argv: NOTES COUNT. NOTES gets one line an answer: number, digest of the body; before the first its pid. One kept connection.
"""

import hashlib
import http.client
import os
import sys
from urllib.parse import urlsplit

notes = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
base = urlsplit(os.environ["OPENAI_BASE_URL"])
connection = http.client.HTTPConnection(base.hostname, base.port, timeout=60)
for number in range(1, int(sys.argv[2]) + 1):
    try:
        connection.request("POST", f"{base.path}/echo", f'{{"number": {number}}}')
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        sys.exit(3)
    if answer.status != 200:
        sys.exit(4)
    if number == 1:
        os.write(notes, f"{os.getpid()}\n".encode())
    os.write(notes, f"{number} {hashlib.sha256(body).hexdigest()}\n".encode())
