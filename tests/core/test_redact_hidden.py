"""Secrets in other spellings: escapes of JSON, percent, base64, and short ones known by their name."""

from __future__ import annotations

import base64
import contextlib
import gzip
import html
import json
import quopri
import re
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.core import redact_hidden as hidden
from playhead.core.redact import Redactor
from tests.core.secrets import innocent, pem, shaped

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

KEYS = [item.secret for item in shaped()]
NAMES = [f"{item.rule}-{number}" for number, item in enumerate(shaped())]


def clean(data: bytes) -> bytes:
    return Redactor().message().body(data)


def poured(data: bytes, cuts: list[int]) -> bytes:
    stream = Redactor().message().stream()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return b"".join(stream.feed(data[a:b]).data for a, b in pairwise(edges)) + stream.close()


def escaped(key: bytes, slashes: int = 1) -> bytes:
    r"""As a careful JSON encoder may write it: every third letter as \u00XX."""
    return b"".join(b"\\" * slashes + b"u%04x" % c if n % 3 == 0 else bytes((c,)) for n, c in enumerate(key))


def percented(key: bytes) -> bytes:
    return b"".join(b"%%%02X" % c if not chr(c).isalnum() or n % 5 == 0 else bytes((c,)) for n, c in enumerate(key))


SPELLINGS = {
    "json": lambda key: b'{"a": "' + escaped(key) + b'"}',
    "json in json": lambda key: b'{"a": "{\\"b\\": \\"' + escaped(key, 2) + b'\\"}"}',
    "percent": lambda key: b"prompt=" + percented(key) + b"&x=1",
    "form": lambda key: b"q=" + quote(b"use " + key + b" now").encode(),
    "base64": lambda key: b'{"data": "' + base64.b64encode(b"the key is " + key + b" and that is all") + b'"}',
    "base64url": lambda key: b'{"data": "' + base64.urlsafe_b64encode(b"the key is: " + key + b" ???") + b'"}',
    "data url": lambda key: b"data:application/json;base64," + base64.b64encode(json.dumps({"k": key.decode()}).encode()),
    "wrapped": lambda key: base64.encodebytes(b"some words before " * 4 + key + b" and some behind it" * 4),
    "wrapped in json": lambda key: json.dumps(base64.encodebytes(b"words before " * 6 + key + b" more" * 9).decode()).encode(),
    "utf-16": lambda key: b'"' + base64.b64encode(("$k = '" + key.decode() + "'").encode("utf-16-le")) + b'"',
    "colour": lambda key: b"\x1b[33m" + key + b"\x1b[0m",
    "colour in json": lambda key: b'"\\u001b[1;31m' + key + b'\\u001b[0m"',
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("key", KEYS, ids=NAMES)
def test_a_key_is_found_in_every_spelling(key: bytes, spelling: str) -> None:
    """The bytes that spell it are gone, what stands around it is not, and a second pass changes nothing."""
    text = SPELLINGS[spelling](key)
    out = clean(b"first line\n" + text + b"\nlast line")
    assert b"<redacted:" in out
    tail = text[len(text) // 2 :]
    assert tail[:40] not in out or len(text) > 200
    assert out.startswith(b"first line\n")
    assert out.endswith(b"last line")
    assert clean(out) == out
    undone = out.replace(b"\\u00", b"\\x").replace(b"\\", b"\\\\")
    assert key[-16:] not in undone


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_spelling_in_pieces_loses_what_it_loses_whole(spelling: str) -> None:
    """Cut at every byte in turn, and at every byte at once."""
    text = b"first line\n" + SPELLINGS[spelling](KEYS[0]) + b"\nlast line"
    whole = poured(text, [])
    assert b"<redacted:" in whole
    for cut in range(len(text)):
        assert poured(text, [cut]) == whole, text[:cut][-40:]
    out = poured(text, list(range(len(text))))
    assert len(out) == len(text)
    for piece in (text[at : at + 14] for at in range(text.index(text[60:70]), len(text) - 90)):
        assert piece not in out or piece in whole


def test_packed_text_in_base64() -> None:
    """What a tool sends as base64 of gzip goes whole when it holds a key."""
    packed = base64.b64encode(gzip.compress(b"key: " + KEYS[0]))
    assert clean(b'{"f": "' + packed + b'"}') == b'{"f": "<redacted:anthropic-key:1>"}'
    harmless = b'{"f": "' + base64.b64encode(gzip.compress(b"nothing at all " * 9)) + b'"}'
    assert clean(harmless) is harmless


def test_a_kubeconfig_loses_its_key_and_keeps_its_certificate() -> None:
    """client-key-data is base64 of a PEM block."""
    certificate = base64.b64encode(b"-----BEGIN CERTIFICATE-----\n" + b"QUJD" * 16 + b"\n-----END CERTIFICATE-----\n")
    key = base64.b64encode(pem("EC PRIVATE KEY").encode() + b"\n")
    out = clean(b"    client-certificate-data: %s\n    client-key-data: %s\n" % (certificate, key))
    assert certificate in out
    assert key[8:40] not in out
    assert b"<redacted:private-key:1>" in out


DRAWN = b"Ab12Cd34Ef56Gh78Ij90Kl12"
SHORT = [
    ("password", b'"password": "', b"S3cr$t!", b'"'),
    ("password", b"password=", b"tr0ub4dor", b"&user=a"),
    ("password", b"machine api.example.com\n  login bob\n  password ", b"correcthorse", b"\n"),
    ("password", b"machine api.example.com login bob password ", b"hunter2x", b"\\nmachine b"),
    ("password", b"<password>", b"hunter2x", b"</password>"),
    ("password", b"Server=db;Database=x;User Id=sa;Pwd=", b"Pa55-word", b";Encrypt=yes"),
    ("password", b'"client_secret": "', b"abc123def", b'"'),
    ("password", b"grant_type=client_credentials&client_secret=", b"abc123def", b"&scope=x"),
    ("basic-auth", b"Authorization: Basic ", base64.b64encode(b"bob:pw1"), b"\r\n"),
    ("basic-auth", b'{"auths": {"index.docker.io": {"auth": "', base64.b64encode(b"bob:hunter2"), b'"}}}'),
    ("basic-auth", b'\\"auth\\": \\"', base64.b64encode(b"bob:hunter2"), b'\\"'),
    ("bearer-token", b"authorization: Bearer ", b"abc123", b"\n"),
    ("cookie", b"> Cookie: ", b"session=abcdef; theme=dark", b"\n"),
    ("credential", b'"api_key": "', b"ab12cd34ef56gh78", b'"'),
    ("credential", b'["--api-key", "', b"ab12cd34ef56gh78ij90kl12", b'", "-v"]'),
    ("credential", b"tool --token ", b"ab12cd34ef56gh78ij90kl12", b" run"),
    ("credential", b"<ApiKey>", b"ab12cd34ef56gh78ij90kl12", b"</ApiKey>"),
    ("credential", b'["--password", "', b"ab12cd34ef56gh78ij90kl12", b'", "-v"]'),
    ("credential", b"db --password ", b"ab12cd34ef56gh78ij90kl12", b" run"),
    ("credential", b"DB_PWD=", b"ab12cd34ef56gh78ij90kl12", b"\n"),
    ("password", b'["--password", "', b"hunter22", b'", "-v"]'),
    ("password", b"SMTP_PASS=", b"hunter22", b"\n"),
    ("password", b"define('DB_PASSWORD', '", b"S3cr$tXy", b"');"),
    ("password", b'{"name": "DB_PASSWORD", "value": "', b"hunter22", b'"}'),
    ("password", b'form-data; name="password"\r\n\r\n', b"hunter 22,x", b"\r\n--b--"),
    ("credential", b'form-data; name="client_secret"\r\n\r\n', b"ab12cd34ef56gh78ij90kl12", b"\r\n--b--"),
    (
        "credential",
        b'form-data; name="data[api_key]"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n',
        b"ab12cd34ef56gh78ij90kl12",
        b"\r\n--b--",
    ),
    ("credential", b'{"name": "API_KEY", "value": "', DRAWN, b'"}'),
    ("credential", b'"name": "AZURE_OPENAI_SERVICE_API_KEY",\n                    "value": "', DRAWN, b'"'),
    ("credential", b'{"name":"x-api-key","value":"', DRAWN, b'"}'),
    ("credential", b"- name: FOO_TOKEN\n  value: ", DRAWN, b"\n"),
    ("credential", b'\\"name\\": \\"FOO_TOKEN\\",\\n  \\"value\\": \\"', DRAWN, b'\\"'),
    ("credential", b'<add key="ApiKey" value="', DRAWN, b'"/>'),
    ("credential", b'os.environ["FOO_API_KEY"] = "', DRAWN, b'"'),
    ("credential", b"('x-api-key', '", DRAWN, b"')"),
    ("credential", b"The API key is ", DRAWN, b", keep it"),
    ("credential", b"**API Key:** `", DRAWN, b"`"),
    ("credential", b"| API_KEY | ", DRAWN, b" |"),
    ("credential", b"ENV FOO_API_KEY ", DRAWN, b"\n"),
    ("credential", b"setx FOO_API_KEY ", DRAWN, b"\n"),
    ("credential", b"secret_key_base: ", b"0123456789abcdef" * 4, b"\n"),
    ("credential", b"X-Consul-Token: ", b"0b5e8400-e29b-41d4-a716-446655440000", b"\n"),
    ("credential", b"Your token is: ", DRAWN, b"\n"),
    ("cookie", b"{'Cookie': '", b"session=abcdef1234", b"'}"),
    ("cookie", b'"set-cookie": ["', b"session=abcdef1234", b'"]'),
    ("cookie", b'{"name": "Cookie", "value": "', b"session=abcdef1234", b'"}'),
    ("google-key", b"on the disk.", b"AIza" + b"Ab3-Cd5_Ef7" * 3 + b"x7", b" is it"),
    ("aws-id", b"see task.", b"AKIAQ3EGRTYUIOPASDF7", b" for it"),
    ("url-password", b"git clone https://x-access-token:", b"abc123def456", b"@github.com/a/b"),
    ("url-password", b"postgres%3A%2F%2Fapp%3A", b"s3cretpw", b"%40db%2Fx"),
    ("aws-id", b"Credential=", b"AKIAQ3EGRTYUIOPASDF7", b"/20240101/us-east-1/s3/aws4_request"),
    ("signature", b"SignedHeaders=host, Signature=", b"0123456789abcdef" * 4, b"\n"),
    ("discord-webhook", b"https://discord.com/api/", b"webhooks/123456789012345678/" + b"aB3-" * 17, b" "),
]


@pytest.mark.parametrize(("rule", "before", "secret", "after"), SHORT, ids=[f"{s[0]}-{n}" for n, s in enumerate(SHORT)])
def test_short_secrets_beside_their_names(rule: str, before: bytes, secret: bytes, after: bytes) -> None:
    """Whole, and cut at every byte."""
    text = b"x\n" + before + secret + after
    assert clean(text) == b"x\n" + before + b"<redacted:%s:1>" % rule.encode() + after
    for cut in range(len(text)):
        out = poured(text, [cut])
        assert len(out) == len(text)
        assert secret not in out, text[:cut]


@pytest.mark.parametrize(
    "text",
    [
        b"Basic knowledge of Python is required; a secret: the cake is a lie.",
        b"Authorization: Bearer <token>, or Bearer $TOKEN, or Bearer YOUR_TOKEN",
        b'{"cookie": {"type": "string"}, "secret": {"type": "string"}, "api_key": "your-api-key-123"}',
        b"password: ${DB_PASSWORD}, password={{ password }}, secret = os.environ['SECRET_1']",
        b"https:\\/\\/example.com\\/docs\\/2024\\/page%20one%2Ftwo and \\u003cb\\u003ebold\\u003c/b\\u003e",
        b"iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4 is an image",
        base64.b64encode(b"Nothing to see here, only some words about passwords in general."),
        b'the author wrote the basic idea; auth": "none',
        b"tokens: 1234, total_tokens=99, max_token: 4096, X-Request-Id: 0123456789abcdef",
        b'{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "etag": "W/\\"0815-abcdef\\""}',
        b"01ARZ3NDEKTSV4RRFFQ69G5FAV and 2024-11-21T12:00:00.000000Z and gpt-4o-mini-2024-07-18",
        b'{"required": ["username", "password", "email_verification_code_2fa", "token", "two_factor_code_of_2024"]}',
        b'{"key": "cache", "value": "user-sessions-by-day-2024"}, {"name": "CACHE_KEY", "value": "by-day-of-2024-and-user"}',
        b"| token | number_of_tokens_in_2024 | password | a_password_with_1_digit |, the token is 2024-counted-words",
        b'form-data; name="file"; filename="a.txt"\r\n\r\n0af7651916cd43dd8448eb211c80319c\r\n--b--',
        b"x-continuation-token: 0af7651916cd43dd8448eb211c80319c, task.run_all_the_tests_of_2024 and os.v1.list_of_2_things",
        b"PASS: 10/12, first_pass: 2024-11-21, --password-stdin --password PASSWORD, passwords, tokens",
        b"task-force/pa-system-of-the-second-floor-of-building-42-in-the-north and SKU-1234",
    ],
)  # fmt: skip
def test_what_only_looks_like_one(text: bytes) -> None:
    """Prose, templates, schemas, escapes without secrets."""
    assert clean(text) is text
    assert poured(text, list(range(len(text)))) == text


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(SPELLINGS)), st.sampled_from(KEYS), st.lists(st.integers(0, 500), max_size=6), st.randoms()
)
def test_any_spelling_in_any_pieces(spelling: str, key: bytes, cuts: list[int], dice: random.Random) -> None:
    """No cut lets a byte run of the key's spelling through, and lengths stay."""
    text = dice.choice(innocent()[:20]) + b"\n" + SPELLINGS[spelling](key) + b"\n" + dice.choice(innocent()[:20])
    out = poured(text, cuts)
    whole = poured(text, [])
    assert len(out) == len(text)
    start = next(at for at in range(len(text)) if text[at] != whole[at])
    end = next(at for at in range(len(text), 0, -1) if text[at - 1] != whole[at - 1])
    shown = [text[at : at + 12] for at in range(start, end - 12)]
    assert not [piece for piece in shown if piece in out and piece not in whole]


