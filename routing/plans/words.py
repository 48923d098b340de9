"""A plan in sentences, and its histogram."""

from __future__ import annotations

from decimal import Decimal
from html import escape

from app.web.drawing import WIDTH, Scale, fixed
from app.web.plots import Plot

from .budget import in_words
from .models import RoutingPlan


def sentence(plan: RoutingPlan) -> str:
    """The first line of a plan's page: who judges how much for what."""
    name, state, done = f"Plan {plan.number}", plan.State, plan.summary
    if plan.state == state.BUILDING:
        return f"{name} is being made."
    if plan.state == state.FAILED:
        return f"{name} could not be made: {done.get('error', 'its job failed; see its log.')}"
    verb = {
        state.DRAFT: "would send",
        state.APPLIED: "sends",
        state.REPLACED: "sent",
        state.DROPPED: "would have sent",
    }[plan.state]
    if "items" not in done:
        return f"{name} was discarded before it was made."
    people, items, audits = done["people"], done["items"], done.get("audits_in_all", done["audits"])
    cost = in_words(Decimal(done["cost"]), plan.currency)
    price = f" for {cost}" if Decimal(done["cost_each"]) else ""
    audited = f"{audits:,} of them {'is an audit' if audits == 1 else 'are audits'}"
    return f"{name} {verb} {people:,} of {items:,} items to people{price}; {audited}."


def budget(plan: RoutingPlan) -> str:
    """The plan's budget as a person reads it."""
    if plan.budget_money is not None:
        return in_words(plan.budget_money, plan.currency)
    return f"{100 * plan.budget_share:.3g} % of items"


def interval(found: dict | float | None, digits: int, factor: int = 1) -> str:
    """An estimate as "0.73 [0.67, 0.78]", or why it has no interval; a bare number is from before there were any."""
    if found is None:
        return "not known"
    if not isinstance(found, dict):
        return f"{factor * found:.{digits}f} (no interval was computed)"
    if found.get("value") is None:
        return f"not known ({found.get('reason', 'too little to tell')})"
    value, lo, hi = (
        "" if found.get(key) is None else f"{factor * found[key]:.{digits}f}".replace("-", "−")
        for key in ("value", "lo", "hi")
    )
    return (
        f"{value} [{lo}, {hi}]"
        if lo
        else f"{value} (no interval: {found.get('reason', 'too little to tell')})"
    )


def prediction(summary: dict) -> str:
    """How well a plan's prediction of errors holds on labels it had not seen; empty without one."""
    found = summary.get("prediction")
    if not found:
        return ""
    by = f" in {found['groups']:,} prompt groups" if "groups" in found else ""
    text = (
        f"Errors are predicted from {found['n']:,} labels{by}. Held out, an error ranks above a right label "
        f"{interval(found['auc'], 2)} of the time (AUC), and the calibration error is {interval(found['ece'], 3)}."
    )
    return f"{text} 95 % intervals by prompt." if isinstance(found["auc"], dict) else text


def runs(plan: RoutingPlan) -> str:
    """How well a plan by mixes predicts what a mix is worth; empty for other plans."""
    found = plan.summary.get("runs")
    if not found:
        return ""
    tags = f"{found['tags']} tags" if found.get("tags") else "tags"
    other = found.get("plan") and found["plan"] != plan.number
    before = f" (those of plan {found['plan']}: the data are the same)" if other else ""
    if found.get("coverage") is None:
        held = "; this regression has no intervals"
    else:
        held = f"; the 95 % intervals of the predictions hold {interval(found['coverage'], 0, 100)} % of the outcomes"
    return (
        f"What {tags} are worth is predicted from {found['n']:,} small reward models{before}, each trained on another mix of "
        f"people's and the model's labels of {found['items']:,} items. Held out, predictions rank mixes with a correlation of "
        f"{interval(found['spearman'], 2)} (Spearman) and miss by {interval(found['rmse'], 3)} of accuracy{held}. "
        "Intervals are over these reward models, whose data are the same."
    )


