"""`datetime.now` and `utcnow` of the agent's own code.

They are replaced in the type's own dictionary, not by a subclass: `type(x) is datetime`, pickles, C code and every name
that was imported from the module keep the one class. The dictionary of a static type is reached through the collector
(`gc.get_referents` of its mapping proxy), and the interpreter's cache of methods is cleared after it; a class method is
never cached in bytecode (3.11 to 3.13, Python/specialize.c). `date.today` and `datetime.today` need nothing: C code calls
`time.time` for them, as the agent's own frame.

On the tape a moment is a count of microseconds since the epoch, which C code takes from the same clock as `time.time_ns`.
"""

from __future__ import annotations

import gc
import sys

from playhead.capture.boundary import active, clock
from playhead.core.clock import wall_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from playhead.capture.boundary.patches import Patches

_UTCNOW_IS_OLD = (
    "datetime.datetime.utcnow() is deprecated and scheduled for removal in a future version. "
    "Use timezone-aware objects to represent datetimes in UTC: datetime.datetime.now(datetime.UTC)."
)
"""As CPython says it from 3.12 on (Modules/_datetimemodule.c)."""


def install(put: Patches, when_imported: Any) -> None:
    """Wrap the class methods once `datetime` is imported."""
    when_imported("datetime", lambda module: _patch(put, module))


def _patch(put: Patches, module: Any) -> None:
    own = gc.get_referents(module.datetime.__dict__)
    if len(own) != 1 or type(own[0]) is not dict or "now" not in own[0]:
        return  # a datetime of Python's own code, or of a shape that we do not know
    entries = own[0]
    before = {name: entries[name] for name in ("now", "utcnow")}
    entries["now"] = _now(module, before["now"])
    entries["utcnow"] = _utcnow(module, before["utcnow"])
    _forget_methods()

    def undo() -> None:
        entries.update(before)
        _forget_methods()

    put.when_undone(undo)


def _forget_methods() -> None:
    """Empty the interpreter's cache of methods."""
    clear = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache  # noqa: SLF001  the first from 3.13 on
    clear()


def _now(module: Any, real: Any) -> Any:
    from_seconds = module.datetime.__dict__["fromtimestamp"]
    plain = module.datetime
    fill = plain.fromtimestamp
    inside, current, whose_is, frame = active.inside.get, active.current, clock.known, sys._getframe  # noqa: SLF001

    def now(cls: Any, tz: Any = None) -> Any:
        tape = active.tape
        if tape is None or inside():
            return real.__get__(None, cls)(tz)
        whose = whose_is(frame(1).f_code.co_filename)
        if not whose and (whose is not None or not clock.counts()):
            return real.__get__(None, cls)(tz)
        seconds = tape.value(current(), "datetime.now", _wall_us) / 1e6
        if cls is plain:
            return fill(seconds) if tz is None else fill(seconds, tz)
        return from_seconds.__get__(None, cls)(seconds, tz)

    return _class_method(now, real)


def _wall_us() -> int:
    return wall_ns() // 1000


def _utcnow(module: Any, real: Any) -> Any:
    fill = module.datetime.fromtimestamp
    utc = module.timezone.utc
    plain = module.datetime
    is_old = sys.version_info >= (3, 12)

    def utcnow(cls: Any) -> Any:
        tape = active.tape
        is_ours = not active.inside.get() and clock.counts()
        if is_old:  # from here, so that the warning names the caller's line as ever
            import warnings

            warnings.warn(_UTCNOW_IS_OLD, DeprecationWarning, stacklevel=2)
        us = wall_ns() // 1000
        if tape is not None and is_ours:
            us = tape.value(active.current(), "datetime.utcnow", lambda: us)
        moment = fill(us / 1e6, utc)
        if cls is plain:
            return moment.replace(tzinfo=None)
        m = moment
        return cls(m.year, m.month, m.day, m.hour, m.minute, m.second, m.microsecond, None)

    return _class_method(utcnow, real)


def _class_method(function: Any, real: Any) -> Any:
    function.__doc__ = real.__doc__
    function.__qualname__ = f"datetime.{function.__name__}"
    function.__module__ = "datetime"
    return classmethod(function)
