"""What of a request counts and what does not."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.core.message import RequestMessage
from playhead.core.tape import Target
from playhead.matching.canonical import Number, Opaque, body_node, host_class
from playhead.matching.compare import first_difference
from playhead.matching.fingerprint import canonicalise
from tests.matching.requests import HEADERS, LONG_AGO, SAMPLES, canon

LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
TREE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=25
)
OBJECT = st.dictionaries(st.text(), TREE, min_size=1, max_size=6)


def shuffled(node: Any, random: Any) -> Any:
    """The same JSON with members in another order and null members added."""
    if isinstance(node, list):
        return [shuffled(item, random) for item in node]
    if not isinstance(node, dict):
        return node
    pairs = [(name, shuffled(value, random)) for name, value in node.items()]
    if "null-member" not in node:
        pairs.append(("null-member", None))
    random.shuffle(pairs)
    return dict(pairs)


@given(OBJECT, st.randoms(use_true_random=False), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_order_white_space_escapes_and_null_members_do_not_count(body: Any, random: Any, indent: Any, ascii_only: bool):
    """Two spellings of one JSON value are one request."""
    try:
        plain = json.dumps(body, separators=(",", ":"), ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        plain = json.dumps(body).encode()
    other = json.dumps(shuffled(body, random), indent=indent).encode()
    assert canon(plain).fingerprint == canon(other).fingerprint
    assert first_difference(canon(plain), canon(other)) is None


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every leaf and container below the root."""
    found = [at] if at else []
    inner = enumerate(node) if isinstance(node, list) else node.items() if isinstance(node, dict) else ()
    for step, value in inner:
        found += places(value, (*at, step))
    return found


@given(OBJECT, st.data())
def test_any_changed_leaf_counts(body: Any, data: st.DataObject):
    """Whatever is put in the place of any node, the request is another (null for absent apart)."""
    way = data.draw(st.sampled_from(places(body)))
    changed = copy.deepcopy(body)
    holder = changed
    for step in way[:-1]:
        holder = holder[step]
    old = holder[way[-1]]
    new = data.draw(TREE)
    holder[way[-1]] = new
    same = json.dumps(without_null(body), sort_keys=True) == json.dumps(without_null(changed), sort_keys=True)
    assert (canon(body).fingerprint == canon(changed).fingerprint) is same, (old, new)
    assert (first_difference(canon(body), canon(changed)) is None) is same


def without_null(node: Any) -> Any:
    """The JSON value without null members."""
    if isinstance(node, list):
        return [without_null(item) for item in node]
    if isinstance(node, dict):
        return {name: without_null(value) for name, value in node.items() if value is not None}
    return node


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1}', b'{"a":1.0}'),
        (b'{"a":1e2}', b'{"a":100}'),
        (b'{"a":0}', b'{"a":-0}'),
        (b'{"a":0.1}', b'{"a":0.10}'),
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":1}', b'{"a":true}'),
        (b'{"a":0}', b'{"a":false}'),
        (b'{"a":""}', b'{"a":null}'),
        (b'{"a":[]}', b'{"a":{}}'),
        (b'{"a":[null]}', b'{"a":[]}'),
        (b'{"a":"null"}', b'{"a":null}'),
        (b'{"a":NaN}', b'{"a":"NaN"}'),
        (b'{"a":1,"a":2}', b'{"a":2}'),
        (b'{"a":1,"a":2}', b'{"a":2,"a":1}'),
        (b'{"a":1,"a":null}', b'{"a":1}'),
        (b'{"a":null,"a":1}', b'{"a":1,"a":null}'),
        (b'{"a":["b","c"]}', b'{"a":["b\\u0000c"]}'),
        (b'{"a":"\\ud800"}', b'{"a":"\\ud801"}'),
        (b'{"a":"\xc3\xa9"}', b'{"a":"e\\u0301"}'),
        (b'{"a":[["b"],"c"]}', b'{"a":[["b","c"]]}'),
        (b'{"ab":"c"}', b'{"a":"bc"}'),
        (b'{"a":12345678901234567890123}', b'{"a":12345678901234567890124}'),
        (b'{"a":1e999}', b'{"a":1e998}'),
        (b"null", b""),
        (b"[]", b"{}"),
        (b'"a"', b"a"),
    ],
)
def test_near_alike_bodies_are_kept_apart(one: bytes, other: bytes):
    """Odd numbers, duplicate names and types that Python holds equal."""
    a, b = canon(one), canon(other)
    assert a.fingerprint != b.fingerprint
    difference = first_difference(a, b)
    assert difference is not None
    assert difference.path.startswith("$")
    assert difference.expected != difference.observed


