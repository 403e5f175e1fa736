"""Clocks and dates on the tape."""

import copy
import datetime as dt
import pickle
import time
import warnings

import pytest

from playhead.capture.boundary import active, clock, dates, patches
from playhead.core.boundary import Diverged
from tests.support.boundaries import Taped, installed


class Moment(dt.datetime):
    """An agent's own kind of date."""


class Timer:
    """Keeps a clock as a class attribute, as many libraries do."""

    clock = time.time


def read_everything():
    """One of each."""
    own = type("Own", (), {"clock": time.monotonic})
    return [
        *(getattr(time, name)() for name in clock.CLOCKS),
        *(getattr(time, f"{name}_ns")() for name in clock.CLOCKS),
        own().clock(),
        time.localtime(),
        time.gmtime(None),
        time.ctime(),
        time.asctime(),
        time.strftime("%c"),
        dt.datetime.now(),
        dt.datetime.now(dt.UTC),
        dt.datetime.now(tz=dt.timezone(dt.timedelta(hours=3))),
        dt.datetime.today(),
        dt.date.today(),
        Moment.now(),
        Moment.today(),
        Moment.now(dt.UTC),
    ]


@pytest.fixture(autouse=True)
def _installed():
    with installed(clock, dates):
        yield


def test_every_clock_reads_again_what_it_read(tmp_path):
    """Values and types of a replay are those of the recording."""
    taped = Taped(tmp_path)
    recorded = taped.record(read_everything)
    replayed = taped.replay(read_everything)
    assert replayed == recorded
    assert [type(value) for value in replayed] == [type(value) for value in recorded]
    taped.path.unlink()
    assert taped.record(read_everything) != recorded


def test_what_is_given_is_not_read(tmp_path):
    """Functions that get their moment do not touch the tape."""

    def run():
        return time.gmtime(0), time.ctime(0), time.asctime(time.gmtime(0)), time.strftime("%Y", time.gmtime(0))

    taped = Taped(tmp_path)
    assert taped.record(run) == taped.replay(run)
    assert [event.kind.name for event in taped.events()] == ["SEGMENT", "CLOSED"]


def test_another_clock_is_a_divergence(tmp_path):
    """A replay that reads another clock than the recorded one is told so."""
    taped = Taped(tmp_path)
    taped.record(lambda: time.time())
    with pytest.raises(Diverged) as left:
        taped.replay(lambda: time.monotonic())
    assert left.value.facts["class"] == "changed"


def test_dates_stay_what_they_are():
    """The class is the one there was: identity, pickles, copies, comparisons."""
    moment = dt.datetime.now()
    assert type(moment) is dt.datetime
    assert pickle.loads(pickle.dumps(moment)) == copy.copy(moment) == moment
    assert isinstance(Moment.now(), Moment)
    assert dt.datetime.now.__name__ == "now"
    assert "tz" in (dt.datetime.now.__doc__ or "")
    with pytest.raises(TypeError):
        dt.datetime.now("not a zone")


def test_a_clock_kept_by_a_class_is_not_bound():
    """As the C function is not."""
    assert isinstance(Timer().clock(), float)
    holder = type("Holder", (), {"clock": time.time, "other": time.time_ns})
    assert isinstance(holder().clock(), float)
    assert isinstance(holder().other(), int)


def test_wrappers_are_pickled_by_name():
    """And come back as what stands there."""
    assert pickle.loads(pickle.dumps(time.time)) is time.time
    assert copy.deepcopy(time.monotonic) is time.monotonic
    assert time.time.__name__ == "time"
    assert "seconds" in time.time.__doc__


def test_utcnow_warns_at_the_callers_line(tmp_path):
    """The warning of 3.12 on names the file that called."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        taped = Taped(tmp_path)
        first = taped.record(lambda: (dt.datetime.utcnow(), Moment.utcnow()))
        again = taped.replay(lambda: (dt.datetime.utcnow(), Moment.utcnow()))
    assert first == again
    assert type(again[1]) is Moment
    assert {warning.filename for warning in seen} <= {__file__}


def test_libraries_read_the_real_clock(tmp_path):
    """What installed code reads is not on the tape, unless it reads for the agent."""
    library = {"time": time}
    exec(compile("def read(): return time.time()", "/usr/lib/python3/site-packages/lib.py", "exec"), library)
    carrier = {}
    code = "def make(factory): return factory()"
    exec(compile(code, "/usr/lib/python3/site-packages/pydantic/main.py", "exec"), carrier)
    taped = Taped(tmp_path)
    first = taped.record(lambda: (library["read"](), carrier["make"](time.time)))
    again = taped.replay(lambda: (library["read"](), carrier["make"](time.time)))
    assert first[0] < again[0]
    assert first[1] == again[1]


def test_on_request_all_but_our_own_reads_count():
    """What PLAYHEAD_CLOCKS=all goes by; whose locks and sleeps count stays as it is."""
    assert patches.is_foreign("/usr/lib/python3/site-packages/lib.py")
    assert not patches.is_foreign(clock.__file__)
    assert not patches.is_agents("/usr/lib/python3/site-packages/lib.py")


def test_nothing_is_read_inside_a_boundary(tmp_path):
    """The real work of a boundary passes unrecorded."""

    def run():
        token = active.inside.set(True)
        try:
            return time.time(), dt.datetime.now()
        finally:
            active.inside.reset(token)

    taped = Taped(tmp_path)
    assert taped.record(run) != taped.replay(run)


def test_undone_means_as_before():
    """The type's dictionary holds its own methods again."""
    with installed(clock, dates):
        pass
    before = dt.datetime.__dict__["now"]
    with installed(dates):
        assert dt.datetime.__dict__["now"] is not before
    assert dt.datetime.__dict__["now"] is before
