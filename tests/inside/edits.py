"""Edits an agent at random, replays its recording, and compares what is reported with what was edited.

    python -m tests.inside.edits --edits 1000                    tools in tasks, in this process
    python -m tests.inside.edits --edits 100 --command           with models, threads or tasks, by the real command

The agent (planned.py) follows a plan, and a plan is what is edited. Every answer carries its question, so the agent sees
each one that it should not have been given. One edit in four comes with others; then only the answers are judged, and
that something was reported. One in twenty is none, and several can undo each other: there nothing may be reported.
Exit code 1: a wrong answer was served, or a report named the wrong call, class or path.
"""

import argparse
import contextlib
import copy
import json
import logging
import random
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from playhead.capture.boundary import loops
from playhead.core.boundary import Diverged
from playhead.matching.compare import json_difference
from tests.inside import planned
from tests.support.boundaries import Taped, installed
from tests.support.executable import plain_environment, playhead
from tests.support.inside import Agent
from tests.support.model_server import ModelServer

TOOLS = ("lookup", "refund", "search", "mail")
PLANS_EVERY = 20
"""Edits of one recording."""


def a_plan(chance, *, models=False):
    """Two to four lanes of three to six questions, none of them twice."""
    names = (*TOOLS, "model") if models else TOOLS
    count = 0

    def question():
        nonlocal count
        count += 1
        name = chance.choice(names)
        if name == "model":
            return [name, {"model": "small", "text": f"question {count}"}]
        return [name, {"id": count, "to": {"amount": chance.randrange(100), "note": f"n{count}"}}]

    lanes = [[question() for _ in range(chance.randint(3, 6))] for _ in range(chance.randint(2, 4))]
    if models:
        lanes[0].append(["model", {"model": "small", "text": "the last of them"}])
    return {"lanes": lanes, "threads": models and chance.random() < 0.5}


class Expected:
    """What a report has to say: one of these classes, of that question; where it differs, if the class is `changed`. A step
    may be that of one of `others` instead: which of two that changed places has moved is for the reader to say."""

    def __init__(self, kinds, question, path=None, others=()):
        self.kinds = kinds
        self.question = planned.told(*question) if question else None
        self.path = path
        self.others = [planned.told(*each) for each in others]

    def steps(self, steps):
        """The steps that may be named, by the steps of the recorded questions."""
        return {steps[each] for each in (self.question, *self.others)} if self.question is not None else set()


def change(chance, lane, at):
    """Another argument, prompt or model."""
    old = copy.deepcopy(lane[at])
    name, arguments = lane[at]
    if name == "model":
        key = chance.choice(("model", "text"))
        arguments[key] += " now"
        return Expected(("changed",), old, "$.model" if key == "model" else "$.messages[0].content")
    if "to" not in arguments:  # one that was added
        arguments["id"] -= 10
        return Expected(("extra", "changed"), None)
    if chance.random() < 0.5:
        arguments["to"]["amount"] += 1000
        return Expected(("changed",), old, "$.to.amount")
    arguments["to"]["note"] += " edited"
    return Expected(("changed",), old, "$.to.note")


def rename(_chance, lane, at):
    """Another tool with the same arguments."""
    old = copy.deepcopy(lane[at])
    lane[at] = ["renamed", {"id": at}]
    return Expected(("extra", "missing") if old[0] == "model" else ("extra",), old)


def remove(_chance, lane, at):
    """One call less."""
    return Expected(("missing",), lane.pop(at))


def add(chance, lane, at):
    """One call more: of a tool that is there, or of a new one."""
    name = chance.choice((*TOOLS, "new"))
    due, *behind = copy.deepcopy(lane[at:])
    lane.insert(at, [name, {"id": -1, "added": True}])
    if due[0] == name:
        return Expected(("changed",), due)
    # where the agent ends at it, nobody knows whether it is a later one of that tool, with other arguments
    later = [each for each in behind if each[0] == name]
    return Expected(("extra", "changed") if later else ("extra",), None if due[0] == "model" else due, others=later)


def append(_chance, lane, _at):
    """One call more at the end of the lane."""
    lane.append(["new", {"id": -2}])
    return Expected(("extra",), None)


def swap(chance, lane, at):
    """Two calls in each other's place: one of those between comes too late."""
    at = min(at, len(lane) - 2)
    other = chance.randrange(at + 1, len(lane))
    between = copy.deepcopy(lane[at : other + 1])
    lane[at], lane[other] = lane[other], lane[at]
    return Expected(("reordered",), between[1] if other > at + 1 else between[0], others=between)


EDITS = (change, change, rename, remove, add, append, swap)


def edited(chance, plan):
    """The plan after an edit, and what the report must say; None when there were several. The plan is as it was where
    nothing was edited, or several edits undid each other (one call more, then one less)."""
    plan = copy.deepcopy(plan)
    if chance.random() < 0.05:
        return "nothing", plan, None
    if chance.random() < 0.1:
        plan["lanes"].append([["new", {"id": -3}]])
        return "extra lane", plan, Expected(("extra",), None)
    count = 1 if chance.random() < 0.75 else chance.randint(2, 4)
    made = []
    for _ in range(count):
        long = [lane for lane in plan["lanes"] if len(lane) > 2]
        if not long:
            break  # a short plan, of which the edits before have left too little
        lane = chance.choice(long)
        edit = chance.choice(EDITS)
        made.append((edit.__name__, edit(chance, lane, chance.randrange(len(lane)))))
    return "+".join(name for name, _ in made), plan, made[0][1] if len(made) == 1 else None


