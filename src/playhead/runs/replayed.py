"""A block of a program that is replayed from a recording, and the verdict on it."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from playhead.core.boundary import Diverged as LeftTape
from playhead.core.clock import monotonic_ns, wall_ns
from playhead.core.ids import shown
from playhead.core.redact import Redactor, credential_arguments, credential_values
from playhead.errors import Diverged, UsageError
from playhead.matching.masks import Masks, RunFacts
from playhead.player.given import Given
from playhead.runs.carried import PlayedWire
from playhead.runs.embedded import Block, exit_code_of
from playhead.runs.inner import laid_out, reports_inside, said_inside
from playhead.runs.inside import in_order, judge_inside
from playhead.runs.summary import session_summary
from playhead.runs.taped import OBSERVING

if TYPE_CHECKING:
    from playhead.sessions.header import Header
    from playhead.sessions.session import Session


class Replaying:
    """A block that is told what `session` has, in the same order. Raises UsageError and SetupError."""

    def __init__(self, session: Session, *, strict: bool) -> None:
        header = session.header
        if not header.embedded:
            raise UsageError(
                "This session is of a whole program, and a block of one cannot be told what a program was.",
                code="not-a-block",
                where=f"{header.name or 'session'} ({shown(header.id)})",
                expected="a session that playhead.record() or @playhead.session recorded",
                todo=f"playhead replay {shown(header.id)}",
            )
        lossy = [step.number for step in session.steps if step.lossy]
        if lossy and strict:
            raise UsageError(
                "Answers of this session lost a secret before they were written.",
                code="lossy",
                where=f"{shown(header.id)}, steps {', '.join(map(str, lossy[:10]))}",
                expected="the answers as the program once read them",
                todo="replay with mode='observe', which serves them with tokens in the place of secrets",
            )
        self.session = session
        self.strict = strict
        self.is_left = False  # the block has left its tape, and was cut off there
        self.summary: dict[str, Any] = {}
        self.reports: list[str] = []
        self.notes: list[str] = []
        self._stack = contextlib.ExitStack()
        try:
            folder = self._stack.enter_context(laid_out(session.recording))
            assert folder is not None  # noqa: S101  an embedded session has what its process wrote
            self._folder = folder
            if not strict:
                (folder / OBSERVING).touch()
            self._began_ns = monotonic_ns()
            self.block = Block("replay", folder, seed=header.seed, redact=header.redact, durability=header.durability)
            self._wire = PlayedWire(
                session.recording,
                folder,
                redactor=_redactor(header),
                facts=_facts(),
                masks=Masks(),
                strict=strict,
                halt=lambda _reason: None,  # refused from here on, which the block finds out by itself
            )
            self.block.begin(self._wire)
        except BaseException:
            self._stack.close()
            raise

    @property
    def divergences(self) -> list[dict[str, Any]]:
        """As `--summary` has them; empty while the block runs."""
        found: list[dict[str, Any]] = self.summary.get("divergences", [])
        return found

    @property
    def verdict(self) -> str:
        """`identical`, `diverged` or `incomplete`; "" while the block runs."""
        return str(self.summary.get("verdict", ""))

    def end(self, error: BaseException | None) -> Diverged | None:
        """The block is over, by returning or by raising that. What a strict replay raises of it."""
        is_unanswered = isinstance(error, Diverged) and error.code == "not-recorded"
        self.is_left = isinstance(error, LeftTape) or is_unanswered or self.block.was_rescued
        self.block.end(error)
        if self.block.is_parents:
            return None
        duration_s = (monotonic_ns() - self._began_ns) / 1e9
        done = self._wire.finish()
        told = reports_inside(self._folder)
        self.notes = said_inside(self._folder)
        self._stack.close()
        self._judge(done, told, error, duration_s)
        return self._diverged() if self.strict and self.verdict != "identical" else None

    def _judge(
        self, done: dict[str, Any], told: list[dict[str, Any]], error: BaseException | None, duration_s: float
    ) -> None:
        recording = self.session.recording
        inside = judge_inside(recording, told)
        missing = done["missing"] if recording.has_exit else ()
        unplayed = sorted([*done["unplayed"], *inside.steps])
        wire = done["divergences"]
        divergences = in_order(wire, inside.divergences, strict=self.strict, missing=missing, unplayed=unplayed)
        for each in divergences:
            del each["at_ns"]
        not_playable = [step.number for step in self.session.steps if not step.is_playable]
        self.reports = [str(each.pop("report")) for each in divergences]
        holes = [*recording.incomplete, *([] if recording.has_exit else ["the recorded run was cut off"])]
        ended_same = not self.is_left and exit_code_of(error) == recording.exit_code
        if divergences or (not ended_same and recording.has_exit):
            verdict = "diverged"
        elif done["blocked"] or unplayed or inside.unplayed or not_playable or holes:
            verdict = "incomplete"
        else:
            verdict = "identical"
        unplayed += [number for number in not_playable if number not in unplayed]
        self.reports += [f"not played: step {', '.join(map(str, unplayed[:20]))}"] if unplayed else []
        self.reports += [f"blocked: {host}" for host in done["blocked"]]
        self.reports += inside.unplayed
        self.reports += [f"the recording is not whole: {hole}" for hole in holes]
        if not ended_same and recording.has_exit and not divergences:
            how = ("returned", "raised")
            then, now = how[bool(recording.exit_code)], how[bool(exit_code_of(error))]
            self.reports.append(f"the block {now} where the recorded one {then}")
        code = int(verdict != "identical")
        self.summary = {
            **session_summary(self.session, command="replay", exit_code=code, exit_source="playhead"),
            "verdict": verdict,
            "duration_s": round(duration_s, 6),
            "answers": self.session.answers(),
            "served": done["served"] + inside.served(recording),
            "live": 0,
            "blocked": done["blocked"],
            "leaked": [],
            "unplayed": unplayed,
            "ambiguous": done["ambiguous"],
            "tools_rerun": self.session.tools_shown(),
            "masks": done["masks"],
            "origin": self.session.header.origin,
            "stdout_identical": None,  # nobody stands between a block and its standard streams
            "stdout_masked": [],
            "exit_code_identical": ended_same,
            "isolation": "hooks",
            "order_unobserved": sum(each.order_unobserved for each in recording.exchanges),
            "divergences": divergences,
        }

    def _diverged(self) -> Diverged:
        header = self.session.header
        return Diverged(
            "The block is not what was recorded.",
            code="replay-diverged",
            where=f"{header.name or 'session'} ({shown(header.id)})",
            expected="verdict identical",
            seen="\n".join([f"verdict {self.verdict}", *self.reports]),
            todo=f"playhead inspect {shown(header.id)}; or mode='observe', and read replay.divergences",
        )


def _redactor(header: Header) -> Redactor:
    values = [*credential_values(os.environ), *credential_arguments(sys.argv)]
    return Redactor(header.redaction, extra_values=values, personal=header.redact == "pii")


def _facts() -> RunFacts:
    """What this run was given, by which dates, ids and temporary names are told from what matters."""
    began_ns = wall_ns()
    given = Given(sys.orig_argv, os.getcwd(), os.environ, began_ns)  # noqa: PTH109  as text
    return RunFacts(began_ns, tuple(sys.orig_argv), tempfile.gettempdir(), given, time.localtime().tm_gmtoff)
