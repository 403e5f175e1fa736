"""Ids that an answer issued and a later request of the same run may send back.

An echoed id differs from run to run of a live agent while meaning the same call, so the match key names it by where it
was issued. Which keys carry ids is read from the providers' wire formats; see docs/ARCHITECTURE.md, matching.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORTEST_ID = 6  # shorter values are too likely to be words or counters

# `\\*"` also reads JSON inside a JSON string, as in `arguments` of a relayed call
_KEYED = re.compile(
    rb'"(?:id|call_id|tool_call_id|item_id|response_id|responseId|toolUseId|tool_use_id|interaction_id|event_id'
    rb'|request_id|approval_request_id|container_id|conversation_id|thread_id|run_id|message_id|file_id|batch_id)\\?"'
    rb'\s*:\s*\\?"([A-Za-z0-9_\-.:/+=]{6,256})\\?"'
)
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9]{1,15}[_-]")
_PREFIX_BOUND = 32  # kinds of id looked for inside longer text; whole values are found without
_BEDROCK_CHUNK = re.compile(rb'"bytes"\s*:\s*"([A-Za-z0-9+/=]{8,})"')


class IssuedIds(dict[str, str]):
    """Ids issued so far in one run, each with its stable name (`step 3 id 0`). Only grows. `prefixes`: how they begin
    (`call_`, `toolu_`), for those that say their kind."""

    def __init__(self) -> None:
        super().__init__()
        self.prefixes: list[str] = []

    @classmethod
    def of(cls, names: Mapping[str, str]) -> Self:
        """`names` as issued ids; the same object when it is that already."""
        if isinstance(names, cls):
            return names
        issued = cls()
        for literal, name in names.items():
            issued[literal] = name
        return issued

    def __setitem__(self, literal: str, name: str) -> None:
        super().__setitem__(literal, name)
        prefix = _PREFIX.match(literal)
        if prefix is not None and prefix[0] not in self.prefixes and len(self.prefixes) < _PREFIX_BOUND:
            self.prefixes.append(prefix[0])

    def note(self, step: int, answer_body: bytes) -> None:
        """Take in the ids of the answer of `step`; an id issued before keeps its first name."""
        for number, literal in enumerate(collect_issued_ids(answer_body)):
            if literal not in self:
                self[literal] = f"step {step} id {number}"


def collect_issued_ids(answer_body: bytes) -> list[str]:
    """The ids in an answer (JSON, SSE, NDJSON or AWS event stream, decoded from its content coding), each once, in order
    of first appearance. Bedrock's invoke stream wraps each native chunk in base64, which is looked into."""
    ids: dict[str, None] = {}
    if b'"bytes"' in answer_body:
        for match in _BEDROCK_CHUNK.finditer(answer_body):
            try:
                inner = base64.b64decode(match[1], validate=True)
            except ValueError:
                continue
            ids.update(dict.fromkeys(found.decode() for found in _KEYED.findall(inner)))
    ids.update(dict.fromkeys(found.decode() for found in _KEYED.findall(answer_body)))
    return list(ids)
