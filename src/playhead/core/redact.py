"""Redaction: what stands in the place of a secret before a byte is written.

The only write path of a recording is redact -> encode -> write. A secret becomes `<redacted:RULE:N>`, N counting the
different secrets of that rule by first appearance inside one request, so that the same secret reads the same and a
replay with another key reads the same too. Tokens that come back (an agent that echoes an answer served from a
recording) are numbered along, which also makes redaction idempotent.

    redactor = Redactor(extra_values=credential_values(os.environ))
    scope = redactor.message()          one request
    scope.head(head), scope.body(body)  the request, as it is matched and stored
    stream = scope.answer()             its answer, piece by piece, every piece as long as it was
    stream.feed(piece), stream.close()
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from playhead.core import redact_hidden as hidden
from playhead.core import redact_names as names
from playhead.core import redact_rules as rules
from playhead.core.late import late
from playhead.core.redact_ahead import CONTEXT
from playhead.core.redact_calm import calm_until
from playhead.core.redact_names import is_key_name
from playhead.core.redact_rules import RULE_PACK_VERSION
from playhead.core.redact_scan import HELD_AT_MOST, Scanner, Span, context_start
from playhead.errors import IncompatibleRecording

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from playhead.core.redact_answer import Answer
    from playhead.core.redact_pii import Detector

__all__ = [
    "RULE_PACK_VERSION",
    "Fed",
    "Redactor",
    "Scope",
    "Stream",
    "credential_arguments",
    "credential_values",
    "is_key_name",
]

SHORTEST_VALUE = 8
"""A credential variable with fewer bytes than this is not searched for in bodies: it would be found in prose."""

_CREDENTIAL_HEADERS = frozenset(names.CREDENTIAL_HEADERS)
_HEADER = late(
    rb"(?i)\n((?:" + b"|".join(sorted(names.CREDENTIAL_HEADERS)) + rb")[ \t]*:[ \t]*)([^\r\n]+(?:\r?\n[ \t]+[^\r\n]*)*)"
)
_CODING = late(rb"(?i)\ncontent-encoding[ \t]*:[ \t]*((?:gzip|x-gzip|deflate|br|zstd|identity|[, \t])+)\r?\n")
_CHUNKED = late(rb"(?i)\ntransfer-encoding[ \t]*:[^\r\n]*chunked")
_FLAG = late(r"(?i)--?(?:[a-z0-9-]*-)?(?:key|token|secret|password|passwd|passphrase)")
_BASE64 = late(r"/[A-Za-z0-9+/]{19,}={0,2}")
_HEADER_ARGUMENT = late(r"(?i)((?:" + b"|".join(names.CREDENTIAL_HEADERS).decode() + r")\s*:\s*)(.+)", re.DOTALL)
_TOLD = late(r"(?:[A-Za-z]+ +)?<redacted:[a-z0-9:-]+>")
_LINES_KEPT = 2048
_KEPT = 2 * CONTEXT  # bytes behind which a stream judges the next piece
_LONG = 640  # bytes that are judged again with the next piece: more than a stream of plain text ever has
_GROWTH = 32  # the part of them by which they grow before they are


class Fed(NamedTuple):
    """What `Stream.feed` lets go, ready to be written, and how many bytes it holds back."""

    data: bytes
    held: int


_SAMPLE_HEAD = (
    b"POST /v1/messages HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer none\r\n"
    b"Content-Type: application/json\r\n\r\n"
)
_SAMPLE_BODY = b'{"max_tokens":1,"messages":[{"role":"user","content":"Use <code> of /usr/lib.\\n\\u00e9"},{"id":"toolu_01A2b3C4d5E6f7G8h9I0j1K2"}],"token":"1"}'
_SAMPLE_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    b'45\r\ndata: {"id":"1","choices":[{"index":0,"delta":{"content":"word"}}]}\n\n\r\n',
    b'48\r\ndata: {"id":"1","choices":[{"index":0,"delta":{"content":"1234567"}}]}\n\n\r\n',
)

_SHORT = 1000
"""Bytes of which the cheap question is asked first: asking twice costs more where there is more."""


class Redactor:
    """The rules of one run. Never pickled, and its repr names no value.

    `extra_values` are secrets wherever they appear (see `credential_values`). They live in memory only. With `bodies`
    off only heads are redacted: credentials of the wire are never stored. With `personal`, personal data go too, also those that `detectors` find.
    Raises IncompatibleRecording if `version` is a pack that this Playhead does not have.
    """

    __slots__ = ("_answers", "_bodies", "_lines", "_scanner", "version")

    def __init__(
        self,
        version: int = RULE_PACK_VERSION,
        extra_values: Iterable[bytes] = (),
        *,
        bodies: bool = True,
        personal: bool = False,
        detectors: Sequence[Detector] = (),
    ) -> None:
        if version != RULE_PACK_VERSION:
            raise IncompatibleRecording(
                "This recording was redacted by rules that this Playhead does not have.",
                code="unknown-rule-pack",
                expected=f"rule pack {RULE_PACK_VERSION}",
                seen=f"rule pack {version}",
                todo="Replay it with the version of Playhead that recorded it, or record it again.",
            )
        self.version = version
        self._bodies = bodies
        self._lines: dict[bytes, bytes] = {}
        values = (value for value in extra_values if len(value) >= SHORTEST_VALUE)
        self._scanner = Scanner(values, personal=personal, extra=detectors)
        self._answers = Scope(self._scanner, self._lines, bodies=bodies)

    def __repr__(self) -> str:
        return f"Redactor(version={self.version})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Redactor holds secrets and is not to be pickled")

    def prepare(self) -> None:
        """Look for secrets in a sample of what every call carries, so that no call pays for the patterns it needs."""
        scope = Scope(self._scanner, {}, bodies=self._bodies)
        scope.request(_SAMPLE_HEAD, _SAMPLE_BODY)
        answer = scope.answer()
        for data in _SAMPLE_ANSWER:
            answer.feed(data)

    def message(self) -> Scope:
        """A fresh numbering for one request. Answers are numbered over the whole run: an agent that was served two of
        them must be able to tell their secrets apart, as it once did."""
        return Scope(self._scanner, self._lines, bodies=self._bodies, answers=self._answers)

    def apart(self, data: bytes) -> bytes:
        """`Scope.body` with a numbering of its own, by the cheap question for what is short."""
        is_short = len(data) <= _SHORT and data.find(b"<") < 0 and self._bodies
        if is_short and calm_until(self._scanner, data, 0, clear=False, final=True) == len(data):
            return data
        return self.message().body(data)

    def forms(self, data: bytes) -> bytes:
        """`apart` for values in their stored form, whose bytes are judged as such and not as base64."""
        if data.find(b'"b64":"') < 0:
            return self.apart(data)
        from playhead.core.redact_forms import clean_forms

        return clean_forms(self, data)

    def stream(self, *, same_length: bool = False) -> Stream:
        """A stream with a numbering of its own, for a standard stream of the child."""
        return self.message().stream(same_length=same_length)

    def redact_head(self, head: bytes) -> bytes:
        """`Scope.head` with a numbering of its own."""
        return self.message().head(head)

    def text(self, text: str) -> str:
        """`Scope.text` with a numbering of its own."""
        return self.message().text(text)

    def argv(self, argv: Sequence[str]) -> list[str]:
        """A command line without its secrets: key shapes, `--api-key VALUE`, `--token=VALUE`, `-H 'X-Api-Key: VALUE'`."""
        scope = self.message()
        kept: list[str] = []
        behind_flag = False
        for argument in argv:
            flag, equals, value = argument.partition("=")
            is_flag = _FLAG.fullmatch(flag) is not None
            header = _HEADER_ARGUMENT.fullmatch(argument)
            if behind_flag and not argument.startswith("-"):
                kept.append(_argument_token(scope, argument))
            elif is_flag and value:
                kept.append(flag + equals + _argument_token(scope, value))
            elif header is not None:
                # told as the output tells it, if it is; a replay is given this and must print the same
                told = scope.text(argument)
                is_told = _TOLD.fullmatch(told, header.end(1)) is not None
                kept.append(told if is_told else header[1] + "<redacted:header>")
            else:
                kept.append(scope.text(argument))
            behind_flag = is_flag and not equals
        return kept

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """An environment as it may be stored: `<redacted:env>` for every key-like name, other values by shape."""
        scope = self.message()
        return {
            name: "<redacted:env>" if is_key_name(name) and value else scope.text(value) for name, value in env.items()
        }


class Scope:
    """One numbering of secrets. Not thread-safe; forget it when its exchange is over."""

    __slots__ = ("_answers", "_bodies", "_counts", "_lines", "_numbers", "_scanner")

    def __init__(
        self, scanner: Scanner, lines: dict[bytes, bytes], *, bodies: bool = True, answers: Scope | None = None
    ) -> None:
        self._answers = self if answers is None else answers
        self._scanner = scanner
        self._lines = lines
        self._bodies = bodies
        self._numbers: dict[tuple[str, bytes], int] = {}
        self._counts: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"Scope({sum(self._counts.values())} secrets)"

    def token(self, rule: str, value: bytes, length: int = 0) -> bytes:
        """What stands for `value`. With a `length`, stretched to it by points; by asterisks if it does not fit."""
        key = (rule, value[:HELD_AT_MOST])
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._counts[rule] = self._counts.get(rule, 0) + 1
        token = b"<redacted:%s:%d" % (rule.encode(), number)
        if not length:
            return token + b">"
        if len(token) < length:
            return token.ljust(length - 1, b".") + b">"
        few = b"<~%s%d" % (rules.FEW_LETTERS.get(rule, "").encode(), number)
        return few.ljust(length - 1, b"~") + b">" if 4 < len(few) < min(length, 8) else b"*" * length

    def body(self, data: bytes, known: Sequence[tuple[int, int]] = ()) -> bytes:
        """`data` without its secrets; `data` itself, the same object, when it has none.

        `known` are spans (start, end) of `data`, sorted and apart, that an earlier scan left unchanged (the history
        that an agent sends again) and that hold no tokens: only what lies between them is scanned, with enough around it
        that a secret across an edge is found.
        """
        if not self._bodies:
            return data
        spans = self._scanner.spans(data, known=known)
        is_numbered = _between(data, b"<", known) and (
            _between(data, b"<redacted:", known) or _between(data, b"<~", known)
        )
        if is_numbered and rules.TOKEN.search(data) is not None:
            return self._renumbered(data, spans, 0, len(data))
        if not spans:
            return data
        return b"".join(self._pieces(data, 0, len(data), spans))

    def _replacements(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """What `body` puts in the place of which bytes: (start, end, token), in order and apart."""
        return self._found(data, self._scanner.spans(data), 0, len(data)) if self._bodies else []

    def text(self, text: str) -> str:
        """`body` for text."""
        data = text.encode("utf-8", "surrogateescape")
        clean = self.body(data)
        return text if clean is data else clean.decode("utf-8", "surrogateescape")

    def labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """`text` for tags, where a key may name its value: `password=...`."""
        kept = {}
        for key, value in labels.items():
            whole = self.text(f"{key}={value}")
            name = self.text(key)
            kept[name] = whole.removeprefix(f"{key}=") if whole.startswith(f"{key}=") else self.text(value)
        return kept

    def head(self, head: bytes) -> bytes:
        """A request's or answer's head without credentials: the values of credential headers and of credential keys in
        URLs read `<redacted:header>` and `<redacted:query>`, and what else looks like a secret is treated as in a body."""
        if head.find(b"\n ") >= 0 or head.find(b"\n\t") >= 0:  # folded lines (RFC 9112 5.2): rare enough to be slow
            head = _HEADER.sub(rb"\n\1<redacted:header>", head)
        known = self._lines
        return b"\n".join([line and (known.get(line) or self._line(line)) for line in head.split(b"\n")])

    def _line(self, line: bytes) -> bytes:
        """One line of a head. Clients repeat theirs, so a line without numbered tokens is remembered."""
        name, colon, value = line.partition(b":")
        bare = name.strip().lower()
        if (
            colon
            and (bare in _CREDENTIAL_HEADERS or names.CREDENTIAL_HEADER.fullmatch(bare) is not None)
            and value.strip()
        ):
            clean = name + b": <redacted:header>" + (b"\r" if line.endswith(b"\r") else b"")
        else:
            shown = names.CREDENTIAL_QUERY.sub(rb"\1<redacted:query>", line) if line.find(b"=") >= 0 else line
            clean = self.body(shown)
            if clean is not shown:
                return clean
        if len(self._lines) >= _LINES_KEPT:
            self._lines.clear()
        self._lines[line] = clean
        return clean

    def stream(self, *, same_length: bool = True) -> Stream:
        """Bytes in pieces under this numbering. With `same_length` every secret's token is as long as the secret."""
        return Stream(self._scanner if self._bodies else None, self, same_length=same_length)

    def answer(self, *, h2: bool = False) -> Answer:
        """An answer as read from the wire: heads as `head`, bodies in any framing and coding, events, frames."""
        from playhead.core.redact_answer import Answer

        scanner, scope = (self._scanner if self._bodies else None), self._answers
        return Answer(lambda: Stream(scanner, scope, same_length=True), scope, bodies=self._bodies, h2=h2)

    def request(self, head: bytes, body: bytes, known: Sequence[tuple[int, int]] = ()) -> tuple[bytes, bytes]:
        """A request's head and framed body, the body also inside its content coding. Either is the same object when it
        holds no secret."""
        clean_head = self.head(head)
        if not self._bodies or not body:
            return clean_head, body
        coding, is_chunked = _CODING.search(head), _CHUNKED.search(head) is not None
        if coding is None and not is_chunked:
            return clean_head, self.body(body, known)
        from playhead.core.redact_request import without_chunks, without_coding

        if coding is None:
            return clean_head, without_chunks(body, self._replacements, self.body)
        name = coding[1].decode("latin-1").strip().lower()
        return clean_head, without_coding(body, name, self.body, self._replacements, chunked=is_chunked)

    def _pieces(
        self, data: bytes, start: int, end: int, spans: list[Span], *, same_length: bool = False
    ) -> list[bytes]:
        pieces: list[bytes] = []
        for span in spans:
            begin = max(span.start, start)
            pieces.append(data[start:begin])
            pieces.append(self.token(span.rule, data[span.start : span.end], span.end - begin if same_length else 0))
            start = span.end
        pieces.append(data[start:end])
        return pieces

    def _found(self, data: bytes, spans: list[Span], start: int, end: int) -> list[tuple[int, int, bytes]]:
        """The secrets `spans` and the earlier tokens of `data[start:end]` in order, with what stands for each: tokens take
        part in the numbering."""
        marks = [
            *((span.start, span.end, span.rule) for span in spans),
            *(
                (match.start(), match.end(), rules.token_parts(match)[0])
                for match in rules.TOKEN.finditer(data, start, end)
            ),
        ]
        found: list[tuple[int, int, bytes]] = []
        done = start
        for first, last, rule in sorted(marks):
            begin = max(first, start)
            if begin >= done:
                value = data[first:last]
                token = rules.TOKEN.fullmatch(value)
                found.append(
                    (begin, last, self.token(rule, value if token is None else b"<%d>" % rules.token_parts(token)[1]))
                )
                done = last
        return found

    def _renumbered(self, data: bytes, spans: list[Span], start: int, end: int) -> bytes:
        """As `body` for data that holds tokens already."""
        pieces: list[bytes] = []
        done = start
        for first, last, token in self._found(data, spans, start, end):
            pieces += data[done:first], token
            done = last
        pieces.append(data[done:end])
        whole = b"".join(pieces)
        return data if whole == data else whole


