"""Masks are narrow, two-sided, numbered and counted."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.errors import UsageError
from playhead.matching.compare import first_difference
from playhead.matching.issued import IssuedIds
from playhead.matching.masks import RULES, Masks, RunFacts, UserMask
from tests.matching.requests import A_UUID, LONG_AGO, NOW, TODAY, canon

OTHER_UUID = "7d2c4b10-9f64-4a61-8a3e-5b6c7d8e9f00"
NEXT_WEEK = RunFacts(wall_ns=int((NOW + timedelta(days=7)).timestamp() * 1e9), tmpdir="/var/tmp/run-b")


def same(one: Any, other: Any, mine: RunFacts = TODAY, theirs: RunFacts = NEXT_WEEK, **more: Any) -> bool:
    """Whether the two bodies are one request, each in its own run."""
    return canon(one, facts=mine, **more).fingerprint == canon(other, facts=theirs, **more).fingerprint


def agent_request(seed: int, now: datetime, tmpdir: str) -> dict[str, Any]:
    """What one agent sends in a run with this seed of ids, clock and TMPDIR."""
    draw = random.Random(seed)
    session, call = (str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(2))
    name = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz0123456789_", k=8))
    return {
        "model": "gpt-5",
        "metadata": {"session": session},
        "messages": [
            {"role": "system", "content": f"Today is {now:%A, %B %d, %Y}. Session {session}, cwd {tmpdir}/work."},
            {"role": "user", "content": f"sent {now.isoformat()} with {tmpdir}/tmp{name}/notes.txt"},
            {"role": "assistant", "tool_calls": [{"id": f"adk-{call}", "name": "f"}]},
            {
                "role": "tool",
                "tool_call_id": f"adk-{call}",
                "content": f"file://{tmpdir}/tmp{name}/notes.txt ({now.timestamp():.3f})",
            },
        ],
    }


@given(st.integers(0, 2**32), st.integers(0, 2**32), st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)))
def test_two_recordings_of_one_agent_have_one_key(seed: int, other_seed: int, when: datetime):
    """Another clock, TMPDIR and seed of uuids: the same fingerprint, and each rule used is counted."""
    then = when.replace(microsecond=250_000, tzinfo=UTC)
    now = NOW.replace(microsecond=125_000)
    mine = canon(agent_request(seed, now, "/tmp/run-a"), facts=TODAY)
    facts = RunFacts(wall_ns=int(then.timestamp() * 1e9), tmpdir="/home/me/tmp")
    theirs = canon(agent_request(other_seed, then, "/home/me/tmp/"[:-1]), facts=facts)
    assert first_difference(mine, theirs) is None
    assert mine.masks_used == theirs.masks_used == {"client-id@1": 2, "date@1": 3, "tmp-path@1": 3, "uuid@1": 2}


def test_each_side_is_masked_by_its_own_run():
    """One literal on both sides is no excuse: today's date on the one day and on another are different things."""
    assert same({"t": "2026-11-21"}, {"t": "2026-11-28"})
    assert not same({"t": "2026-11-21"}, {"t": "2026-11-21"})
    assert not same({"t": "2026-11-21"}, {"t": "2026-11-29"})
    assert not same({"t": "2026-01-01"}, {"t": "2026-01-08"})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-11-21", "2026-11-28T10:03:43Z"),
        ("2026-11-21", "November 28, 2026"),
        ("2026-11-21T10:03:43Z", "2026-11-28T10:03:43+00:00"),
        ("2026-11-21T10:03:43Z", "2026-11-28T10:03:43.1Z"),
        ("2026-11-21T10:03:43Z", "2026-11-28 10:03:43Z"),
        ("1795255423", "1795860223000"),
        ("November 21, 2026", "Saturday, November 28, 2026"),
        (1795255423, "1795860223"),
    ],
)
def test_the_form_of_a_date_counts(one: Any, other: Any):
    """A date may move with its run, not change how it is written."""
    assert not same({"t": one}, {"t": other})


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (["2026-11-21", "2026-11-21"], ["2026-11-28", "2026-11-28"], True),
        (["2026-11-21", "2026-11-20"], ["2026-11-28", "2026-11-27"], True),
        (["2026-11-21", "2026-11-20"], ["2026-11-28", "2026-11-28"], False),
        (["2026-11-21T01:00:00Z", "2026-11-21T02:00:00Z"], ["2026-11-28T01:00:00Z"] * 2, False),
        ([A_UUID, A_UUID], [OTHER_UUID, OTHER_UUID], True),
        ([A_UUID, A_UUID], [OTHER_UUID, A_UUID], False),
        ([A_UUID, OTHER_UUID], [OTHER_UUID, OTHER_UUID], False),
        ([A_UUID, OTHER_UUID, A_UUID], [OTHER_UUID, A_UUID, OTHER_UUID], True),
        ([A_UUID, OTHER_UUID, A_UUID], [OTHER_UUID, A_UUID, A_UUID], False),
        ([A_UUID, OTHER_UUID, "toolu_1"], [OTHER_UUID, "toolu_1", A_UUID], False),
    ],
)
def test_relations_between_literals_count(one: Any, other: Any, equal: bool):
    """Same literal same token, other literal other token."""
    assert same({"t": one}, {"t": other}) is equal


