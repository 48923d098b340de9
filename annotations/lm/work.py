"""The calls an item needs, and the answer they become."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field

from django.utils import timezone

from annotations.items.models import Item
from annotations.judging.answers import Answer, Call, ComparisonAnswer, ScoreAnswer
from annotations.judging.models import Judgment
from annotations.judging.submit import Submitted, submit
from annotations.projects.schemas import canonical_json

from . import asking, parsing, prompts, scanner
from .asking import Asked, Material
from .claims import Wanted
from .client import Call as Sent
from .combining import Vote, combine
from .configure import Parameters, parameters_of
from .models import LMAnnotator, Reply
from .prices import Price, worst_case

FIRST_SEED = 1_000


@dataclass(frozen=True)
class Plan:
    """One annotator, everything read that is the same for all items."""

    detail: LMAnnotator
    parameters: Parameters
    asked: Asked
    price: Price
    address: str

    @property
    def annotator(self):
        return self.detail.annotator


def plan_of(detail: LMAnnotator) -> Plan:
    """The plan of an annotator that asks a model."""
    model = detail.endpoint_model
    price = Price(model.input_price, model.output_price) if model is not None else Price()
    parameters = parameters_of(detail)
    address = f"{model.endpoint.base_url} {model.name}" if model is not None else f"local {parameters.path}"
    return Plan(detail, parameters, prompts.asked_of(detail), price, address)


@dataclass
class CallWork:
    """One call: what is sent, its identity, and how often it was tried."""

    item: ItemWork
    order: str
    sample: int
    key: str
    sent: Sent
    wanted: Wanted
    attempts: int = 0


@dataclass
class ItemWork:
    """One item on its way: its calls, the replies so far, and what went wrong."""

    item_id: int
    material: Material
    supersedes: uuid.UUID | None = None
    calls: list[CallWork] = field(default_factory=list)
    replies: dict[str, Reply] = field(default_factory=dict)
    failed: bool = False

    @property
    def is_complete(self) -> bool:
        return not self.failed and len(self.replies) == len(self.calls)


def work_of(plan: Plan, item: Item, texts: list[str], supersedes: uuid.UUID | None = None) -> ItemWork:
    """The calls of one item: every order, every sample."""
    work = ItemWork(item.pk, prompts.material_of(item, texts), supersedes)
    add_calls(plan, work)
    return work


def add_calls(plan: Plan, work: ItemWork) -> None:
    """Make the calls of a work's material."""
    p = plan.parameters
    for order in asking.orders_for(
        len(work.material.responses), both=p.both_orders, compare_only=prompts.compares_only(plan.asked)
    ):
        for sample in range(p.samples):
            work.calls.append(_call(plan, work, order, sample))


def _call(plan: Plan, work: ItemWork, order: str, sample: int) -> CallWork:
    p = plan.parameters
    messages, code = asking.messages(plan.asked, work.material, order)
    schema = asking.answer_schema(plan.asked, len(order))
    seed = FIRST_SEED + sample if p.samples > 1 else None
    key = call_key(plan, work.material, order, sample)
    sent = Sent(
        messages=tuple(messages),
        schema=schema,
        max_tokens=p.max_tokens,
        temperature=p.temperature,
        logprobs=p.logprobs,
        structured=p.structured,
        seed=seed,
    )
    worst = worst_case(plan.price, messages, len(canonical_json(schema)), p.max_tokens)
    wanted = Wanted(key, plan.annotator.pk, work.item_id, order, sample, code, worst)
    return CallWork(work, order, sample, key, sent, wanted)


def call_key(plan: Plan, material: Material, order: str, sample: int) -> str:
    """sha256 hex over all that a reply depends on; not over the fences' code, which is new every time."""
    p = plan.parameters
    body = [
        asking.FORMAT,
        plan.address,
        [p.temperature, p.max_tokens, p.logprobs, p.structured, p.samples > 1],
        asking.system_text(plan.asked, len(order)),
        asking.answer_schema(plan.asked, len(order)),
        asking.document(material, order),
        order,
        sample,
    ]
    return hashlib.sha256(canonical_json(body).encode("utf-8", "surrogatepass")).hexdigest()


