"""Known values, those of the user's variables: found wherever they stand and whatever they spell."""

from __future__ import annotations

import base64
import string
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from playhead.core.redact import Redactor, credential_values
from tests.core.secrets import planted

TEXT = string.ascii_letters + string.digits + " :.,@-_=/"


def spellings(text: str) -> list[bytes]:
    """What a text is made into to be a key."""
    data = text.encode()
    made = base64.b64encode(data), base64.urlsafe_b64encode(data), data.hex().encode(), base64.b32encode(data)
    return [*made, made[0].rstrip(b"="), base64.b64encode(made[0])]


def values() -> st.SearchStrategy[bytes]:
    """Text in one of those forms, letters as a generator of keys draws them, and several joined."""
    drawn = st.text(string.ascii_letters + string.digits, min_size=12, max_size=60).map(str.encode)
    spelled = st.text(TEXT, min_size=8, max_size=50).flatmap(lambda text: st.sampled_from(spellings(text)))
    one = drawn | spelled
    return one | st.tuples(one, st.sampled_from(b".:-_/+=~ ;"), one).map(lambda each: b"%b%c%b" % each)


def around() -> st.SearchStrategy[bytes]:
    """What stands between: words, signs, the ends of lines, escapes, other letters of base64, secrets."""
    word = st.text(string.ascii_letters + string.digits + "/+-_=.:,;'\"\\ \n{}[]%&?", max_size=24).map(str.encode)
    said = st.sampled_from(
        [b"", b" ", b"my token is ", b"Bearer ", b"\\n", b"data:;base64,", *(p.text for p in planted())]
    )
    return word | said


@settings(max_examples=400, deadline=None)
@given(values(), st.lists(around(), min_size=2, max_size=4), st.lists(st.integers(0, 600), max_size=4))
def test_no_known_value_gets_through(value: bytes, between: list[bytes], cuts: list[int]) -> None:
    """Once and more than once, whole and in pieces, beside what other rules find."""
    found = credential_values({"ACME_TOKEN": value.decode()})
    assume(found)
    redactor = Redactor(extra_values=found)
    data = value.join(between)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    stream = redactor.stream()
    poured = b"".join(stream.feed(data[a:b]).data for a, b in pairwise(edges)) + stream.close()
    for out in (redactor.message().body(data), poured):
        assert value not in out, (value, data, out)


@pytest.mark.parametrize(
    "text", ["ann:correct horse battery", '{"user":"ann","pass":"hunter2hunter2"}', "sk-0123456789" * 3]
)
def test_a_value_that_is_text_in_base64_is_found(text: str) -> None:
    """As of HTTP's Basic scheme: it is looked into, and is a secret as a whole all the same."""
    value = base64.b64encode(text.encode())
    redactor = Redactor(extra_values=[value])
    assert redactor.message().body(b"with " + value + b" it is") == b"with <redacted:env:1> it is"


@pytest.mark.parametrize(
    ("before", "key"),
    [
        ("", "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"),
        ("", "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"),
        ("", "secret_uV1rVjDwOWjRKGjxKgpRXsmUezStljFtbTqnkWJXUCx"),
        ("", "as-fitktDnAhUcQOrmOnsTwue"),
        ("", "glpat-JKTsiXVKXTFRXYHBFkma"),
        ("MISTRAL_API_KEY=", "wTEKljBxrVZLeyuaUBJcqMYETCPKYWZx"),
        ("MISTRAL_API_KEY=", "4ChvQByAUuigPEPHxxxxOshYnxUSNZv2"),
        ('{"client_secret": "', "aB3dYouRx8Kq2Lm9Zt5Yv1Wn"),
    ],
)
def test_a_drawn_key_that_looks_less_so_than_most_is_found(before: str, key: str) -> None:
    """Letters alone, few changes of case, by chance what people write where a key belongs."""
    out = Redactor().message().body(f"the key is {before}{key}\nThat is all.".encode())
    assert key[-12:].encode() not in out


def test_a_value_is_found_each_time_in_one_run() -> None:
    """Joined by what belongs to runs, and where its longest part stands without the rest before it."""
    value = b"Ab12Cd34Ef56Gh78Ij90Kl12"
    clean = Redactor(extra_values=[value]).message().body
    assert clean(value + b"/" + value) == b"<redacted:env:1>/<redacted:env:1>"
    assert clean(value + b"-" + value + b"_x") == b"<redacted:env:1>-<redacted:env:1>_x"
    pair = b"ann:" + value
    assert Redactor(extra_values=[pair]).message().body(value + b"/ann:" + value) == value + b"/<redacted:env:1>"


def test_a_key_that_begins_like_a_path_is_a_key_and_a_path_is_none() -> None:
    """Of base64 one in 64 does; a path begins with a folder that is there."""
    keys = (
        "/9jK3mXb8Qw0Lr+Zt5Yvaa2b",
        "/a9K/3mXb8Qw0LrZt5Yvaa2b7H==",
        "//mXb8Qw0LrZt5Yvaa2b7H",
        "//qGDj+askblN/cmtGLNjoqdUSVrzHlr",
    )
    paths = (
        "/etc/Keys/Deploy2/Production",
        "/run/secrets/deploy-key",
        "/no-such-folder/secrets/deploy_key",
        "~/.ssh/id_rsa",
    )
    found = credential_values({f"K{n}_KEY": value for n, value in enumerate((*keys, *paths, "./secrets/token"))})
    assert {each.decode() for each in found if not each.startswith(b"%")} == {*keys}
