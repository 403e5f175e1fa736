"""Redaction of heads, bodies, environments and command lines."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.core.redact import Redactor, credential_arguments, credential_values, is_key_name
from playhead.errors import IncompatibleRecording
from tests.core.secrets import Planted, innocent, marked, pem, planted, shaped
from tests.support.published import exchanges

PLANTED = planted()
NAMES = [f"{item.rule}-{number}" for number, item in enumerate(PLANTED)]
WHOLE = [*PLANTED, *marked()]
WHOLE_NAMES = [f"{item.rule}-{number}" for number, item in enumerate(WHOLE)]
PROSE = b"The quick brown fox asked for `get_customer_billing_history` twice. "


def clean(data: bytes, known: list[tuple[int, int]] | tuple[()] = ()) -> bytes:
    return Redactor().message().body(data, known)


@pytest.mark.parametrize("item", WHOLE, ids=WHOLE_NAMES)
def test_every_known_shape_is_replaced_by_its_rule(item: Planted) -> None:
    """No byte of a planted secret's tail is left, and the token names the rule."""
    out = clean(item.text)
    assert item.secret not in out
    assert item.secret[-12:] not in out
    assert f"<redacted:{item.rule}:1>".encode() in out
    assert out.replace(f"<redacted:{item.rule}:1>".encode(), item.secret) == item.text


@pytest.mark.parametrize("item", WHOLE, ids=WHOLE_NAMES)
def test_a_secret_is_found_wherever_it_stands(item: Planted) -> None:
    """Alone, in prose, in JSON in JSON, at both ends of a body."""
    for text in (
        item.text,
        PROSE * 40 + item.text + PROSE * 40,
        json.dumps({"a": "x", "arguments": item.text.decode()}).encode(),
        json.dumps({"a": json.dumps({"arguments": item.text.decode()})}).encode(),
    ):
        assert item.secret[-12:] not in clean(text), text


@pytest.mark.parametrize("text", innocent(), ids=lambda text: text[:24].decode())
def test_agents_ids_hashes_and_blobs_are_untouched(text: bytes) -> None:
    """Clean bytes come back as the same object."""
    assert clean(text) is text
    whole = PROSE * 9 + text
    assert clean(whole) is whole


def test_numbers_count_secrets_of_a_rule_by_first_appearance() -> None:
    """The same secret reads the same; another one counts on; a new message starts again."""
    first, second = (item.secret for item in shaped()[4:6])
    scope = Redactor().message()
    assert scope.body(b"%s %s %s" % (second, first, second)) == (
        b"<redacted:openai-key:1> <redacted:openai-key:2> <redacted:openai-key:1>"
    )
    assert scope.body(first) == b"<redacted:openai-key:2>"
    assert Redactor().message().body(first) == b"<redacted:openai-key:1>"


def test_tokens_that_come_back_are_numbered_along() -> None:
    """A replayed agent echoes tokens it was served, padded or not; its request must read as the recorded one."""
    key = shaped()[0].secret
    out = clean(b"%s <redacted:anthropic-key:7> <redacted:anthropic-key:9....>*** <redacted:jwt:2>" % key)
    assert out == b"<redacted:anthropic-key:1> <redacted:anthropic-key:2> <redacted:anthropic-key:3> <redacted:jwt:1>"


def test_values_of_the_users_variables_are_found_anywhere() -> None:
    """Long and short, in the middle of a word, as JSON and URLs spell them."""
    env = {
        "ACME_TOKEN": "AcmeSecretValue-with-no-known-shape",
        "PGPASSWORD": 'odd "quoted" pass',
        "SHORT_KEY": "abc",
        "HOME": "/home/jane-the-user",
        "DEPLOY_KEY": "/etc/keys/deploy",
    }
    values = credential_values(env)
    assert b"abc" not in values
    assert not any(value.startswith(b"/") for value in values)
    scope = Redactor(extra_values=values).message()
    text = json.dumps({"a": "xxAcmeSecretValue-with-no-known-shapeyy", "b": env["PGPASSWORD"]}).encode()
    assert json.loads(scope.body(text)) == {"a": "xx<redacted:env:1>yy", "b": "<redacted:env:2>"}
    assert scope.body(b"p=odd%20%22quoted%22%20pass") == b"p=<redacted:env:3>"


def test_a_key_with_a_shape_reads_by_its_shape_though_its_value_is_known() -> None:
    """So that a replay with another key, or a placeholder, gives the same request."""
    key = shaped()[0].secret
    assert Redactor(extra_values=[key]).message().body(b"x " + key) == b"x <redacted:anthropic-key:1>"


