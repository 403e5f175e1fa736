"""Personal data: what has a check digit by it, the rest by shape and name; ids, moments and prices are left alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.core.redact import Redactor
from playhead.core.redact_pii import is_dni, is_iban, is_steuer_id, luhn
from tests.core.secrets import innocent


def clean(text: str) -> str:
    return Redactor(personal=True).message().body(text.encode()).decode()


PERSONAL = [
    ("email", "write to ", "jane.doe+x@mail.example.com", " today"),
    ("email", '{"to": "', "j@b.io", '"}'),
    ("phone", "call ", "+49 30 901820", "."),
    ("phone", "or ", "+14155552671", ","),
    ("phone", "dial ", "(415) 555-2671", " now"),
    ("phone", "Telefon: ", "030/901820", "\n"),
    ("phone", '"mobile": "', "612 345 678", '"'),
    ("card", "card ", "4111 1111 1111 1111", " exp"),
    ("card", "card ", "5500-0055-5555-5559", " exp"),
    ("card", "amex ", "378282246310005", " ok"),
    ("national-id", "SSN ", "078-05-1120", "."),
    ("national-id", "social security number: ", "078051120", "."),
    ("national-id", "Steuer-ID: ", "86095742719", "."),
    ("national-id", "DNI ", "12345678Z", " ok"),
    ("national-id", "NIE ", "X1234567L", " ok"),
    ("national-id", "NINO ", "AB 12 34 56 C", " ok"),
    ("iban", "pay to ", "DE89 3704 0044 0532 0130 00", " please"),
    ("iban", "pay to ", "GB82WEST12345698765432", "."),
]


@pytest.mark.parametrize(("rule", "before", "value", "after"), PERSONAL, ids=[f"{p[0]}-{p[2]}" for p in PERSONAL])
def test_personal_data_go_when_asked(rule: str, before: str, value: str, after: str) -> None:
    """Whole and cut at every byte; and stay without being asked."""
    text = before + value + after
    assert clean(text) == f"{before}<redacted:{rule}:1>{after}"
    assert Redactor().message().body(text.encode()) == text.encode()
    for cut in range(len(text)):
        stream = Redactor(personal=True).message().stream()
        data = text.encode()
        out = stream.feed(data[:cut]).data + stream.feed(data[cut:]).data + stream.close()
        assert len(out) == len(data)
        assert value.encode() not in out, text[:cut]


def test_an_escape_before_an_address_stays_an_escape() -> None:
    """JSON stays JSON."""
    assert json.loads(clean(json.dumps({"a": "from:\njane@example.com\tto"}))) == {"a": "from:\n<redacted:email:1>\tto"}


@pytest.mark.parametrize(
    "text",
    [
        *(item.decode("latin-1") for item in innocent()),
        '{"created": 1732190400, "started_at": "2024-11-21T12:00:00.123456+00:00", "id": 1234567890123456}',
        "version 1.2.3.4, 10.0.0.1:8080, 2024-11-21 12:34:56, 1,234,567.89 EUR, pages 12-345, ISBN 978-3-16-148410-0",
        "git@github.com:acme/app.git noreply@example.com claude-sonnet-4-5-20250929 gpt-4o-2024-08-06",
        '{"usage": {"prompt_tokens": 123456789}, "seed": 4111111111111112, "order": "300-12-3456789"}',
    ],
    ids=lambda text: text[:20],
)
def test_what_is_nobodys(text: str) -> None:
    """Ids, hashes, moments, versions, prices."""
    if "jane.doe" not in text:
        assert clean(text) == text


@pytest.mark.parametrize(
    ("check", "right"),
    [(luhn, "4111111111111111"), (is_steuer_id, "86095742719"), (is_dni, "12345678Z"), (is_iban, "DE89370400440532013000")],
)  # fmt: skip
def test_one_wrong_digit_is_none(check: object, right: str) -> None:
    """A check digit finds every single error."""
    assert callable(check)
    assert check(right.encode())
    for place in range(len(right) - 1):
        if right[place].isdigit():
            wrong = right[:place] + str((int(right[place]) + 1) % 10) + right[place + 1 :]
            assert not check(wrong.encode()), wrong


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([f"{p[1]}{p[2]}{p[3]}" for p in PERSONAL] + ["plain words "]), max_size=5).map(" ".join)
)
def test_redaction_of_persons_is_idempotent(text: str) -> None:
    """A second pass changes nothing."""
    assert clean(clean(text)) == clean(text)