def test_a_masked_id_that_points_to_a_different_call_differs():
    """The result of the first call under the id of the second."""
    calls = [f"adk-{A_UUID}", f"adk-{OTHER_UUID}"]

    def conversation(answered: str) -> dict[str, Any]:
        return {"calls": [{"id": call} for call in calls], "result": {"id": answered, "value": 7}}

    assert same(conversation(calls[0]), conversation(calls[0]))
    assert not same(conversation(calls[0]), conversation(calls[1]))
    difference = first_difference(
        canon(conversation(calls[0]), facts=TODAY), canon(conversation(calls[1]), facts=TODAY)
    )
    assert difference is not None
    assert difference.path == "$.result.id"


@pytest.mark.parametrize("where", ["argv", "known", "known set"])
def test_a_uuid_the_run_was_given_counts(where: str):
    """In argv, a file or an edit it is meant, in any case of its letters."""
    given_here = {
        "argv": RunFacts(TODAY.wall_ns, argv=("agent.py", f"--order={A_UUID.upper()}")),
        "known": RunFacts(TODAY.wall_ns, known_text=f"order: {A_UUID}\n"),
        "known set": RunFacts(TODAY.wall_ns, known_text=frozenset({"x", A_UUID})),
    }[where]
    body, other = {"order": A_UUID}, {"order": OTHER_UUID}
    assert canon(body, facts=given_here).masks_used == {}
    assert not same(body, other, given_here, TODAY)
    assert not same(body, {"order": A_UUID}, given_here, TODAY)
    assert same(body, other, TODAY, TODAY)


@pytest.mark.parametrize("prefix", ["pyd_ai_", "adk-", "lc_run--", "stainless-python-retry-", "stainless-node-retry-"])
def test_framework_ids(prefix: str):
    """Ids that frameworks draw are numbered; their kind, and one the run was given, count."""

    def make(seed: int) -> str:
        drawn = uuid.UUID(int=random.Random(seed).getrandbits(128), version=4)
        return prefix + (drawn.hex if prefix == "pyd_ai_" else str(drawn))

    assert same({"id": make(1)}, {"id": make(2)})
    assert canon({"id": make(1)}, facts=TODAY).masks_used == {"client-id@1": 1}
    assert not same({"id": make(1)}, {"id": "call_" + make(2)})
    told = replace(TODAY, known_text=make(1))
    assert canon({"id": make(1)}, facts=told).masks_used == {}