@pytest.mark.parametrize("before", [b'{"api_key": "', b"my token is ", b"X_TOKEN="])
def test_a_known_value_behind_a_name_reads_as_the_value_of_a_variable(before: bytes) -> None:
    """A replay without the variable has a placeholder there, which looks like no key; both read the same."""
    drawn, placeholder = b"Ab12Cd34Ef56Gh78Ij90Kl12", b"playhead-placeholder"
    for value in (drawn, placeholder):
        out = Redactor(extra_values=[value]).message().body(before + value + b'. "')
        assert out == before + b'<redacted:env:1>. "'
    longer = Redactor(extra_values=[drawn]).message().body(b"X_TOKEN=" + drawn + b"9z8Y")
    assert b"9z8Y" not in longer


def test_a_redactor_does_not_give_its_values_away() -> None:
    """Neither by repr nor by pickle."""
    redactor = Redactor(extra_values=[b"AcmeSecretValue-with-no-known-shape"])
    assert "Acme" not in repr(redactor) + repr(redactor.message()) + repr(redactor._scanner)
    with pytest.raises(TypeError):
        pickle.dumps(redactor)


def test_an_unknown_rule_pack_is_refused() -> None:
    """A newer pack would redact otherwise, and every request would differ."""
    with pytest.raises(IncompatibleRecording, match="redacted by rules") as caught:
        Redactor(version=99)
    assert caught.value.code == "unknown-rule-pack"


def test_heads_lose_credentials_and_keep_names() -> None:
    """Credential headers keep their name, credential query keys theirs; everything else keeps its bytes."""
    key = shaped()[9].secret
    head = (
        b"POST /v1beta/models/g:generateContent?alt=sse&key=%s&x=1 HTTP/1.1\r\nHost: h\r\nX-Goog-Api-Key:  %s\r\n"
        b"AUTHORIZATION: Bearer abc\r\nOpenAI-Organization: org-1\r\nCookie: a=b\r\nX-Trace: %s\r\nAccept: */*\r\n\r\n"
    ) % (key, key, key)
    out = Redactor().redact_head(head)
    assert key not in out
    assert out == (
        b"POST /v1beta/models/g:generateContent?alt=sse&key=<redacted:query>&x=1 HTTP/1.1\r\nHost: h\r\n"
        b"X-Goog-Api-Key: <redacted:header>\r\nAUTHORIZATION: <redacted:header>\r\n"
        b"OpenAI-Organization: <redacted:header>\r\nCookie: <redacted:header>\r\n"
        b"X-Trace: <redacted:google-key:1>\r\nAccept: */*\r\n\r\n"
    )
    assert Redactor().redact_head(out) == out


@pytest.mark.parametrize(
    "name",
    [
        *(
            "X-RapidAPI-Key",
            "DD-APPLICATION-KEY",
            "X-Master-Key",
            "X-Mashape-Key",
            "X-CMC_PRO_API_KEY",
            "X-Honeycomb-Team",
        ),
        *("x-amz-server-side-encryption-customer-key", "DPoP", "Authentication", "Fastly-Key", "X-License-Key"),
    ],
)
def test_other_headers_whose_name_is_a_credentials(name: str) -> None:
    """However short their value is."""
    head = f"GET / HTTP/1.1\r\n{name}: short\r\n\r\n".encode()
    assert Redactor().redact_head(head) == head.replace(b"short", b"<redacted:header>")


@pytest.mark.parametrize(
    ("query", "is_secret"),
    [
        *(("private_token=short", True), ("pass=hunter2", True), ("api_token=short", True), ("bearer=short", True)),
        *(("app_key=ab12cd34ef56gh78", True), ("appid=0123456789abcdef", True), ("SAMLResponse=PHNhbWw", True)),
        *(("app_key=billing", False), ("appid=12345", False), ("pass=2", False), ("page_token=ab12cd34", False)),
        *(("session_id=0123456789abcdef0123456789abcdef", False), ("user_key=jane", False), ("bypass=yes", False)),
    ],
)
def test_keys_of_urls_that_are_credentials(query: str, is_secret: bool) -> None:
    """And ids and cursors, which tell requests apart, are none."""
    head = f"GET /x?a=1&{query}&b=2 HTTP/1.1\r\n\r\n".encode()
    name, _, value = query.encode().partition(b"=")
    assert Redactor().redact_head(head) == (
        head.replace(name + b"=" + value, name + b"=<redacted:query>") if is_secret else head
    )


