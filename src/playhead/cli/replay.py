"""`playhead replay`: run a command against a recording, offline, and say whether it was identical."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from playhead.cassette.opening import open_recording
from playhead.cli import render
from playhead.cli.options import SessionRunCommand, open_store, say, store_option, summary_option
from playhead.core.ids import shown
from playhead.runs.replay import ReplayOptions, replay
from playhead.runs.summary import check_summary, write_summary
from playhead.sessions.address import find
from playhead.sessions.session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from playhead.runs.record import Outcome

_MARKS = {"identical": ("✓", "green"), "diverged": ("✗", "red"), "incomplete": ("!", "yellow"), "failed": ("✗", "red")}
_MOST_UNPLAYED = 8  # steps that are named one by one


MAX_SPEED = 1e6


def _finite(ctx: click.Context, option: click.Parameter, value: float) -> float:
    """A range lets NaN pass, which is no pace."""
    if math.isnan(value):
        raise click.BadParameter("nan is no pace: 0 = no waiting, 1 = as recorded.", ctx, option)
    return value


@click.command(
    "replay",
    short_help="Run a command against a recording, offline, and say whether it was identical.",
    cls=SessionRunCommand,
    epilog="""\b
Examples:
  playhead replay last                           the recorded command, in its directory
  playhead replay refund -- python agent_v2.py   another command against the same tape
  playhead replay refund --mode observe          collect every divergence
""",
)
@click.argument("session", metavar="SESSION")
@click.option(
    "--mode",
    type=click.Choice(["strict", "observe"]),
    default="strict",
    show_default=True,
    help="strict stops at a divergence, observe collects them.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0, max=MAX_SPEED),
    callback=_finite,
    default=0.0,
    metavar="F",
    help="0 = no waiting, 1 = as recorded.",
)
@click.option(
    "--allow-live",
    multiple=True,
    metavar="PLACE",
    help="Let HOST, HOST:PORT or unix:/PATH be reached; may be repeated.",
)
@click.option("--ignore-output", is_flag=True, help="Do not compare stdout and exit code.")
@click.option("--allow-lossy", is_flag=True, help="Serve answers in which a secret was replaced.")
@summary_option
@store_option
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD...]")
def command(
    *,
    session: str,
    mode: str,
    speed: float,
    allow_live: tuple[str, ...],
    ignore_output: bool,
    allow_lossy: bool,
    summary: Path | None,
    store: Path | None,
    cmd: tuple[str, ...],
) -> int:
    """Run CMD (default: the recorded command) against a recording: every answer from the tape, no way out.

    Exit code 0 only if the run was identical: the same requests, nothing left over, no connection tried, the same
    stdout and exit code. 1: it was not. 4: a live call was blocked.
    """
    check_summary(summary)
    place = open_store(store)
    found = find(place, session)
    if found.remark:
        say(found.remark)
    recording = open_recording(found.path)
    _announce(Session(recording), allow_live)
    options = ReplayOptions(
        strict=mode == "strict",
        speed=speed,
        allow_live=allow_live,
        ignore_output=ignore_output,
        allow_lossy=allow_lossy,
    )
    outcome = replay(place, recording, cmd, options)
    write_summary(summary, outcome.summary)
    _talk(outcome)
    _tell_unplayed(Session(recording), outcome.summary)
    return outcome.exit_code


def _announce(session: Session, allow_live: tuple[str, ...]) -> None:
    tools = session.tools_shown()
    if tools:
        say(f"playhead: the command's own code runs again, tools included: {render.harmless(', '.join(tools))}")
    if allow_live:
        say(f"playhead: live, not from the tape: {', '.join(allow_live)}")
    for item in session.not_captured():
        say(f"playhead: not on the tape: {render.harmless(item['host'])} ({render.harmless(item['reason'])})")


def _talk(outcome: Outcome) -> None:
    summary = outcome.summary
    for remark in outcome.remarks:
        say(render.harmless(remark))
    mark, colour = _MARKS[summary["verdict"]]
    verdict = click.style(f"{mark} {summary['verdict']}", fg=colour, bold=True)
    facts = [f"{summary['served']} of {summary['answers']} answers from {shown(summary['session'])}"]
    facts.append(f"{summary['live']} live")
    facts.append(f"isolation: {summary['isolation']}")
    if summary["cost_usd"]:
        facts.append(f"spent $0.00, the recording {render.dollars(summary['cost_usd'])}")
    if summary["masks"]:
        facts.append("masks: " + ", ".join(f"{m['rule']} x{m['count']}" for m in summary["masks"]))
    if summary["stdout_masked"]:
        facts.append(f"stdout equal under {', '.join(summary['stdout_masked'])}")
    say(f"playhead: {verdict} ({'; '.join(facts)})")
    for key, words in (
        ("blocked", "tried to leave the tape, blocked"),
        ("leaked", "reached although not on the tape"),
        ("ambiguous", "equal concurrent requests, assignment to callers not certain, steps"),
    ):
        if summary[key]:
            say(f"playhead: {words}: {render.harmless(', '.join(map(str, summary[key])))}")
    if summary["order_unobserved"]:
        say(f"playhead: order of completions not observed in {summary['order_unobserved']} places")


def _tell_unplayed(session: Session, summary: dict[str, Any]) -> None:
    """Which recorded steps did not come again. After a divergence their numbers do: they follow from it."""
    unplayed = summary["unplayed"]
    if not unplayed:
        return
    if summary["divergences"] or summary["verdict"] == "failed":
        say(f"playhead: not played: {'step' if len(unplayed) == 1 else 'steps'} {render.numbers(unplayed)}")
        return
    say("playhead: not played:")
    for step in map(session.step, unplayed[:_MOST_UNPLAYED]):
        lane = "" if step.lane == "main" else f"lane {step.lane}  "
        say(f"  step {step.number}  {step.kind}  {lane}{render.harmless(step.title)}")
    if len(unplayed) > _MOST_UNPLAYED:
        say(f"  and steps {render.numbers(unplayed[_MOST_UNPLAYED:])}")
    say(f"  next: playhead inspect {shown(session.id)}:{unplayed[0]}")