def test_idempotency_key_header():
    """The one header in which SDKs put a drawn id."""
    one, other = ([("Idempotency-Key", f"stainless-python-retry-{each}")] for each in (A_UUID, OTHER_UUID))
    assert canon({}, headers=one).fingerprint == canon({}, headers=other).fingerprint


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("/tmp/run-a", "/var/tmp/run-b", True),
        ("cd /tmp/run-a/src; ls", "cd /var/tmp/run-b/src; ls", True),
        ("/tmp/run-a/src", "/var/tmp/run-b/srd", False),
        ("/tmp/run-a/tmpab12cd_9/x.txt", "/var/tmp/run-b/tmpzzzzzzzz/x.txt", True),
        ("/tmp/run-a/tmpab12cd_9.json", "/var/tmp/run-b/tmpzzzzzzzz.json", True),
        ("/tmp/run-a/tmp.aB3dE6gH9k", "/var/tmp/run-b/tmp.0123456789", True),
        ("/tmp/run-a/tmpab12cd_9/x.txt", "/var/tmp/run-b/tmpzzzzzzzz/y.txt", False),
        ("/tmp/run-a/tmpab12cd_9", "/var/tmp/run-b/tmpzzzzzzzzz", False),
        ("/tmp/run-a/report", "/var/tmp/run-b/tmpzzzzzzzz", False),
        ("/tmp/run-ab/x", "/var/tmp/run-b/x", False),
        ("/x/tmp/run-a/x", "/var/tmp/run-b/x", False),
        ("/tmp/run-a.old", "/var/tmp/run-b.old", False),
        ("/tmp/other", "/tmp/other", True),
        ("/tmp/other", "/tmp/othez", False),
    ],
)
def test_temp_paths(one: str, other: str, equal: bool):
    """Only below this run's TMPDIR, and only names that tempfile or mktemp drew."""
    assert same({"path": one}, {"path": other}) is equal


def test_two_drawn_names_stay_two():
    """A path read back must be the one that was written."""
    a, b = "/tmp/run-a/tmpaaaaaaaa", "/tmp/run-a/tmpbbbbbbbb"
    c, d = "/var/tmp/run-b/tmpcccccccc", "/var/tmp/run-b/tmpdddddddd"
    assert same([a, b, a], [d, c, d])
    assert not same([a, b, a], [d, c, c])


ISSUED_A = {
    "call_AAAAAA": "step 1 id 0",
    "call_BBBBBB": "step 1 id 1",
    "resp_aaaa": "step 1 id 2",
    A_UUID: "step 2 id 0",
}
ISSUED_B = {
    "call_CCCCCC": "step 1 id 0",
    "call_DDDDDD": "step 1 id 1",
    "resp_bbbb": "step 1 id 2",
    OTHER_UUID: "step 2 id 0",
}


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("call_AAAAAA", "call_CCCCCC", True),
        ("call_AAAAAA", "call_DDDDDD", False),
        ("call_AAAAAA", "call_EEEEEE", False),
        ("call_AAAAAA", "call_AAAAAA", False),
        ("call_UNKNOWN", "call_UNKNOWN", True),
        ("call_UNKNOWN", "call_UNKNOWM", False),
        ("ids call_AAAAAA, call_BBBBBB.", "ids call_CCCCCC, call_DDDDDD.", True),
        ("ids call_AAAAAA, call_BBBBBB.", "ids call_DDDDDD, call_CCCCCC.", False),
        ("xcall_AAAAAA", "xcall_CCCCCC", False),
        ("call_AAAAAAx", "call_CCCCCCx", False),
        ('{"id":\\n"call_AAAAAA"}', '{"id":\\n"call_CCCCCC"}', True),
        (A_UUID, OTHER_UUID, True),
        (f"see {A_UUID}", f"see {OTHER_UUID}", True),
        (f"see {A_UUID}", "see 00000000-0000-4000-8000-000000000000", False),
        ("step 1 id 0", "step 1 id 1", False),
        ("⟨step 1 id 0⟩", "call_CCCCCC", False),
    ],
)
def test_issued_ids(one: str, other: str, equal: bool):
    """An id from an earlier answer is named by where it was issued; any other provider id counts literally."""
    mine, theirs = canon({"id": one}, facts=TODAY, issued=ISSUED_A), canon({"id": other}, facts=TODAY, issued=ISSUED_B)
    assert (mine.fingerprint == theirs.fingerprint) is equal


def test_issued_ids_in_the_path():
    """`GET /v1/responses/ID` asks for the answer that the run itself created."""
    mine, theirs = (
        canon(b"", f"https://api.openai.com/v1/responses/{name}?x=1", method="GET", issued=IssuedIds.of(issued))
        for name, issued in (("resp_aaaa", ISSUED_A), ("resp_bbbb", ISSUED_B))
    )
    assert mine.fingerprint == theirs.fingerprint
    assert mine.masks_used == {"issued-id@1": 1}


