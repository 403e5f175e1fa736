"""Ids that an answer issued and a later request of the same run may send back.

An echoed id differs from run to run of a live agent while meaning the same call, so the match key names it by where it
was issued. The keys that carry ids are those of the providers' wire formats (OpenAI, Anthropic, Gemini, Bedrock) and of
their neighbours (Ollama has none); values of less than 6 characters are too likely to be words or counters.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_ID = 256
# `\\?"` also reads JSON inside a JSON string, as in `arguments` of a relayed call
_KEYED = re.compile(
    rb'"(?:id|call_id|tool_call_id|item_id|response_id|responseId|toolUseId|tool_use_id|interaction_id|event_id'
    rb'|request_id|approval_request_id|container_id|conversation_id|thread_id|run_id|message_id|file_id|batch_id)\\?"'
    rb'\s*:\s*\\?"([A-Za-z0-9_\-.:/+=]{6,256})\\?"'
)
_PREFIX = re.compile(r"[a-z][a-z0-9]{1,11}[_-]")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_PREFIX_BOUND = 12  # kinds of id looked for inside longer text; whole values are found without
_BEDROCK_CHUNK = re.compile(rb'"bytes"\s*:\s*"([A-Za-z0-9+/=]{8,})"')


class IssuedIds(dict[str, str]):
    """Ids issued so far in one run, each with its stable name (`step 3 id 0`). Only grows. `prefixes`: how they begin
    (`call_`, `toolu_`), for those that say their kind; `bare`: the others but uuids, which are looked for as
    whole values only; `uuids`: these, in lower case."""

    def __init__(self) -> None:
        super().__init__()
        self.prefixes: list[str] = []
        self.bare: set[str] = set()
        self.uuids: set[str] = set()

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
        if _UUID.fullmatch(literal):
            self.uuids.add(literal.lower())  # found by its form
            return
        match = _PREFIX.match(literal)
        prefix = match[0] if match else ""
        if prefix and prefix not in self.prefixes and len(self.prefixes) < _PREFIX_BOUND:
            self.prefixes.append(prefix)
        if prefix not in self.prefixes:
            self.bare.add(literal)

    def note(self, step: int, answer_body: bytes, text: str = "") -> None:
        """Take in the ids of the answer of `step`, and every uuid anywhere in it: what the tape said is explained by the
        tape. `text` is what a stream's pieces spell, where a uuid may be cut in two. An id keeps its first name."""
        for number, literal in enumerate(collect_issued_ids(answer_body)):
            if literal not in self:
                self[literal] = f"step {step} id {number}"
        said = _UUID.findall(answer_body.decode("latin-1")) + _UUID.findall(text)
        for number, literal in enumerate(dict.fromkeys(said)):
            if literal not in self:
                self[literal] = f"step {step} uuid {number}"


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