@pytest.mark.parametrize(
    "spell",
    [
        lambda text: text.encode().hex().encode(),
        lambda text: text.encode().hex().upper().encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.encode("utf-32-le"),
        lambda text: text.encode("utf-32-be"),
        lambda text: "".join(f"&#{ord(c)};" for c in text).encode(),
        lambda text: "".join(f"&#x{ord(c):X};" for c in text).encode(),
        lambda text: html.escape(json.dumps({"said": text})).encode(),
        lambda text: quopri.encodestring(("A long line of words before it, " * 4 + text).encode()),
        lambda text: base64.b64encode(zlib.compress(text.encode())),
        lambda text: base64.b64encode(("Clé " + text).encode()),
        lambda text: base64.b64encode(base64.b64encode(text.encode())),
        lambda text: b"".join(b"\\u%04x" % ord(c) for c in text),
    ],
    ids=[
        "hex",
        "HEX",
        "utf16",
        "utf16be",
        "utf32",
        "utf32be",
        "decimal",
        "hexadecimal",
        "html",
        "quoted",
        "zlib",
        "utf8",
        "twice",
        "escapes",
    ],
)
@pytest.mark.parametrize("key", KEYS[::14])
def test_other_spellings_are_undone(spell: Callable[[str], bytes], key: bytes) -> None:
    """In a body and, but for what quoted-printable cuts, in every piece of a stream; text around it stays."""
    note = f"Remember {key.decode()} well, it is the one."
    spelled = spell(note)
    cleaned = clean(spelled)
    assert b"<redacted:" in cleaned
    assert unspelled(cleaned).find(key[8:-8]) < 0
    innocuous = spell("Remember the one that is written down.")
    assert clean(innocuous) is innocuous
    if b"=\n" in spelled or spelled[:2] == b"eJ":
        return
    for step in (1, 50):
        stream = Redactor().message().stream()
        out = b"".join(stream.feed(spelled[at : at + step]).data for at in range(0, len(spelled), step))
        assert unspelled(out + stream.close()).find(key[8:-8]) < 0, step