@pytest.mark.parametrize(
    "text", ["⟨date iso +0d #1⟩", "⟨uuid #1⟩", "⟨tmp-path #1⟩", "⟨user:$.x⟩", "⟨client-id adk #1⟩"]
)
def test_a_text_that_imitates_a_token_is_not_masked(text: str):
    """Tokens in the request itself never stand for a literal."""
    real = {"⟨date": "2026-11-21", "⟨uuid": A_UUID, "⟨tmp-": "/tmp/run-a", "⟨user": "7", "⟨clie": f"adk-{A_UUID}"}[
        text[:5]
    ]
    masks = Masks(user=(UserMask("*", "$.x", "test"),)) if text.startswith("⟨user") else Masks()
    masked = canon({"x": real}, facts=TODAY, masks=masks)
    imitated = canon({"x": text}, facts=TODAY)
    assert masked.tree == imitated.tree
    assert masked.fingerprint != imitated.fingerprint
    difference = first_difference(masked, imitated)
    assert difference is not None
    assert difference.path == "$"


def test_separators_inside_texts():
    """A text that holds the flat form's own separator is masked where it stands, and only there."""
    body = {"a": "\0\0\0", "b": f"x {A_UUID}", "c": "\0y", "d": "2026-11-21"}
    assert canon(body, facts=TODAY).masks_used == {"uuid@1": 1, "date@1": 1}
    assert not same({**body, "a": "\0\0"}, body, TODAY, TODAY)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_can_be_turned_off(rule: str):
    """By its name with or without the version; the literal then counts."""
    literal = {
        "date@1": "2026-11-21",
        "uuid@1": OTHER_UUID,
        "tmp-path@1": "/tmp/run-a/x",
        "client-id@1": "pyd_ai_" + "0a" * 16,
        "issued-id@1": "call_AAAAAA",
    }[rule]
    on = canon({"x": literal}, facts=TODAY, issued=ISSUED_A)
    assert on.masks_used == {rule: 1}
    for name in (rule, rule.partition("@")[0]):
        off = canon({"x": literal}, facts=TODAY, issued=ISSUED_A, masks=Masks(disabled=frozenset({name})))
        assert off.masks_used == {}
        assert (
            off.fingerprint == canon({"x": literal}, facts=LONG_AGO, masks=Masks(disabled=frozenset(RULES))).fingerprint
        )


def test_masks_also_hold_in_names():
    """An object keyed by a path or a drawn id."""
    assert same({"files": {"/tmp/run-a/x": 1}}, {"files": {"/var/tmp/run-b/x": 1}})
    assert same({A_UUID: {"id": A_UUID}}, {OTHER_UUID: {"id": OTHER_UUID}})
    assert not same({A_UUID: {"id": A_UUID}}, {OTHER_UUID: {"id": A_UUID}})


@pytest.mark.parametrize(
    ("path", "covers"),
    [
        ("$.metadata.user_id", True),
        ("$.metadata.*", True),
        ('$["metadata"]["user_id"]', True),
        ("$.metadata", True),
        ("$.metadata.user", False),
        ("$.messages[0].user_id", False),
    ],
)
def test_user_masks(path: str, covers: bool):
    """A path the user named stops counting, at that host, and is counted under its own name."""
    masks = Masks(user=(UserMask("*.openai.com", path, "device id"),))
    body, other = {"metadata": {"user_id": "u1"}}, {"metadata": {"user_id": "u2"}}
    assert same(body, other, TODAY, TODAY, masks=masks) is covers
    assert canon(body, masks=masks).masks_used == ({f"user:{path}": 1} if covers else {})
    assert canon(body, "https://api.anthropic.com/x", masks=masks).masks_used == {}
    assert not same(body, {"metadata": {"user_id": "u2"}, "x": 1}, TODAY, TODAY, masks=masks)