def _between(data: bytes, needle: bytes, known: Sequence[tuple[int, int]]) -> bool:
    """Whether `data` holds the needle; the spans `known` do not."""
    done = 0
    for start, end in known:
        if data.find(needle, max(0, done - len(needle) + 1), start + len(needle) - 1) >= 0:
            return True
        done = end
    return data.find(needle, max(0, done - len(needle) + 1)) >= 0


class Stream:
    """Bytes that arrive in pieces. A tail of at most 256 bytes that could begin a secret waits for the next piece; 2 KiB where
    it is spelled or in base64, and there small pieces are judged together, or each letter would cost all that waits."""

    __slots__ = ("_before", "_clear", "_held", "_more", "_same_length", "_scanner", "_scope", "_unjudged")

    def __init__(self, scanner: Scanner | None, scope: Scope, *, same_length: bool) -> None:
        self._scanner = scanner
        self._scope = scope
        self._same_length = same_length
        self._held = b""
        self._unjudged = 0  # bytes of `_held` that have not been looked at
        self._before = b""
        self._clear = True  # whether `_before` is known to be calm
        self._more: re.Pattern[bytes] | None = None

    @property
    def held(self) -> int:
        """Bytes that were fed and not let go."""
        return len(self._held)

    def begins(self, data: bytes) -> bool:
        """Whether `data` begins with a whole secret, which then does not go on one that came before."""
        scanner = self._scanner
        if scanner is None or calm_until(scanner, data, 0, clear=True, final=True) >= 0:
            return False
        spans = scanner.spans(data)
        return bool(spans) and not spans[0].start

    def feed(self, data: bytes, *, last: bool = False) -> Fed:
        """Take a piece; let go what can be judged, all of it if it is the `last`. An empty result is normal."""
        scanner = self._scanner
        if scanner is None:
            return Fed(data, 0)
        if self._more is None and data:
            before, held = self._before, self._held
            again = len(before) + len(held) - self._unjudged
            if again > _LONG and not last and (self._unjudged + len(data)) * _GROWTH < again:
                self._unjudged += len(data)
                self._held += data
                return Fed(b"", len(self._held))
            start = len(before)
            whole = before + held + data if before or held else data
            # a token of ours is numbered anew where it may change its length
            if self._same_length or whole.find(b"<", start) < 0:
                end = calm_until(scanner, whole, start, clear=self._clear, final=last)
                if end >= 0:
                    self._unjudged, self._clear = 0, True
                    if end == len(whole):
                        self._held, self._before = b"", whole[-_KEPT:]
                        return Fed(whole[start:] if held else data, 0)
                    self._held, self._before = whole[end:], whole[max(0, end - _KEPT) : end]
                    return Fed(whole[start:end], len(self._held))
        lead = b""
        if self._more is not None:
            swallowed, data = self._swallow(data, self._more)
            lead += swallowed
            if self._more is not None:
                return Fed(lead + self.close(), 0) if last else Fed(lead, len(self._held))
        clean = self._judge(data, scanner, final=last)
        return Fed(lead + clean if lead else clean, len(self._held))

    @property
    def is_clear(self) -> bool:
        """Whether nothing is held and what stands before the next piece is calm."""
        return self._clear and not self._held and self._more is None and self._scanner is not None

    @property
    def has_quotes(self) -> bool:
        """Whether a known value holds a quote."""
        return self._scanner is None or self._scanner.has_quotes

    def follow(self, data: bytes) -> None:
        """Take `data`, of which is known that it is calm behind what is clear."""
        self._before = (self._before + data)[-_KEPT:]

    def close(self) -> bytes:
        """What was held back, judged as the end."""
        if not self._held or self._scanner is None:
            held, self._held = self._held, b""
            return held
        return self._judge(b"", self._scanner, final=True)

    def _judge(self, new: bytes, scanner: Scanner, *, final: bool) -> bytes:
        before = self._before
        start = len(before)
        held = self._held
        data = before + held + new if before or held else new
        clean, hold = self._judged(data, start, scanner, final=final)
        self._before = data[context_start(data, hold) : hold]
        self._clear = False
        self._unjudged = 0
        self._held = data[hold:]
        return clean

    def _judged(self, data: bytes, start: int, scanner: Scanner, *, final: bool) -> tuple[bytes, int]:
        """What of `data[start:]` can be let go, without its secrets, and where that ends."""
        spans = scanner.spans(data, start)
        hold = len(data) if final else scanner.undecided(data, start)
        if spans:
            last = spans[-1]
            goes_on = not final and last.more is not None and last.may_go_on(data) and not _closed(data, last)
            if goes_on and last.end - last.start < last.held_at_most:
                hold = min(hold, last.start)
                goes_on = False
            elif goes_on:
                hold = last.end
            hold = _outside(spans, max(hold, start))
            spans = [span for span in spans if span.end <= hold]
            self._more = last.more if goes_on and hold == last.end else None
        hold = max(hold, start)
        renumber = not self._same_length and rules.TOKEN.search(data, start) is not None
        if not spans and not renumber:
            return data if hold == len(data) and not start else data[start:hold], hold
        if renumber:
            return self._scope._renumbered(data, spans, start, hold), hold  # noqa: SLF001
        return b"".join(self._scope._pieces(data, start, hold, spans, same_length=self._same_length)), hold  # noqa: SLF001

    def _swallow(self, data: bytes, more: re.Pattern[bytes]) -> tuple[bytes, bytes]:
        """Take the rest of a secret whose token has been written off the front of `data`."""
        data, self._held = self._held + data, b""
        match = more.match(data)
        end = match.end() if match is not None else 0
        if more is hidden.MORE and end < len(data) and hidden.CUT_REFERENCE.match(data, end) is not None:
            data, self._held = data[:end], data[end:]
        before = self._before[-64:]
        closed = names.PEM_CLOSED.search(before + data[:end]) if more is names.PEM_MORE else None
        if closed is not None:
            end = max(0, closed.end() - len(before))
        self._before = (self._before + data[:end])[-CONTEXT:]
        self._clear = False
        if end < len(data) or closed is not None:
            self._more = None
        return b"*" * end if self._same_length else b"", data[end:]