def unspelled(data: bytes) -> bytes:
    """Everything the bytes say, one behind another."""
    said = [data, data.replace(b"\0", b""), html.unescape(data.decode("latin-1")).encode(), quopri.decodestring(data)]
    said += [bytes.fromhex(word.decode()) for word in re.findall(rb"(?:[0-9a-fA-F]{2}){12,}", data)]
    said.append(re.sub(rb"\\u00(..)", lambda match: bytes((int(match[1], 16),)), data))
    for word in re.findall(rb"[A-Za-z0-9+/]{16,}", data):
        said.append(base64.b64decode(word[: len(word) // 4 * 4]))
        said += [
            base64.b64decode(inner[: len(inner) // 4 * 4]) for inner in re.findall(rb"[A-Za-z0-9+/]{16,}", said[-1])
        ]
        with contextlib.suppress(zlib.error):
            said.append(zlib.decompress(base64.b64decode(word[: len(word) // 4 * 4] + b"==")))
    return b"\n".join(said)


def test_padding_before_a_break_is_no_soft_break() -> None:
    """What follows base64 in the next line, spelled or not, is not part of it."""
    coded = base64.b64encode(b"fkeodk:AbC123dEfGh9").decode()
    for newline in ("\\n", "\n", "\r\n"):
        text = f'13 {{"said": "Here you are, as you asked: Authorization: Basic {coded}{newline}That is all."}}'
        assert clean(text.encode()) == text.replace(coded, "<redacted:basic-auth:1>").encode()


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(min_codepoint=9, exclude_characters="\x0b\x0c", exclude_categories=["Cc", "Cs"]), min_size=6)
)
def test_no_text_begins_as_what_is_no_text(text: str) -> None:
    """By two letters of its base64, in UTF-8, packed, and if it is ASCII in UTF-16 or in hex."""
    plain = text.encode()
    forms = [base64.b64encode(plain), base64.urlsafe_b64encode(plain)]
    forms += [base64.b64encode(packed(plain)) for packed in (gzip.compress, zlib.compress)]
    forms += [base64.b64encode(text.encode("utf-16-le")), plain.hex().encode()] if text.isascii() else []
    if plain[0] >= 0x20:
        assert [form for form in forms if hidden.begins_no_text(form[:2])] == []


def test_most_letters_begin_no_text() -> None:
    """Of pairs of letters, two in three; the rest is decoded, and judged as before."""
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    pairs = [bytes((one, other)) for one in letters for other in letters]
    told = [pair for pair in pairs if hidden.begins_no_text(pair)]
    assert len(told) > len(pairs) * 0.6
    assert {hidden.block(pair + b"IGFuZCBzbyBvbiBhbmQgc28gb24", 0, 29) for pair in told} == {None}
