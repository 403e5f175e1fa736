"""The canonical request: what of a question counts, in one tree, before any mask.

Counts: method, host class, path, query, the headers of a versioned allow-list, and the whole body. Does not count:
JSON key order and white space, object members that are null (absent equals null), a multipart boundary, the order of
query names, transport headers, credentials. The tree is the match key's source only; wire bytes are never rewritten.

Nodes: `str`, `Number` (a JSON number as its literal text, so 1, 1.0 and 1e0 differ), `Opaque` (bytes that are no text,
as Latin-1), `bool`, `None`, `list`, and `tuple` of (name, node) pairs for an object, in the order sent and with
duplicate names kept. A body nested deeper than `MAX_DEPTH` counts as text.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

from playhead.core.message import header

if TYPE_CHECKING:
    from playhead.core.message import RequestMessage
    from playhead.core.tape import Target

CANONICAL_VERSION = 2  # part of every fingerprint; raise it when what counts changes
MAX_DEPTH = 200

Node: TypeAlias = Any

COUNTED_HEADERS = frozenset(
    {
        "accept",
        "content-encoding",  # only when the body could not be decoded; see `_headers`
        "content-type",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "mcp-protocol-version",
        "openai-beta",
        "prefer",
        "range",
        "soapaction",
        "x-amz-target",
        "x-http-method-override",
    }
)
COUNTED_PREFIXES = ("anthropic-", "x-amzn-bedrock-")
NEVER_COUNTED = frozenset({"anthropic-organization-id"})  # a credential's companion

_LOOPBACK = re.compile(r"localhost|.*\.localhost|127(?:\.\d{1,3}){3}|::1|0\.0\.0\.0")
_DRAWN_PORTS = range(32768, 65536)  # from which systems draw a port that nobody chose (Linux; others draw higher ones)
_PORT = re.compile(r":\d+\Z")
_BOUNDARY = re.compile(r";\s*boundary=(\"[^\"]*\"|[^;\s]*)", re.IGNORECASE)
_PARAMETER = re.compile(r";\s*([^\s;=\"]+)=(\"(?:[^\"\\]|\\.)*\"|[^;]*)", re.IGNORECASE)


class Number(str):
    """A JSON number as it was written. Equal to no text, so that trees compare by `==`."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is Number and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:  # str has its own, which would be found first
        return not self == other

    __hash__ = str.__hash__


class Opaque(str):
    """Bytes that are no text, one character a byte. Equal to no text."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is Opaque and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:  # str has its own, which would be found first
        return not self == other

    __hash__ = str.__hash__


def request_tree(request: RequestMessage, target: Target) -> Node:
    """The canonical tree of a request meant for `target`: an object with method, host, path, query, headers, kind
    (of the body) and body."""
    path, _, query = request.target.partition("?")
    kind, body = body_node(request.body, header(request.headers, "content-type"))
    tree = [
        ("method", request.method.upper()),
        ("host", host_class(target)),
        ("path", path),
        ("query", tuple(sorted(_pairs(query), key=_name))),
        ("headers", semantic_headers(request)),
        ("kind", kind),
        ("body", body),
    ]
    asked = other_host(request, target)
    if asked:
        tree.append(("asked-host", asked))
    if not request.whole:
        tree.append(("cut", True))
    return tuple(tree)


def host_class(target: Target) -> str:
    """The host as asked, in lower case, with its port unless it is the scheme's own and with `http://` when in the
    clear. All loopback addresses are `localhost`; a port there that systems draw does not count, for each run gets
    another, but one that somebody chose does: two services of one machine are two."""
    host = target.host.lower().rstrip(".")
    if _LOOPBACK.fullmatch(host):
        return "localhost" if target.port in _DRAWN_PORTS else f"localhost:{target.port}"
    authority = target._replace(host=host).authority
    return authority if target.scheme == "https" else f"{target.scheme}://{authority}"


def other_host(request: RequestMessage, target: Target) -> str:
    """The Host header when it names another place than `target`, for a server answers by it; else "". Loopback is the
    recorder's own address at the reverse entrance."""
    named = header(request.headers, "host").strip().lower()
    host = target.authority.lower()
    if named in ("", host, f"{host}:{target.port}") or _LOOPBACK.fullmatch(_PORT.sub("", named).strip("[]")):
        return ""
    return named


