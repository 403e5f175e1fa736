"""Numbers on disk of the events and flags that the agent's own process writes. Their meaning stands in `core.events`, whose
enumerations take four milliseconds of every start of Python.
"""

from __future__ import annotations

SEGMENT = 1
LANE = 3
CLOSED = 41
ASK = 50
TOLD = 51
VALUES = 52
ORDER = 53
MARK = 54

REDACTED = 4
AS_TOLD = 32