def test_folded_headers_and_presigned_urls_in_heads() -> None:
    """An obsolete line fold does not save a credential, nor does a redirect."""
    head = b"HTTP/1.1 302 Found\r\nAuthorization: Bearer\r\n abcdef\r\nLocation: https://b/o?a=1&X-Amz-Signature=ff00&b=2\r\n\r\n"
    out = Redactor().redact_head(head)
    assert b"abcdef" not in out
    assert b"ff00" not in out
    assert out.endswith(b"&b=2\r\n\r\n")


def test_plain_heads_are_the_same_bytes() -> None:
    """Nothing is normalised on the way."""
    head = b"GET /v1/models?limit=5 HTTP/1.1\r\nhost:api\r\nX-a:  b \r\nx-A: c\r\n\r\n"
    redactor = Redactor()
    assert redactor.redact_head(head) == head
    assert redactor.redact_head(head) == head


def test_with_bodies_off_credentials_of_the_wire_still_go() -> None:
    """`--redact off` is about bodies."""
    scope = Redactor(bodies=False).message()
    key = shaped()[0].secret
    assert scope.body(key) is key
    assert b"<redacted:header>" in scope.head(b"GET / HTTP/1.1\r\nx-api-key: " + key + b"\r\n\r\n")


def test_environments_keep_names_of_keys_and_no_values() -> None:
    """What is stored of an environment."""
    secret = shaped()[0].secret.decode()
    out = Redactor().environment(
        {"OPENAI_API_KEY": "x", "PATH": "/bin", "URL": "https://u:passw0rd@h/", "NOTE": secret, "GH_TOKEN": ""}
    )
    assert out == {
        "OPENAI_API_KEY": "<redacted:env>",
        "PATH": "/bin",
        "URL": "https://u:<redacted:url-password:1>@h/",
        "NOTE": "<redacted:anthropic-key:1>",
        "GH_TOKEN": "",
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("OPENAI_API_KEY", True), ("GH_TOKEN", True), ("AWS_SECRET_ACCESS_KEY", True), ("PGPASSWORD", True), ("npm_token", True),
        ("PWD", False), ("TOKENIZERS_PARALLELISM", False), ("SSH_AUTH_SOCK", False), ("MAX_TOKENS_LIMIT", False),
        ("KEYBOARD", False), ("AWS_WEB_IDENTITY_TOKEN_FILE", False), ("MONKEY", False),
    ],
)  # fmt: skip
def test_key_like_names(name: str, *, expected: bool) -> None:
    """A name is judged by its words."""
    assert is_key_name(name) is expected


def test_command_lines() -> None:
    """Values behind key-like flags, in `--flag=value`, in headers, and by shape."""
    key = shaped()[4].secret.decode()
    argv = ["agent", "--api-key", "abc", "--token=def", "--verbose", "-H", "X-Api-Key: ghi", "--prompt", f"use {key}"]
    out = Redactor().argv(argv)
    assert out == [
        "agent", "--api-key", "<redacted:argument:1>", "--token=<redacted:argument:2>", "--verbose", "-H",
        "X-Api-Key: <redacted:header>", "--prompt", "use <redacted:openai-key:1>",
    ]  # fmt: skip
    assert Redactor().argv(["python", "-m", "agent", "--key", "--x"]) == ["python", "-m", "agent", "--key", "--x"]
    assert Redactor().argv(out) == out


def test_tags_lose_what_their_keys_name() -> None:
    """A key before `=` is a name, as in text; a secret as a key or as a value is one as ever."""
    key = next(item.secret for item in shaped() if item.rule == "github-token").decode()
    assert Redactor().message().labels({"password": "hunter22x", "team": "billing", key: key, "key": "cache"}) == {
        "password": "<redacted:password:1>",
        "team": "billing",
        "<redacted:github-token:1>": "<redacted:github-token:1>",
        "key": "cache",
    }


def test_an_unfinished_private_key_is_a_private_key() -> None:
    """A key cut by a limit loses its end line, not its secrecy."""
    cut = pem().encode()[:400]
    assert clean(b"see: " + cut) == b"see: <redacted:private-key:1>"


def test_published_recordings_hold_nothing_to_redact() -> None:
    """1,873 bodies of real clients and providers, cleaned by their publishers: not one false alarm."""
    bodies = [b for item in exchanges() for b in (item.request_body, item.response_body) if b]
    assert len(bodies) == 1873
    assert not [body[:80] for body in bodies if clean(body) is not body]


def mixtures() -> st.SearchStrategy[bytes]:
    """Bodies of prose, secrets, ids and arbitrary bytes."""
    pieces = st.one_of(
        st.sampled_from([item.text for item in PLANTED]),
        st.sampled_from(innocent()[:20]),
        st.sampled_from([PROSE, b'", "', b"\\n", b"\n", b" ", b"<redacted:openai-key:3>", b"sk-", b"password: "]),
        st.binary(max_size=24),
    )
    return st.lists(pieces, max_size=8).map(b"".join)


