"""What the end of a piece leaves open and must be held for what follows: a private key's first line, a token of ours."""

from __future__ import annotations

from playhead.core import redact_names as names


def opened_key(data: bytes, floor: int) -> int:
    """Where a private key's first line begins that the end of `data` cuts, or whose lines have yet to come; -1 when
    there is none."""
    opened = data.rfind(b"-----BEGIN", floor)
    if opened >= 0:
        label = names.PEM_LABEL.match(data, opened)
        if label is None or label.end() == len(data) or b"PRIVATE KEY" in label[0].replace(b"+", b" "):
            return opened
    dash = data.find(b"-", max(floor, len(data) - 9))
    while dash >= 0 and not b"-----BEGIN".startswith(data[dash:]):
        dash = data.find(b"-", dash + 1)
    return dash


def opened_token(data: bytes, floor: int) -> int:
    """Where a token of ours begins that the end of `data` cuts; -1 when none does."""
    opened = data.rfind(b"<", floor)
    if opened >= 0 and b">" not in data[opened:]:
        begun = data[opened : opened + 10]
        if b"<redacted:".startswith(begun) or (begun.startswith(b"<~") and len(data) - opened < 24):
            return opened
    return -1