def complaint(expected, facts):
    """What is wrong with the first divergence that a player reported (or with what it left unplayed); "" for nothing."""
    if not facts:
        return "nothing was reported"
    kind = facts["class"]
    if expected is None:
        return ""
    if kind not in expected.kinds:
        return f"{kind}, not {' or '.join(expected.kinds)}"
    about = facts.get("recorded") or facts.get("due") or {}
    if expected.question is not None and about.get("arguments") != expected.question.decode():
        return f"names {about.get('arguments')}, not {expected.question.decode()}"
    if expected.path:
        found = json_difference(about["arguments"].encode(), facts["arguments"].encode())
        if found is None or found[0] != expected.path:
            return f"differs at {found and found[0]}, not at {expected.path}"
    return ""


def first_divergence(taped):
    """The first that the player reported; None when it has nothing to say."""
    return next((facts["divergence"] for facts in taped.reports if "divergence" in facts), None)


def in_this_process(chance, edits):
    """Tools in tasks, on the two tapes in memory: (kind of edit, wrong answers, what is wrong with the report) of each."""
    with tempfile.TemporaryDirectory() as folder, installed(loops):
        for number in range(edits):
            if number % PLANS_EVERY == 0:
                plan = a_plan(chance)
                taped = Taped(Path(folder), f"{number}")
                taped.record(lambda plan=plan: planned.run(plan, []))
            name, other, expected = edited(chance, plan)
            wrong = []
            taped.reports.clear()
            with contextlib.suppress(Diverged):
                taped.replay(lambda other=other, wrong=wrong: planned.run(other, wrong))
            found = first_divergence(taped)
            why = complaint(expected, found) if other != plan else "reported, though nothing was edited" * bool(found)
            yield name, wrong, f"{why}\n  {json.dumps(plan)}\n  {json.dumps(other)}\n  {taped.reports}" if why else ""


def steps_of(env):
    """The steps of the recorded questions: a title has what was asked."""
    found = {}
    for step in json.loads(playhead("inspect", "it", "--json", env=env).stdout)["steps"]:
        heard = re.match(r"I heard: (.*) \(", step["title"])
        if heard:
            question = ["model", {"model": step["model"], "text": heard[1]}]
        else:
            name, arguments, _ = re.match(r"(\w+)\((.*)\) -> (.*)", step["title"]).groups()
            told = json.loads("{" + re.sub(r"(^|, )(\w+)=", r'\1"\2": ', arguments) + "}")
            question = [name, {key: told[key] for key in ("id", "to")}]
        found[planned.told(*question)] = step["step"]
    return found


def complaint_of(expected, ran, steps):
    """The same of a whole replay, from its summary; `steps` are those of the recorded questions."""
    if ran.returncode == 0 or ran.summary["verdict"] == "identical":
        return "passed for identical"
    if expected is None:
        return ""
    found = ran.summary["divergences"]
    if not found:
        return "nothing was reported"
    if found[0]["class"] not in expected.kinds:
        return f"{found[0]['class']}, not {' or '.join(expected.kinds)}"
    if expected.question is not None and found[0]["step"] not in expected.steps(steps):
        return f"names step {found[0]['step']}, not one of {sorted(expected.steps(steps))}"
    if expected.path and found[0]["path"] != expected.path:
        return f"differs at {found[0]['path']}, not at {expected.path}"
    return ""


def unedited_complaint(ran):
    """What is wrong with the replay of an agent that is as it was recorded."""
    identical = ran.returncode == 0 and ran.summary["verdict"] == "identical" and not ran.summary["divergences"]
    return "" if identical else "reported, though nothing was edited"


def by_the_command(chance, edits):
    """Tools and models in threads, recorded and replayed by the real command, half of it with `--mode observe`."""
    with tempfile.TemporaryDirectory() as folder, ModelServer(Path(folder)) as server:
        home = Path(folder) / "home"
        home.mkdir()
        place = Path(folder) / "plan.json"
        env = plain_environment(home, MODEL=server.url)
        agent = Agent(env, Path(folder), Path(planned.__file__).read_text(), str(place))
        for number in range(edits):
            if number % PLANS_EVERY == 0:
                plan = a_plan(chance, models=True)
                place.write_text(json.dumps(plan))
                agent.record(cwd=folder)
                steps = steps_of(env)
            name, other, expected = edited(chance, plan)
            place.write_text(json.dumps(other))
            hits = server.hits
            ran = agent.replay("--mode", chance.choice(("strict", "observe")), cwd=folder)
            wrong = [line for line in ran.stdout.splitlines() if line.startswith("WRONG")]
            why = complaint_of(expected, ran, steps) if other != plan else unedited_complaint(ran)
            why = why or ("asked the server" if server.hits != hits else "")
            seen = f"{why}\n  {json.dumps(plan)}\n  {json.dumps(other)}\n{ran.stderr}"
            yield name, wrong, seen if why else ""


def main():
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--command", action="store_true")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    logging.disable()  # asyncio says at length what becomes of the tasks of a run that has left its tape
    began = time.monotonic()
    made = (by_the_command if options.command else in_this_process)(random.Random(options.seed), options.edits)
    kinds = Counter()
    served = reports = 0
    for name, wrong, why in made:
        kinds[name if "+" not in name else "several"] += 1
        served += len(wrong)
        reports += bool(why)
        if (wrong or why) and served + reports < 5:
            print(name, wrong, why)
    print(", ".join(f"{count} {name}" for name, count in sorted(kinds.items())), f"(seed {options.seed})")
    seconds = time.monotonic() - began
    print(f"{options.edits} edits, {served} wrong answers served, {reports} reports wrong, {seconds:.0f} s")
    return 1 if served or reports else 0


if __name__ == "__main__":
    sys.exit(main())
