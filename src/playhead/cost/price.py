"""The price of one model call.

Prices are those of `genai-prices` (MIT, by Pydantic): a list inside the package, with the dates on which prices changed.
Its updater is never started, so nothing is fetched. Importing it costs 0.2 s and more, so it is loaded when the first
price is asked for.

Input and output are inclusive (see playhead.providers.base.Usage): cached and cache-write tokens are priced at their own
rate and the rest of the input at the plain one; reasoning is output.
"""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from playhead.providers.base import Usage

_LISTED = {  # our word for a vendor: the list's, where they differ
    "gemini": "google",
    "vertex": "google",
    "bedrock": "aws",
    "moonshot": "moonshotai",
}
_FREE_OF_CHARGE = ("count_tokens", "messages.count_tokens")  # they tell tokens, and use none


def price(
    provider: str, operation: str, models: Iterable[str | None], usage: Usage, at_ns: int, *, tier: str | None = None
) -> Decimal | None:
    """US dollars for one call at a moment (wall clock), or None when that cannot be known: no price for the model, or
    a token count that the provider did not say. `models` are names to look up, the first that is listed counts; `tier`
    is the service tier that the answer names. Never raises."""
    if operation in _FREE_OF_CHARGE:
        return Decimal(0)
    if usage.input_tokens is None or (usage.output_tokens is None and not operation.startswith("embed")):
        return None
    list_ = _price_list()
    if list_ is None:
        return None
    vendor = _LISTED.get(provider, provider)
    try:
        at = datetime.fromtimestamp(at_ns / 1e9, UTC)
    except (OverflowError, ValueError, OSError):  # a recording from beyond the calendar
        return None
    context = {"service_tier": tier} if tier else None
    for model in dict.fromkeys(models):
        if model:
            try:
                with warnings.catch_warnings():  # a list that knows fewer kinds of token says so
                    warnings.simplefilter("ignore")
                    found = list_.calc_price(
                        _listed_usage(list_, usage),
                        model,
                        provider_id=vendor,
                        genai_request_timestamp=at,
                        price_context=context,
                    )
            except Exception:  # noqa: BLE001, S112  LookupError; ValueError for counts that contradict each other; …
                continue
            total: Decimal = found.total_price
            return total
    return None


def _listed_usage(list_: Any, usage: Usage) -> Any:
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
    }
    return list_.Usage(**{name: count for name, count in counts.items() if count is not None})


@cache
def _price_list() -> Any:
    """The module, None where it cannot be loaded: cost is then unknown, and nothing else suffers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import genai_prices
            import genai_prices.data
    except Exception:  # noqa: BLE001  another pydantic than it wants, a broken install
        return None
    return genai_prices
