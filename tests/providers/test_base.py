"""The normal form itself."""

from __future__ import annotations

import json
import subprocess
import sys

from playhead.providers.base import Message, NormalRequest, NormalResponse, ToolCall, Usage, reasoning_part, text_part


def test_usage_has_the_keys_of_the_contract() -> None:
    """Five counts, in JSON; the hourly part of cache writes is for prices only."""
    assert Usage(1, 2, 3, 4, 5, 6).to_json() == {
        "input_tokens": 1,
        "cached_input_tokens": 2,
        "cache_write_tokens": 3,
        "output_tokens": 4,
        "reasoning_tokens": 5,
    }
    assert (Usage(1, 9, 9, 4).total_tokens, Usage(output_tokens=4).total_tokens, Usage().total_tokens) == (5, 4, None)


def test_arguments_are_decoded_where_they_can_be() -> None:
    """JSON text, no text, torn text; a value keeps its own text."""
    assert ToolCall.of_text("i", "f", '{"a": 1}') == ToolCall("i", "f", {"a": 1}, '{"a": 1}')
    assert ToolCall.of_text("i", "f", " ").arguments == {}
    assert ToolCall.of_text("i", "f", '{"a": ').arguments == '{"a": '
    assert ToolCall.of_value(None, "f", {"b": "é"}) == ToolCall(None, "f", {"b": "é"}, '{"b":"é"}')


def test_text_reasoning_and_calls_are_views_of_the_content() -> None:
    """In order, without alternatives and without tools the provider ran."""
    call = ToolCall.of_value("1", "f", {})
    answer = NormalResponse(
        [
            reasoning_part("a"),
            text_part("x"),
            reasoning_part(""),
            call.to_part(),
            call.to_part(server=True),
            reasoning_part("b"),
            text_part("y"),
            {**text_part("z"), "choice": 1},
        ]
    )
    assert (answer.text, answer.reasoning, answer.tool_calls) == ("xy", "a\n\nb", [call])
    assert answer.to_json()["tool_calls"] == [{"id": "1", "name": "f", "arguments": {}, "arguments_text": "{}"}]


def test_normal_forms_are_json() -> None:
    """What inspect prints."""
    request = NormalRequest(
        "openai", "chat", "m", "s", [Message("user", [text_part("hi")])], [], {"temperature": 0}, stream=True
    )
    assert json.loads(json.dumps(request.to_json())) == {
        "provider": "openai",
        "operation": "chat",
        "model": "m",
        "system": "s",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "tools": [],
        "params": {"temperature": 0},
        "stream": True,
    }


def test_the_room_needs_the_standard_library_only() -> None:
    """Reading recordings must not cost a dependency."""
    code = "import sys; import playhead.providers.detect; print(*{n.partition('.')[0] for n in sys.modules} - set(sys.stdlib_module_names))"
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {_source()!r}); {code}"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert set(found.stdout.split()) <= {"playhead", "__main__"}


def _source() -> str:
    from pathlib import Path

    import playhead

    return str(Path(playhead.__file__).parents[1])
