"""What two bodies have in common, found at memory-compare speed.

Between the common prefix and suffix the two are brought back into step after each edit: a short *probe* of one is looked
for in the other, at growing distances from the place where they part. The rest of a conversation behind a cleared tool
result is thus found by a search as long as that result, whatever is behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST = 32
"""A common span shorter than this, between two edits, is not worth an operation."""

_PROBE = 32
_SURE = 1024  # a common span of this length needs no second look
_REACHES = (512, 4 << 10, 32 << 10, 256 << 10, 1 << 62)  # how far behind the edit is searched, one after the other
_DISTANCES = (8, 48, 128, *(256 << n for n in range(12)))  # where probes are taken
_BUDGET = 4 << 20  # bytes searched in vain, in all, before the rest counts as new
_BLOCK = 1 << 18


class Common(NamedTuple):
    """`length` bytes that are the same from `base` of the one body and from `body` of the other."""

    base: int
    body: int
    length: int


def common_prefix(a: bytes, b: bytes, at_a: int = 0, at_b: int = 0, limit: int = 1 << 62) -> int:
    """How many bytes from `at_a` of `a` and from `at_b` of `b` are the same; at most `limit`."""
    limit = min(limit, len(a) - at_a, len(b) - at_b)
    view = memoryview(a)
    done, step = 0, 64
    while done < limit and b.startswith(view[at_a + done : at_a + min(done + step, limit)], at_b + done):
        done += step
        step = min(step * 8, _BLOCK)
    if done >= limit:
        return max(0, limit)
    high = min(done + step, limit)
    while done + 1 < high:  # the byte before `high` or one before it differs
        middle = (done + high) // 2
        if b.startswith(view[at_a + done : at_a + middle], at_b + done):
            done = middle
        else:
            high = middle
    return done


def common_suffix(a: bytes, b: bytes, limit: int, end_a: int | None = None, end_b: int | None = None) -> int:
    """How many bytes before `end_a` of `a` and before `end_b` of `b` (the ends) are the same; at most `limit`."""
    end_a = len(a) if end_a is None else end_a
    end_b = len(b) if end_b is None else end_b
    view = memoryview(a)
    done, step = 0, 64
    while done < limit:
        size = min(step, limit - done)
        if not b.startswith(view[end_a - done - size : end_a - done], end_b - done - size):
            break
        done += size
        step = min(step * 8, _BLOCK)
    if done >= limit:
        return limit
    high = min(done + step, limit)
    while done + 1 < high:
        middle = (done + high) // 2
        if b.startswith(view[end_a - middle : end_a - done], end_b - middle):
            done = middle
        else:
            high = middle
    return done


def common_spans(
    base: bytes, body: bytes, *, prefix: int = -1, reach: int = 1 << 62, most: int = 1 << 62
) -> list[Common]:
    """What `body` has of `base`: in order and apart in both. `prefix` is their common prefix, if known. With `reach` an edit is given up that is longer, and with
    `most` only so many spans are looked for."""
    if prefix < 0:
        prefix = common_prefix(base, body)
    suffix = common_suffix(base, body, min(len(base), len(body)) - prefix)
    end_a, end_b = len(base) - suffix, len(body) - suffix
    found = [Common(0, 0, prefix)] if prefix >= 8 else []
    a = b = prefix
    budget = [_BUDGET]
    while end_a - a >= LEAST <= end_b - b and len(found) < most:
        hit = _in_step(base, body, (a, end_a), (b, end_b), reach, budget)
        if hit is None:
            break
        found.append(hit)
        a, b = hit.base + hit.length, hit.body + hit.length
    if suffix >= 8:
        if found and found[-1].base + found[-1].length == end_a and found[-1].body + found[-1].length == end_b:
            found[-1] = found[-1]._replace(length=found[-1].length + suffix)
        else:
            found.append(Common(end_a, end_b, suffix))
    return found


def _in_step(
    base: bytes, body: bytes, in_base: tuple[int, int], in_body: tuple[int, int], farthest: int, budget: list[int]
) -> Common | None:
    """The next common span behind an edit that begins at these places of both."""
    (a, end_a), (b, end_b) = in_base, in_body
    doubtful: Common | None = None
    for reach in _REACHES:
        for hit_base, hit_body, searched in _hits(base, body, in_base, in_body, reach, budget):
            span = _grown(base, body, (hit_base, hit_body), in_base, in_body)
            if span.length >= _SURE:
                return span
            if span.length >= LEAST:
                whole = body[span.body : span.body + span.length]
                if base.find(whole, span.base + 1, min(end_a, span.base + searched)) < 0:
                    return span
                if doubtful is None or span.length > doubtful.length:
                    doubtful = span
        if doubtful is not None and doubtful.length * 4 >= doubtful.base - a + doubtful.body - b:
            break
        if budget[0] <= 0 or reach >= farthest or reach >= max(end_a - a, end_b - b):
            break
    return doubtful


def _hits(
    base: bytes, body: bytes, in_base: tuple[int, int], in_body: tuple[int, int], reach: int, budget: list[int]
) -> Iterator[tuple[int, int, int]]:
    """Places of both where a probe is the same, and how many bytes were searched for it. What is searched in vain comes
    off the budget."""
    (a, end_a), (b, end_b) = in_base, in_body
    for distance in _DISTANCES:
        if distance > reach:
            break
        if b + distance + _PROBE <= end_b:
            stop = min(end_a, a + distance + reach)
            at = base.find(body[b + distance : b + distance + _PROBE], a, stop)
            if at >= 0:
                yield at, b + distance, distance + reach
            else:
                budget[0] -= stop - a
        if a + distance + _PROBE <= end_a:
            stop = min(end_b, b + distance + reach)
            at = body.find(base[a + distance : a + distance + _PROBE], b, stop)
            if at >= 0:
                yield a + distance, at, distance + reach
            else:
                budget[0] -= stop - b


def _grown(
    base: bytes, body: bytes, where: tuple[int, int], in_base: tuple[int, int], in_body: tuple[int, int]
) -> Common:
    """The whole common span around two places that are the same."""
    a, b = where
    before = common_suffix(base, body, min(a - in_base[0], b - in_body[0]), a, b)
    behind = common_prefix(base, body, a, b, min(in_base[1] - a, in_body[1] - b))
    return Common(a - before, b - before, before + behind)
