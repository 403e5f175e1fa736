"""`playhead inspect`: the steps of a session, or one step in full."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from playhead.cassette.opening import open_recording
from playhead.cli import render
from playhead.cli.options import json_option, open_store, say, store_option
from playhead.core.ids import shown
from playhead.errors import UsageError
from playhead.sessions.address import find, split_step
from playhead.sessions.call import CallStep
from playhead.sessions.index import know_costs
from playhead.sessions.inside_step import raised_text
from playhead.sessions.mark import MarkStep
from playhead.sessions.session import Session
from playhead.sessions.step import Step

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from playhead.providers.base import NormalRequest

_SHORT = 100


@click.command("inspect", short_help="The steps of a session, or one step in full.")
@click.argument("address", metavar="SESSION[:STEP]")
@click.option(
    "--raw", is_flag=True, help="The exact bytes of a step: request, then answer, as they went over the wire."
)
@json_option
@store_option
def command(*, address: str, raw: bool, as_json: bool, store: Path | None) -> None:
    """The steps of a session, or one step in full: messages, tool calls, answer.

    \b
    playhead inspect last            the step table
    playhead inspect last:4          step 4: what was asked and answered
    playhead inspect last:4 --raw    its exact bytes, a redacted secret showing its token
    """
    name, number = split_step(address)
    place = open_store(store)
    found = find(place, name)
    if found.remark:
        say(found.remark)
    session = Session(open_recording(found.path))
    if found.id:
        know_costs(place, session)
    if number is None:
        if raw and not as_json:
            raise UsageError(
                "--raw shows the bytes of one step.",
                code="step-needed",
                where=address,
                todo=f"playhead inspect {shown(session.id)}:1 --raw",
            )
        if as_json:
            click.echo(render.pretty_json(session.to_json()))
        else:
            _show_session(session)
        return
    step = session.step(number)
    if as_json:
        click.echo(
            render.pretty_json(
                {
                    "session": session.id,
                    **step.to_json(whole=True, raw=raw, cost_usd=session.costs[step.number]),
                }
            )
        )
    elif raw:
        _show_raw(step)
    else:
        _show_step(session, step)


def _show_session(session: Session) -> None:
    recording, header = session.recording, session.header
    out = render.console()
    title = f"{shown(session.id)}  {header.name}".rstrip()
    out.print(
        f"{render.MARKS[session.status]} {render.harmless(title)}", style=f"bold {render.COLOURS[session.status]}"
    )
    facts = [
        render.harmless(" ".join(header.command)),
        recording.created,
        render.seconds(recording.duration_s),
        _ended(session),
    ]
    out.print("  " + " · ".join(f for f in facts if f), style="dim")
    for reason in recording.incomplete:
        out.print(f"  incomplete: {render.harmless(reason)}", style="yellow")
    if recording.doubt:
        out.print(f"  in doubt: {recording.doubt}", style="yellow")
    for item in session.not_captured():
        out.print(
            f"  not captured: {render.harmless(item['host'])} ({render.harmless(item['reason'])})", style="yellow"
        )
    rows = session.each(_row)
    if not rows:
        out.print("  no step was recorded", style="yellow")
        return
    out.print()
    columns = [
        ("STEP", "right"),
        ("", "left"),
        ("KIND", "left"),
        ("LANE", "left"),
        ("MODEL", "left"),
        ("WHAT", "left"),
        ("IN", "right"),
        ("CACHED", "right"),
        ("OUT", "right"),
        ("COST", "right"),
        ("TTFT", "right"),
        ("TOOK", "right"),
    ]
    lane = columns.index(("LANE", "left"))
    if len({row[lane] for row in rows}) == 1:
        for cells in (columns, *rows):
            del cells[lane]
    render.table(
        columns,
        rows,
        grows="WHAT",
        spare=("MODEL", "TTFT", "CACHED", "COST"),
    )
    parts = [render.things(len(rows), "step")]
    calls = session.counts()["llm_calls"]
    if calls:
        usage = session.usage
        cached = "" if usage.cached_input_tokens is None else f" ({render.count(usage.cached_input_tokens)} cached)"
        parts.append(render.things(calls, "model call"))
        parts.append(f"{render.count(usage.input_tokens)} tokens in{cached}")
        parts += [f"{render.count(usage.output_tokens)} out", render.dollars(session.cost_usd)]
    out.print(f"\n  {', '.join(parts)}", style="dim")


def _ended(session: Session) -> str:
    recording = session.recording
    if recording.exit_signal:
        return f"killed by signal {recording.exit_signal}"
    return "" if recording.exit_code in (0, None) else f"exit code {recording.exit_code}"


def _row(step: Step | CallStep | MarkStep, cost: float | None) -> list[tuple[str, str]]:
    """A row of the step table. What only model calls have is left empty elsewhere; `-` is what is not known of one."""
    usage = step.response.usage if step.response is not None else None
    asked_a_model = step.kind == "llm"
    tokens = (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens) if usage else (None, None, None)
    taken, cached, given = (render.count(number) if asked_a_model else "" for number in tokens)
    return [
        (str(step.number), "bold"),
        (render.MARKS[step.status], render.COLOURS.get(step.status, "dim")),
        (step.kind, "magenta" if step.kind == "llm" else "blue"),
        (step.lane, "dim"),
        (step.model or ("-" if asked_a_model else ""), "cyan"),
        (step.title, "red" if step.status == "error" else ""),
        (taken, ""),
        (cached, "dim"),
        (given, ""),
        (render.dollars(cost) if asked_a_model else "", ""),
        (render.seconds(step.ttft_s) if step.kind in ("llm", "http") else "", "dim"),
        (render.seconds(step.duration_s), ""),
    ]


def _show_raw(step: Step | CallStep | MarkStep) -> None:
    if isinstance(step, CallStep | MarkStep):
        data = b"".join(body + b"\n" for body in step.bytes_of())
    else:
        exchange = step.exchange
        data = exchange.head + exchange.body + b"\n" + exchange.answer
    sys.stdout.flush()
    if sys.stdout.isatty():  # a file or a pipe gets them exactly; a terminal must not take orders from them
        data = render.harmless(data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")).encode()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _show_call(session: Session, step: CallStep) -> None:
    call, out = step.call, render.console()
    out.print(f"{step.address}  {step.kind}  {render.harmless(call.name)}", style="bold")
    facts = [f"effect {call.effect}" if call.effect else "", f"lane {step.lane}", render.seconds(step.duration_s)]
    out.print(render.harmless("  " + " · ".join(fact for fact in facts if fact)), style="dim")
    if step.lossy:
        out.print("  a secret in the answer was replaced before it was written (lossy)", style="yellow")
    _block(out, "arguments", _pretty(call.arguments.decode("utf-8", "replace")))
    if call.outcome is None:
        out.print("\n  no answer: the run ended first; it may have taken effect", style="red")
    elif call.outcome.raised:
        _block(out, "raised", raised_text(call.outcome.body))
    else:
        _block(out, "returned", _pretty(step.answer_text))
    out.print(f"\n  exact bytes: playhead inspect {shown(session.id)}:{step.number} --raw", style="dim")


def _show_mark(session: Session, step: MarkStep) -> None:
    out = render.console()
    out.print(f"{step.address}  {step.kind}  {render.harmless(step.mark.name)}".rstrip(), style="bold")
    facts = [step.mark.what, f"lane {step.lane}", render.seconds(step.duration_s)]
    out.print(render.harmless("  " + " · ".join(facts)), style="dim")
    if step.request is not None:
        _show_question(out, step.request)
    if step.response is not None:
        _show_answer(out, step, session.costs[step.number])
    if step.request is None:
        for title, text in step.shown():
            _block(out, title, _pretty(text))
    out.print(f"\n  exact bytes: playhead inspect {shown(session.id)}:{step.number} --raw", style="dim")


def _pretty(text: str) -> str:
    """JSON on lines of its own, where it is that and not short."""
    try:
        return text if len(text) <= _SHORT else json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _show_step(session: Session, step: Step | CallStep | MarkStep) -> None:
    if isinstance(step, CallStep):
        _show_call(session, step)
        return
    if isinstance(step, MarkStep):
        _show_mark(session, step)
        return
    out = render.console()
    out.print(f"{step.address}  {step.kind}  {render.harmless(step.model or '')}".rstrip(), style="bold")
    asked = step.asked
    target = step.exchange.target
    where = f"{asked.method} {target.scheme}://{target.authority}{asked.target}"
    took = f"{render.seconds(step.duration_s)}, first byte after {render.seconds(step.ttft_s)}"
    out.print(render.harmless(f"  {where} · {step.exchange.route} · lane {step.lane} · {took}"), style="dim")
    if step.exchange.lossy:
        out.print("  a secret in the answer was replaced before it was written (lossy)", style="yellow")
    if step.exchange.lost:
        out.print(f"  damaged: {step.exchange.lost}; it cannot be replayed", style="red")
    if step.request is None:
        _show_plain(out, step)
    else:
        _show_question(out, step.request)
        out.print("\n  " + "─" * 40, style="dim")
        _show_answer(out, step, session.costs[step.number])
    out.print(f"\n  exact bytes: playhead inspect {shown(session.id)}:{step.number} --raw", style="dim")


def _show_question(out: Console, request: NormalRequest) -> None:
    params = {k: v for k, v in request.params.items() if v is not None}
    if params:
        out.print("  " + render.harmless(", ".join(f"{k}={v}" for k, v in params.items())), style="dim")
    if request.tools:
        out.print("  tools: " + render.harmless(", ".join(str(t.get("name", "?")) for t in request.tools)), style="dim")
    spoken = [message.role for message in request.messages]
    if request.system and not {"system", "developer"} & set(spoken):
        _block(out, "system", request.system)
    for message in request.messages:
        _block(out, message.role, "\n".join(_part(part) for part in message.content))


def _show_answer(out: Console, step: Step | MarkStep, cost: float | None) -> None:
    response = step.response
    if response is None:
        if isinstance(step, Step):
            _no_answer(out, step)
        return
    if response.error:
        status = step.answered.status if isinstance(step, Step) and step.answered else ""
        _block(out, "error", f"{status} {response.error.get('type') or ''}: {response.error.get('message') or ''}")
    if response.reasoning:
        _block(out, "reasoning", response.reasoning)
    if response.text:
        _block(out, "answer", response.text)
    for call in response.tool_calls:
        _block(out, "tool call", f"{call.name}({call.arguments_text})")
    usage = response.usage
    out.print(
        f"\n  stop: {render.harmless(response.stop_reason or '-')} · {render.count(usage.input_tokens)} tokens in "
        f"({render.count(usage.cached_input_tokens)} cached), {render.count(usage.output_tokens)} out "
        f"({render.count(usage.reasoning_tokens)} reasoning), {render.dollars(cost)}",
        style="dim",
    )


def _no_answer(out: Console, step: Step) -> None:
    why = f"{step.exchange.ending or 'the run ended first'} {step.exchange.detail}".rstrip()
    out.print(f"  no answer: {render.harmless(why)}", style="red")


def _show_plain(out: Console, step: Step) -> None:
    body = step.asked.body
    if body:
        _block(out, "request", body.decode("utf-8", "replace"))
    answered = step.answered
    if answered is None:
        out.print(
            f"  no answer: {step.exchange.ending or 'the run ended first'} {render.harmless(step.exchange.detail)}",
            style="red",
        )
        return
    for said in step.spoken:
        _block(out, "client" if said.by_client else "server", said.text)
    if not step.spoken:
        _block(out, f"answer {answered.status}", answered.body.decode("utf-8", "replace"))


def _block(out: Console, title: str, text: str) -> None:
    out.print(f"\n  {render.harmless(title)}", style="bold cyan")
    for line in render.harmless(text).splitlines() or [""]:
        out.print(f"    {line}")


def _part(part: dict[str, Any]) -> str:
    kind = part.get("type")
    if kind in ("text", "reasoning"):
        return str(part.get("text", ""))
    if kind == "tool_call":
        return f"-> {part.get('name')}({part.get('arguments_text') or part.get('arguments')})"
    if kind == "tool_result":
        content = part.get("content") or []
        inner = "\n".join(_part(p) for p in content) if isinstance(content, list) else str(content)
        return f"<- {part.get('name') or part.get('id') or ''}: {inner}"
    return f"[{kind}]"
