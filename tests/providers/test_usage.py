"""Token counts: a golden table computed by hand, and every total the published recordings report."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

import pytest

from playhead.providers import usage
from tests.providers.traffic import recordings

if TYPE_CHECKING:
    from playhead.providers.base import Usage

# (reader, the provider's own object, (input, cached, cache write, output, reasoning)); objects marked R are recorded.
_TABLE: list[tuple[Any, dict[str, Any], tuple[int | None, ...]]] = [
    # R chat completions: everything inclusive already
    (
        usage.of_openai,
        {
            "prompt_tokens": 14,
            "completion_tokens": 877,
            "total_tokens": 891,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        (14, 0, None, 877, 0),
    ),
    # R responses with reasoning and a cache-write count
    (
        usage.of_openai,
        {
            "input_tokens": 20,
            "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
            "output_tokens": 282,
            "output_tokens_details": {"reasoning_tokens": 214},
            "total_tokens": 302,
        },
        (20, 0, 0, 282, 214),
    ),
    # R embeddings say nothing of output
    (usage.of_openai, {"prompt_tokens": 11, "total_tokens": 11}, (11, None, None, None, None)),
    # DeepSeek's cache counts stand at the top
    (
        usage.of_openai,
        {
            "prompt_tokens": 100,
            "completion_tokens": 7,
            "total_tokens": 107,
            "prompt_cache_hit_tokens": 64,
            "prompt_cache_miss_tokens": 36,
        },
        (100, 64, None, 7, None),
    ),
    # xAI: only with reasoning does the total add up, 32 + 9 + 295
    (
        usage.of_openai,
        {
            "prompt_tokens": 32,
            "completion_tokens": 9,
            "total_tokens": 336,
            "completion_tokens_details": {"reasoning_tokens": 295},
        },
        (32, None, None, 304, 295),
    ),
    # R messages without cache
    (usage.of_anthropic, {"input_tokens": 520, "output_tokens": 148}, (520, None, None, 148, None)),
    # messages with cache: 12 fresh + 2048 read + 300 written
    (
        usage.of_anthropic,
        {
            "input_tokens": 12,
            "cache_read_input_tokens": 2048,
            "cache_creation_input_tokens": 300,
            "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
            "output_tokens": 5,
        },
        (2360, 2048, 300, 5, None),
    ),
    # R thinking told apart
    (
        usage.of_anthropic,
        {
            "input_tokens": 379,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 26,
            "output_tokens_details": {"thinking_tokens": 0},
        },
        (379, 0, 0, 26, 0),
    ),
    # R a compaction round stands only in `iterations`: 224 + 83555 in, 22 + 154 out
    (
        usage.of_anthropic,
        {
            "input_tokens": 224,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 22,
            "iterations": [
                {
                    "input_tokens": 83555,
                    "output_tokens": 154,
                    "cache_read_input_tokens": 0,
                    "cache_creation_input_tokens": 0,
                    "type": "compaction",
                },
                {
                    "input_tokens": 224,
                    "output_tokens": 22,
                    "cache_read_input_tokens": 0,
                    "cache_creation_input_tokens": 0,
                    "type": "message",
                },
            ],
        },
        (83779, 0, 0, 176, None),
    ),
    # R gemini: 5 said + 20 thought = 25; 6 + 25 = 31
    (
        usage.of_gemini,
        {"promptTokenCount": 6, "candidatesTokenCount": 5, "totalTokenCount": 31, "thoughtsTokenCount": 20},
        (6, None, None, 25, 20),
    ),
    # gemini with tool-use prompt and cache: 10 + 30 in, all of the cached inside the prompt
    (
        usage.of_gemini,
        {
            "promptTokenCount": 10,
            "toolUsePromptTokenCount": 30,
            "cachedContentTokenCount": 8,
            "candidatesTokenCount": 2,
            "totalTokenCount": 42,
        },
        (40, 8, None, 2, None),
    ),
    # R interactions: 190 + 310 = 500; 10 + 500 = 510
    (
        usage.of_interaction,
        {
            "total_tokens": 510,
            "total_input_tokens": 10,
            "total_cached_tokens": 0,
            "total_output_tokens": 190,
            "total_tool_use_tokens": 0,
            "total_thought_tokens": 310,
        },
        (10, 0, None, 500, 310),
    ),
    # R Nova with a written cache: 4 + 2701 + 10 = 2715
    (
        usage.of_bedrock,
        {
            "cacheReadInputTokenCount": 0,
            "cacheReadInputTokens": 0,
            "cacheWriteInputTokenCount": 2701,
            "cacheWriteInputTokens": 2701,
            "inputTokens": 4,
            "outputTokens": 10,
            "totalTokens": 2715,
        },
        (2705, 0, 2701, 10, None),
    ),
    # the same, were the cache counted inside
    (
        usage.of_bedrock,
        {"cacheReadInputTokens": 90, "inputTokens": 100, "outputTokens": 10, "totalTokens": 110},
        (100, 90, None, 10, None),
    ),
    (
        usage.of_bedrock_metrics,
        {"inputTokenCount": 5, "outputTokenCount": 10, "invocationLatency": 167, "cacheReadInputTokenCount": 3},
        (8, 3, None, 10, None),
    ),
    (
        usage.of_ollama,
        {"model": "llama3.2", "done": True, "prompt_eval_count": 26, "eval_count": 298, "eval_duration": 4709213000},
        (26, None, None, 298, None),
    ),
    (usage.of_ollama, {"done": True, "eval_count": 9}, (None, None, None, 9, None)),
]


def _five(read: Usage) -> tuple[int | None, ...]:
    return (
        read.input_tokens,
        read.cached_input_tokens,
        read.cache_write_tokens,
        read.output_tokens,
        read.reasoning_tokens,
    )


@pytest.mark.parametrize(("reader", "raw", "expected"), _TABLE)
def test_golden_table(reader: Any, raw: dict[str, Any], expected: tuple[int | None, ...]) -> None:
    """Each provider's own object reads as computed by hand."""
    assert _five(reader(raw)) == expected


