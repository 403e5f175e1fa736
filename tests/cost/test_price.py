"""Prices of real usage objects, worked out by hand from the price pages as the bundled list states them."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from playhead.cost.price import price
from playhead.providers import usage
from playhead.providers.base import Usage
from playhead.providers.detect import recognise
from tests.support.published import Published, exchanges

LATE = "2026-06-15"
"""For recordings whose date their publishers removed."""

# Where, its date, tokens times dollars a million for each kind of token.
PUBLISHED = [
    # Anthropic: input and output
    ("TestAnthropicStandard.test_stream_time.yaml.gz[0]", LATE, [(14, "1"), (363, "5")]),  # Haiku 4.5, streamed
    (
        "langchain-anthropic-1.7.10/tests/cassettes/test_compaction.yaml.gz[0]",
        LATE,
        [(33423, "5"), (22, "25")],
    ),  # Opus 4.6
    ("test_context_management.yaml.gz[0]", LATE, [(17043, "3"), (835, "15")]),  # Sonnet 4.5
    ("test_redacted_thinking.yaml.gz[0]", LATE, [(92, "3"), (254, "15")]),  # Sonnet 3.7, thinking inside output
    ("test_system_tool_addition.yaml.gz[0]", LATE, [(379, "4"), (26, "20")]),  # Opus 5.5
    (
        "langchain-anthropic-1.7.10/tests/cassettes/test_tool_search.yaml.gz[0]",
        LATE,
        [(1650, "5"), (152, "25")],
    ),  # Opus 4.5
    ("test_anthropic_test_beta_chat_async_api.yaml[0]", "2025-03-07", [(12, "0.8"), (3, "4")]),  # Haiku 3.5
    ("6127babf-9e14-49e2-934a-e966feb37220.yaml[22]", "2024-11-06", [(520, "0.25"), (148, "1.25")]),  # Haiku 3
    (
        "test_async_messages_create_captures_thinking_content.yaml[0]",  # Sonnet 4: 286 of the 425 are thinking
        "2026-05-27",
        [(46, "3"), (425, "15")],
    ),
    # OpenAI: input, cached input, output
    (
        "TestChatOpenAICodexStandard.test_audio_inputs.yaml.gz[1]",
        LATE,
        [(25, "5"), (66, "30")],
    ),  # gpt-5.5, 55 reasoning
    (
        "tests/cassettes/test_chat_completion_cached_tokens.yaml[1]",  # gpt-4o-mini: 1408 of the 1457 cached
        "",
        [(1457 - 1408, "0.15"), (1408, "0.075"), (2, "0.6")],
    ),
    ("test_phase.yaml.gz[0]", LATE, [(67, "2.5"), (233, "15")]),  # gpt-5.4, 168 reasoning
    (
        "langchain-openai-1.7.4/tests/cassettes/test_agent_loop_streaming.yaml.gz[0]",
        LATE,
        [(53, "1.75"), (33, "14")],
    ),  # gpt-5.2
    ("test_apply_patch.yaml.gz[0]", LATE, [(642, "1.25"), (37, "10")]),  # gpt-5.1
    ("test_code_interpreter.yaml.gz[0]", LATE, [(762, "1.1"), (242, "4.4")]),  # asked gpt-5-nano, o4-mini answered
    ("test_custom_tool.yaml.gz[0]", LATE, [(47, "1.25"), (213, "10")]),  # gpt-5
    ("test_image_generation_multi_turn.yaml.gz[0]", LATE, [(666, "2"), (59, "8")]),  # gpt-4.1
    ("test_schema_parsing_failures.yaml.gz[2]", LATE, [(44, "0.05"), (402, "0.4")]),  # gpt-5-nano, 384 reasoning
    ("58e9f031-846d-412e-82a3-7dcc7e6370d2.yaml[0]", "2024-11-06", [(20, "0.5"), (9, "1.5")]),  # gpt-3.5-turbo
    ("58e9f031-846d-412e-82a3-7dcc7e6370d2.yaml[1]", "2024-11-06", [(11, "0.02")]),  # text-embedding-3-small
    ("6127babf-9e14-49e2-934a-e966feb37220.yaml[10]", "2024-04-11", [(204, "30"), (95, "60")]),  # gpt-4
    ("6127babf-9e14-49e2-934a-e966feb37220.yaml[20]", "2024-11-06", [(97, "2.5"), (5, "10")]),  # gpt-4o
    # Gemini: thoughts are output
    (
        "test_gemini_test_custom_config.yaml[0]",
        "2026-04-22",
        [(5, "0.3"), (17, "2.5")],
    ),  # 2.5 Flash, 1 said, 16 thought
    (
        "opentelemetry-instrumentation-google-genai-1.3b0/tests/cassettes/inference_conformance.yaml[0]",  # Interactions
        "2026-06-24",
        [(10, "0.3"), (967, "2.5")],
    ),
    (
        "google-genai-1.3b0/tests/cassettes/embedding_conformance.yaml[0]",
        "2026-06-26",
        [(9, "0.2")],
    ),  # gemini-embedding-2
    (
        "test_upload_hook_non_streaming[NO_CONTENT-gemini-2.5-flash-vertexaiapi-async-enable_completion_hook].yaml[0]",
        "2025-10-10",  # by Vertex
        [(8, "0.3"), (451, "2.5")],
    ),
    # Bedrock
    (
        "test_converse_stream_with_prompt_caching.yaml[0]",
        "2026-09-01",
        [(2705, "0.035"), (10, "0.14")],
    ),  # writes as input
    (
        "test_converse_stream_tool_call_parsing_errors.yaml[0]",
        "2025-05-27",
        [(295, "3"), (43, "15")],
    ),  # Claude 3 Sonnet
    ("test_invoke_model_no_content[amazon.titan].yaml[0]", "2025-02-11", [(5, "0.15"), (10, "0.2")]),
    ("test_invoke_model_no_content[meta.llama].yaml[0]", "2025-04-10", [(5, "0.72"), (10, "0.72")]),
    ("test_invoke_model_no_content[mistral.mistral].yaml[0]", "2025-04-10", [(6, "0.15"), (10, "0.2")]),
    ("test_invoke_model_no_content_tool_call[anthropic.claude].yaml[0]", "2025-03-25", [(392, "3"), (135, "15")]),
]


def dollars(parts: list[tuple[int, str]]) -> Decimal:
    return sum((tokens * Decimal(rate) for tokens, rate in parts), Decimal(0)) / 1_000_000


def ns(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1e9)


def date_of(told: Published) -> str:
    """The day its server answered, where that is published."""
    dates = [value for name, value in told.response_headers if name.lower() == "date" and "GMT" in value]
    return parsedate_to_datetime(dates[0]).date().isoformat() if dates else ""


@pytest.fixture(scope="module")
def recordings() -> list[Published]:
    return [each for each in exchanges() if each.status == 200]


def priced(told: Published, day: str) -> Decimal | None:
    provider = recognise(told.method, told.host, told.path, told.request_headers, told.request_body)
    assert provider is not None
    asked = provider.normal_request(told.method, told.path, told.request_headers, told.request_body)
    answered = provider.normal_response(told.status, told.response_headers, told.response_body, asked)
    models = (answered.model, asked.model)
    return price(provider.name, provider.operation, models, answered.usage, ns(day), tier=answered.tier)


@pytest.mark.parametrize(("place", "day", "parts"), PUBLISHED, ids=[p[0][-60:] for p in PUBLISHED])
def test_a_published_recording_costs_what_its_price_page_says(
    recordings: list[Published], place: str, day: str, parts: list[tuple[int, str]]
) -> None:
    """From the provider's bytes to dollars, on the day of the recording."""
    (told,) = [each for each in recordings if str(each).endswith(place)]
    published = date_of(told)
    assert day in ("", LATE) or published == day
    assert priced(told, published or day or LATE) == dollars(parts)


