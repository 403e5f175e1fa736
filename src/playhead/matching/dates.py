"""Dates and times in text that may be this run's own "now": where they stand and what form they have.

One `NearNow` serves one run. It reports a span only when the value lies within 24 h of that run's clock; a bare date
when that day touches those 24 h on either side. The label keeps the form (separators, zone, presence of seconds and
fraction) and, for a bare date, the distance in whole days from the run's own date, so that "yesterday" never equals
"today". Forms: ISO 8601 extended and basic, RFC 2822, ctime and date(1), worded English dates, epoch seconds and
milliseconds.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

WINDOW_S = 86_400
_LAST_S = 253_370_764_800.0  # 9999-01-01T00:00:00Z
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_ZONE = r"(?: ?(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)(?![\w]))?"
# no word or number runs in from the left; in JSON inside a JSON string the letter of `\n` belongs to an escape
_LEFT = r"(?:(?<![\w.])|(?<=\\[nrt]))"
_STANDS_ALONE = re.compile(_LEFT)
_WEEKDAY = re.compile(
    _LEFT
    + r"(Mon(?:day)?|Tue(?:s(?:day)?)?|Wed(?:nesday)?|Thu(?:r(?:s(?:day)?)?)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?)(\.?,? )$"
)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_BEFORE = re.compile(_LEFT + r"(\d{1,2})((?:st|nd|rd|th)?(?: of)?[ -])$")

_ISO = (
    r"-(?P<d>\d\d)(?![\d])"
    r"(?:(?P<sep>[T ])(?P<H>\d\d):(?P<M>\d\d)(?::(?P<S>\d\d)(?P<f>[.,]\d{1,9})?)?(?![\d:])" + _ZONE + r")?"
)
_BASIC = (
    r"(?P<d>\d\d)(?:(?P<sep>[T_-]?)(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)(?P<f>\.\d{1,9})?(?P<zone>Z|[+-]\d{4})?)?(?![\d])"
)
_CLOCK = r"(?P<H>\d{1,2}):(?P<M>\d\d)(?::(?P<S>\d\d)(?P<f>\.\d{1,9})?)?(?P<half> ?[AaPp]\.?[Mm]\.?)?(?![\w:])" + _ZONE
_MONTH_FIRST = (
    r"(?P<gap>\.? {1,2})(?P<d>\d{1,2})(?P<ord>st|nd|rd|th)?,? (?P<y>\d{4})(?!\d)(?:(?P<sep>,? (?:at )?)"
    + _CLOCK
    + r")?"
)
_CTIME = (
    r"(?P<gap> {1,2})(?P<d>\d{1,2}) (?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)(?: (?P<name>[A-Z]{2,5}))? (?P<y>\d{4})(?!\d)"
)
_DAY_FIRST = r"(?P<gap>[ -])(?P<y>\d{4})(?!\d)(?:(?P<sep>,? (?:at )?)" + _CLOCK + r")?"
_BARE = re.compile(r" [+-]\d+d$")
_EPOCH = re.compile(_LEFT + r"(?<!-)(\d{10}|\d{13})(\.\d{1,9})?(?![\w]|\.\d)")


class Span(NamedTuple):
    """A piece of text a mask covers: [start, end), under which rule, and what of it still counts."""

    start: int
    end: int
    rule: str
    label: str


class NearNow:
    """Finds this run's own dates. `triggers`: no text without one of these substrings holds such a date."""

    def __init__(self, rule: str, wall_ns: int, zone_offset_s: int = 0) -> None:
        self._rule = rule
        # a recording's header is hostile input: any number becomes some moment of the years 1970 to 9998
        self._now_s = min(max(wall_ns / 1e9, 4.0 * WINDOW_S), _LAST_S)
        self._zone = timezone(timedelta(seconds=min(max(zone_offset_s, 1 - WINDOW_S), WINDOW_S - 1)))
        self._now = datetime.fromtimestamp(self._now_s, UTC)
        self._today = self._now.astimezone(self._zone).date()
        # two days either way: a time may be written in any zone
        self._days = [self._today + timedelta(days=n) for n in range(-2, 3)]

    @cached_property
    def triggers(self) -> tuple[str, ...]:
        """Literals that every covered form contains at least one of."""
        return (*sorted({f"{day:%Y}" for day in self._days}), *self._epoch_heads)

    @cached_property
    def _iso_months(self) -> tuple[str, ...]:
        return tuple(sorted({f"{day:%Y-%m}" for day in self._days}))

    @cached_property
    def _basic_months(self) -> tuple[str, ...]:
        return tuple(sorted({f"{day:%Y%m}" for day in self._days}))

    @cached_property
    def _epoch_heads(self) -> tuple[str, ...]:
        ends = (f"{int(self._now_s - WINDOW_S):010d}", f"{int(self._now_s + WINDOW_S):010d}")
        shared = next(n for n in range(11) if ends[0][: n + 1] != ends[1][: n + 1])
        if shared >= 3:
            return (ends[0][:shared],)
        return tuple(f"{head:05d}" for head in range(int(ends[0][:5]), int(ends[1][:5]) + 1))

    @cached_property
    def _forms(self) -> tuple[tuple[str, str, re.Pattern[str]], ...]:
        """(form, literal it starts with, pattern), the literal first so that the search is one for a fixed string."""
        forms = [("iso", month, re.compile(month + _ISO)) for month in self._iso_months]
        forms += [("basic", month, re.compile(month + _BASIC)) for month in self._basic_months]
        for number in sorted({day.month for day in self._days}):
            name = _MONTHS[number - 1]
            word = f"{name[:3]}(?:{name[3:]})?" if len(name) > 3 else name
            forms += [
                ("ctime", name[:3], re.compile(word + _CTIME)),
                ("month-first", name[:3], re.compile(word + _MONTH_FIRST)),
                ("day-first", name[:3], re.compile(word + r"\.?" + _DAY_FIRST)),
            ]
        return tuple(forms)

    def spans(self, text: str) -> Iterator[Span]:
        """Every date or time of this run in `text`, in no particular order; spans of two forms may overlap."""
        for form, literal, pattern in self._forms:
            if literal not in text:
                continue
            for match in pattern.finditer(text):
                span = self._dated(form, match)
                if span is not None:
                    yield span
        if any(head in text for head in self._epoch_heads):
            for match in _EPOCH.finditer(text):
                label = self._epoch_label(match)
                if label is not None:
                    yield Span(match.start(), match.end(), self._rule, label)

    def _epoch_label(self, match: re.Match[str]) -> str | None:
        digits, fraction = match[1], match[2]
        seconds = int(digits) / (1000 if len(digits) == 13 else 1)
        if abs(seconds - self._now_s) > WINDOW_S:
            return None
        return ("epoch-ms" if len(digits) == 13 else "epoch-s") + ("." if fraction else "")

    def _dated(self, form: str, match: re.Match[str]) -> Span | None:
        groups = match.groupdict()
        text, start = match.string, match.start()
        label = form
        if form == "day-first":
            before = _DAY_BEFORE.search(text, max(0, start - 8), start)
            if before is None:
                return None
            groups["d"], start = before[1], before.start()
            label += before[2]
        if _STANDS_ALONE.match(text, start) is None:
            return None
        day = self._day(form, groups, match[0])
        if day is None:
            return None
        weekday = _WEEKDAY.search(text, max(0, start - 12), start)
        if weekday is not None and form not in ("iso", "basic"):
            if not weekday[1].lower().startswith(_WEEKDAYS[day.weekday()]):
                return None  # says a weekday that is not that day's: not a date a clock wrote
            start = weekday.start()
            label += f" {'day' if len(weekday[1]) > 4 else 'd'}{weekday[2]}"
        label += _style(form, groups, match[0])
        if groups.get("H") is None:
            offset = (day - self._today).days
            return Span(start, match.end(), self._rule, f"{label} {offset:+d}d") if -1 <= offset <= 1 else None
        when = self._moment(day, groups)
        if when is None or abs((when - self._now).total_seconds()) > WINDOW_S:
            return None
        return Span(start, match.end(), self._rule, label)

    def _day(self, form: str, groups: dict[str, str | None], literal: str) -> date | None:
        try:
            if form == "iso":
                return date(int(literal[:4]), int(literal[5:7]), int(groups["d"] or 0))
            if form == "basic":
                return date(int(literal[:4]), int(literal[4:6]), int(groups["d"] or 0))
            month = next(n for n, name in enumerate(_MONTHS, 1) if literal.startswith(name[:3]))
            return date(int(groups["y"] or 0), month, int(groups["d"] or 0))
        except ValueError:
            return None

    def _moment(self, day: date, groups: dict[str, str | None]) -> datetime | None:
        hour, minute, second = int(groups["H"] or 0), int(groups["M"] or 0), int(groups["S"] or 0)
        half = (groups.get("half") or "").strip().lower()
        if half:
            hour = hour % 12 + (12 if half.startswith("p") else 0)
        try:
            return datetime(day.year, day.month, day.day, hour, minute, min(second, 59), tzinfo=self._offset(groups))
        except (ValueError, OverflowError):
            return None

    def _offset(self, groups: dict[str, str | None]) -> timezone:
        """The zone written, else the run's own."""
        zone = groups.get("zone")
        if not zone:
            return self._zone
        if zone[0] not in "+-":
            return UTC
        minutes = int(zone[1:3]) * 60 + int(zone[-2:])
        return timezone(timedelta(minutes=minutes if zone[0] == "+" else -minutes))


def is_bare(span: Span) -> bool:
    """Whether a span is a date without a time of day."""
    return _BARE.search(span.label) is not None


def _style(form: str, groups: dict[str, str | None], literal: str) -> str:
    """What of a date's spelling is kept: everything but digits, the names of day and month, and how long the month's
    name is written, which "May" does not tell."""
    style = ""
    if form not in ("iso", "basic"):
        style += "." if "." in (groups.get("gap") or "") else ""
        style += "," if "," in literal else ""
        style += " th" if groups.get("ord") else ""
    if groups.get("H") is not None:
        style += f" {groups.get('sep') or ''}h:m{':s' if groups.get('S') else ''}{'.' if groups.get('f') else ''}"
        style += f" {(groups.get('half') or '').strip()[-1:] and 'am/pm'}".rstrip()
        style += groups.get("zone") or groups.get("name") or ""
    return style
