"""Random numbers and ids from the run's seed."""

import os
import pickle
import random
import secrets
import tempfile
import threading
import uuid

import pytest

from playhead.capture.boundary import active, chance
from playhead.capture.boundary.calls import call
from playhead.core.boundary import Lane
from tests.support.boundaries import Taped, installed

SEED = "00112233445566778899aabbccddeeff"


def draw_everything():
    """One of each source."""
    return [
        os.urandom(3),
        os.urandom(200),
        os.getrandom(5),
        uuid.uuid4(),
        uuid.uuid1(),
        uuid.getnode(),
        secrets.token_hex(),
        random.random(),
        random.randint(0, 10**9),
        random.choices(range(1000), k=3),
        random.Random().random(),
        random.SystemRandom().random(),
    ]


@pytest.fixture
def seeded(monkeypatch):
    """Run a function with the boundary in place, under that seed."""

    def run(what, seed=SEED):
        monkeypatch.setattr(active, "seed", seed)
        before = random.getstate()
        with installed(chance):
            try:
                return what()
            finally:
                random.setstate(before)

    return run


def test_a_run_draws_again_what_it_drew(tmp_path, seeded):
    """Every source, in a recording and in its replay."""
    taped = Taped(tmp_path)
    recorded = seeded(lambda: taped.record(draw_everything))
    assert seeded(lambda: taped.replay(draw_everything)) == recorded


def test_another_seed_draws_something_else(tmp_path, seeded):
    """And so do another process, another lane, another draw."""

    def draws():
        return os.urandom(16), os.urandom(16)

    drawn = [
        *seeded(lambda: Taped(tmp_path / "..", "0.1").record(draws)),
        *seeded(lambda: Taped(tmp_path, "0").record(draws)),
        *seeded(lambda: Taped(tmp_path, "0.f1").record(draws), SEED[::-1]),
    ]
    assert len(set(drawn)) == len(drawn)


def test_sizes_are_those_asked_for(tmp_path, seeded):
    """Every size, and the errors of the real function."""

    def run():
        for size in (0, 1, 63, 64, 65, 1000, True):
            assert len(os.urandom(size)) == size
        with pytest.raises(ValueError, match="negative"):
            os.urandom(-1)
        with pytest.raises(TypeError, match="integer"):
            os.urandom("2")

    seeded(lambda: Taped(tmp_path).record(run))


def test_a_seed_of_the_agents_own_gives_what_it_gives(tmp_path, seeded):
    """`random.seed(42)` is as without us, in the module, in instances, and after a state was put back."""

    def run():
        random.seed(42)
        state = random.getstate()
        first = [random.random(), random.gauss(0, 1), random.randbytes(4), random.Random(42).random()]
        random.setstate(state)
        return [*first, random.random()]

    before = random.getstate()
    plain = run()
    random.setstate(before)
    assert seeded(lambda: Taped(tmp_path).record(run)) == plain


def test_threads_do_not_race_for_draws(tmp_path, seeded):
    """Each lane has draws of its own, in whatever order they come."""

    def lane(name, gate, after, found):
        active.enter_thread(Lane(name))
        gate.wait()
        found[name] = [random.random(), os.urandom(4), random.Random().random()]
        after.set()

    def run(order):
        found = {}
        gates = {name: threading.Event() for name in order}
        done = {name: threading.Event() for name in order}
        threads = [threading.Thread(target=lane, args=(n, gates[n], done[n], found)) for n in order]
        for thread in threads:
            thread.start()
        for name in order:
            gates[name].set()
            done[name].wait()
        for thread in threads:
            thread.join()
        return found

    first = seeded(lambda: Taped(tmp_path).record(lambda: run(["0/h1", "0/h2"])))
    again = seeded(lambda: Taped(tmp_path, "0").replay(lambda: run(["0/h2", "0/h1"])))
    assert first == again
    assert first["0/h1"] != first["0/h2"]


def test_inside_a_boundary_the_system_is_asked(tmp_path, seeded):
    """What a tool draws does not move what the agent draws, and is not told twice."""

    def run(*, with_tool):
        drawn = []
        if with_tool:
            token = active.inside.set(True)
            try:
                drawn = [os.urandom(8), random.random(), random.Random().random()]
            finally:
                active.inside.reset(token)
        return drawn, (os.urandom(8), random.random(), random.Random().random())

    inside, after = seeded(lambda: Taped(tmp_path).record(lambda: run(with_tool=True)))
    nothing, again = seeded(lambda: Taped(tmp_path).replay(lambda: run(with_tool=False)))
    assert nothing == []
    assert after == again
    (tmp_path / "b").mkdir()
    other, _ = seeded(lambda: Taped(tmp_path / "b").record(lambda: run(with_tool=True)))
    assert not {*inside} & {*other}


def test_a_tool_that_draws_from_the_agents_generator_moves_it(tmp_path, seeded):
    """As without us; and a replay, which does not run the tool, has the state that it left."""

    def run(*, with_tool=True):
        random.seed(42)
        drawn = [random.random()]
        if with_tool:
            token = active.inside.set(True)
            try:
                random.gauss(0, 1)
            finally:
                active.inside.reset(token)
        return [*drawn, random.gauss(0, 1), random.random()]

    state = random.getstate()
    plain = run()
    random.setstate(state)
    assert seeded(lambda: Taped(tmp_path).record(run)) == plain
    assert seeded(lambda: Taped(tmp_path).replay(lambda: run(with_tool=False))) == plain