# Shapes that no published recording has: the usage object as its provider documents it, and the day.
DOCUMENTED: list[tuple[str, str, str, Usage, str, list[tuple[int, str]]]] = [
    (
        "Anthropic cache: read at a tenth, 5 minutes at 1.25, 1 hour at 2 times the input",
        "anthropic",
        "claude-sonnet-4-5-20250929",
        usage.of_anthropic(
            {
                "input_tokens": 21,
                "cache_creation_input_tokens": 1500,
                "cache_read_input_tokens": 18_000,
                "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 500},
                "output_tokens": 393,
            }
        ),
        "2025-12-01",
        [(21, "3"), (18_000, "0.3"), (1000, "3.75"), (500, "6"), (393, "15")],
    ),
    (
        "OpenAI, cached and reasoning",
        "openai",
        "gpt-5-mini-2025-08-07",
        usage.of_openai(
            {
                "input_tokens": 5000,
                "input_tokens_details": {"cached_tokens": 4096},
                "output_tokens": 700,
                "output_tokens_details": {"reasoning_tokens": 640},
                "total_tokens": 5700,
            }
        ),
        "2026-01-10",
        [(5000 - 4096, "0.25"), (4096, "0.025"), (700, "2")],
    ),
    (
        "Gemini: cached content, and thoughts beside candidates",
        "gemini",
        "gemini-2.5-flash",
        usage.of_gemini(
            {
                "promptTokenCount": 2000,
                "cachedContentTokenCount": 1500,
                "candidatesTokenCount": 100,
                "thoughtsTokenCount": 300,
                "totalTokenCount": 2400,
            }
        ),
        "2026-04-22",
        [(500, "0.3"), (1500, "0.03"), (400, "2.5")],
    ),
    (
        "Gemini 2.5 Pro past 200,000 tokens: all at the upper rate",
        "gemini",
        "gemini-2.5-pro",
        usage.of_gemini({"promptTokenCount": 250_000, "candidatesTokenCount": 1000, "totalTokenCount": 251_000}),
        "2026-04-22",
        [(250_000, "2.5"), (1000, "15")],
    ),
    (
        "Bedrock, Claude with a cache read: outside of inputTokens",
        "bedrock",
        "anthropic.claude-3-5-sonnet-20240620-v1:0",
        usage.of_bedrock({"inputTokens": 10, "outputTokens": 20, "cacheReadInputTokens": 1000, "totalTokens": 1030}),
        "2025-05-01",
        [(10, "3"), (1000, "0.3"), (20, "15")],
    ),
    (
        "o3 before its price fell",
        "openai",
        "o3",
        Usage(1000, None, None, 100),
        "2025-05-01",
        [(1000, "10"), (100, "40")],
    ),
    ("o3 after", "openai", "o3", Usage(1000, None, None, 100), "2025-07-01", [(1000, "2"), (100, "8")]),
    (
        "DeepSeek's cache hits, at midnight UTC when it is cheap",
        "deepseek",
        "deepseek-chat",
        usage.of_openai(
            {"prompt_tokens": 900, "prompt_cache_hit_tokens": 600, "completion_tokens": 50, "total_tokens": 950}
        ),
        "2025-03-01",
        [(300, "0.135"), (600, "0.035"), (50, "0.55")],
    ),
    ("Azure", "azure", "gpt-4o-2024-08-06", Usage(1000, None, None, 100), LATE, [(1000, "2.5"), (100, "10")]),
    ("OpenRouter", "openrouter", "openai/gpt-4o", Usage(1000, None, None, 100), LATE, [(1000, "2.5"), (100, "10")]),
    ("Claude by Vertex", "vertex", "claude-sonnet-4@20250514", Usage(9, None, None, 3), LATE, [(9, "3"), (3, "15")]),
]