@pytest.mark.parametrize(
    "reader",
    [
        usage.of_openai,
        usage.of_anthropic,
        usage.of_gemini,
        usage.of_interaction,
        usage.of_bedrock,
        usage.of_bedrock_metrics,
    ],
)
@pytest.mark.parametrize(
    "raw",
    [None, {}, [], "12", {"input_tokens": None, "promptTokenCount": "7", "inputTokens": -1, "prompt_tokens": True}],
)
def test_unknown_is_none_and_never_zero(reader: Any, raw: Any) -> None:
    """A count that is absent, null, negative or of another type is unknown."""
    assert _five(reader(raw)) == (None,) * 5


def test_hourly_cache_writes_are_kept_apart() -> None:
    """They cost more than the five-minute ones, and are part of the writes."""
    read = usage.of_anthropic(
        {"input_tokens": 1, "cache_creation_input_tokens": 300, "cache_creation": {"ephemeral_1h_input_tokens": 200}}
    )
    assert (read.cache_write_tokens, read.cache_write_1h_tokens) == (300, 200)


def test_bedrock_headers_count_what_the_body_does_not() -> None:
    """Names without case; anything but digits is unknown."""
    headers = [
        ("X-Amzn-Bedrock-Input-Token-Count", "6"),
        ("x-amzn-bedrock-output-token-count", "10"),
        ("X-Amzn-Bedrock-Cache-Read-Input-Token-Count", "x"),
    ]
    assert _five(usage.of_bedrock_headers(headers)) == (6, None, None, 10, None)


def _totals(value: Any) -> list[int]:
    """Every total a provider reports anywhere in decoded JSON."""
    if isinstance(value, dict):
        here = [
            each
            for name, each in value.items()
            if name in ("total_tokens", "totalTokenCount", "totalTokens") and isinstance(each, int)
        ]
        return here + [total for each in value.values() for total in _totals(each)]
    return [total for each in value for total in _totals(each)] if isinstance(value, list) else []


def test_sums_equal_every_total_the_recordings_report() -> None:
    """Input + output is the provider's own total, wherever one is reported, streamed or not."""
    checked: collections.Counter[str] = collections.Counter()
    for told in recordings():
        body = told.published.response_body
        if told.answer is not None:
            reported = _totals(told.answer)
        else:
            reported = [total for event in _stream_values(body) for total in _totals(event)]
        if not reported:
            continue
        read = told.response.usage
        assert read.total_tokens == reported[-1], str(told.published)
        assert (read.cached_input_tokens or 0) + (read.cache_write_tokens or 0) <= (read.input_tokens or 0), str(
            told.published
        )
        assert (read.reasoning_tokens or 0) <= (read.output_tokens or 0), str(told.published)
        checked[told.provider.name] += 1
    assert checked == {"openai": 413, "gemini": 64, "bedrock": 43, "vertex": 4}


def _stream_values(body: bytes) -> list[Any]:
    """The JSON of a stream, found without the code under test: in event streams it lies between other bytes."""
    import base64
    import json
    import re

    if body[:1] == b"\0":
        texts = [base64.b64decode(found) for found in re.findall(rb'"bytes":"([^"]*)"', body)] or re.findall(
            rb'\{"metrics".*\}', body
        )
    else:
        texts = [line[6:] for line in body.splitlines() if line.startswith(b"data: {")]
    return [json.loads(text) for text in texts]