def semantic_headers(request: RequestMessage) -> Node:
    """The headers that count, by name in lower case."""
    counted: dict[str, str] = {}
    for name, value in request.headers:
        name = name.lower()  # noqa: PLW2901
        if name not in COUNTED_HEADERS and not (name.startswith(COUNTED_PREFIXES) and name not in NEVER_COUNTED):
            continue
        if name == "content-type":
            value = _BOUNDARY.sub("", value).lower()  # noqa: PLW2901
        elif name == "content-encoding":
            value = request.encoding  # noqa: PLW2901
            if not value:
                continue
            counted.pop(name, None)
        counted[name] = f"{counted[name]}, {value}" if name in counted else value
    return tuple(sorted(counted.items()))


def body_node(body: bytes, content_type: str) -> tuple[str, Node]:
    """What kind of body this is and its node. Kinds: none, json, form, multipart, text, bytes. Bytes that look like JSON
    are read as JSON whatever their type says, because clients mislabel it."""
    if not body:
        return "none", None
    media = content_type.partition(";")[0].strip().lower()
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = None
    if media.startswith("multipart/"):
        boundary = _BOUNDARY.search(content_type)
        parts = _multipart(body, boundary[1].strip('"')) if boundary else None
        if parts is not None:
            return "multipart", parts
    if text is None:
        return "bytes", Opaque(body.decode("latin-1"))
    if text.lstrip()[:1] in ("{", "[") or media.endswith("json"):
        try:
            return "json", _parse(text)
        except (ValueError, RecursionError):
            pass
    if media == "application/x-www-form-urlencoded":
        return "form", tuple(sorted(_pairs(text), key=_name))
    return "text", text


def text_body(body: bytes) -> tuple[str, Node]:
    """The body as one opaque leaf, for one whose nesting is beyond bounds."""
    return "text", body.decode("utf-8", "surrogateescape")


def _name(pair: tuple[str, Node]) -> str:
    return pair[0]


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        # surrogateescape keeps apart what undecodable percent escapes would otherwise fold into one sign
        return parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
    except ValueError:
        return [("", text)]


# tuple and Number are called from the C scanner without a Python frame, which keeps this at the speed of json.loads
_parse = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=Number, parse_float=Number, parse_constant=Number, strict=False
).decode


def _multipart(body: bytes, boundary: str) -> Node | None:
    """The parts in order, each an object of name, filename, type and content; None when it is not well formed
    (RFC 2046 section 5.1, RFC 7578)."""
    if not boundary:
        return None
    mark = b"--" + boundary.encode("latin-1", "replace")
    pieces = (b"\r\n" + body).split(b"\r\n" + mark)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        return None
    parts: list[Node] = []
    for piece in pieces[1:-1]:
        head, found, content = piece.partition(b"\r\n\r\n")
        if not found:
            return None
        part: list[tuple[str, Node]] = []
        media = ""
        padding, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
        if padding.strip(" \t"):
            return None  # the boundary goes on: another one's
        for line in lines:
            field, _, value = line.partition(":")
            field, value = field.strip().lower(), value.strip()
            if field == "content-disposition":
                part.append((field, value.partition(";")[0].strip().lower()))
                part += [(key.lower(), text.strip('"')) for key, text in _PARAMETER.findall(value)]
            elif field:
                part.append((field, value))
                media = value if field == "content-type" else media
        part.append(("content", body_node(content, media)[1]))
        parts.append(tuple(part))
    if pieces[0].strip() or pieces[-1][2:].strip():
        parts.append((("outside", Opaque((pieces[0] + pieces[-1]).decode("latin-1"))),))
    return parts
