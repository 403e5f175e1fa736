"""Token counts as each provider reports them, read into one inclusive form.

Inclusive means: input counts everything the model read, cached or not; output counts everything it wrote, thoughts too;
input + output is the total the provider itself reports. What each one leaves out of its own numbers:

    Anthropic       input leaves out cache reads and writes; usage leaves out the rounds spent on compaction
    OpenAI          nothing; some compatible servers (xAI) leave reasoning out of completion tokens
    Gemini          candidates leave out thoughts, the prompt leaves out tool-use prompts; so do Interactions
    Bedrock         input leaves out cache reads and writes (seen with Amazon Nova: 4 + 10 + 2701 written = 2715 in all)
    Ollama          nothing; it leaves out the prompt's count when the whole prompt was cached
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playhead.providers.base import Usage
from playhead.providers.raw import JsonObject, as_count, as_object, as_objects, first, header, total

if TYPE_CHECKING:
    from playhead.providers.raw import Headers


def of_openai(value: Any) -> Usage:
    """`usage` of Chat Completions, Completions, Embeddings and Responses, with the additions of compatible servers:
    DeepSeek's `prompt_cache_hit_tokens`, and reasoning counted beside completion tokens where only that gives the total."""
    raw = as_object(value)
    read = as_count(first(raw.get("prompt_tokens"), raw.get("input_tokens")))
    written = as_count(first(raw.get("completion_tokens"), raw.get("output_tokens")))
    reading = as_object(first(raw.get("prompt_tokens_details"), raw.get("input_tokens_details")))
    writing = as_object(first(raw.get("completion_tokens_details"), raw.get("output_tokens_details")))
    reasoning = as_count(writing.get("reasoning_tokens"))
    in_all = as_count(raw.get("total_tokens"))
    if reasoning and in_all is not None and in_all == total(read, written, reasoning):
        written = total(written, reasoning)
    return Usage(
        input_tokens=read,
        cached_input_tokens=as_count(first(reading.get("cached_tokens"), raw.get("prompt_cache_hit_tokens"))),
        cache_write_tokens=as_count(reading.get("cache_write_tokens")),
        output_tokens=written,
        reasoning_tokens=reasoning,
    )


def of_anthropic(value: Any) -> Usage:
    """`usage` of Messages. `iterations` lists the rounds behind one answer; those of type `compaction` are paid for and
    not in the top-level numbers, those of type `message` are."""
    raw = as_object(value)
    rounds = [raw, *(each for each in as_objects(raw.get("iterations")) if each.get("type") == "compaction")]
    cached = total(*(as_count(each.get("cache_read_input_tokens")) for each in rounds))
    stored = total(*(as_count(each.get("cache_creation_input_tokens")) for each in rounds))
    hourly = (as_object(each.get("cache_creation")).get("ephemeral_1h_input_tokens") for each in rounds)
    fresh = total(*(as_count(each.get("input_tokens")) for each in rounds))
    return Usage(
        input_tokens=None if fresh is None else total(fresh, cached, stored),
        cached_input_tokens=cached,
        cache_write_tokens=stored,
        output_tokens=total(*(as_count(each.get("output_tokens")) for each in rounds)),
        reasoning_tokens=as_count(as_object(raw.get("output_tokens_details")).get("thinking_tokens")),
        cache_write_1h_tokens=total(*(as_count(each) for each in hourly)),
    )


def of_gemini(value: Any) -> Usage:
    """`usageMetadata` of generateContent and of embeddings."""
    raw = as_object(value)
    thoughts = as_count(raw.get("thoughtsTokenCount"))
    return Usage(
        input_tokens=total(as_count(raw.get("promptTokenCount")), as_count(raw.get("toolUsePromptTokenCount"))),
        cached_input_tokens=as_count(raw.get("cachedContentTokenCount")),
        output_tokens=total(as_count(raw.get("candidatesTokenCount")), thoughts),
        reasoning_tokens=thoughts,
    )


def of_interaction(value: Any) -> Usage:
    """`usage` of Gemini Interactions."""
    raw = as_object(value)
    thoughts = as_count(raw.get("total_thought_tokens"))
    return Usage(
        input_tokens=total(as_count(raw.get("total_input_tokens")), as_count(raw.get("total_tool_use_tokens"))),
        cached_input_tokens=as_count(raw.get("total_cached_tokens")),
        output_tokens=total(as_count(raw.get("total_output_tokens")), thoughts),
        reasoning_tokens=thoughts,
    )


def of_bedrock(value: Any) -> Usage:
    """`usage` of Converse and of Amazon Nova's own format. Where a total is given it decides whether cached tokens are
    inside `inputTokens`; without one they are taken to be outside, as the service documents."""
    raw = as_object(value)
    fresh, written = as_count(raw.get("inputTokens")), as_count(raw.get("outputTokens"))
    cached = as_count(first(raw.get("cacheReadInputTokens"), raw.get("cacheReadInputTokenCount")))
    stored = as_count(first(raw.get("cacheWriteInputTokens"), raw.get("cacheWriteInputTokenCount")))
    in_all = as_count(raw.get("totalTokens"))
    inside = in_all is not None and in_all == total(fresh, written)
    return Usage(
        input_tokens=fresh if inside or fresh is None else total(fresh, cached, stored),
        cached_input_tokens=cached,
        cache_write_tokens=stored,
        output_tokens=written,
    )


def of_bedrock_headers(headers: Headers) -> Usage:
    """The counts Bedrock puts beside an invoked model's own body."""

    def count(name: str) -> int | None:
        text = header(headers, f"x-amzn-bedrock-{name}-token-count")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None

    cached, stored = count("cache-read-input"), count("cache-write-input")
    fresh = count("input")
    read = None if fresh is None else total(fresh, cached, stored)
    return Usage(
        input_tokens=read, cached_input_tokens=cached, cache_write_tokens=stored, output_tokens=count("output")
    )


def of_bedrock_metrics(value: Any) -> Usage:
    """`amazon-bedrock-invocationMetrics` of the last chunk of an invoked model's stream."""
    raw = as_object(value)
    cached, stored = as_count(raw.get("cacheReadInputTokenCount")), as_count(raw.get("cacheWriteInputTokenCount"))
    fresh = as_count(raw.get("inputTokenCount"))
    return Usage(
        input_tokens=None if fresh is None else total(fresh, cached, stored),
        cached_input_tokens=cached,
        cache_write_tokens=stored,
        output_tokens=as_count(raw.get("outputTokenCount")),
    )


def of_ollama(value: JsonObject) -> Usage:
    """`prompt_eval_count` and `eval_count` beside the message."""
    return Usage(input_tokens=as_count(value.get("prompt_eval_count")), output_tokens=as_count(value.get("eval_count")))


def completed(usage: Usage, spare: Usage) -> Usage:
    """`usage`, or `spare` when it knows neither input nor output; never a mixture of two sources' sums."""
    return spare if usage.input_tokens is None and usage.output_tokens is None else usage
