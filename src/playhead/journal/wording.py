"""What people type to search, and the text they search in, as SQLite's full-text index (FTS5) reads them.

A query is words, all of which must occur; "words in quotes" stand together in that order; `word*` is a beginning; OR
between two takes either; NOT before one, or a minus, leaves out what has it. Case and accents do not count. Everything
is quoted on its way, so that no query is a syntax error or means what its author did not say.

Scripts without spaces between words (Chinese, Japanese, Thai, …) are searched by character: the index gets an invisible
separator (U+200B) around each, so that a run of them is a phrase.
"""

from __future__ import annotations

import re

SEPARATOR = "\u200b"
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3100-\u312f\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_TERM = re.compile(r'(?P<minus>-(?=["\w]))?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))(?P<prefix>\*)?')


def spaced(text: str) -> str:
    """`text` as the index gets it."""
    return _UNSPACED.sub(lambda match: f"{SEPARATOR}{match[0]}{SEPARATOR}", text) if not text.isascii() else text


def unspaced(text: str) -> str:
    """The inverse of `spaced`, for people to read."""
    return text.replace(SEPARATOR, "")


def expression(query: str) -> str | None:
    """The FTS5 expression of a query; None when it holds nothing that could be found."""
    wanted: list[str] = []  # joined by AND; each may be several, joined by OR
    unwanted: list[str] = []
    joins = negates = False
    for match in _TERM.finditer(query.replace("\0", " ")):
        word = match["word"]
        if word == "AND":
            continue
        if word in ("OR", "NOT") and (word == "NOT" or wanted):
            joins, negates = joins or word == "OR", negates or word == "NOT"
            continue
        text = match["phrase"] if word is None else word.rstrip("*")
        if not any(character.isalnum() for character in text):
            continue
        prefix = " *" if match["prefix"] or (word is not None and word.endswith("*")) else ""
        term = f'"{spaced(text).replace(chr(34), chr(34) * 2)}"{prefix}'
        if match["minus"] or negates:
            unwanted.append(term)
        elif joins and wanted:
            wanted[-1] = f"{wanted[-1]} OR {term}"
        else:
            wanted.append(term)
        joins = negates = False
    if not wanted:
        return None
    positive = " AND ".join(f"({term})" for term in wanted)
    return f"({positive}) NOT ({' OR '.join(unwanted)})" if unwanted else positive
