"""`playhead record`: run a command and record it."""

from __future__ import annotations

from pathlib import Path

import click

from playhead.capture.environment import RouteChoice
from playhead.cli import render
from playhead.cli.options import RunCommand, open_store, say, store_option, summary_option
from playhead.core.ids import shown
from playhead.errors import UsageError
from playhead.runs.record import NOTHING_CAPTURED, Outcome, RecordOptions, record
from playhead.runs.summary import check_summary, write_summary


@click.command(
    "record",
    short_help="Run a command and record it.",
    cls=RunCommand,
    epilog="""\b
Examples:
  playhead record -- python agent.py --task "refund order 8821"
  playhead record --name refund --tag team=billing -- node agent.mjs
  playhead record agents.support:main              a Python function
""",
)
@click.option("--name", default="", metavar="N", help="Name the session; replay and inspect take it as an address.")
@click.option("--tag", "tags", multiple=True, metavar="K=V", help="A label to find it by; may be repeated.")
@click.option(
    "--durability",
    type=click.Choice(["write", "fsync", "off"]),
    default="write",
    show_default=True,
    help="write survives the death of every process, fsync power loss too, off is for benchmarks.",
)
@click.option(
    "--redact",
    type=click.Choice(["secrets", "pii", "off"]),
    default="secrets",
    show_default=True,
    help="What is replaced before it is written: secrets, also personal data, or nothing. Credential headers never are stored.",
)
@click.option(
    "--map", "maps", multiple=True, metavar="HOST=URL", help="Send a host's calls elsewhere; may be repeated."
)
@click.option(
    "--upstream-ca",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Trust these certificates upstream, too.",
)
@click.option(
    "--route",
    type=click.Choice([choice.value for choice in RouteChoice]),
    default=RouteChoice.AUTO.value,
    show_default=True,
    help="Which way clients are brought to the recorder; auto arms them all.",
)
@click.option("--ignore-host", "ignore_hosts", multiple=True, metavar="HOST", help="Do not record this host (*.x.com).")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="P", help="The recorder's port. Default: any."
)
@click.option("--allow-empty", is_flag=True, help="Exit 0 although no call was captured.")
@summary_option
@store_option
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="-- CMD...")
def command(
    *,
    name: str,
    tags: tuple[str, ...],
    durability: str,
    redact: str,
    maps: tuple[str, ...],
    upstream_ca: Path | None,
    route: str,
    ignore_hosts: tuple[str, ...],
    port: int,
    allow_empty: bool,
    summary: Path | None,
    store: Path | None,
    cmd: tuple[str, ...],
) -> int:
    """Run CMD and record every call it makes, in any language, without a change to it.

    Its streams, signals and exit code are passed through. The exit code is CMD's when that is not 0, else 4 when
    nothing was captured.
    """
    options = RecordOptions(
        name=name,
        tags=dict(map(_tag, tags)),
        durability=durability,
        redact=redact,
        maps=maps,
        upstream_ca=upstream_ca,
        route=RouteChoice(route),
        ignore_hosts=ignore_hosts,
        allow_empty=allow_empty,
        port=port,
    )
    check_summary(summary)
    outcome = record(open_store(store), cmd, options)
    write_summary(summary, outcome.summary)
    _talk(outcome)
    return outcome.exit_code


def _talk(outcome: Outcome) -> None:
    summary = outcome.summary
    session = shown(str(summary["session"]))
    routes = ", ".join(f"{count} by {route}" for route, count in summary["routes"].items() if count)
    usage = summary["usage"]
    known = [n for n in (usage["input_tokens"], usage["output_tokens"]) if n is not None]
    models, tools = summary["llm_calls"], summary["tool_calls"]
    counts = {"model call": models, "tool call": tools, "other call": summary["steps"] - models - tools}
    parts = [render.things(count, noun) for noun, count in counts.items() if count > 0 or noun == "model call"]
    if known:
        parts.append(render.things(sum(known), "token"))
    if summary["cost_usd"] is not None:
        parts.append(render.dollars(summary["cost_usd"]))
    say(f"playhead: recorded {session} ({', '.join(parts)}{'; ' + routes if routes else ''})")
    for remark in outcome.said:
        say(f"playhead: note: {render.harmless(remark)}")
    for note in outcome.notes:
        say(f"playhead: {render.harmless(note)}")
    for reason in outcome.remarks:
        say(f"playhead: incomplete: {render.harmless(reason)}")
    for item in summary["not_captured"]:
        say(f"playhead: not captured: {render.harmless(item['host'])} ({render.harmless(item['reason'])})")
    if outcome.exit_code != NOTHING_CAPTURED or summary["exit_source"] != "playhead":
        return
    if outcome.remarks or outcome.notes:
        say("playhead: nothing was captured, for the reason above. To accept it: --allow-empty")
    else:
        say(
            "playhead: nothing was captured. Either the command made no call, or its client goes past every route;\n"
            "          `playhead doctor -- CMD` says which. To accept it: --allow-empty"
        )


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(
            f"{text!r} is no tag.", code="bad-tag", where="--tag", expected="KEY=VALUE", todo="--tag team=billing"
        )
    return key, value
