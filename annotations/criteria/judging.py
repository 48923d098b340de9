"""Run graders over items: offline rules here, models through the LM room's engine, code through the sandbox.

A verdict that is stored is never asked for again. Models are asked about one criterion at a time, pairs in both orders,
with a word of its own for "does not apply"; their calls are claimed, paced, paid and cached like any LM annotator's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from annotations.items.models import Item
from annotations.lm import asking, claims, engine, parsing, prices, work
from annotations.lm.annotate import CannotAnnotate, texts_shown
from annotations.lm.asking import Asked, Question
from annotations.lm.configure import Parameters
from annotations.lm.models import LMAnnotator, Reply
from annotations.lm.runs import LIKELY_TOKENS_OUT, asker

from . import pairs, rules, sandbox
from .evidence import share
from .material import Pair, group_key, prompt_text
from .models import WHOLE_PAIR, CriterionVersion, Grader, Lab, Verdict
from .releases import wording_of

MAX_TOKENS = 400
PASS_FROM = 4  # a rubric score from here on passes
SMOKE, SYSTEMATIC = 5, 4  # a new grader judges so many first, and stops if so many of them cannot be used
CODE_BATCH = 20
EXAMPLE_CHARS = 2500


class NoMoney(Exception):
    """A cap does not allow another call; what was judged until then is stored. `used` says what it took."""

    def __init__(self, words: str, used: dict | None = None):
        super().__init__(words)
        self.used = used or {}


class CannotJudge(Exception):
    """The judge cannot be asked, or cannot answer; the text says why. `used` says what it took."""

    def __init__(self, words: str, used: dict | None = None):
        super().__init__(words)
        self.used = used or {}


# --- What a model is asked ----------------------------------------------------------------------------------
def asked_of(grader: Grader) -> Asked:
    """The questions of one criterion; its name and wording are always in them."""
    version = grader.version
    name, wording = version.criterion.name, wording_of(version)
    head = (
        "Judge by one criterion only and ignore every other quality.\n"
        f"Criterion: {name}\nDescription: {wording}"
    )
    if grader.kind == Grader.Kind.LM_PAIR:
        ask = Question(
            "comparison", "overall", "Which response is better by this criterion?",
            help="Answer not_applicable where the criterion says nothing about this prompt; tie where both are alike.",
            ties=("equal", "not_applicable"),
        )  # fmt: skip
    elif grader.kind == Grader.Kind.LM_YESNO:
        ask = Question("thumb", "meets", "Does the response meet this criterion?")
    else:
        head += "\n" + rubric_text(version)
        ask = Question("rating", "score", "How does the response score by this rubric?", low=1, high=5)
    return Asked(questions=(ask,), instructions=head + _examples(grader))


def rubric_text(version: CriterionVersion) -> str:
    """The rubric in Prometheus's form: what each score means, a line each."""
    return "\n".join(f"Score {n}: {text}" for n, text in enumerate(version.anchors, 1))


def _examples(grader: Grader) -> str:
    if not grader.body.get("examples"):
        return ""
    return (
        "\n`examples` holds other responses that people judged by this criterion: `meets_it` is what they said. They show "
        "how the criterion is meant; judge only what stands under `responses`."
    )


def shown_examples(grader: Grader) -> tuple[dict, ...]:
    """The graded responses that this grader's prompt shows, as data."""
    chosen = grader.body.get("examples", [])
    ids = [item for item, _, _ in chosen]
    items, texts = Item.objects.in_bulk(ids), texts_shown(ids)
    return tuple(
        {"prompt": prompt_text(items[pk].prompt)[:EXAMPLE_CHARS], "response": texts[pk][response][:EXAMPLE_CHARS],
         "meets_it": passed}
        for pk, response, passed in chosen
        if pk in items
    )  # fmt: skip


def example_groups(graders: Sequence[Grader]) -> set[str]:
    """Groups of the items that these graders are shown: nothing of them may measure what they say."""
    ids = {item for g in graders for item, _, _ in g.body.get("examples", [])}
    return {group_key(item) for item in Item.objects.filter(pk__in=ids)} if ids else set()