@pytest.mark.parametrize(
    ("provider", "model", "used", "day", "parts"), [d[1:] for d in DOCUMENTED], ids=[d[0] for d in DOCUMENTED]
)
def test_every_kind_of_token_has_its_own_price(
    provider: str, model: str, used: Usage, day: str, parts: list[tuple[int, str]]
) -> None:
    """Cached, written for 5 minutes or an hour, long prompts, dated prices."""
    assert price(provider, "chat", [model], used, ns(day)) == dollars(parts)


def test_the_service_tier_has_its_own_price() -> None:
    """Flex is half, by the answer's word."""
    at = ns("2026-11-20")
    used = Usage(1000, None, None, 100)
    assert price("openai", "chat", ["gpt-5-mini"], used, at) == dollars([(1000, "0.25"), (100, "2")])
    assert price("openai", "chat", ["gpt-5-mini"], used, at, tier="flex") == dollars([(1000, "0.125"), (100, "1")])


@pytest.mark.parametrize(
    ("provider", "operation", "model", "used"),
    [
        ("ollama", "chat", "llama3", Usage(10, None, None, 5)),  # nobody's price list
        ("openai", "chat", "a-model-of-our-own", Usage(10, None, None, 5)),
        ("no-such-vendor", "chat", "gpt-4o", Usage(10, None, None, 5)),
        ("openai", "chat", "gpt-4o", Usage()),  # a stream without usage
        ("openai", "chat", "gpt-4o", Usage(10)),  # what it wrote is not known
        ("openai", "chat", "gpt-4o", Usage(None, None, None, 5)),
        ("openai", "chat", "gpt-4o", Usage(10, 20, None, 5)),  # more cached than asked
        ("openai", "chat", "", Usage(10, None, None, 5)),
    ],
)
def test_what_is_not_known_is_not_guessed(provider: str, operation: str, model: str, used: Usage) -> None:
    """No price, no count, counts that contradict each other."""
    assert price(provider, operation, [model, None], used, ns(LATE)) is None