def test_duplicate_names_in_one_order_are_equal():
    """Duplicates are kept in their order, other members may move."""
    assert canon(b'{"a":1,"b":0,"a":2}').fingerprint == canon(b'{"a":1,"a":2,"b":0}').fingerprint


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
@pytest.mark.parametrize("depth", [150, 400, 900, 5000, 100_000])
def test_deep_nesting_neither_overflows_nor_hides(opening: bytes, depth: int):
    """Hostile nesting counts, as JSON or as text, to its last character."""
    closing = opening.translate(bytes.maketrans(b"[{", b"]}"), b'"a:')[::-1]
    one, other = (opening * depth + leaf + closing * depth for leaf in (b"1", b"2"))
    a, b = canon(one), canon(other)
    assert a.fingerprint == canon(one).fingerprint != b.fingerprint
    assert first_difference(a, b) is not None


def test_beyond_the_bound_nesting_is_text():
    """The bound is a number, not the interpreter's stack."""
    assert dict(canon(b"[" * 199 + b"]" * 199).tree)["kind"] == "json"
    assert dict(canon(b"[" * 202 + b"]" * 202).tree)["kind"] == "text"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target("https", "API.OpenAI.com.", 443), "api.openai.com"),
        (Target("https", "api.openai.com", 8443), "api.openai.com:8443"),
        (Target("http", "api.openai.com", 80), "http://api.openai.com"),
        (Target("http", "localhost", 11434), "localhost:11434"),
        (Target("http", "127.0.0.1", 8000), "localhost:8000"),
        (Target("http", "127.0.0.1", 8001), "localhost:8001"),
        (Target("http", "127.0.0.1", 32768), "localhost"),
        (Target("https", "127.8.8.8", 50001), "localhost"),
        (Target("http", "::1", 65535), "localhost"),
        (Target("http", "127.0.0.1.example.com", 80), "http://127.0.0.1.example.com"),
        (Target("http", "10.0.0.5", 8000), "http://10.0.0.5:8000"),
    ],
)
def test_host_class(target: Target, expected: str):
    """A loopback port that each run draws does not count; every other port, and the scheme, does."""
    assert host_class(target) == expected


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("anthropic-version", True),
        ("Anthropic-Beta", True),
        ("OpenAI-Beta", True),
        ("Accept", True),
        ("Content-Type", True),
        ("Idempotency-Key", True),
        ("X-Amz-Target", True),
        ("x-amzn-bedrock-trace", True),
        ("Range", True),
        ("Authorization", False),
        ("x-api-key", False),
        ("Anthropic-Organization-Id", False),
        ("X-Stainless-Retry-Count", False),
        ("User-Agent", False),
        ("traceparent", False),
        ("Content-Length", False),
        ("X-Claude-Code-Session-Id", False),
        ("amz-sdk-invocation-id", False),
    ],
)
def test_which_headers_count(name: str, counts: bool):
    """The allow-list, in any case; a counted header that is dropped counts as well."""
    one = canon({}, headers=[(name, "one")])
    assert (one.fingerprint != canon({}, headers=[(name, "two")]).fingerprint) is counts
    assert (one.fingerprint != canon({}, headers=[("X-Other", "x")]).fingerprint) is counts
    if counts:
        difference = first_difference(one, canon({}, headers=[(name, "two")]))
        assert difference is not None
        assert difference.path == f"$.headers.{name.lower()}"


