"""How unsure the models are of an item, and why."""

from __future__ import annotations

import math

import numpy as np
import pytest

from routing.plans.budget import BadBudget, Budget, parse_budget, parse_share
from routing.plans.uncertainty import in_words, signals


def test_signals_and_score_follow_the_formula():
    # item 0: no model; 1: two agree in both orders; 2: they disagree, one contradicts itself; 3: only a null;
    # item 4: one graded model and a null
    place = np.array([1, 1, 2, 2, 3, 4, 4])
    verdict = np.array([1, 1, -1, 0, 9, 1, 9], dtype=np.int8)
    p = np.array([1.0, 1.0, 0.0, 0.5, np.nan, 0.8, np.nan])
    both = np.array([1, 1, -1, 0, -1, -1, -1], dtype=np.int8)
    found = signals(place, verdict, p, both, 5)
    assert found.margin == pytest.approx([0, 0, 0.5, 0, 0.4])
    assert found.swap == pytest.approx([0, 0, 1, 0, 0])
    assert found.dissent == pytest.approx([0, 0, math.log(2) / math.log(3), 0, 0], abs=1e-12)
    assert found.null == pytest.approx([0, 0, 0, 1, 0.5])
    assert found.score() == pytest.approx([1, 0, (1.5 + math.log(2) / math.log(3)) / 4, 1, 0.225])
    assert [r["code"] for r in found.reasons(2)] == ["swap", "dissent", "margin"]
    assert (found.reasons(0), found.reasons(1)) == ([{"code": "unjudged", "value": 1.0}], [])
    assert found.reasons(3) == [{"code": "null", "value": 1.0}]
    assert [in_words(r) for r in found.reasons(4)] == [
        "50% of the models' answers give no verdict",
        "mean P(second better) 0.80",
    ]


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("0.25", Budget(share=0.25)),
        ("25 %", Budget(share=0.25)),
        ("1", Budget(share=1.0)),
        ("25EUR", Budget(money=25, currency="EUR")),
        (" eur 56.50 ", Budget(money=parse_budget("56.5EUR", currency="EUR").money, currency="EUR")),
    ],
)
def test_budgets_as_people_write_them(text, budget):
    assert parse_budget(text, currency="EUR") == budget


@pytest.mark.parametrize(
    "text", ["0", "1.5", "-3", "25", "25USD", "EUR", "", "nan", "0EUR", "1e3EUR", "a %", "inf"]
)
def test_other_budgets_are_refused_in_words(text):
    with pytest.raises(BadBudget, match=r"expected|in EUR"):
        parse_budget(text, currency="EUR")


def test_a_share_may_be_nothing_only_where_allowed():
    assert parse_share("0 %", allow_zero=True) == 0
    with pytest.raises(BadBudget):
        parse_share("0")
