"""Keys that do not stand alone: behind the blanks of a form, glued to a word or to a length, in a form's private key."""

import base64
import random
from urllib.parse import urlencode

import pytest

from playhead.core.redact import Redactor
from tests.core.secrets import ALNUM, pem

_DICE = random.Random(20260)
_BODY = "".join(_DICE.choices(ALNUM, k=94)) + "7"
ANTHROPIC = f"sk-ant-api03-{_BODY}"
GITHUB = f"ghp_{_BODY[:36]}"
NAMED = _BODY[:32]


def _redacted(data, cut=0):
    if not cut:
        return Redactor().message().body(data)
    stream = Redactor().message().stream()
    return b"".join(stream.feed(data[at : at + cut]).data for at in range(0, len(data), cut)) + stream.close()


@pytest.mark.parametrize("cut", [0, 1, 3, 16])
@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (urlencode({"note": f"use {ANTHROPIC} now"}), ANTHROPIC),
        (urlencode({"note": f"use {GITHUB} now"}), GITHUB),
        (urlencode({"note": f"Authorization: Bearer {NAMED} now"}), NAMED),
        (urlencode({"note": f"my api_key: {NAMED} now"}), NAMED),
        (urlencode({"note": "the password: hunter2x7! ok"}), "hunter2x7"),
        (f"@@ -1 +1 @@\n+{ANTHROPIC}\n", ANTHROPIC),
        (f"prod_{ANTHROPIC}", ANTHROPIC),
        (f"note\x12l{ANTHROPIC}", ANTHROPIC),
        (f"note\n8gsk_{_BODY[:52]}\x10", _BODY[:52]),
        (rf'"log": "x\nBearer {NAMED}"', NAMED),
    ],
)
def test_a_key_is_found_in_the_midst_of_a_run(text, secret, cut):
    """Whole and in pieces; no third of it is left."""
    assert secret[len(secret) // 3 :][: max(6, len(secret) // 4)].encode() not in _redacted(text.encode(), cut)


def test_a_private_key_in_a_form_is_found():
    """Its line ends are %0A there, and the blanks of its first line are plus signs."""
    key = pem("PRIVATE KEY")
    kept = _redacted(urlencode({"key": key, "page": "1"}).encode())
    assert not any(line[10:40].encode() in kept for line in key.split("\n")[1:-1])
    assert kept.endswith(b"&page=1")


def test_what_only_looks_alike_stays():
    """Words with joints, and random data in both alphabets of base64."""
    text = b"task-list+ask-for-refund-policy-20261121 a+b+c key-value_pairs_in_a_long_name/with+plus\nask-user-7-to-confirm-again"
    assert _redacted(text) == text
    dice = random.Random(7)
    for code in (base64.b64encode, base64.urlsafe_b64encode):
        for _ in range(400):
            blob = b'{"signature": "' + code(dice.randbytes(1500)) + b'"}'
            assert _redacted(blob) == blob


@pytest.mark.parametrize("cut", [0, 1, 7])
@pytest.mark.parametrize("text", ["-" * 40, "x\n" + "_" * 30, ";" + "+" * 20, "[0m" + "-" * 61])
def test_a_rule_that_ends_the_data_is_passed_as_it_is(text, cut):
    """A run of nothing but what a key may stand behind leaves nothing to look at, also where the data ends."""
    assert _redacted(text.encode(), cut) == text.encode()
