"""What a program says of itself, as steps."""

import json

import pytest

import playhead
from playhead.capture.boundary.patches import known
from playhead.cli.main import main
from playhead.sessions.mark import marks_of

OPENAI = {
    "id": "c",
    "object": "chat.completion",
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 2000, "total_tokens": 3000},
}
ANTHROPIC = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "stop_reason": "tool_use",
    "content": [{"type": "tool_use", "id": "t", "name": "look", "input": {"at": 1}}],
    "usage": {"input_tokens": 10, "output_tokens": 20},
}
KEY = "sk-ant-api03-" + "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-abcdefghijklmnopq"


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """A store of its own."""
    monkeypatch.setenv("PLAYHEAD_STORE", str(tmp_path / "store"))
    known.clear()
    yield tmp_path / "store"
    known.clear()


class Reply:
    """An answer as an SDK has it."""

    def model_dump(self, mode):
        assert mode == "json"
        return OPENAI


def question(text):
    """What a chat API takes."""
    return {"model": "asked", "messages": [{"role": "user", "content": text}]}


@playhead.step("planner")
def plan(goal):
    """A step that fails when it is told to."""
    if goal is None:
        raise ValueError("no goal")
    return {"plan": goal}


def everything(session):
    """One of each."""
    plan("x")
    with pytest.raises(ValueError, match="no goal"):
        plan(None)
    session.checkpoint({"at": (1, 2), "key": KEY}, label="plan-approved")
    session.note("a remark")
    session.error(KeyError("gone"))
    session.add_step("node", {"n": 1}, {"n": 2}, metadata={"attempt": 3})
    session.add_llm(question("hi"), Reply(), duration_s=1.5)
    session.add_llm(question("hi"), ANTHROPIC, provider="anthropic")
    session.add_llm(
        "what?", "that", provider="mine", model="m-1", usage={"input_tokens": 3, "output_tokens": 4, "other": 1}
    )
    session.add_tool("search", {"q": "cats"}, ["a"], effect="read")
    session.add_tool("search", ["dogs"], error=OSError("no"))


def command(*arguments):
    """Run `playhead` here, to a good end."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 0


EXPECTED = [
    ("node", "ok", "planner"),
    ("node", "error", 'planner raised ValueError("no goal")'),
    ("state", "ok", "checkpoint plan-approved"),
    ("state", "ok", "a remark"),
    ("state", "error", 'KeyError("gone")'),
    ("node", "ok", "node"),
    ("llm", "ok", "hello"),
    ("llm", "ok", '-> look({"at":1})'),
    ("llm", "ok", "that"),
    ("tool", "ok", 'search(q="cats") -> ["a"]'),
    ("tool", "error", "search(['dogs']) raised OSError: no"),
]


def test_each_is_a_step_with_a_number_of_its_own(store, tmp_path, capsys):
    """In a session, its export, and every way to read it; no secret is written."""
    with playhead.record("it") as session:
        everything(session)
    found = playhead.open("it")
    assert [step.number for step in found.steps] == list(range(1, 12))
    told = [(step.kind, step.status, step.title.replace(": ", ":")) for step in found.steps]
    assert told == [(kind, status, title.replace(": ", ":")) for kind, status, title in EXPECTED]
    cassette = tmp_path / "it.rw"
    command("export", "it", "-o", str(cassette))
    assert [step.title for step in playhead.open(str(cassette)).steps] == [step.title for step in found.steps]
    assert KEY not in cassette.read_text()
    assert KEY.encode() not in session.path.read_bytes()
    capsys.readouterr()
    for number in range(1, 12):
        command("inspect", f"it:{number}")
        command("inspect", f"it:{number}", "--json", "--raw")
    shown = capsys.readouterr().out
    for text in ("a remark", "plan-approved", "KeyError", "attempt", "cats", "OSError: no", "look"):
        assert text in shown
    command("search", "remark")
    assert "remark" in capsys.readouterr().out


def test_a_models_call_has_tokens_and_a_price_like_others():
    """Read by its shape; what is nobody's shape has what the program says."""
    with playhead.record("it") as session:
        everything(session)
    found = playhead.open("it")
    openai, anthropic, own = (step for step in found.steps if step.kind == "llm")
    assert (openai.provider.name, openai.model, openai.response.usage.output_tokens) == ("openai", "gpt-4o-mini", 2000)
    assert openai.cost_usd == pytest.approx(1000 * 0.15e-6 + 2000 * 0.6e-6)
    assert openai.duration_s == 1.5
    assert openai.request.messages[0].content == [{"type": "text", "text": "hi"}]
    assert anthropic.response.tool_calls[0].arguments == {"at": 1}
    assert (own.provider, own.model, own.response.text, own.response.usage.input_tokens) == (None, "m-1", "that", 3)
    assert found.usage.output_tokens == 2024
    assert found.counts()["llm_calls"] == 3


def test_a_replay_passes_through_them():
    """They ask nothing: others in their place, or none, are no divergence."""
    with playhead.record("it") as session:
        everything(session)
    with playhead.replay("it") as replay:
        replay.note("another")
    assert replay.verdict == "identical"
    assert (replay.summary["answers"], replay.summary["unplayed"]) == (0, [])


def test_a_step_that_never_ended_is_aborted(store):
    """Its beginning is there."""
    with playhead.record("it") as session:
        everything(session)
    events = [event for event in playhead.open("it").recording.inside["0"] if event.meta.get("what") != "leave"]
    assert next(marks_of("0", events)).end == ""


def test_a_mark_of_a_kind_that_nobody_knows_is_named():
    """It is no step, and the recording says so."""
    with playhead.record("it") as session:
        session.note("x")
    (event,) = (event for event in playhead.open("it").recording.inside["0"] if event.meta.get("what") == "note")
    event.meta["what"] = "song"
    with pytest.raises(KeyError):
        list(marks_of("0", [*playhead.open("it").recording.inside["0"][:2], event]))


def test_inspect_json_has_what_the_contract_names():
    """States and notes under their names, a tool's arguments and value, a node's states."""
    with playhead.record("it") as session:
        everything(session)
    steps = {step.number: step.to_json(whole=True) for step in playhead.open("it").steps}
    assert steps[3]["request"] == {"label": "plan-approved"}
    assert json.dumps(steps[3]["response"]["state"]["at"]) == '{"$": "tuple", "v": [1, 2]}'
    assert steps[6]["request"]["state"] == {"n": 1}
    assert steps[10]["response"] == {"raised": False, "value": ["a"]}
    assert steps[11]["response"] == {"raised": True, "value": "OSError: no"}
