"""The room against every published recording: nothing is lost, and a stream reads like the answer it spells."""

from __future__ import annotations

import collections
import json
from dataclasses import replace
from typing import Any

import pytest

from playhead.providers import anthropic, openai_chat, openai_responses
from playhead.providers.answers import objects_of
from playhead.providers.base import Answer, NormalResponse
from tests.providers.traffic import Told, read, recorded, recordings
from tests.support.published import exchanges


def test_every_model_call_is_recognised_and_nothing_else() -> None:
    """Exact counts by provider and operation, so that a regression shows; the rest is plain HTTP."""
    counted = collections.Counter((told.provider.name, told.operation) for told in map(_named, recordings()))
    assert counted == {
        ("anthropic", "complete"): 24,
        ("anthropic", "messages"): 302,
        ("bedrock", "converse"): 39,
        ("bedrock", "invoke"): 55,
        ("gemini", "embeddings"): 2,
        ("gemini", "generate_content"): 50,
        ("gemini", "interactions"): 9,
        ("gemini", "interactions.retrieve"): 14,
        ("openai", "chat"): 110,
        ("openai", "completions"): 8,
        ("openai", "embeddings"): 32,
        ("openai", "responses"): 271,
        ("openai", "responses.retrieve"): 17,
        ("vertex", "generate_content"): 4,
    }
    plain = collections.Counter(exchange.host for exchange in exchanges() if read(exchange) is None)
    agents = "bedrock-agent-runtime.us-east-1.amazonaws.com"
    assert plain == {"": 15, agents: 5, "httpbin.org": 2, "seomoz.org": 1, "moz.com": 1}


class _Named(Told):
    @property
    def operation(self) -> str:
        return self.provider.operation


def _named(told: Told) -> _Named:
    return _Named(*told)


def test_every_answer_says_something() -> None:
    """An answer that succeeded has content or is an embedding or was still running; one that failed has an error."""
    for told in recordings():
        where, answer = str(told.published), told.response
        if told.published.status >= 400:
            assert answer.error, where
            assert answer.error["type"], where
            assert answer.error["message"], where
            assert not answer.content, where
        elif told.provider.operation == "embeddings" or "embed" in told.published.path:
            assert answer.usage.input_tokens, where
        elif answer.error is None and answer.stop_reason is not None:
            assert answer.content, where
            assert answer.stop_reason, where
        assert answer.error is None or answer.error["type"] != "undecodable", where


def test_answers_by_what_they_hold() -> None:
    """How many have text, reasoning, tool calls, an error, no stop reason."""
    held: collections.Counter[str] = collections.Counter()
    for told in recordings():
        answer = told.response
        held["text"] += bool(answer.text)
        held["reasoning"] += bool(answer.reasoning)
        held["tool calls"] += len(answer.tool_calls)
        held["errors"] += answer.error is not None
        held["server tools"] += sum(part["type"] == "tool_call" and "server" in part for part in answer.content)
        held["other"] += sum(part["type"] == "other" for part in answer.content)
        held["unfinished"] += (
            answer.stop_reason is None and answer.error is None and told.provider.operation != "embeddings"
        )
    assert held == {
        "text": 760,
        "reasoning": 11,
        "tool calls": 130,
        "errors": 56,
        "server tools": 62,
        "other": 16,  # compactions, MCP listings and approvals, Gemini's code execution
        "unfinished": 4,  # three background interactions, one embedding by Bedrock Invoke
    }


def test_requests_keep_their_messages_one_to_one() -> None:
    """As many messages as the provider's own list has, in its order, and none empty that was not."""
    lists = 0
    for told in recordings():
        try:
            sent = json.loads(told.published.request_body)
        except ValueError:
            continue
        given = next(
            (sent[name] for name in ("messages", "contents", "input") if isinstance(sent.get(name), list)), None
        )
        if given is None or told.provider.operation == "embeddings":
            continue
        lists += 1
        assert len(told.request.messages) == len(given), str(told.published)
        for message, raw in zip(told.request.messages, given, strict=True):
            assert message.content or not raw.get("content"), str(told.published)
    assert lists == 738


def test_what_reads_can_be_written() -> None:
    """Every normal form is JSON, and says what its parts say."""
    for told in recordings():
        answer = json.loads(json.dumps(told.response.to_json()))
        assert answer["usage"].keys() == {
            "input_tokens",
            "cached_input_tokens",
            "cache_write_tokens",
            "output_tokens",
            "reasoning_tokens",
        }
        assert answer["text"] == told.response.text
        assert json.loads(json.dumps(told.request.to_json()))["model"] == told.request.model


