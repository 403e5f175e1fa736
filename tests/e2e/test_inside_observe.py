"""`replay --mode observe` inside a Python: it goes on after a divergence, and names all of them."""

import pytest

from tests.support.executable import plain_environment
from tests.support.inside import Agent

AGENT = """
    import asyncio, pathlib, sys
    import playhead

    RAN = pathlib.Path(sys.argv[1])

    @playhead.tool
    def look_up(item):
        RAN.write_text(RAN.read_text() + item)
        return f"found {item}"

    @playhead.tool
    async def refund(item, amount=1):
        RAN.write_text(RAN.read_text() + item.upper())
        return f"refunded {amount} of {item}"

    async def one(item):
        try:
            print(look_up(item))
            print(await refund(item))
        except Exception as error:
            print(type(error).__module__, type(error).__name__, error.code)

    async def main():
        for item in "abc":
            await one(item)

    asyncio.run(main())
    """
EDITS = {
    "an argument": ("refund(item)", "refund(item, 2 if item == 'b' else 1)", [("changed", 4, "$.amount")]),
    "a call more": ('for item in "abc"', 'for item in "aXbc"', [("extra", 3, None)]),
    "a call less": ('for item in "abc"', 'for item in "ac"', [("missing", 3, None), ("missing", 4, None)]),
    "two calls swapped": ('for item in "abc"', 'for item in "acb"', None),
}


@pytest.mark.parametrize("edit", EDITS)
def test_all_that_differs_is_named_and_nothing_runs(home, tmp_path, edit):
    """What was recorded is answered; what was not fails with an exception that the agent can handle."""
    ran = tmp_path / "ran"
    ran.write_text("")
    agent = Agent(plain_environment(home), tmp_path, AGENT, str(ran))
    recorded = agent.record()
    assert ran.read_text() == "aAbBcC"
    old, new, expected = EDITS[edit]
    agent.write(AGENT.replace(old, new))
    replayed = agent.replay("--mode", "observe")
    assert ran.read_text() == "aAbBcC"
    assert (replayed.returncode, replayed.summary["verdict"]) == (1, "diverged"), replayed.stderr
    found = [(each["class"], each["step"], each["path"]) for each in replayed.summary["divergences"]]
    if expected is None:
        assert {kind for kind, _, _ in found} == {"reordered"}
    else:
        assert found == expected, replayed.stderr
    said = replayed.stdout.splitlines()
    failed = said.count("playhead.errors Diverged not-recorded")
    assert failed == (1 if edit in ("an argument", "a call more") else 0)
    assert set(said) - {"playhead.errors Diverged not-recorded"} <= set(recorded.stdout.splitlines())
    assert len(said) == {"an argument": 6, "a call more": 7, "a call less": 4, "two calls swapped": 6}[edit]