@settings(max_examples=150, deadline=None)
@given(mixtures())
def test_redaction_is_idempotent(data: bytes) -> None:
    """Redacting what is redacted changes nothing."""
    once = clean(data)
    assert clean(once) == once


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(PLANTED), st.binary(max_size=60), st.binary(max_size=60))
def test_no_surroundings_save_a_secret(item: Planted, before: bytes, after: bytes) -> None:
    """Whatever stands around a secret, set off by a space, it is gone."""
    out = clean(PROSE + before + b" " + item.text + b" " + after)
    assert item.secret[-12:] not in out or item.secret[-12:] in before + after


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([PROSE, *innocent()[:20]]), min_size=1, max_size=6).map(b"".join), mixtures(), mixtures()
)
def test_a_clean_prefix_need_not_be_scanned_again(history: bytes, first: bytes, second: bytes) -> None:
    """With the common start of a clean earlier body skipped, the result is that of a whole scan."""
    earlier = history + first
    if clean(earlier) is not earlier:
        earlier = history
    now = earlier[: len(earlier) - len(first) // 2] + second
    shared = 0
    while shared < min(len(earlier), len(now)) and earlier[shared] == now[shared]:
        shared += 1
    assert clean(now, [(0, shared)]) == clean(now)


@pytest.mark.parametrize("item", WHOLE, ids=WHOLE_NAMES)
def test_a_secret_across_the_seam_of_a_clean_prefix_is_found(item: Planted) -> None:
    """Wherever the known start ends: before, inside or right behind the name of a secret."""
    whole = PROSE * 4 + item.text
    at = whole.index(item.secret)
    for shared in range(len(PROSE * 4), at + min(len(item.secret) - 1, 40)):
        if clean(whole[:shared]) == whole[:shared]:
            assert clean(whole, [(0, shared)]) == clean(whole), shared


@pytest.mark.parametrize("item", WHOLE, ids=WHOLE_NAMES)
def test_known_spans_around_a_gap_hide_no_secret(item: Planted) -> None:
    """Wherever two known spans end and begin, with the secret in the gap between them or across its edges."""
    whole = PROSE * 3 + item.text + PROSE * 3
    at = whole.index(item.secret)
    expected = clean(whole)
    for first in (at - 24, at - 3, at, at + 5):
        for last in (at + 1, at + 9, at + len(item.secret) - 1, at + len(item.secret), at + len(item.secret) + 4):
            if first < last and clean(whole[:first]) == whole[:first] and clean(whole[last:]) == whole[last:]:
                assert clean(whole, [(0, first), (last, len(whole))]) == expected, (first - at, last - at)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), mixtures()), max_size=6))
def test_what_lies_between_known_spans_is_scanned(parts: list[tuple[bool, bytes]]) -> None:
    """Known pieces that are clean alone, among fresh ones: the result is that of a whole scan, whatever they touch."""
    data, known = b"", []
    for is_known, piece in parts:
        fenced = b"\n" + PROSE + piece + b"\n" + PROSE
        if is_known and clean(fenced) is fenced:
            known.append((len(data), len(data) + len(fenced)))
        data += fenced
    assert clean(data, known) == clean(data)


def test_a_private_key_with_percent_escaped_line_ends_is_replaced():
    """As a form spells it: `%0A`, `%0D%0A`, and escaped twice."""
    lines = ["-----BEGIN PRIVATE KEY-----", *["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 2] * 3, "-----END PRIVATE KEY-----"]
    for end in ("%0A", "%0d%0a", "%250A"):
        form = "page=1&key=" + end.join(line.replace(" ", "%20") for line in lines)
        assert "MIIEvQ" not in Redactor().text(form), end


def test_a_header_among_arguments_reads_as_it_does_in_output():
    """A replay is given what was stored, and must print what was printed."""
    argv = [
        "curl",
        "-H",
        "Authorization: Basic Y2Fyb2w6aHVudGVyMTIz",
        "-H",
        "X-Api-Key: tiny-4711",
        "-H",
        "Cookie: a; b",
    ]
    redactor = Redactor(extra_values=credential_arguments(argv))
    kept = redactor.argv(argv)
    assert kept == [
        "curl",
        "-H",
        "Authorization: Basic <redacted:basic-auth:1>",
        "-H",
        "X-Api-Key: <redacted:env:1>",
        "-H",
        "Cookie: <redacted:header>",
    ]
    printed = redactor.stream().feed("\n".join(argv).encode(), last=True).data.decode().split("\n")
    assert printed[2] == kept[2]
    assert printed[4] == kept[4]
