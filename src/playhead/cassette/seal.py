"""The seal of a cassette: a sum on every line, a hash chain over all, and maybe a signature of its head.

A line is one JSON object on one line of UTF-8, whose last member is `"sum"`: the first 16 hex digits of the SHA-256 of
the line's bytes in front of `,"sum"`. It names the line that was changed. The chain is SHA-256 over (previous 32 bytes |
SHA-256 of those same bytes), beginning with SHA-256 of `playhead cassette 1`. Its head stands in the last line only:

    {"seal": head in hex, "lines": lines before this one, "signature": {"key": ..., "value": ...}}

(A head on every line would make every line behind a change another one, and the text form is for diffs.) The signature
is Ed25519 (RFC 8032) over `playhead cassette 1\\n` and the head in hex. A carriage return at the end of a line is not
part of it, because some check-outs of git add one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

from playhead.cassette.limits import MAX_EDITED, MAX_LINE, MAX_LINES, Budget, UnfoldsTooFar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CONTEXT = b"playhead cassette 1"
_START = sha256(CONTEXT).digest()
_SUM = re.compile(rb',"sum":"([0-9a-f]{16})"\}\Z')
_HEX = re.compile(r"[0-9a-f]{64}\Z")


class Signer(Protocol):
    """Signs the head of a chain."""

    def sign(self, message: bytes) -> dict[str, str]:
        """`{"key": public key, "value": signature}`, both base64."""


class NotSealed(ValueError):
    """Bytes that are no text form of a cassette; `line` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


@dataclass(slots=True)
class Seal:
    """What the seal of a cassette says, once all of its lines have been read."""

    head: str = ""
    edited: list[int] = field(default_factory=list)  # lines that are not what was sealed, from 1
    restrung: str = ""  # what is wrong although every line has its own sum
    whole: bool = False  # whether the last line was there
    signature: dict[str, str] | None = None

    @property
    def intact(self) -> bool:
        return self.whole and not self.edited and not self.restrung


def signed_message(head: str) -> bytes:
    """What a signature signs."""
    return CONTEXT + b"\n" + head.encode()


def sealed(lines: Iterable[dict[str, Any]], signer: Signer | None = None) -> Iterator[bytes]:
    """The text form of these lines, line by line."""
    chain, count = _START, 0
    for line in lines:
        body = encoded(line)[:-1]
        digest = sha256(body)
        chain = sha256(chain + digest.digest()).digest()
        count += 1
        yield b'%b,"sum":"%b"}\n' % (body, digest.hexdigest()[:16].encode())
    last: dict[str, Any] = {"seal": chain.hex(), "lines": count}
    if signer is not None:
        last["signature"] = signer.sign(signed_message(chain.hex()))
    yield encoded(last) + b"\n"


def encoded(line: dict[str, Any]) -> bytes:
    """One line as JSON: non-ASCII characters as they are, unless one is half a surrogate pair."""
    try:
        return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(line, separators=(",", ":")).encode()


def unsealed(text: bytes, budget: Budget, seal: Seal) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of a text form with their numbers, without the last; fills in `seal` as it goes. Raises NotSealed for
    a line that is no JSON object, for a text that has no seal anywhere or too little of it sealed, UnfoldsTooFar for what is too much."""
    if b'"seal"' not in text:  # known before a million lines are looked at
        raise NotSealed(max(1, text.count(b"\n")), "the file ends without its seal")
    chain, number, at = _START, 0, 0
    while at < len(text):
        end = text.find(b"\n", at)
        end = len(text) if end < 0 else end
        raw = text[at:end].removesuffix(b"\r")
        at = end + 1
        number += 1
        if len(raw) > MAX_LINE or number > MAX_LINES:
            raise UnfoldsTooFar(f"line {number} of {len(raw)} bytes")
        budget.line(raw)
        line = _parsed(raw, number)
        if "seal" in line:
            _close(seal, line, chain.hex(), number, rest=text[at:])
            return
        match = _SUM.search(raw)
        body = raw[: match.start()] if match else raw[:-1]
        digest = sha256(body)
        if match is None or digest.hexdigest()[:16].encode() != match[1]:
            seal.edited.append(number)
            if len(seal.edited) > MAX_EDITED:
                raise NotSealed(number, f"more than {MAX_EDITED} lines are not as they were sealed")
        chain = sha256(chain + digest.digest()).digest()
        line.pop("sum", None)
        yield number, line


def _parsed(raw: bytes, number: int) -> dict[str, Any]:
    try:
        line = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise NotSealed(number, f"it is no JSON ({error})"[:200]) from None
    if not isinstance(line, dict):
        raise NotSealed(number, "it is no JSON object")
    return line


def _close(seal: Seal, line: dict[str, Any], head: str, number: int, *, rest: bytes) -> None:
    told = line["seal"]
    if not isinstance(told, str) or not _HEX.match(told):
        raise NotSealed(number, "the seal is no SHA-256")
    seal.whole = True
    seal.head = told
    signature = line.get("signature")
    if signature is not None:
        if not isinstance(signature, dict) or not all(isinstance(signature.get(k), str) for k in ("key", "value")):
            raise NotSealed(number, "the signature is none")
        seal.signature = {"key": signature["key"], "value": signature["value"]}
    if rest.strip():
        seal.restrung = f"{len(rest)} bytes behind the seal"
    elif line.get("lines") != number - 1:
        seal.restrung = f"{number - 1} lines where {str(line.get('lines'))[:20]} were sealed"
    elif told != head and not seal.edited:
        seal.restrung = "lines were exchanged, or changed together with their sums"