def _seen(answer: NormalResponse) -> Any:
    calls = tuple((call.name, json.dumps(call.arguments)) for call in answer.tool_calls)
    return answer.text, answer.stop_reason, calls


def test_streamed_and_plain_recordings_of_one_question_agree() -> None:
    """Where a question was recorded both ways, some streamed answer equals some plain one in text, calls, stop reason.
    Sampling makes others differ; the questions counted here are those where the model said the same twice."""
    asked: dict[Any, tuple[list[Told], list[Told]]] = collections.defaultdict(lambda: ([], []))
    for told in recordings():
        if told.published.status != 200 or told.published.method != "POST":
            continue
        body = json.loads(told.published.request_body)
        question = json.dumps({name: body[name] for name in sorted(body) if name not in ("stream", "stream_options")})
        asked[(told.provider.operation, told.request.model, question)][told.request.stream].append(told)
    agreeing: collections.Counter[str] = collections.Counter()
    for (operation, *_), (plain, streamed) in asked.items():
        if {_seen(told.response) for told in plain} & {_seen(told.response) for told in streamed}:
            agreeing[operation] += 1
    assert agreeing == {
        "messages": 8,
        "complete": 1,
        "chat": 5,
        "completions": 2,
        "responses": 7,
        "generate_content": 1,
        "converse": 1,
        "invoke": 4,
    }


def test_responses_streams_fold_to_their_closing_event() -> None:
    """The items of a stream alone, without its closing event, make the same content as the response that closes it."""
    folded = 0
    for told in recordings():
        if not told.provider.operation.startswith("responses") or told.published.status != 200:
            continue
        events = objects_of(Answer(200, told.published.response_headers, told.published.response_body)).values
        closing = [event for event in events if str(event.get("type")) in ("response.completed", "response.incomplete")]
        if not closing or not any(event["type"] == "response.output_item.done" for event in events):
            continue  # hand-made ones have only a beginning and an end
        alone = openai_responses.read_response(
            openai_responses.fold_events([each for each in events if each not in closing])
        )
        whole = openai_responses.read_response(closing[0]["response"])
        assert _visible(alone) == _visible(whole), str(told.published)
        folded += 1
    assert folded > 150


def _visible(answer: NormalResponse) -> Any:
    return (
        answer.text,
        answer.reasoning,
        [call.to_json() for call in answer.tool_calls],
        [part["type"] for part in answer.content],
    )


