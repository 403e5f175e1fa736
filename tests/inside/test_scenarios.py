"""A share of the randomised concurrent runs; `python -m tests.inside.run` makes as many as one likes."""

import pytest

from tests.inside.run import Runner, Tally, kinds_of, run

KINDS = kinds_of()


def tally_of(tmp_path, runs, kinds, **options):
    tally = Tally()
    run(Runner(tmp_path, **options), tally, runs, kinds, alone=0)
    return tally


def test_every_kind_of_run_comes_again(tmp_path):
    """Each kind twice: what the replay printed is what the run printed, line by line."""
    tally = tally_of(tmp_path, 2 * len(KINDS), KINDS)
    assert not tally.wrong, tally.shown
    assert len(tally.traces) >= 2 * len(KINDS) - 2  # the runs themselves differ


@pytest.mark.parametrize("kind", ["gather", "as_completed", "first_wins", "streams"])
def test_without_its_order_a_run_is_another_one(tmp_path, kind):
    """The ablation: right answers by their keys are not enough, and the runner notices."""
    tally = Tally()
    runner = Runner(tmp_path, unordered=True)
    for _ in range(10):
        run(runner, tally, 1, [kind], alone=0)
        if tally.wrong:
            return
    pytest.fail("ten replays without an order were right by chance, or nobody looked")


def test_a_group_commit_keeps_the_order(tmp_path):
    """Answers that become durable together are delivered one by one, as recorded."""
    kinds = ["gather", "as_completed", "streams", "queues", "timeouts"]
    tally = tally_of(tmp_path, 10, kinds, durability="fsync")
    assert not tally.wrong, tally.shown
