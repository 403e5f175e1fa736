"""What was asked beside what was recorded: the fewest differences, and the right class for each."""

from hypothesis import given
from hypothesis import strategies as st

from playhead.player import alignment
from playhead.player.alignment import Asked, differences, longest


def asked(*words):
    """Questions: `f1` asks `f` with 1."""
    return [Asked(word[0], word, {"word": word}) for word in words]


def classes(recorded, heard):
    """What differs between two runs of one lane, in words."""
    found = differences({"0": asked(*recorded)}, {"0": asked(*heard)})
    return [(kind, (other or one).signature) for kind, _, one, other in found]


def length_of_longest(one, other):
    """By the table of all prefixes."""
    row = [0] * (len(other) + 1)
    for each in one:
        before = row
        row = [0]
        for at, there in enumerate(other):
            row.append(before[at] + 1 if each == there else max(row[at], before[at + 1]))
    return row[-1]


words = st.lists(st.sampled_from(["a1", "a2", "b1", "b2", "c1"]), max_size=12)


@given(words, words)
def test_what_stands_fast_is_as_much_as_can(one, other):
    """Equal pairs in order, and as many as the table says."""
    common = longest(one, other)
    assert all(one[i] == other[j] for i, j in common)
    assert common == sorted(common)
    assert len({i for i, _ in common}) == len({j for _, j in common}) == len(common)
    assert len(common) == length_of_longest(one, other)


def test_a_question_that_is_asked_a_thousand_times_is_aligned_in_time():
    """A million pairs are not weighed, and an insertion still does not cascade."""
    one = ["a"] * 3000 + ["x", "b"] * 500
    other = ["b", *one[:-1], "c"]
    assert len(longest(one, other)) >= 3500


@given(words, words)
def test_every_question_is_accounted_for_once(recorded, heard):
    """Equal, changed, reordered, missing or extra; equal questions that are left over on both sides are reordered."""
    found = differences({"0": asked(*recorded)}, {"0": asked(*heard)})
    same = length_of_longest(recorded, heard)
    assert same + sum(one is not None for _, _, one, _ in found) == len(recorded)
    assert same + sum(other is not None for _, _, _, other in found) == len(heard)
    for kind, _, one, other in found:
        if kind == "reordered":
            assert one.signature == other.signature
        elif kind == "changed":
            assert one.name == other.name
            assert one.signature != other.signature
        else:
            assert (kind, one is None) in (("missing", False), ("extra", True))
    gone = [one.signature for kind, _, one, _ in found if kind in ("missing", "changed")]
    new = [other.signature for kind, _, _, other in found if kind in ("extra", "changed")]
    assert not set(gone) & set(new)


EDITS = ["remove", "add", "change", "swap", "keep"]


@given(st.lists(st.sampled_from(EDITS), max_size=15))
def test_edits_are_named_as_they_were_made(edits):
    """Each edit of one place, between places that stay, is one difference of its class: the oracle is the edit itself."""
    recorded, heard, expected = [], [], []
    for at, edit in enumerate(edits):
        one, other = f"{chr(0x4E00 + 2 * at)}1", f"{chr(0x4E01 + 2 * at)}1"
        recorded += [one, other, f"={at}"]
        came = {
            "remove": [other],
            "add": [one, f"+{at}", other],
            "change": [f"{one}!", other],
            "swap": [other, one],
            "keep": [one, other],
        }[edit]
        heard += [*came, f"={at}"]
        kind = {"remove": "missing", "add": "extra", "change": "changed", "swap": "reordered"}.get(edit)
        expected += [kind] if kind else []
    assert [kind for kind, _ in classes(recorded, heard)] == expected


def test_calls_that_moved_to_another_lane_are_told_once():
    """A task that is added in front renumbers those behind it."""
    recorded = {"t1": asked("a1", "b1", "c1"), "t2": asked("d1", "e1")}
    heard = {"t1": asked("x1"), "t2": asked("a1", "b1", "c1"), "t3": asked("d1", "e1")}
    found = [(kind, lane, (other or one).signature) for kind, lane, one, other in differences(recorded, heard)]
    assert found == [("extra", "t1", "x1"), ("reordered", "t2", "a1"), ("reordered", "t3", "d1")]


def test_the_bound_on_pairs_is_there():
    """A recording is hostile input."""
    assert alignment.MOST_PAIRS <= 1_000_000
