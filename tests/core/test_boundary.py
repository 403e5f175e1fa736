"""What boundaries and tapes tell each other."""

import pickle

from playhead.core.boundary import Diverged


def test_a_divergence_in_a_worker_reaches_who_waits_for_it():
    """Pools of processes pickle what a worker raises; one that cannot be read there breaks the pool."""
    there = pickle.loads(pickle.dumps(Diverged("another question", {"class": "extra", "n": 3})))
    assert (type(there), str(there), there.facts) == (Diverged, "another question", {"class": "extra", "n": 3})