def plan_of(grader: Grader, lab: Lab) -> work.Plan:
    """The engine's plan of a grader: the lab's annotator owns the calls, the grader's model answers them."""
    model = grader.model
    parameters = Parameters(
        asks="comparisons" if grader.is_pairwise else "scores",
        both_orders=True,
        max_tokens=MAX_TOKENS,
        logprobs=False,
    )
    detail = LMAnnotator(
        annotator=lab.annotator, backend=LMAnnotator.Backend.ENDPOINT, model=model.name, endpoint_model=model,
        parameters=parameters.model_dump(),
    )  # fmt: skip
    price = prices.Price(model.input_price, model.output_price)
    return work.Plan(detail, parameters, asked_of(grader), price, f"{model.endpoint.base_url} {model.name}")


@dataclass
class Shown(work.ItemWork):
    """An item on its way, with the place of the one response shown (or the whole pair)."""

    response: int = WHOLE_PAIR


def works(grader: Grader, plan: work.Plan, shown: Sequence[tuple[Pair | Item, int, Sequence[str]]]):
    """The calls for (item, response, texts); a pair shows two texts, a pointwise grader one."""
    examples = shown_examples(grader)
    for item, response, texts in shown:
        pk, prompt = (item.item_id, item.raw_prompt) if isinstance(item, Pair) else (item.pk, item.prompt)
        made = Shown(pk, asking.Material(prompt, item.context, tuple(texts), examples), response=response)
        work.add_calls(plan, made)
        yield made


# --- Running ------------------------------------------------------------------------------------------------
def run(
    grader: Grader,
    lab: Lab,
    shown: Sequence[tuple[Pair | Item, int, Sequence[str]]],
    *,
    owner: str,
    report: Callable[[str], None] = lambda words: None,
) -> dict:
    """Judge what this grader has no verdict of; {judged, calls, cached, failed, cost_micros}.

    A grader without any verdict judges five first, and stops there if these show that it cannot. Raises NoMoney,
    CannotJudge; what was judged until then is stored.
    """
    have = set(
        Verdict.objects.filter(grader=grader, item__in=[_pk(s[0]) for s in shown]).values_list(
            "item_id", "response"
        )
    )
    known = example_groups([grader])
    if known:
        shown = [s for s in shown if isinstance(s[0], Item) and group_key(s[0]) not in known]
    left = [s for s in shown if (_pk(s[0]), s[1]) not in have]
    done = {"judged": 0, "calls": 0, "cached": len(shown) - len(left), "failed": 0, "cost_micros": 0}
    if not left:
        return done
    if not grader.may_run:
        raise CannotJudge(f"The code of {grader.version} waits for a person's approval.")
    if grader.kind == Grader.Kind.RULE:
        return {**done, "judged": _run_rule(grader, left)}
    first = [] if have or len(left) <= SMOKE else left[:SMOKE]
    for part in (first, left[len(first) :]):
        if grader.kind == Grader.Kind.CODE:
            found = _run_code(grader, part, report, is_first=part is first)
        elif part is first:
            found = _try_model(grader, lab, part, owner=owner, report=report)
        else:
            found = ask(grader, lab, part, owner=owner, report=report, keep=_keep)
        done = {key: n + found.get(key, 0) for key, n in done.items()}
    return done


def _stop_if_useless(rows: Sequence[Verdict], asked: int) -> None:
    """Raise CannotJudge where replies are missing or unusable on SYSTEMATIC of the first, a pair's two orders half each."""
    problems = Counter({row.error or "no verdict": 0.0 for row in rows if row.value == pairs.ERROR})
    for row in rows:
        if row.value == pairs.ERROR:
            problems[row.error or "no verdict"] += getattr(row, "unread", 1.0)
    problems["no reply came"] += asked - len(rows)
    if sum(problems.values()) >= SYSTEMATIC:
        words, _ = problems.most_common(1)[0]
        lost = sum(row.value == pairs.ERROR for row in rows) + asked - len(rows)
        raise CannotJudge(
            f"Stopped after a test on {asked}: {lost} could not be used, most often because: {words.rstrip('.')}. "
            "Nothing else was asked."
        )


