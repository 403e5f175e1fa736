"""Stored forms of values: bytes are judged as bytes, and the letters of their base64 by no rule."""

import json
import random
from base64 import b64decode, b64encode

import pytest

from playhead.core.redact import Redactor
from playhead.core.redact_forms import clean_forms
from tests.core.secrets import ALNUM

KEY = b"sk-ant-api03-" + "".join(random.Random(4).choices(ALNUM, k=94)).encode()
NO_TEXT = b"\x00\xff\xfe\x80"


def _form(raw, kind="bytes"):
    return {"$": kind, "b64": b64encode(raw).decode()}


def _clean(value):
    data = json.dumps(value, separators=(",", ":")).encode()
    return data, clean_forms(Redactor(), data)


@pytest.mark.parametrize("kind", ["bytes", "bytearray"])
@pytest.mark.parametrize(
    "raw", [NO_TEXT + KEY + NO_TEXT, NO_TEXT + KEY.decode().encode("utf-16-le") + b"\x90", KEY + b"\xff"]
)
def test_a_key_between_bytes_that_are_no_text_is_replaced_at_its_length(raw, kind):
    """Whatever stands before it and behind: nothing of it is in the bytes that are kept, and all else is."""
    _, clean = _clean(["name", _form(raw, kind), _form(b"\xff" * 9)])
    name, first, second = json.loads(clean)
    kept = b64decode(first["b64"])
    assert (name, second, len(kept)) == ("name", _form(b"\xff" * 9), len(raw))
    assert KEY[20:40] not in kept.replace(b"\0", b"")
    assert kept[:1] == raw[:1] or raw.startswith(KEY)


def test_bytes_without_a_secret_are_kept_as_they_are():
    """2,000 pieces of noise, of which some have in base64 what looks like a token: the very same object comes back."""
    dice = random.Random(5)
    for _ in range(2000):
        data, clean = _clean(_form(b"\xff" + dice.randbytes(dice.randrange(20, 400))))
        assert clean is data


def test_what_stands_around_is_redacted_as_ever():
    """A secret beside the bytes, in a dict of the agent's own that looks like a form, and in text that quotes one."""
    key = KEY.decode()
    quoted = json.dumps(_form(b"\xff") | {"b64": key})
    data, clean = _clean([key, _form(b"\xff" * 9), {"b64": key}, {"$": "bytes", "b64": key}, quoted, "\x01"])
    assert KEY in data
    assert KEY not in clean
    assert json.loads(clean)[1] == _form(b"\xff" * 9)


def test_arrays_keep_their_shape():
    """The letters of an array are no text either: a key among its numbers goes, and its size stays."""
    raw = NO_TEXT * 2 + KEY[:100] + NO_TEXT
    form = {"$": "ndarray", "dtype": "|u1", "shape": [len(raw)], "order": "C", "b64": b64encode(raw).decode()}
    _, clean = _clean(form)
    kept = b64decode(json.loads(clean)["b64"])
    assert len(kept) == len(raw)
    assert KEY[20:40] not in kept