def test_numpys_generator_is_the_agents_once_it_seeds_it(tmp_path, seeded):
    """The same for numpy; before that, its tools draw apart."""
    import numpy as np

    def tool():
        token = active.inside.set(True)
        try:
            return np.random.rand()
        finally:
            active.inside.reset(token)

    def run(*, with_tool=True):
        free = [np.random.rand()]
        if with_tool:
            tool()
        free.append(np.random.rand())
        np.random.seed(42)
        own = [np.random.normal()]
        if with_tool:
            tool()
        return free, [*own, np.random.normal(), np.random.rand()]

    before = np.random.get_state()
    _, plain = run()
    free, own = seeded(lambda: Taped(tmp_path).record(run))
    assert own == plain
    assert seeded(lambda: Taped(tmp_path).replay(lambda: run(with_tool=False))) == (free, plain)
    np.random.set_state(before)


def test_a_forked_child_draws_its_own(tmp_path, seeded):
    """Not its parent's numbers again, and the same in every run."""

    def child(process):
        receive, send = os.pipe()
        pid = os.fork()
        if not pid:
            active.begin(active.tape, process)  # as runs.agent does
            os.write(send, pickle.dumps((random.Random().random(), os.urandom(8))))
            os._exit(0)
        os.close(send)
        with os.fdopen(receive, "rb") as pipe:
            found = pickle.load(pipe)
        os.waitpid(pid, 0)
        return found

    def run():
        return child("0.f1"), child("0.f2"), random.Random().random(), os.urandom(8)

    one, two, number, drawn = seeded(lambda: Taped(tmp_path).record(run))
    assert one[1] != two[1] != drawn
    assert one[0] != number
    assert seeded(lambda: Taped(tmp_path).replay(run))[:2] == (one, two)


def test_functions_look_as_they_did(seeded):
    """Names, pickles, and no binding where a class keeps one."""

    def run():
        holder = type("Holder", (), {"roll": random.random, "bytes": os.urandom})
        assert 0 <= holder().roll() < 1
        assert len(holder().bytes(3)) == 3
        assert pickle.loads(pickle.dumps(random.choice)) is random.choice
        assert random.choice.__name__ == "choice"
        assert os.urandom.__doc__

    seeded(run)


def test_without_a_seed_nothing_is_replaced(monkeypatch):
    """A process that nobody gave a seed is left alone."""
    monkeypatch.setattr(active, "seed", "")
    before = os.urandom
    with installed(chance):
        assert os.urandom is before


def test_names_of_temporary_files_come_again(tmp_path, seeded, monkeypatch):
    """Of each thread its own, and also where a tool was the first that made one, and does not run again."""

    def run():
        monkeypatch.setattr(tempfile, "tempdir", None)
        call("tool", "make", b"", lambda: tempfile.mktemp() and None)
        tempfile.gettempdir()
        names = [tempfile.mktemp(dir=tmp_path)]
        own = threading.Thread(target=lambda: names.append(tempfile.mktemp(dir=tmp_path)))
        own.start()
        own.join()
        return [*names, tempfile.mktemp(dir=tmp_path), uuid.uuid4()]

    taped = Taped(tmp_path)
    recorded = seeded(lambda: taped.record(run))
    assert len({str(each) for each in recorded}) == 4
    assert len(recorded[0]) == len(str(tmp_path / "tmp12345678"))
    assert seeded(lambda: taped.replay(run)) == recorded


def test_temporary_files_that_the_recorded_run_left_are_made_again(tmp_path, seeded):
    """Under the recorded names, and empty; without a tape, and in a recording, a name that is taken stays another's."""

    def run():
        folder = tempfile.mkdtemp(dir=tmp_path)
        handle, file = tempfile.mkstemp(dir=tmp_path)
        os.write(handle, b"said")
        size = os.fstat(handle).st_size
        os.close(handle)
        with (
            tempfile.NamedTemporaryFile(dir=tmp_path, delete=False) as named,
            tempfile.TemporaryFile(dir=tmp_path) as other,
        ):
            other.write(b"more")
        name = tempfile.mktemp(dir=tmp_path)
        with open(name, "w") as made:  # noqa: PTH123  any way will do
            made.write("x")
        return folder, file, size, named.name, name

    taped, other = Taped(tmp_path, "0"), Taped(tmp_path, "1")
    recorded = seeded(lambda: taped.record(run))
    for _ in range(2):
        assert seeded(lambda: taped.replay(run)) == recorded
    other.process = "0"  # which draws the same
    assert set(seeded(lambda: other.record(run))) & set(recorded) == {4}


def test_who_loads_multiprocessing_first_does_not_change_what_a_lane_draws(tmp_path, seeded):
    """It draws a key while it is imported, in a tool or in any thread."""

    def run(load):
        if load:
            exec(
                compile("import os; key = os.urandom(32)", "process.py", "exec"),
                {"__name__": "multiprocessing.process"},
            )
        return uuid.uuid4()

    taped = Taped(tmp_path)
    recorded = seeded(lambda: taped.record(lambda: run(load=False)))
    assert seeded(lambda: taped.replay(lambda: run(load=True))) == recorded