def _try_model(grader: Grader, lab: Lab, first: Sequence, *, owner: str, report) -> dict:
    """Ask about the first few; their verdicts count only if the model can judge at all, else the next run asks anew."""
    if not first:
        return {}
    rows: list[Verdict] = []
    found = ask(grader, lab, first, owner=owner, report=report, keep=rows.append)
    try:
        _stop_if_useless(rows, len(first))
    except CannotJudge as error:
        retire_replies(grader, lab, first)
        raise CannotJudge(str(error), found) from None
    Verdict.objects.bulk_create(rows, ignore_conflicts=True)
    return found


def retire_replies(grader: Grader, lab: Lab, shown: Sequence) -> None:
    """Take what the model said about these out of the cache of replies, so that it is asked anew."""
    keys = [c.key for w in works(grader, plan_of(grader, lab), shown) for c in w.calls]
    claims.retire(list(Reply.objects.filter(project=lab.project, key__in=keys, retired_at__isnull=True)))


def estimate(grader: Grader, lab: Lab, shown: Sequence) -> dict:
    """What judging these by a model may take: {calls, cost, is_free, currency}; likely, from up to thirty of them."""
    plan = plan_of(grader, lab)
    made = list(works(grader, plan, shown[:30]))
    calls = [c for w in made for c in w.calls]
    scale = len(shown) / max(len(made), 1)
    tokens = round(sum(prices.likely_tokens_in(c.sent.messages) for c in calls) * scale)
    total = round(len(calls) * scale)
    return {
        "calls": total, "cost": plan.price.micros(tokens, total * LIKELY_TOKENS_OUT) / 1_000_000,
        "is_free": plan.price.is_free, "currency": grader.model.endpoint.currency,
    }  # fmt: skip


def _keep(row: Verdict) -> None:
    Verdict.objects.bulk_create([row], ignore_conflicts=True)


def _pk(item: Pair | Item) -> int:
    return item.item_id if isinstance(item, Pair) else item.pk


def _run_rule(grader: Grader, left) -> int:
    rule, margin = grader.body["name"], float(grader.body["margin"])
    rows = [
        Verdict(
            grader=grader, item_id=p.item_id, value=rules.judge(rule, margin, p.prompt, p.first, p.second)
        )
        for p, _, _ in left
    ]
    Verdict.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    return len(rows)


def _run_code(grader: Grader, left: Sequence, report: Callable[[str], None], *, is_first: bool) -> dict:
    """Run an assertion, storing after every few; on the first ones twice, since the same text must get the same answer."""
    for start in range(0, len(left), CODE_BATCH):
        part = left[start : start + CODE_BATCH]
        inputs = [{"response": texts[0], "prompt": prompt_text(item.prompt)} for item, _, texts in part]
        try:
            results = sandbox.run(grader.body["code"], inputs)
            if is_first and sandbox.run(grader.body["code"], inputs) != results:
                raise CannotJudge(
                    "Stopped after a test: the same response got another answer the second time."
                )
        except sandbox.NotRunnable as error:
            raise CannotJudge(str(error)) from None
        rows = [
            Verdict(
                grader=grader, item_id=_pk(item), response=response, error=result.error[:300],
                value=pairs.ERROR if result.error else int(result.passed),
            )
            for (item, response, _), result in zip(part, results, strict=True)
        ]  # fmt: skip
        if is_first:
            _stop_if_useless(rows, len(part))
        Verdict.objects.bulk_create(rows, ignore_conflicts=True)
        report(f"{grader.version}: {start + len(part)} of {len(left)}")
    return {"judged": len(left)}


