"""Why an item scores what it scores, in words."""

from __future__ import annotations

from app.web.shares import percent

from . import policies

LEARNED = frozenset(name for name, policy in policies.POLICIES.items() if policy.learns)

_FIXED = {
    "no_verdict": "the model whose label would stand gave no verdict",
    "injected": "a response speaks to the judge, so no model's word is taken alone",
    "contradicts_itself": "the model contradicts itself in the two orders",
    "order_unknown": "the model was asked in one order only",
    "says_tie": "the model calls it a tie",
    "alone": "no other model judged it",
}
_VALUED = {
    "unsure": "the model is unsure ({:.2f} of 1)",
    "others_disagree": "{percent} of the other models disagree",
    "entropy": "the models disagree with each other (entropy {:.2f} of 1)",
    "length": "long responses (log words {:.2f})",
    # of plans made before policies had names of their own
    "unjudged": "no model has judged it",
    "null": "{percent} of the models' answers give no verdict",
    "swap": "the two orders contradict each other in {percent} of the answers",
    "dissent": "the models disagree with each other (entropy {:.2f} of 1)",
    "margin": "mean P(second better) {:.2f}",
}


def in_words(reason: dict, learned: bool = False) -> str:
    """One reason as a person reads it; `learned`: its value is what it adds to the predicted log-odds of an error."""
    code, value = reason["code"], reason["value"]
    if learned and code not in {"no_verdict", "injected"}:
        name = _name(code)
        moved = f"{value:+.2f}".replace("-", "−")
        return f"{name} {'raises' if value > 0 else 'lowers'} the predicted error ({moved})"
    if code in _FIXED:
        return _FIXED[code]
    return _VALUED[code].format(value, percent=percent(value)) if code in _VALUED else _name(code)


def _name(code: str) -> str:
    """A feature's name in words; HyPER's tags are written `analyzer_scalar::feature_name=safety_concern|value=safe`."""
    if "::" in code:
        head, _, rest = code.partition("::")
        parts = [part.partition("=") for part in rest.split("|")]
        if head.startswith("analyzer"):
            what, value = parts[0][2], parts[1][2]
            code = what if parts[1][0] == "check_for_existence" else f"{what}: {value}"
        else:
            code = f"{head} {parts[0][2]} to {parts[1][2]}"
    return code.replace("_", " ")


def of(decision) -> list[str]:
    """A decision's reasons in words."""
    plan = decision.plan
    learned = plan.policy in LEARNED and not plan.summary.get("fallback")
    return [in_words(reason, learned) for reason in decision.reasons]