@pytest.mark.parametrize(
    "name",
    [
        "test_agent_loop_streaming.yaml.gz[0]",
        "TestOpenAIStandard.test_stream_time.yaml.gz[0]",
        "test_stream_reasoning_summary.yaml.gz[0]",
        "test_converse_stream_with_content_tool_call.yaml[0]",
        "test_async_interactions_create_stream.yaml[0]",
    ],
)
def test_a_stream_cut_anywhere_holds_a_beginning(name: str) -> None:
    """Cut at any of many places, text is a beginning of the whole text, and no stop reason is made up."""
    told = next(each for each in recordings() if str(each.published).endswith(name))
    whole, body = told.response, told.published.response_body
    for length in range(0, len(body), max(1, len(body) // 150)):
        cut = told.provider.normal_response(200, told.published.response_headers, body[:length], told.request)
        assert whole.text.startswith(cut.text), length
        assert cut.stop_reason in (None, whole.stop_reason)
        assert len(cut.tool_calls) <= len(whole.tool_calls)


def test_a_recorded_thinking_answer() -> None:
    """Anthropic's thinking, streamed: text apart from reasoning, with its signature kept."""
    answer = recorded("langchain-anthropic-1.7.10/tests/cassettes/test_thinking.yaml.gz[1]").response
    assert answer.text == "Hello! How can I help you today?"
    assert answer.reasoning.startswith("The user has simply greeted me")
    assert answer.content[0]["signature"].startswith("ErEC")
    assert (answer.stop_reason, answer.model) == ("end_turn", "claude-sonnet-4-5-20250929")


def test_a_recorded_parallel_tool_call() -> None:
    """Bedrock ConverseStream, two calls in one answer, arguments pieced together."""
    answer = recorded("botocore-0.66b2/tests/cassettes/test_converse_stream_no_content_tool_call.yaml[0]").response
    assert [(call.name, call.arguments) for call in answer.tool_calls] == [
        ("get_current_weather", {"location": "Seattle"}),
        ("get_current_weather", {"location": "San Francisco"}),
    ]
    assert [call.id for call in answer.tool_calls] == [
        "tooluse_IIpMFTgaRVGyI7x4sJfKzQ",
        "tooluse_KZPBYYUtS72Um_JDI8hTow",
    ]
    assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("tool_use", 415, 195)


def test_recorded_server_tools_are_not_asked_of_the_client() -> None:
    """Tools the provider ran are shown in the content and are no tool calls."""
    ran = [told for told in recordings() if any(part.get("server") for part in told.response.content)]
    assert {told.provider.name for told in ran} == {"anthropic", "openai", "gemini"}
    code = recorded("langchain-anthropic-1.7.10/tests/cassettes/test_code_execution.yaml.gz[0]").response
    kinds = [(part["type"], part.get("server", False)) for part in code.content]
    assert ("tool_call", True) in kinds
    assert ("tool_result", True) in kinds
    assert code.tool_calls == []


def test_a_recorded_alternative_choice_stays_apart() -> None:
    """Of an answer with two choices the text is the first one's; the other's parts are marked."""
    for name in (
        "test_chat_completion_multiple_choices.yaml[0]",
        "test_chat_completion_multiple_choices_streaming.yaml[0]",
    ):
        answer = recorded(name).response
        apart = [part for part in answer.content if part.get("choice")]
        assert answer.text
        assert [part["choice"] for part in apart] == [1]
        assert apart[0]["text"] not in ("", None)
        assert len(answer.content) == 2


def test_a_recorded_compaction_is_paid_for() -> None:
    """An answer that only compacted its context still counts the tokens of doing so."""
    answer = recorded("langchain-anthropic-1.7.10/tests/cassettes/test_compaction.yaml.gz[1]").response
    assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("compaction", 83555, 139)


def test_recorded_messages_are_put_together_as_the_sdk_does() -> None:
    """Anthropic's own SDK accumulates the same message from every recorded stream."""
    from anthropic.lib.streaming._messages import accumulate_event
    from anthropic.types import RawMessageStreamEvent
    from pydantic import TypeAdapter

    adapter: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    compared = 0
    for told in recordings():
        if told.provider.operation != "messages" or not told.request.stream or told.published.status != 200:
            continue
        events = objects_of(Answer(200, told.published.response_headers, told.published.response_body)).values
        if "beta" in told.published.path or any(
            each.get("content_block", {}).get("type", "text") not in ("text", "tool_use", "thinking") for each in events
        ):
            continue
        snapshot: Any = None
        pieces: dict[int, bytes] = {}
        for event in events:
            if event["type"] != "ping":
                snapshot = accumulate_event(
                    event=adapter.validate_python(event), current_snapshot=snapshot, json_bufs=pieces
                )
        assert snapshot is not None
        theirs = anthropic.read_message(snapshot.to_dict())
        assert (theirs.text, theirs.reasoning, theirs.tool_calls, theirs.usage, theirs.stop_reason) == (
            told.response.text,
            told.response.reasoning,
            told.response.tool_calls,
            told.response.usage,
            told.response.stop_reason,
        ), str(told.published)
        compared += 1
    assert compared > 60


def test_recorded_completions_are_put_together_as_the_sdk_does() -> None:
    """OpenAI's own SDK accumulates the same completion from every recorded chat stream."""
    from openai.lib.streaming.chat import ChatCompletionStreamState
    from openai.types.chat import ChatCompletionChunk

    compared = 0
    for told in recordings():
        if told.provider.operation != "chat" or not told.request.stream or told.published.status != 200:
            continue
        state: Any = ChatCompletionStreamState()
        for chunk in objects_of(Answer(200, told.published.response_headers, told.published.response_body)).values:
            state.handle_chunk(ChatCompletionChunk.construct(**chunk))
        theirs = openai_chat.read_completion(state.current_completion_snapshot.to_dict())
        # Where the first chunk names no model (Azure), the SDK never learns it.
        named = replace(theirs, model=theirs.model or told.response.model, id=theirs.id or told.response.id)
        named = replace(named, tier=named.tier or told.response.tier)  # nor, often, the tier
        assert named == told.response, str(told.published)
        assert told.response.model, str(told.published)
        compared += 1
    assert compared == 28
