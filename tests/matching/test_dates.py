"""Dates and times near the run's clock, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.matching.dates import NearNow
from tests.matching.requests import NOW

NOW_NS = int(NOW.timestamp()) * 10**9 + 120_000_000


def found(text: str, *, offset_s: int = 0, wall_ns: int = NOW_NS) -> list[tuple[str, str]]:
    """What is covered in `text` and under which label, the longest of overlapping ones."""
    near = NearNow("date@1", wall_ns, offset_s)
    spans = sorted(near.spans(text), key=lambda span: (span.start, -span.end))
    kept: list[tuple[str, str]] = []
    at = 0
    for span in spans:
        if span.start >= at:
            kept.append((text[span.start : span.end], span.label))
            at = span.end
    assert not kept or any(trigger in text for trigger in near.triggers)
    return kept


@pytest.mark.parametrize(
    ("literal", "label"),
    [
        ("2026-11-21", "iso +0d"),
        ("2026-11-20", "iso -1d"),
        ("2026-11-22", "iso +1d"),
        ("2026-11-21T10:03:43Z", "iso Th:m:sZ"),
        ("2026-11-21T10:03:43.120Z", "iso Th:m:s.Z"),
        ("2026-11-21 10:03:43.120456", "iso  h:m:s."),
        ("2026-11-21T10:03", "iso Th:m"),
        ("2026-11-21T11:03:43+01:00", "iso Th:m:s+01:00"),
        ("2026-11-21 10:03:43 +0000", "iso  h:m:s+0000"),
        ("2026-11-22T00:03:43+14:00", "iso Th:m:s+14:00"),
        ("20261121", "basic +0d"),
        ("20261121T100343Z", "basic Th:m:sZ"),
        ("20261121_100343", "basic _h:m:s"),
        ("20261121100343", "basic h:m:s"),
        ("November 21, 2026", "month-first, +0d"),
        ("Nov 21, 2026", "month-first, +0d"),
        ("Nov. 21 2026", "month-first. +0d"),
        ("November 21st, 2026", "month-first, th +0d"),
        ("Saturday, November 21, 2026", "month-first day, , +0d"),
        ("Sat, 21 Nov 2026 10:03:43 GMT", "day-first d, h:m:sGMT"),
        ("Sat, 21 Nov 2026 10:03:43 +0000", "day-first d, h:m:s+0000"),
        ("21 Nov 2026", "day-first +0d"),
        ("21 November 2026", "day-first +0d"),
        ("21-Nov-2026", "day-first-  +0d"),
        ("Sat Nov 21 10:03:43 2026", "ctime d h:m:s"),
        ("Sat Nov 21 10:03:43 UTC 2026", "ctime d h:m:sUTC"),
        ("November 21, 2026 at 10:03 AM", "month-first, at h:m am/pm"),
        ("1795255423", "epoch-s"),
        ("1795255423.12", "epoch-s."),
        ("1795255423120", "epoch-ms"),
    ],
)
def test_forms(literal: str, label: str):
    """Each form is found whole, alone, in a sentence and in JSON inside a string, with what of it still counts."""
    ((covered, seen),) = found(literal)
    assert covered == literal
    assert " ".join(seen.split()) == " ".join(label.split())
    assert [text for text, _ in found(f"It is {literal}, they say.")] == [literal]
    assert [text for text, _ in found(f'{{"at": "x\\n{literal}"}}')] == [literal]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-19",
        "2026-11-23",
        "2025-11-21",
        "2026-11-20T10:03:42Z",
        "2026-11-22T10:03:44.000Z",
        "2026-13-21",
        "2026-11-31",
        "2026-11-2",
        "2026-11-211",
        "v2026-11-21",
        "12026-11-21",
        "1.20261121",
        "202611211",
        "November 23, 2026",
        "Monday, November 21, 2026",
        "Fri Nov 21 10:03:43 2026",
        "November 2026",
        "November 21",
        "21 Nov",
        "1795100000",
        "1795425423",
        "-1795255423",
        "x1795255423",
        "17952554231",
        "1795255423.1.2",
        "0.1795255423",
        "",
        "2026",
    ],
)
def test_what_is_no_date_of_this_run(text: str):
    """Beyond 24 h, malformed, part of a longer word or number, or with the wrong weekday: it counts literally."""
    assert found(text) == []


@pytest.mark.parametrize("hours", [-24.01, -23.99, 23.99, 24.01])
def test_the_window_is_24_hours(hours: float):
    """One minute inside is covered, one minute outside is not."""
    when = NOW + timedelta(hours=hours)
    assert bool(found(f"{when:%Y-%m-%dT%H:%M:%SZ}")) is (abs(hours) < 24)
    assert bool(found(f"{when.timestamp():.0f}")) is (abs(hours) < 24)
    assert bool(found(f"{when:%a, %d %b %Y %H:%M:%S +0000}")) is (abs(hours) < 24)


def test_bare_dates_are_days_of_the_run_s_own_zone():
    """Shortly before midnight in UTC it is tomorrow in Berlin."""
    late = int(datetime(2026, 11, 21, 23, 30, tzinfo=UTC).timestamp()) * 10**9
    assert found("2026-11-22", wall_ns=late) == [("2026-11-22", "iso +1d")]
    assert found("2026-11-22", wall_ns=late, offset_s=3600) == [("2026-11-22", "iso +0d")]


@given(st.datetimes(datetime(2001, 9, 10), datetime(2200, 1, 1)), st.integers(-12, 14))
def test_the_run_s_own_now_is_found_at_any_moment(when: datetime, hours: int):
    """Year ends, leap days and any zone: every form of "now" is this run's."""
    now = when.replace(tzinfo=UTC)
    wall_ns = int(now.timestamp()) * 10**9
    local = now + timedelta(hours=hours)
    zone = f"{hours:+03d}:00"
    for text in (
        f"{local:%Y-%m-%dT%H:%M:%S}{zone}",
        f"{local:%Y-%m-%d}",
        f"{local:%A, %B %d, %Y}",
        f"{local:%d %b %Y %H:%M:%S} {zone}",
        f"{local:%a %b %d %H:%M:%S %Y}",
        str(int(now.timestamp())),
        str(int(now.timestamp()) * 1000),
    ):
        assert [literal for literal, _ in found(text, wall_ns=wall_ns, offset_s=hours * 3600)] == [text]


@given(
    st.integers(-(2**70), 2**70), st.integers(-(2**40), 2**40), st.text(alphabet="0123456789-:T ZNov.,+", max_size=40)
)
def test_no_clock_and_no_text_raise(wall_ns: int, offset_s: int, text: str):
    """A recording's header is hostile input."""
    list(NearNow("date@1", wall_ns, offset_s).spans(text))