def test_query_order_does_not_count_but_repeats_and_bytes_do():
    """Pairs are sorted by name; values of one name keep their order; odd escapes stay apart."""

    def print_of(query: str) -> str:
        return canon({}, f"https://h.example/p?{query}").fingerprint

    assert print_of("a=1&b=2") == print_of("b=2&a=1")
    assert print_of("a=1&a=2") != print_of("a=2&a=1")
    assert print_of("a=%ff") != print_of("a=%fe")
    assert print_of("a=1") != print_of("a=1&b=")
    difference = first_difference(canon({}, "https://h.example/p?x=1"), canon({}, "https://h.example/p?x=2"))
    assert difference is not None
    assert difference.path == "$.query.x"


def test_path_host_and_method_count():
    """Each is named when it differs."""
    base = canon({}, "https://h.example/p")
    for other, path in (
        (canon({}, "https://h.example/q"), "$.path"),
        (canon({}, "https://g.example/p"), "$.host"),
        (canon({}, "https://h.example/p", method="PUT"), "$.method"),
    ):
        difference = first_difference(base, other)
        assert difference is not None
        assert difference.path == path


def test_another_place_in_the_host_header_counts():
    """Servers answer by it; its spelling and, at the reverse entrance, the recorder's own address do not count."""

    def canon_of(host: str, url: str = "https://h.example/p") -> Any:
        return canon({}, url, headers=[("Host", host)])

    plain = canon({}, "https://h.example/p", headers=[("X-Other", "x")])
    for same in ("h.example", "H.Example", "h.example:443", "127.0.0.1:40001", "localhost", "[::1]:5"):
        assert canon_of(same).fingerprint == plain.fingerprint
    for other in ("g.example", "h.example:8443", "h.example, g.example", "1" * 5000):
        difference = first_difference(plain, canon_of(other))
        assert difference is not None
        assert (difference.path, difference.expected) == ("$.asked-host", "(absent)")