def votes_of(plan: Plan, work: ItemWork) -> list[Vote]:
    """The replies of a complete work, read."""
    found = []
    for call in work.calls:
        reply = work.replies[call.key]
        parsed = parsing.parse(reply.raw, plan.asked, call.order)
        if not parsed.ok:
            parsed = parsing.Parsed(problem=problem_of(reply, parsed.problem))
        found.append(Vote(call.order, parsed, reply.probability))
    return found


def problem_of(reply: Reply, problem: str) -> str:
    """Why a reply gives no verdict, in words."""
    if reply.refusal:
        return "The model refused."
    if reply.finish == "length":
        return "The reply was cut off at the token limit; raise it."
    return problem


def answer_of(plan: Plan, work: ItemWork) -> Answer:
    """The one answer of an item's replies, with every call as its evidence."""
    votes = votes_of(plan, work)
    combined = combine(votes, plan.asked)
    calls = tuple(_evidence(plan, call, work, vote) for call, vote in zip(work.calls, votes, strict=True))
    meta: dict[str, object] = {}
    if found := scanner.scan_responses(work.material.responses):
        meta["injection"] = found
    if combined is None:
        unread = [work.replies[c.key] for c, v in zip(work.calls, votes, strict=True) if not v.parsed.ok]
        refused = bool(unread) and all(reply.refusal for reply in unread)
        return Answer(
            outcome="cannot_judge",
            answers={"cannot_judge": "refused" if refused else "unparsed"},
            reason=next((v.parsed.problem for v in votes if v.parsed.problem), ""),
            meta=meta,
            calls=calls,
        )
    asked = {q.name: q for q in plan.asked.questions}
    comparisons = tuple(
        ComparisonAnswer(0, 1, name, tie=tie)
        if tie
        else ComparisonAnswer(0, 1, name, preference=strength, scale_max=asked[name].high)
        for name, (strength, tie) in combined.comparisons.items()
    )
    scores = tuple(
        ScoreAnswer(index, name, value, *_bounds(asked[name], len(values)))
        for name, values in combined.scores.items()
        for index, value in sorted(values.items())
    )
    return Answer(
        comparisons=comparisons,
        scores=scores,
        reason=combined.reason,
        probability=combined.probability,
        order_consistent=combined.order_consistent,
        meta=meta,
        calls=calls,
    )


def _bounds(q: asking.Question, n: int) -> tuple[int, int]:
    return (1, n) if q.kind == "ranking" else (q.low, q.high)


def _evidence(plan: Plan, call: CallWork, work: ItemWork, vote: Vote) -> Call:
    reply, main = work.replies[call.key], plan.asked.main
    label = ""
    if vote.parsed.ok and main is not None:
        strength = vote.parsed.comparisons[main.name][0]
        label = "tie" if not strength else "a" if strength < 0 else "b"
    own = (reply.annotator_id, reply.item_id) == (plan.annotator.pk, work.item_id)
    meta = {"reply": reply.pk, "sample": call.sample, "read": vote.parsed.mode or "not"}
    if vote.parsed.problem:
        meta["problem"] = vote.parsed.problem[:300]
    if reply.finish:
        meta["finish"] = reply.finish
    if reply.probability is not None:
        meta["p_second"] = round(reply.probability, 6)
    if not own:
        meta["cached"] = True  # another item or annotator asked for the same; it was paid there
    return Call(
        order=call.order,
        label=label,
        raw=reply.raw,
        reason=vote.parsed.reason,
        meta=meta,
        prompt_hash=plan.detail.prompt_hash,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        cost_micros=reply.cost_micros if own else 0,
        latency_ms=reply.latency_ms,
    )


def submit_work(plan: Plan, work: ItemWork) -> Submitted:
    """Store the judgment of a complete work. Raises Conflict (withdrawn, or judged by another run meanwhile)."""
    detail = plan.detail
    again = f":after:{work.supersedes}" if work.supersedes else ""
    return submit(
        annotator=plan.annotator,
        item_id=work.item_id,
        schema_id=detail.schema_id,
        uuid=uuid.uuid5(plan.annotator.pseudonym, f"item:{work.item_id}{again}"),
        answer=answer_of(plan, work),
        origin=Judgment.Origin.MODEL,
        guideline_id=detail.guideline_id,
        criteria_release_id=detail.criteria_release_id,
        supersedes=work.supersedes,
        created_at=timezone.now(),
    )
