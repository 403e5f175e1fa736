"""The loader of published recordings, and the script that fetches them."""

from __future__ import annotations

import collections
import runpy
from typing import TYPE_CHECKING

import pytest

from tests.support import published

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPT = str(published.REPOSITORY / "scripts" / "fetch_recordings.py")


def test_everything_fetched_is_read() -> None:
    """Exact counts by source: a package that moves its cassettes shows here."""
    counted = collections.Counter(exchange.source for exchange in published.exchanges())
    assert counted == {
        "langchain-anthropic-1.7.10": 65,
        "langchain-openai-1.7.4": 198,
        "langsmith-0.14.17": 302,
        "opentelemetry-instrumentation-botocore-0.66b2": 78,
        "opentelemetry-instrumentation-genai-anthropic-1.3b0": 93,
        "opentelemetry-instrumentation-genai-bedrock-1.3b0": 21,
        "opentelemetry-instrumentation-genai-openai-1.3b0": 160,
        "opentelemetry-instrumentation-google-genai-1.3b0": 40,
        "vcrpy-9.4.2": 4,
    }
    assert sum(exchange.restored for exchange in published.exchanges()) == 186


def test_bodies_are_bytes_without_content_coding() -> None:
    """No body is left gzipped, and headers are pairs of text."""
    for exchange in published.exchanges():
        assert not exchange.response_body.startswith(b"\x1f\x8b"), str(exchange)
        assert all(
            isinstance(text, str) for pair in exchange.request_headers + exchange.response_headers for text in pair
        )


def test_absent_recordings_fail_with_the_command_that_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a silent skip."""
    monkeypatch.setenv("PLAYHEAD_RECORDINGS", str(tmp_path / "none"))
    with pytest.raises(AssertionError, match=r"python scripts/fetch_recordings\.py .*none"):
        next(published.exchanges())


def test_fetching_again_fetches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is there is left alone, and every source is counted with its licence."""
    script = runpy.run_path(_SCRIPT)
    for source in script["SOURCES"]:
        (tmp_path / source.folder).mkdir()
    monkeypatch.setattr(script["subprocess"], "run", lambda *_, **__: pytest.fail("pip was called"))
    assert script["main"]([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(script["SOURCES"]) == 9
    assert lines[0] == "opentelemetry-instrumentation-genai-openai-1.3b0: 0 cassettes, Apache-2.0, present"


def test_a_failed_fetch_leaves_no_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """pip's failure is named, nothing half-fetched passes for whole, and the exit code is not 0."""
    script = runpy.run_path(_SCRIPT)

    def fail(command: list[str], **_: object) -> None:
        raise script["subprocess"].CalledProcessError(1, command)

    monkeypatch.setattr(script["subprocess"], "run", fail)
    assert script["main"]([str(tmp_path)]) == 1
    assert list(tmp_path.iterdir()) == []
    assert "not fetched" in capsys.readouterr().err


def test_no_destination_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Says how it is used."""
    assert runpy.run_path(_SCRIPT)["main"]([]) == 2
    assert "DEST" in capsys.readouterr().err
