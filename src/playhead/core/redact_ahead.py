"""What stands before a value and makes it a secret: a name and a sign, a scheme, a flag. Asked of every word and every run,
so the cheap questions come first."""

from __future__ import annotations

from playhead.core import redact_names as names

CONTEXT = 160
"""Bytes before a value in which the name that makes it a secret is looked for."""

_DASH, _COMMA, _COLON = b"-,:"
SEPARATORS = b":=>|%3DAda"  # the last of `%3D` and `%3A` too
_SIGNS = b":=>|,)]\"'`*\\ \t+"
_SPELLED_SIGNS = (b"%3D", b"%3d", b"%3A", b"%3a")
FLAGS_END = names.FLAGS_END + names.FLAGS_END.upper()
_AHEAD = SEPARATORS + b"rRcCsSkK" + FLAGS_END + b"-,\r\n"
_SAID = (b" is", b" IS", b" Is")
_WORDS_AHEAD = (*names.NAMES_END, b"arer", b"asic", *_SAID)
"""How what a letter ends names a value: flags, `bearer`, `basic`. Everything else has its value behind a sign."""
QUOTES = b"\"'`*\\ \t+"  # the blank of a form too


def may_name(data: bytes, at: int) -> bool:
    """Whether what stands before `at` can name a value: asked of every word and every run."""
    near = data[max(0, at - 16) : at]
    bare = near.rstrip(QUOTES)
    if not bare or near[-2:-1] == b"\\" or near[-3:-1] == b"%0":
        return True
    last = bare[-1]  # as a number: to look for bytes in bytes takes seven times as long
    if last not in _AHEAD or last == _DASH:
        return last == _DASH
    if last in b",\r\n":  # in a private key; or a flag, in a list of arguments
        if data.rfind(b"-----BEGIN", max(0, at - CONTEXT), at) >= 0:
            return True
        if last != _COMMA:  # behind the empty line of a form's field
            return near.endswith((b"\n\r\n", b"\n\n")) and data.rfind(b"form-data", max(0, at - CONTEXT), at) >= 0
        flag = bare[:-1].rstrip(QUOTES)[-1:]
        return not flag or flag in FLAGS_END
    if last in b":=>|%" or bare[-3:-1] == b"%3":
        name = _name(bare)[-5:]
        return (
            len(name) < 5
            or name.lower().endswith(_WORDS_AHEAD)
            or (last == _COLON and b"AA".startswith(data[at : at + 2]))
        )
    return bare[-5:].lower().endswith(_WORDS_AHEAD) or b"thorization" in data[max(0, at - 48) : at].lower()


def named(ahead: bytes, bare: bytes) -> str | None:
    """The rule for the value behind `ahead`, which is `bare` and quotes and ends with a name and a sign."""
    name = _name(bare)
    if name[-5:].lower().endswith(names.NAMES_END):
        near = max(0, len(name) - (96 if name.endswith(b"alue") else 40))  # a pair has its name a line above
        for rule, pattern in names.NAMES_AHEAD:
            if pattern.search(ahead, near) is not None:
                return rule
    return None


def is_beside(ahead: bytes, bare: bytes) -> bool:
    """Whether `ahead`, which is `bare` and quotes, ends with a name that stands beside the value."""
    name = _name(bare)
    name = name[:-3].rstrip() if name.endswith(_SAID) else name
    return name[-5:].lower().endswith(names.NAMES_END) and (
        names.BESIDE.search(ahead, max(0, len(name) - 64)) is not None
    )


def _name(bare: bytes) -> bytes:
    """`bare` up to the name in front of its signs."""
    bare = bare.rstrip(_SIGNS)
    while bare.endswith(_SPELLED_SIGNS):
        bare = bare[:-3].rstrip(_SIGNS)
    return bare


def schemed(ahead: bytes, last: bytes) -> str | None:
    """The rule for the value behind `ahead`, which ends with the scheme of an `Authorization` and blanks."""
    if last in b"rR" and names.BEARER_AHEAD.search(ahead, max(0, len(ahead) - 16)) is not None:
        return "bearer-token"
    near = max(0, len(ahead) - 48)
    if last in b"cC" and names.BASIC_AHEAD.search(ahead, near) is not None:
        return "basic-auth"
    if b"thorization" in ahead[near:].lower() and names.SCHEME_AHEAD.search(ahead, near) is not None:
        return "bearer-token"
    return None
