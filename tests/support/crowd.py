"""Several processes that begin at the same moment."""

import subprocess
import sys


def crowd(count, script, *arguments, timeout_s=200):
    """Run `script` (Python that first reads a line of its input) as so many processes at once, each given `arguments`
    with its number behind the first; fails with what one of them said when it did not end well."""
    first, *more = map(str, arguments)
    pipe = subprocess.PIPE
    workers = [
        subprocess.Popen([sys.executable, "-c", script, first, str(n), *more], stdin=pipe, stderr=pipe)
        for n in range(count)
    ]
    for worker in workers:
        worker.stdin.write(b"\n")
        worker.stdin.flush()
    for worker in workers:
        _, errors = worker.communicate(timeout=timeout_s)
        assert worker.returncode == 0, errors.decode()
