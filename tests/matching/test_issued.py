"""Ids that answers issue."""

from __future__ import annotations

import base64
import json

import pytest

from playhead.matching.issued import IssuedIds, collect_issued_ids
from tests.matching.requests import A_UUID
from tests.support.published import exchanges

ANSWERS = {
    "chat": (
        b'{"id":"chatcmpl-abc","choices":[{"message":{"tool_calls":[{"id":"call_1a2b","type":"function"}]}}]}',
        ["chatcmpl-abc", "call_1a2b"],
    ),
    "responses sse": (
        b'event: x\ndata: {"response":{"id":"resp_01"}}\n\ndata: {"item":{"id":"fc_0123","call_id":"call_77x"},"item_id":"fc_0123"}\n\n',
        ["resp_01", "fc_0123", "call_77x"],
    ),
    "anthropic": (b'{"id": "msg_012", "content": [{"type": "tool_use", "id": "toolu_9Z"}]}', ["msg_012", "toolu_9Z"]),
    "gemini": (
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"id":"f-12345","name":"x"}}]}}],"responseId":"Zx_-09"}',
        ["f-12345", "Zx_-09"],
    ),
    "converse": (b'\x00\x00\x01{"start":{"toolUse":{"name":"w","toolUseId":"tooluse_AbC"}}}\x9a\x00', ["tooluse_AbC"]),
    "invoke stream": (
        json.dumps({"bytes": base64.b64encode(b'{"id":"toolu_bdrk_1"}').decode()}).encode(),
        ["toolu_bdrk_1"],
    ),
    "ids inside text": (b'{"output": "{\\"id\\": \\"call_inner\\"}"}', ["call_inner"]),
    "too short, no id": (b'{"id":"1","name":"call_zzzzz","id":12345678}', []),
    "damaged base64": (b'{"bytes":"abcdefgh!"} {"bytes":"abcde===="}', []),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_ids_in_order_of_appearance(name: str):
    """Every provider's id keys, streamed and not, each id once."""
    answer, expected = ANSWERS[name]
    assert collect_issued_ids(answer) == expected


def test_an_id_keeps_its_first_name():
    """A later answer that echoes an id does not rename it."""
    issued = IssuedIds()
    issued.note(1, b'{"id":"resp_aaa"}')
    issued.note(2, b'{"id":"resp_aaa","x":{"id":"call_bbb"}}')
    assert issued == {"resp_aaa": "step 1 id 0", "call_bbb": "step 2 id 1"}
    assert issued.prefixes == ["resp_", "call_"]
    assert IssuedIds.of(issued) is issued
    assert IssuedIds.of({"Zx09-abcdef12": "a", "call_1234": "b", A_UUID: "c"}).bare == {"Zx09-abcdef12"}
    assert IssuedIds.of({"toolu_1234": "x"}).prefixes == ["toolu_"]


def test_echoed_ids_of_published_conversations_are_known():
    """In every published conversation with tool calls, the ids that come back were collected from an earlier answer of
    the same file."""
    keys = ("tool_call_id", "tool_use_id", "call_id", "toolUseId")
    issued_by_file: dict[tuple[str, str], set[str]] = {}
    known = unknown = 0
    for exchange in exchanges():
        issued = issued_by_file.setdefault((exchange.source, exchange.file), set())
        try:
            body = json.loads(exchange.request_body or b"{}")
        except ValueError:
            body = {}
        for echoed in _values(body, keys):
            if echoed in issued:
                known += 1
            else:
                unknown += 1
        issued.update(collect_issued_ids(exchange.response_body))
    assert known > 100
    assert unknown < known


def _values(node: object, keys: tuple[str, ...]) -> list[str]:
    if isinstance(node, list):
        return [value for item in node for value in _values(item, keys)]
    if isinstance(node, dict):
        own = [value for key, value in node.items() if key in keys and isinstance(value, str)]
        return own + [value for item in node.values() for value in _values(item, keys)]
    return []


def test_many_kinds_of_id_are_bounded():
    """A hostile answer cannot make every later request be searched for thousands of prefixes."""
    issued = IssuedIds()
    issued.note(1, b"".join(b'{"id":"kind%c%c_1234"}' % (97 + n // 26, 97 + n % 26) for n in range(400)))
    assert len(issued) == 400
    assert len(issued.prefixes) + len(issued.bare) == 400
    assert len(issued.prefixes) <= 12
