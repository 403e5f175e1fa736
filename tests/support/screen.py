"""A terminal in the user's hands."""

import os
import re
import select
import time

from playhead.capture.process.terminal import Size, set_window_size


class Screen:
    """What is typed, what is shown; 33 by 101. As a context it closes both ends."""

    def __init__(self):
        self.master, self.slave = os.openpty()
        self.shown = b""
        set_window_size(self.slave, Size(33, 101))

    def until(self, pattern):
        """Read until `pattern` is shown."""
        deadline = time.monotonic() + 60
        while not (found := re.search(pattern, self.shown)):
            left = deadline - time.monotonic()
            assert left > 0, self.shown
            if select.select([self.master], [], [], left)[0]:
                self.shown += os.read(self.master, 65536)
        return found

    def type(self, data):
        os.write(self.master, data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.master)
        os.close(self.slave)
