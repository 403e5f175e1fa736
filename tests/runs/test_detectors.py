"""Plugins that look for personal data beside the own rules."""

from __future__ import annotations

import re
import socket
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from playhead.core.redact import Redactor
from playhead.errors import SetupError
from playhead.runs import detectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playhead.core.redact_pii import Detector

_BADGE = re.compile(rb"\bB:[0-9]{3}-[A-Z]{4}\b")


def badges(wanted: str) -> Detector:
    """A plugin of somebody's: the numbers of their badges, for one door or for all."""

    def detect(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int]]:
        for match in _BADGE.finditer(data, start, stop):
            if match[0].endswith(wanted.encode()):
                yield match.span()

    return detect


def test_detectors_are_named_for_personal_data_only() -> None:
    """By a variable, which means nothing where secrets alone, or nothing, are replaced."""
    environ = {"PLAYHEAD_DETECTORS": "presidio:UK_NHS, badges ,"}
    assert detectors.named(environ, "pii") == ["presidio:UK_NHS", "badges"]
    assert detectors.named(environ, "secrets") == detectors.named(environ, "off") == detectors.named({}, "pii") == []


def test_an_entry_point_finds_what_the_rules_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a body, and in reads of any size; what it does not find stays, and without it so does all."""
    point = EntryPoint("badges", f"{__name__}:badges", detectors.GROUP)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **named: [point] if named["name"] == "badges" else [])
    text = b"Visitor B:123-QXZW came; B:12-QXZW did not, nor B:123-QXZWV or B:123-ABCD."
    redactor = Redactor(personal=True, detectors=detectors.detectors(["badges:QXZW"]))
    clean = text.replace(b"B:123-QXZW ", b"<redacted:personal:1> ")
    assert redactor.message().body(text) == clean
    assert Redactor(personal=True).message().body(text) == text
    for size in (1, 2, 3, 5, 11):
        stream = redactor.message().stream(same_length=False)
        said = b"".join(stream.feed(text[at : at + size]).data for at in range(0, len(text), size)) + stream.close()
        assert said == clean, size


@pytest.mark.parametrize("name", ["nowhere", "presidio:NO_SUCH_ENTITY", "nowhere:X"])
def test_what_cannot_be_loaded_is_refused_before_anything_is_recorded(name: str) -> None:
    """A name of no plugin, or of nothing that one can look for."""
    with pytest.raises(SetupError) as refused:
        detectors.detectors([name])
    assert refused.value.code == "no-detector"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a recorder may fetch anything."""

    def no(*_arguments: Any, **_named: Any) -> NoReturn:
        raise AssertionError("reached for the network")

    monkeypatch.setattr(socket, "getaddrinfo", no)
    monkeypatch.setattr(socket, "create_connection", no)


@pytest.mark.usefixtures("offline")
def test_presidio_finds_by_patterns_and_fetches_nothing() -> None:
    """The real package: numbers with a check digit and a shape; times, counters and ids of calls stay."""
    pytest.importorskip("presidio_analyzer", reason="the extra playhead[presidio] is not installed")
    text = (
        "Größe: patient 401-023-2137, host 10.20.30.40 (00:1B:44:11:3A:B7), wallet 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa; "
        "at 1763753341.123 on 2026-11-21T10:03:43Z call_8f3a2b9c41d0e655 used 12345678 of 98765432 tokens, v3.11.7"
    ).encode()
    redactor = Redactor(personal=True, detectors=detectors.detectors(["presidio"]))
    clean = redactor.message().body(text)
    assert re.findall(rb"<redacted:personal:[0-9]>", clean) == [b"<redacted:personal:%d>" % at for at in (1, 2, 3, 4)]
    assert not [each for each in (b"401-0", b"10.20", b"00:1B", b"1A1zP") if each in clean]
    assert clean.partition(b"; at ")[2] == text.partition(b"; at ")[2]
    for size in (1, 7, 40):
        stream = redactor.message().stream(same_length=False)
        said = b"".join(stream.feed(text[at : at + size]).data for at in range(0, len(text), size)) + stream.close()
        assert said == clean, size
    one = Redactor(personal=True, detectors=detectors.detectors(["presidio:MAC_ADDRESS"]))
    assert one.message().body(text).count(b"<redacted:") == 1