def person_error(summary: dict) -> str:
    """People's own error, with where it is from; empty where a plan knows none."""
    found = summary.get("person_error")
    if not found:
        return ""
    if not found["n"]:
        return f"{found['value']:.3f} (assumed: nobody judged the same items yet)"
    said = interval(found if "lo" in found else found["value"], 3)
    return f"{said}, n {found['n']:,}"


def second_error(summary: dict) -> str:
    """How often the strong model is wrong, with n; empty where a plan has none."""
    second = summary.get("second") or {}
    if "error" not in second:
        return ""
    return f"wrong on {interval(second['error'], 3)} of the {second['n']:,} items that it and people judged"


def duration(summary: dict) -> str:
    """The time people would need, at the median pace so far; empty where no pace is known."""
    if not summary.get("pace_ms") or not summary.get("judgments"):
        return ""
    minutes = summary["pace_ms"] * summary["judgments"] / 60_000
    words = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    pace = summary["pace_ms"] / 1000
    return f"about {words} (median {pace:.0f} s a judgment, n {summary['pace_n']:,})"


def histogram(plan: RoutingPlan) -> Plot | None:
    """Items by score, people's full and models' hollow bars on top of each other, and the threshold."""
    counts = plan.summary.get("histogram")
    if not counts or plan.policy == "random" or plan.summary.get("at_random") or len(counts["people"]) < 2:
        return None
    begin = counts.get("low", 0.0)
    span = (counts.get("high", 1.0) - begin) or 1.0
    people, models = counts["people"], counts["lm"]
    top, left, right, bottom, high = 26, 62, WIDTH - 24, 244, 300
    most = max(a + b for a, b in zip(people, models, strict=True))
    size = span / len(people)
    x = Scale([begin, begin + span], left, right, False)
    y = Scale([0, max(4, most)], bottom, top, False, most=4)

    def text(place: float, at: float, words: str, css: str = "", anchor: str = "middle") -> str:
        return (
            f'<text class="{css}" x="{place:.1f}" y="{at:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    parts = []
    for n, _ in y.ticks():
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y(n):.1f}" y2="{y(n):.1f}"/>')
        parts.append(text(left - 8, y(n) + 4, f"{n:,.0f}", anchor="end"))
    for i, (human, model) in enumerate(zip(people, models, strict=True)):
        begins, ends = x(begin + i * size), x(begin + (i + 1) * size)
        gap = min(1.5, (ends - begins) / 4)
        for kind, css, low, n in (("human", "bar", 0, human), ("lm", "bar-hollow", human, model)):
            if n:
                parts.append(
                    f'<g class="series-{kind}"><rect class="{css}" x="{begins + gap:.1f}" y="{y(low + n):.1f}" '
                    f'width="{ends - begins - 2 * gap:.1f}" height="{y(low) - y(low + n):.1f}"/></g>'
                )
    for tick, said in x.ticks():
        parts.append(text(x(tick), bottom + 18, said))
    parts.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(text((left + right) / 2, bottom + 42, "Score of the policy", "label-axis"))
    parts.append(text(left - 8, top - 12, "Items", "label-axis", "end"))
    if plan.threshold is not None:
        where = x(plan.threshold)
        parts.append(
            f'<line class="reference" x1="{where:.1f}" x2="{where:.1f}" y1="{top - 6}" y2="{bottom}"/>'
        )
        near_end = where > left + 0.6 * (right - left)
        words = f"threshold {fixed(plan.threshold, 2)}"
        parts.append(
            text(where + (-6 if near_end else 6), top - 10, words, "", "end" if near_end else "start")
        )
    title = "Items by score"
    caption = (
        "Full bars go to people, hollow bars to the models. Below the threshold people judge the audits only; "
        "items with the threshold's own score are drawn at random."
    )
    svg = (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {high}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{title}</title><desc>{escape(caption)}</desc>{''.join(parts)}</svg>"
    )
    columns = [{"label": label, "numeric": True} for label in ("Score from", "to", "To people", "To models")]
    edges = [f"{begin + i * size:.3g}".replace("-", "−") for i in range(len(people) + 1)]
    rows = [
        [edges[i], edges[i + 1], f"{human:,}", f"{model:,}"]
        for i, (human, model) in enumerate(zip(people, models, strict=True))
        if human or model
    ]
    return Plot(svg, title, caption, columns, rows)