def credential_values(env: Mapping[str, str]) -> list[bytes]:
    """The values of key-like variables that are worth searching for: 8 bytes or more, not a path, also as JSON and
    URLs spell them. For `Redactor(extra_values=...)`; never to be stored."""
    found: dict[bytes, None] = {}
    for name, value in env.items():
        if not is_key_name(name) or len(value) < SHORTEST_VALUE or value.startswith("<redacted:") or _is_path(value):
            continue
        found[value.encode("utf-8", "surrogateescape")] = None
        if any(not (c.isascii() and (c.isalnum() or c in "-._~")) for c in value):
            import json
            from urllib.parse import quote

            found[json.dumps(value)[1:-1].encode()] = None
            found[quote(value, safe="", errors="surrogateescape").encode()] = None
    return list(found)


def _is_path(value: str) -> bool:
    """Whether a value is where a key stands instead of one. One key of base64 in 64 begins with a slash as well."""
    if not value.startswith("/"):
        return value.startswith(("./", "~"))
    first = value.strip("/").partition("/")[0]
    return _BASE64.fullmatch(value) is None or not rules.looks_random(value.encode()) or os.path.exists(f"/{first}")  # noqa: PTH110  at every start


def credential_arguments(argv: Sequence[str]) -> list[bytes]:
    """The values of key-like options, like `credential_values`: a command may tell the world what it was called with."""
    found: dict[str, str] = {}
    for argument, following in zip(argv, [*argv[1:], "-"], strict=True):
        flag, equals, value = argument.partition("=")
        header = _HEADER_ARGUMENT.fullmatch(argument)
        if header is not None:
            found[f"{len(found)}_KEY"] = header[2].rpartition(" ")[2]
        elif _FLAG.fullmatch(flag) is not None:
            value = value if equals else following
            if equals or not value.startswith("-"):
                found[f"{len(found)}_KEY"] = value
    return credential_values(found)


def _argument_token(scope: Scope, value: str) -> str:
    """What stands for an option's value: the token it has in bodies, so that a replay which says it there is equal."""
    clean = scope.text(value)
    if rules.TOKEN.fullmatch(clean.encode("utf-8", "surrogateescape")) is not None:
        return clean
    return scope.token("argument", value.encode("utf-8", "surrogateescape")).decode()


def _closed(data: bytes, span: Span) -> bool:
    """Whether `span` is a private key with its last line."""
    return span.more is names.PEM_MORE and names.PEM_CLOSED.search(data, max(span.start, span.end - 64)) is not None


def _outside(spans: list[Span], hold: int) -> int:
    """`hold`, moved behind the secret it falls into."""
    for span in spans:
        if span.start < hold < span.end:
            return span.end
    return hold