def ask(grader: Grader, lab: Lab, left, *, owner: str, report, keep: Callable[[Verdict], None]) -> dict:
    """Ask the grader's model about all of these; every answer goes to `keep`. Raises NoMoney, CannotJudge."""
    plan = plan_of(grader, lab)
    try:
        call = asker(plan.detail)
    except CannotAnnotate as error:
        raise CannotJudge(str(error)) from None
    machine = engine.Engine(
        plan, owner=owner, ask=call, accounts=accounts_of(lab, plan.price),
        report=lambda t: report(f"{grader.version}: {t.done} of {len(left)}"),
        finish=lambda plan, made: _store(grader, plan, made, keep), records_failures=False,
    )  # fmt: skip
    claims.settle_lost(lab.project_id, owner)
    try:
        totals = machine.run(works(grader, plan, left))
    except engine.OutOfMoney as error:
        raise NoMoney(str(error), _used(machine.totals)) from None
    except engine.RunFailed as error:
        raise CannotJudge(str(error), _used(machine.totals)) from None
    return _used(totals)


def _used(totals: engine.Totals) -> dict:
    return {
        "judged": totals.judged, "calls": totals.calls, "failed": totals.failed, "cost_micros": totals.cost_micros,
    }  # fmt: skip


def accounts_of(lab: Lab, price: prices.Price) -> list:
    """The project's account and the lab's own cap; none for models that cost nothing."""
    if price.is_free:
        return []
    return [account for account in (lab.project.account_id, lab.account_id) if account]


def _store(grader: Grader, plan: work.Plan, made: work.ItemWork, keep: Callable[[Verdict], None]) -> bool:
    assert isinstance(made, Shown)
    votes = work.votes_of(plan, made)
    unread = next((v.parsed.problem for v in votes if not v.parsed.ok), "")
    row = Verdict(
        grader=grader, item_id=made.item_id, response=made.response, value=pairs.ERROR, error=unread[:300]
    )
    row.unread = sum(not v.parsed.ok for v in votes) / len(votes)
    if not unread:
        row.feedback = next((v.parsed.reason for v in votes if v.parsed.reason), "")
        if grader.is_pairwise:
            codes = {v.order: _code(v.parsed) for v in votes}
            verdict, agree = pairs.both_orders(np.array([codes["ab"]]), np.array([codes["ba"]]))
            row.value, row.consistent = int(verdict[0]), None if agree[0] < 0 else bool(agree[0])
        else:
            name = plan.asked.questions[0].name
            value = votes[0].parsed.scores[name][0]
            row.score = float(value)
            row.value = int(value >= PASS_FROM) if grader.kind == Grader.Kind.LM_RUBRIC else int(value)
    keep(row)
    return True


def _code(parsed: parsing.Parsed) -> int:
    strength, tie = parsed.comparisons["overall"]
    if strength:
        return pairs.FIRST if strength < 0 else pairs.SECOND
    return pairs.NA if tie == "not_applicable" else pairs.TIE


# --- Reading ------------------------------------------------------------------------------------------------
def matrix(graders: Sequence[Grader], items: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Verdicts and consistency of pairwise graders: int8[n, k] each; a missing verdict is an ERROR, consistency -1."""
    place = {pk: i for i, pk in enumerate(items)}
    column = {g.pk: j for j, g in enumerate(graders)}
    V = np.full((len(items), len(graders)), pairs.ERROR, dtype=np.int8)
    C = np.full(V.shape, -1, dtype=np.int8)
    rows = Verdict.objects.filter(grader__in=graders, response=WHOLE_PAIR)
    for grader, item, value, consistent in rows.values_list("grader_id", "item_id", "value", "consistent"):
        if item in place:
            V[place[item], column[grader]] = value
            C[place[item], column[grader]] = -1 if consistent is None else int(consistent)
    return V, C


def consistency(column: np.ndarray) -> dict | None:
    """Share of decided pairs whose two orders agree; None where none is defined."""
    known = column[column >= 0]
    return share(int(known.sum()), len(known)) if len(known) else None


def pair_material(items: Sequence[Pair]) -> list[tuple[Pair, int, tuple[str, str]]]:
    return [(p, WHOLE_PAIR, (p.first, p.second)) for p in items]


def response_material(places: Sequence[tuple[int, int]]) -> list[tuple[Item, int, tuple[str]]]:
    """(item, response, its text) for pointwise graders."""
    ids = sorted({pk for pk, _ in places})
    items, texts = Item.objects.in_bulk(ids), texts_shown(ids)
    return [(items[pk], r, (texts[pk][r],)) for pk, r in places if pk in items and r < len(texts[pk])]
