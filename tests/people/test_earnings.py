"""What judgments are worth: exact, capped for each item, the same however the run is cut."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations.people.earnings import Earned, Tariff, Work, earn

HOUR = Tariff("hour", Decimal("12.00"), 20 * 60_000)
ITEM = Tariff("item", Decimal("0.35"), 20 * 60_000)


def test_worked_by_hand():
    work = [
        Work((1, 0), "answered", 30_000),  # half a minute: 0.10
        Work((2, 0), "skipped", 6_000),  # 0.02
        Work((2, 0), "answered", 60_000),  # 0.20
        Work((1, 0), "answered", 15_000),  # a correction: 0.05 by the hour, nothing by the item
        Work((3, 0), "answered", 3_600_000),  # an hour on one item counts as twenty minutes: 4.00
        Work((3, 0), "answered", 60_000),  # and a correction of it no more
    ]
    assert earn(work, HOUR, spent_ms={}, answered=()) == Earned(4_370_000, 3, 111_000 + 1_200_000)
    assert earn(work, ITEM, spent_ms={}, answered=()) == Earned(1_050_000, 3, 111_000 + 1_200_000)
    assert HOUR.most_micros == 4_000_000
    assert ITEM.most_micros == 350_000


works = st.lists(
    st.builds(
        Work,
        item=st.tuples(st.integers(1, 4), st.integers(0, 1)),
        outcome=st.sampled_from(["answered", "cannot_judge", "skipped", "flagged"]),
        active_ms=st.integers(-5, 3_000_000),
    ),
    max_size=12,
)
tariffs = st.builds(
    Tariff,
    unit=st.sampled_from(["hour", "item"]),
    rate=st.decimals(0, 500, places=4),
    longest_ms=st.integers(60_000, 7_200_000),
)


def slow(work, tariff):
    """Exact fractions, item by item; each judgment's hourly pay is rounded up to a millionth."""
    micros, items = Fraction(0), 0
    for place, each in enumerate(work):
        same = [w for w in work[:place] if w.item == each.item]
        before = min(tariff.longest_ms, sum(max(0, w.active_ms) for w in same))
        now = min(tariff.longest_ms, before + max(0, each.active_ms)) - before
        first = each.outcome in ("answered", "cannot_judge") and not any(
            w.outcome in ("answered", "cannot_judge") for w in same
        )
        items += first
        if tariff.unit == "hour":
            exact = Fraction(tariff.rate) * 1_000_000 * now / 3_600_000
            micros += -((-exact.numerator) // exact.denominator)
        elif first:
            micros += Fraction(tariff.rate) * 1_000_000
    return micros, items


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a busy machine is no failure
@given(works, tariffs, st.integers(0, 12))
def test_like_the_slow_one_however_it_is_cut_and_never_above_the_most(work, tariff, cut):
    whole = earn(work, tariff, spent_ms={}, answered=())
    assert (whole.micros, whole.items) == slow(work, tariff)
    assert whole.micros <= len(work) * tariff.most_micros
    first = earn(work[:cut], tariff, spent_ms={}, answered=())
    spent: dict = {}
    for each in work[:cut]:
        spent[each.item] = min(tariff.longest_ms, spent.get(each.item, 0) + max(0, each.active_ms))
    answered = {w.item for w in work[:cut] if w.outcome in ("answered", "cannot_judge")}
    rest = earn(work[cut:], tariff, spent_ms=spent, answered=answered)
    assert (first.micros + rest.micros, first.items + rest.items, first.active_ms + rest.active_ms) == (
        whole.micros,
        whole.items,
        whole.active_ms,
    )
