"""Queries as people type them, and the index's answer to any of them."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.journal.wording import expression, spaced, unspaced

TEXTS = {
    1: "Please refund order 8821 for the customer",
    2: 'The order was refunded; get_weather(city="Zürich")',
    3: "refund policy: no order, no refund",
    4: "退款订单已完成 refund",
    5: "error: ConnectionResetError at 10.0.0.1",
}


def found(query: str) -> list[int]:
    wanted = expression(query)
    if wanted is None:
        return []
    db = sqlite3.connect(":memory:")
    try:
        db.execute("CREATE VIRTUAL TABLE t USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2')")
        db.executemany("INSERT INTO t (rowid, text) VALUES (?, ?)", [(n, spaced(t)) for n, t in TEXTS.items()])
        return [row[0] for row in db.execute("SELECT rowid FROM t WHERE t MATCH ? ORDER BY rowid", (wanted,))]
    finally:
        db.close()


@pytest.mark.parametrize(
    ("query", "steps"),
    [
        ("refund", [1, 3, 4]),
        ("REFUND", [1, 3, 4]),
        ("refund order", [1, 3]),
        ("refund AND order", [1, 3]),
        ('"refund order"', [1]),
        ('"refund order', [1]),  # a quote that was forgotten
        ("refund*", [1, 2, 3, 4]),
        ('"the ord"*', [2]),
        ("refunded OR policy", [2, 3]),
        ("refund policy OR customer", [1, 3]),
        ("refund NOT order", [4]),
        ("refund -order", [4]),
        ('refund -"no order"', [1, 4]),
        ("get_weather", [2]),
        ("zurich", [2]),
        ("订单", [4]),
        ("款订", [4]),
        ("单订", []),
        ("10.0.0.1", [5]),
        ("connectionreset*", [5]),
        ("NEAR(refund order)", []),
        ("text:refund", []),
        ("NOT", []),
        ("-refund", []),
        ("OR", []),
        ("*", []),
        ('""', []),
        ("", []),
    ],
)
def test_a_query_means_what_it_says(query: str, steps: list[int]) -> None:
    """Words, phrases, beginnings, either, without; and nothing of the index's own language."""
    assert found(query) == steps


@given(st.text(max_size=40))
def test_no_query_is_an_error(query: str) -> None:
    """Whatever was typed, quotes, operators and NULs included."""
    assert isinstance(found(query.encode("utf-8", "replace").decode()), list)


@given(st.text(alphabet=st.characters(exclude_characters="\u200b", exclude_categories=["Cs"])))
def test_text_comes_back_as_it_was(text: str) -> None:
    """The separators are invisible and are taken out again."""
    assert unspaced(spaced(text)) == text