def test_user_masks_of_list_elements_headers_and_query():
    """`[*]` is every element; what is beside the body is named as divergences name it."""
    masks = Masks(
        user=(
            UserMask("*", "$.items[*].id", ""),
            UserMask("*", "$.headers.anthropic-beta", ""),
            UserMask("*", "$.query.t", ""),
        )
    )
    one = canon(
        {"items": [{"id": 1, "v": 1}, {"id": 2, "v": 2}]},
        "https://h/p?t=1",
        headers=[("anthropic-beta", "a")],
        masks=masks,
    )
    other = canon(
        {"items": [{"id": 3, "v": 1}, {"id": 4, "v": 2}]},
        "https://h/p?t=2",
        headers=[("anthropic-beta", "b")],
        masks=masks,
    )
    assert one.fingerprint == other.fingerprint
    assert one.masks_used == {"user:$.items[*].id": 2, "user:$.headers.anthropic-beta": 1, "user:$.query.t": 1}


@pytest.mark.parametrize("path", ["", "$", "metadata", "$.", "$..x", "$.a[", "$.a[-1]", "$ .a", "$.a b"])
def test_user_masks_that_are_no_path(path: str):
    """A path that says nothing, or everything, is refused."""
    with pytest.raises(UsageError) as raised:
        canon({"a": 1}, masks=Masks(user=(UserMask("*", path, ""),)))
    assert raised.value.code == "mask-path"


@given(st.text(alphabet="0123456789abcdef-ABX_ \\n/tmprun.:T2026Nov,pyd_i", max_size=80))
def test_masks_never_raise_and_never_join_what_differs_at_the_end(text: str):
    """Any text is masked without harm; a character that no mask covers still counts."""
    assert canon({"a": text + "§"}, facts=TODAY).fingerprint != canon({"a": text + "&"}, facts=TODAY).fingerprint


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "call_" * 100_000,
        "2026" * 100_000,
        "2026-11-21 " * 30_000,
        "-aaaa-aaaa-aaaa-" * 40_000,
        "/tmp/run-a" * 50_000,
        "1795" * 90_000,
        "x-" * 200_000,
    ],
)
def test_hostile_text_costs_no_more_than_its_length(text: str):
    """Half a megabyte of almost-literals is read in one pass."""
    canon({"a": text, "b": text.replace("a", "b")}, facts=TODAY, issued=ISSUED_A)


@pytest.mark.parametrize("said", ["body", "stream"])
def test_a_uuid_that_an_earlier_answer_said_counts(said: str):
    """A tool answered with an order's uuid under a name of its own, or a stream spelled it in pieces: sending back
    another one is a change, in any case of its letters."""
    mine, theirs = IssuedIds(), IssuedIds()
    for issued in (mine, theirs):
        issued.note(3, *((f'{{"order": "{A_UUID}"}}'.encode(), "") if said == "body" else (b"", f"order {A_UUID}")))

    def print_of(sent: str, issued: IssuedIds) -> str:
        return canon({"order": sent}, facts=TODAY, issued=issued).fingerprint

    assert print_of(A_UUID, mine) == print_of(A_UUID, theirs)
    assert print_of(A_UUID, mine) != print_of(OTHER_UUID, theirs)
    assert print_of(A_UUID, mine) != print_of(A_UUID.upper(), theirs)
    assert print_of(A_UUID.upper(), mine) != print_of(OTHER_UUID, theirs)


@pytest.mark.parametrize("moment", ["2026-11-21 15:00", "2026-11-21T15:00:00Z", "November 21, 2026 at 3:00 PM"])
def test_a_moment_that_the_run_was_given_counts(moment: str):
    """A meeting in the prompt is moved by an hour, near to now: one side has it from its files or arguments."""
    other = moment.replace("5:00", "6:00").replace("3:00 P", "4:00 P")
    for told_by in ({"argv": ("agent.py", moment)}, {"known_text": lambda: frozenset({f"MEET = '{moment}'"})}):
        told = replace(TODAY, **told_by)
        assert (
            canon({"a": f"meet {moment}"}, facts=told).fingerprint
            != canon({"a": f"meet {other}"}, facts=TODAY).fingerprint
        )
    assert (
        canon({"a": f"now {moment}"}, facts=TODAY).fingerprint == canon({"a": f"now {other}"}, facts=TODAY).fingerprint
    )


def test_a_bare_date_is_masked_though_a_file_holds_it():
    """It counts by its distance from today, and today's date stands in many files."""
    told = replace(TODAY, known_text="released 2026-11-21")
    assert canon({"a": "2026-11-21"}, facts=told).masks_used == canon({"a": "2026-11-21"}, facts=TODAY).masks_used
