"""Runs one command under the Launcher, as a process of its own: argv[1] is options as JSON, the rest the command.

The report (a JSON file) holds how it ended and every piece of the standard streams in the order reported.
"""

import base64
import fcntl
import json
import os
import sys
import termios
from pathlib import Path

from playhead.capture.process.spawn import Command, CommandNotStarted, Stdio
from playhead.capture.process.terminal import Size
from playhead.capture.process.watch import Privileges, WatchPlan
from playhead.runs.launcher import Launcher
from playhead.runs.streams import Input


def main() -> int:
    options = json.loads(sys.argv[1])
    if options.get("terminal") is not None:
        fcntl.ioctl(options["terminal"], termios.TIOCSCTTY, 0)
    if options.get("inheritable"):
        os.dup2(os.open("/dev/null", os.O_RDONLY), 9, inheritable=True)
    stdio = Stdio.here()
    if options.get("kinds"):
        size = options.get("size")
        stdio = Stdio(tuple(options["kinds"]), Size(*size) if size else None)
    recorded = options.get("input")
    pieces = []
    report = {"kinds": list(stdio.kinds)}
    attempts = []
    watching = (
        WatchPlan(Privileges.KEEP, lambda seen: attempts.append(list(seen)) or 0) if options.get("watch") else None
    )
    recorded_input = None if recorded is None else [Input(text.encode(), after) for text, after in recorded]
    with Launcher(lambda fd, data: pieces.append((fd, data)), recorded_input=recorded_input) as launcher:
        try:
            child = launcher.start(Command(tuple(sys.argv[2:]), dict(os.environ)), stdio, watching=watching)
            report["unwatched"] = child.unwatched
            status = launcher.run()
        except CommandNotStarted as error:
            report["not_started"] = str(error)
            code = error.exit_code
        else:
            report |= {
                "code": status.code,
                "signal": status.signal,
                "duration_s": status.duration_s,
                "core": status.core,
            }
            code = status.shell_code
    report["pieces"] = [[fd, base64.b64encode(data).decode()] for fd, data in pieces]
    report["attempts"] = attempts
    report["left_open"] = sorted(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    Path(options["report"]).write_text(json.dumps(report))
    return code


sys.exit(main())