def test_counting_tokens_is_free() -> None:
    """Of Anthropic and Gemini."""
    assert price("anthropic", "messages.count_tokens", ["claude-sonnet-4-5"], Usage(), ns(LATE)) == 0


def test_the_normal_form_costs_what_the_price_list_s_own_reading_costs(recordings: list[Published]) -> None:
    """A second opinion over every JSON answer of OpenAI and Anthropic: the library reads the raw body by itself."""
    from genai_prices import extract_usage

    flavours = {("openai", "chat"): "chat", ("openai", "responses"): "responses", ("anthropic", "messages"): "default"}
    compared = 0
    for told in recordings:
        provider = recognise(told.method, told.host, told.path, told.request_headers, told.request_body)
        flavour = flavours.get((provider.name, provider.operation)) if provider is not None else None
        if provider is None or flavour is None or not told.response_body.startswith(b"{"):
            continue
        raw = json.loads(told.response_body)
        if not raw.get("usage") or raw["usage"].get("iterations"):  # rounds of compaction are ours to add
            continue
        theirs = extract_usage(raw, provider_id=provider.name, api_flavor=flavour)
        theirs.usage.web_searches = None  # an hour of searching is billed beside the tokens
        day = date_of(told) or LATE
        at = datetime.fromisoformat(day).replace(tzinfo=UTC)
        ours = priced(told, day)
        tier = raw.get("service_tier")
        context = {"service_tier": tier} if tier and provider.name == "openai" else None
        assert ours == theirs.calc_price(genai_request_timestamp=at, price_context=context).total_price, str(told)
        compared += 1
    assert compared > 300, compared


def test_no_address_is_reached() -> None:
    """The list is in the package: a price is found where every socket fails, and its updater never starts."""
    program = """
import sys, threading
def no(event, args):
    if event.startswith("socket."):
        raise SystemExit("reached for " + event)
sys.addaudithook(no)
from playhead.cost.price import price
from playhead.providers.base import Usage
assert price("openai", "chat", ["gpt-4o"], Usage(10, None, None, 5), 1_780_000_000 * 10**9) is not None
assert threading.active_count() == 1
print("priced")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "priced\n"), done.stderr


def test_without_the_list_cost_is_unknown_and_nothing_fails() -> None:
    """An environment in which it cannot be imported."""
    program = """
import sys
sys.modules["genai_prices"] = None
from playhead.cost.price import price
from playhead.providers.base import Usage
print(price("openai", "chat", ["gpt-4o"], Usage(10, None, None, 5), 0))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr


@pytest.mark.parametrize("at_ns", [0, -(10**18), 10**30])
def test_any_moment_is_taken(at_ns: int) -> None:
    """A recording may claim to be of any time; it is priced or it is not."""
    found: Any = price("openai", "chat", ["gpt-4o"], Usage(10, None, None, 5), at_ns)
    assert found is None or found >= 0