def multipart(boundary: str, parts: list[tuple[str, bytes]]) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of an upload."""
    body = b"".join(f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts)
    return [("Content-Type", f"multipart/form-data; boundary={boundary}")], body + f"--{boundary}--\r\n".encode()


PARTS = [
    ('Content-Disposition: form-data; name="purpose"', b"assistants"),
    (
        'Content-Disposition: form-data; name="file"; filename="a.bin"\r\nContent-Type: application/octet-stream',
        b"\x00\xff--\r\n",
    ),
    ('Content-Disposition: form-data; name="meta"\r\nContent-Type: application/json', b'{"a": 1, "b": 2}'),
]


def upload(boundary: str, parts: list[tuple[str, bytes]]) -> Any:
    """The canonical upload."""
    headers, body = multipart(boundary, parts)
    return canon(body, headers=headers)


def test_multipart_boundary_does_not_count():
    """Two clients that draw other boundaries send one request."""
    assert upload("xyz", PARTS).fingerprint == upload("----WebKit123", PARTS).fingerprint
    assert dict(upload("xyz", PARTS).tree)["kind"] == "multipart"


@pytest.mark.parametrize(
    ("number", "head", "content", "path"),
    [
        (0, 'Content-Disposition: form-data; name="purpose2"', b"assistants", "$[0].name"),
        (0, PARTS[0][0], b"assistantz", "$[0].content"),
        (1, PARTS[1][0].replace("a.bin", "b.bin"), PARTS[1][1], "$[1].filename"),
        (1, PARTS[1][0].replace("octet-stream", "pdf"), PARTS[1][1], "$[1].content-type"),
        (1, PARTS[1][0], b"\x00\xfe--\r\n", "$[1].content"),
        (2, PARTS[2][0], b'{"a": 1, "b": 3}', "$[2].content.b"),
    ],
)
def test_multipart_names_types_and_contents_count(number: int, head: str, content: bytes, path: str):
    """Any change in any part is named."""
    parts = PARTS.copy()
    parts[number] = (head, content)
    difference = first_difference(upload("xyz", PARTS), upload("abc", parts))
    assert difference is not None
    assert difference.path == path


def test_multipart_order_and_count_count():
    """Parts swapped or dropped are another request."""
    assert upload("x", PARTS).fingerprint != upload("x", PARTS[::-1]).fingerprint
    assert upload("x", PARTS).fingerprint != upload("x", PARTS[:2]).fingerprint


def test_a_longer_boundary_ends_no_part():
    """What follows a boundary on its line is another boundary, or a change."""
    head, content = PARTS[0]
    headers, body = multipart("x", [(head, content)])
    longer = body.replace(b"--x\r\n", b"--xyz\r\n")
    assert canon(body, headers=headers).fingerprint != canon(longer, headers=headers).fingerprint


def test_a_name_in_pieces_counts():
    """RFC 2231: `filename*0`, `filename*1`."""
    one, other = (f'Content-Disposition: form-data; name="f"; filename*0="a"; filename*1="{end}"' for end in "bc")
    assert upload("x", [(one, b"")]).fingerprint != upload("x", [(other, b"")]).fingerprint


def test_multipart_that_is_none_counts_as_it_is():
    """A malformed upload falls back to its text, boundary and all."""
    headers = [("Content-Type", "multipart/form-data; boundary=x")]
    assert canon(b"--x\r\nno end", headers=headers).fingerprint != canon(b"--x\r\nno enD", headers=headers).fingerprint


def test_form_fields():
    """Order between names does not count, values do and are named."""
    headers = [("Content-Type", "application/x-www-form-urlencoded")]
    one = canon(b"grant=a&scope=b+c", headers=headers)
    assert one.fingerprint == canon(b"scope=b%20c&grant=a", headers=headers).fingerprint
    difference = first_difference(one, canon(b"grant=a&scope=b+d", headers=headers))
    assert difference is not None
    assert difference.path == "$.scope"


def test_json_under_a_wrong_content_type():
    """`curl -d` calls JSON a form; it is read as JSON all the same."""
    headers = [("Content-Type", "application/x-www-form-urlencoded")]
    assert canon(b'{"a":1,"b":2}', headers=headers).fingerprint == canon(b'{"b":2, "a":1}', headers=headers).fingerprint


def test_kinds_of_body():
    """Each body is read as what it is."""
    assert body_node(b"", "application/json") == ("none", None)
    assert body_node(b" [1]", "text/plain") == ("json", [Number("1")])
    assert body_node(b"3", "application/json") == ("json", Number("3"))
    assert body_node(b"3", "text/plain") == ("text", "3")
    assert body_node(b'{"a":', "application/json") == ("text", '{"a":')
    assert body_node(b'{"a":1}\n{"a":2}', "application/x-ndjson")[0] == "text"
    assert body_node(b"\xff\xfe", "text/plain") == ("bytes", Opaque("\xff\xfe"))


def test_a_cut_request_is_not_the_whole_one():
    """The client went away before its body was complete: not the request that was complete."""
    message = RequestMessage("POST", "/", HEADERS, b'{"a":1}')
    whole, cut = (
        canonicalise(each, Target("https", "h", 443), LONG_AGO) for each in (message, message._replace(whole=False))
    )
    assert whole.fingerprint != cut.fingerprint
    difference = first_difference(whole, cut)
    assert difference is not None
    assert difference.path == "$.cut"


@given(
    st.binary(max_size=200),
    st.sampled_from(
        ["application/json", "multipart/form-data; boundary=x", "text/plain", "", "application/x-www-form-urlencoded"]
    ),
)
def test_no_body_raises(body: bytes, content_type: str):
    """Recordings are hostile input; equal bytes are equal, and a flipped bit in plain bytes is not."""
    headers = [("Content-Type", content_type)]
    assert canon(body, headers=headers).fingerprint == canon(bytes(body), headers=headers).fingerprint


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_samples_are_stable(name: str):
    """A request is itself, and the tree rebuilt from the flat form says so."""
    url, body = SAMPLES[name]
    one, other = canon(body, url), canon(json.dumps(body, indent=1).encode(), url)
    assert one.fingerprint == other.fingerprint
    assert one.tree == other.tree
    assert dict(one.tree)["kind"] == "json"
