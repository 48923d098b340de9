"""An LM annotator asks a real server over loopback: verdicts, evidence, money, cache, failures."""

from __future__ import annotations

from decimal import Decimal

import pytest

from annotations.judging import gate_items, identity_rules
from annotations.judging.models import Judgment, LMCall
from annotations.lm import engine, prompts, runs
from annotations.lm.models import EndpointModel, Failure, Reply
from app.ledger.models import Account, Reservation
from tests.judging.gated import prefers
from tests.lm.asked import KEY

pytestmark = [pytest.mark.django_db, pytest.mark.smoke]

PAIRS = [
    ("Say hello.", ("Hello, good day, because you asked.", "Go away.")),
    ("Say why.", ("No.", "A correct and helpful answer, because it is good.")),
    ("Say it.", ("Short.", "Short.")),
]


@pytest.fixture
def items(make_item):
    return [make_item(prompt, texts) for prompt, texts in PAIRS]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(engine, "FIRST_BACKOFF", 0.01)


def verdicts(detail):
    rows = Judgment.objects.filter(annotator=detail.annotator, is_current=True).order_by("item_id")
    return [
        (None, j.answers.get("cannot_judge"))
        if j.outcome != "answered"
        else (j.comparisons.get(aspect="overall").preference, j.comparisons.get(aspect="overall").tie)
        for j in rows
    ]


def test_both_orders_become_one_judgment_with_all_its_evidence(items, lm_annotator, asker, scripted, project):
    detail = lm_annotator()
    result = asker(detail)

    assert (result["judged"], result["calls"], result["cached"], result["left"]) == (3, 6, 0, 0)
    assert verdicts(detail) == [(-1, None), (1, None), (None, "equal")]
    judgment = Judgment.objects.get(item=items[1])
    assert (judgment.order_consistent, judgment.probability, judgment.origin) == (True, 0.75, "model")
    assert judgment.reason == "B reads better."  # as said in the stored order
    calls = LMCall.objects.filter(judgment=judgment).order_by("order")
    assert [(c.order, c.label) for c in calls] == [("ab", "b"), ("ba", "b")]
    assert {c.prompt_hash for c in calls} == {detail.prompt_hash}
    sent = [r for r in scripted.requests if r.data["prompt"] == "Say why."]
    assert sorted(c.tokens_in for c in calls) == sorted(r.tokens_in for r in sent)
    assert all(c.latency_ms >= 0 and c.raw.startswith("{") for c in calls)
    assert {r.authorization for r in scripted.requests} == {f"Bearer {KEY}"}
    account = Account.objects.get(pk=project.account_id)
    spent = sum(c.cost_micros for c in LMCall.objects.all())
    assert spent == scripted.billed_micros(2, 8) == account.spent_micros > 0
    assert account.held_micros == 0


def test_what_a_model_sees_holds_no_names_and_all_strangers_texts_inside_the_fence(
    items, lm_annotator, asker, scripted
):
    asker(lm_annotator())
    for request in scripted.requests:
        assert [m["role"] for m in request.body["messages"]] == ["system", "user"]
        assert set(request.data) == {"prompt", "responses"}
        for text in [t for _, texts in PAIRS for t in texts]:
            assert text not in request.system
        assert "model-0" not in str(request.body)
        schema = request.body["response_format"]["json_schema"]
        assert schema["strict"] is True
        assert schema["schema"]["properties"]["overall"]["enum"] == ["A", "B", "tie"]
    orders = [tuple(r.data["responses"].values()) for r in scripted.requests]
    assert sorted(orders) == sorted([texts for _, texts in PAIRS] + [texts[::-1] for _, texts in PAIRS])
    assert len({r.system for r in scripted.requests}) == 6  # the code of the fences is new every time


def test_a_model_is_sent_what_people_are_shown_and_no_gate(
    items, make_item, lm_annotator, asker, scripted, admin, project
):
    for purpose in ("training", "qualification", "gold"):
        gate = make_item(f"A gate for {purpose}.", ("One.", "Other."))
        gate_items.set_gate(item=gate, purpose=purpose, answer=prefers(1), explanation="So.", actor=admin)
    named = make_item("Who are you?", ("I'm Claude, made by Anthropic.", "A helper."))
    identity_rules.start_rule(project=project, mode="redact", actor=admin)
    identity_rules.apply_to_project(project=project)
    detail = lm_annotator()
    messages = runs.preview(prompts.asked_of(detail), named, both=True)
    assert "Claude" not in str(messages)
    asker(detail)
    sent = {text for request in scripted.requests for text in request.data["responses"].values()}
    assert sent == {text for _, texts in PAIRS for text in texts} | {
        "I'm ██████, made by █████████.",
        "A helper.",
    }
    assert set(Judgment.objects.values_list("item", flat=True)) == {item.pk for item in [*items, named]}


def test_a_position_bias_becomes_ties_that_contradict(items, lm_annotator, asker):
    detail = lm_annotator("always-first")
    asker(detail)
    assert verdicts(detail) == [(None, "equal")] * 3
    assert set(Judgment.objects.values_list("order_consistent", "probability")) == {(False, 0.5)}


def test_a_rerun_calls_nothing_and_another_annotator_with_the_same_words_pays_nothing(
    items, lm_annotator, asker, scripted, project
):
    detail = lm_annotator()
    asker(detail)
    spent = Account.objects.get(pk=project.account_id).spent_micros
    assert asker(detail)["calls"] == 0
    twin = lm_annotator(name="twin", max_tokens=601)
    twin.parameters = detail.parameters
    twin.save()
    result = asker(twin)
    assert (result["judged"], result["calls"], result["cached"]) == (3, 0, 6)
    assert len(scripted.requests) == 6
    assert Account.objects.get(pk=project.account_id).spent_micros == spent
    assert set(LMCall.objects.filter(annotator=twin.annotator).values_list("cost_micros", flat=True)) == {0}
    assert verdicts(twin) == verdicts(detail)


@pytest.mark.parametrize(
    ("change", "calls"),
    [
        ({"temperature": 0.5}, 6),
        ({"max_tokens": 700}, 6),
        ({"structured": False}, 6),
        ({"both_orders": False}, 0),
    ],
)
def test_the_cache_knows_what_a_reply_depends_on(items, lm_annotator, asker, change, calls):
    asker(lm_annotator())
    assert asker(lm_annotator(**change))["calls"] == calls


def test_new_words_are_a_new_annotator_and_new_calls(items, lm_annotator, asker):
    first, second = lm_annotator(), lm_annotator(instructions="Judge fairly and slowly.")
    assert (first.prompt.number, second.prompt.number) == (1, 2)
    assert first.prompt_hash != second.prompt_hash
    asker(first)
    assert asker(second)["calls"] == 6
    assert lm_annotator() == first  # the same configuration is the same annotator


def test_samples_vote_and_grade_the_probability(items, lm_annotator, asker, scripted):
    detail = lm_annotator(samples=3, temperature=0.7)
    assert asker(detail)["calls"] == 18
    judgment = Judgment.objects.get(item=items[1])
    assert judgment.probability == pytest.approx(7 / 8)  # (6 + 1) / (6 + 2)
    seeds = [r.body["seed"] for r in scripted.requests if r.data["prompt"] == "Say why."]
    assert sorted(seeds) == [1000, 1000, 1001, 1001, 1002, 1002]


def test_token_probabilities_are_used_where_they_are_given(items, lm_annotator, asker):
    detail = lm_annotator("logprobs")
    asker(detail)
    p = dict(Judgment.objects.values_list("item__prompt", "probability"))
    assert p["Say why."] == pytest.approx(0.825)  # (0.8 + 0.05 / 2) / 1, in both orders
    assert p["Say hello."] == pytest.approx(0.175)
    assert p["Say it."] == 0.5


@pytest.mark.parametrize("model", ["prose", "fenced-json"])
def test_verdicts_in_other_shapes_are_read(make_item, plain_project, lm_annotator, asker, model):
    for prompt, texts in PAIRS:
        make_item(prompt, texts)
    detail = lm_annotator(model)
    asker(detail)
    assert verdicts(detail) == [(-1, None), (1, None), (None, "equal")]
    assert set(LMCall.objects.values_list("meta__read", flat=True)) == {"repaired"}


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("truncated", "unparsed"),
        ("refuses", "refused"),
        ("empty", "unparsed"),
        ("nonsense", None),
        ("huge", None),
    ],
)
def test_replies_without_a_verdict_are_said_so(items, lm_annotator, asker, model, why):
    detail = lm_annotator(model)
    result = asker(detail)
    if why is None:
        assert (result["judged"], result["failed"]) == (0, 3)
        assert Failure.objects.count() == 3
        assert Judgment.objects.count() == 0
        return
    assert (result["judged"], result["unread"]) == (3, 3)
    assert verdicts(detail) == [(None, why)] * 3
    reason = Judgment.objects.first().reason
    assert {"truncated": "token limit", "refuses": "refused", "empty": "empty"}[model] in reason


def test_a_failed_reading_can_be_asked_again_and_supersedes(items, lm_annotator, asker, scripted):
    detail = lm_annotator("truncated")
    asker(detail)
    before = dict(Judgment.objects.values_list("item_id", "uuid"))
    run = runs.start(detail=detail, again=True)
    from app.jobs import runner
    from app.jobs.models import Job

    scripted.aliases["truncated"] = "obedient"
    job = runner.run(run.job_id)
    assert (job.state, job.result["judged"], job.result["calls"]) == (Job.State.SUCCEEDED, 3, 6)
    assert verdicts(detail) == [(-1, None), (1, None), (None, "equal")]
    for judgment in Judgment.objects.filter(is_current=True):
        assert judgment.supersedes.uuid == before[judgment.item_id]
    assert Reply.objects.filter(retired_at__isnull=False).count() == 6
    with pytest.raises(runs.CannotAnnotate):
        runs.start(detail=detail, again=True)


def test_an_item_that_became_a_gate_is_not_asked_again(items, lm_annotator, asker, admin):
    detail = lm_annotator("truncated")
    asker(detail)
    assert runs.unread(detail).count() == 3
    gate_items.set_gate(item=items[0], purpose="gold", answer=prefers(1), actor=admin)
    assert list(runs.unread(detail).values_list("item", flat=True)) == [items[1].pk, items[2].pk]


@pytest.mark.parametrize("model", ["429-then-ok", "500-then-ok"])
def test_passing_failures_are_tried_again_and_paid_once(items, lm_annotator, asker, scripted, project, model):
    detail = lm_annotator(model)
    result = asker(detail)
    assert (result["judged"], result["failed"]) == (3, 0)
    assert len(scripted.requests) > 6
    assert len(scripted.billed()) == 6
    account = Account.objects.get(pk=project.account_id)
    assert (account.spent_micros, account.held_micros) == (scripted.billed_micros(2, 8), 0)


def test_an_item_that_cannot_be_asked_is_listed_and_done_by_the_next_run(
    items, lm_annotator, asker, scripted, project
):
    detail = lm_annotator("always-500")
    result = asker(detail)
    assert (result["judged"], result["failed"], result["left"]) == (0, 3, 3)
    failure = Failure.objects.get(item=items[0])
    assert failure.message == "The server answered 500: upstream broke (4 attempts)"
    assert Account.objects.get(pk=project.account_id).spent_micros == 0
    assert Reply.objects.count() == 0
    scripted.aliases["always-500"] = "obedient"
    assert asker(detail)["judged"] == 3
    assert Failure.objects.count() == 0


def test_calls_whose_fate_is_unknown_count_as_spent(items, lm_annotator, asker, scripted, project):
    detail = lm_annotator("drop")
    result = asker(detail)
    assert result["failed"] == 3
    account = Account.objects.get(pk=project.account_id)
    assert account.held_micros == 0
    held = Reservation.objects.filter(purpose="lm.call")
    assert held.count() == len(scripted.requests) > 0
    assert account.spent_micros == sum(r.amount_micros for r in held) == sum(r.settled_micros for r in held)


@pytest.mark.parametrize(
    ("model", "words"), [("quota", "no credit left"), ("bad-key", "Incorrect API key"), ("redirect", "302")]
)
def test_what_no_retry_can_help_ends_the_run_in_words_without_the_key(
    items, lm_annotator, asker, model, words
):
    with pytest.raises(engine.RunFailed) as failed:
        asker(lm_annotator(model))
    assert words in str(failed.value)
    assert KEY not in str(failed.value)
    assert KEY[:8] not in str(failed.value)


@pytest.mark.parametrize(
    ("model", "lacks"),
    [
        ("no-schema", "response_format"),
        ("no-logprobs", "logprobs"),
        ("no-max-tokens", "max_tokens"),
        ("no-temperature", "temperature"),
    ],
)
def test_a_parameter_the_server_does_not_know_is_left_out_and_remembered(
    items, lm_annotator, asker, scripted, model, lacks
):
    detail = lm_annotator(model)
    assert asker(detail)["judged"] == 3
    assert verdicts(detail) == [(-1, None), (1, None), (None, "equal")]
    assert EndpointModel.objects.get(pk=detail.endpoint_model_id).lacks == [lacks]
    last = scripted.requests[-1].body
    assert lacks not in last
    assert ("max_completion_tokens" in last) == (lacks == "max_tokens")


@pytest.mark.parametrize("model", ["no-usage", "lies"])
def test_a_server_that_does_not_say_or_lies_about_tokens_costs_what_was_held(
    items, lm_annotator, asker, project, model
):
    asker(lm_annotator(model))
    held = Reservation.objects.filter(purpose="lm.call")
    account = Account.objects.get(pk=project.account_id)
    assert (account.held_micros, account.spent_micros) == (0, sum(r.amount_micros for r in held))


def test_the_cap_stops_a_run_before_it_is_passed(make_item, lm_annotator, asker, scripted, funded, project):
    for n in range(40):
        make_item(f"Question {n}", ("good", "bad because"))
    detail = lm_annotator()
    account = funded("0.05")
    with pytest.raises(engine.OutOfMoney, match="does not allow another call"):
        asker(detail)
    account.refresh_from_db()
    assert account.held_micros == 0
    assert 0 < account.spent_micros <= account.cap_micros == 50_000
    assert scripted.billed_micros(2, 8) == account.spent_micros
    assert Judgment.objects.count() > 0
    worst = Reservation.objects.order_by("-amount_micros").first().amount_micros
    assert account.cap_micros - account.spent_micros < worst  # it went on while a call could be paid


def test_a_run_has_a_cap_of_its_own(make_item, lm_annotator, project):
    from app.jobs import runner

    for n in range(40):
        make_item(f"Question {n}", ("good", "bad because"))
    detail = lm_annotator()
    run = runs.start(detail=detail, cap=Decimal("0.04"))
    job = runner.run(run.job_id)
    assert job.state == "failed"
    assert "does not allow another call" in job.error
    own, whole = Account.objects.get(pk=run.account_id), Account.objects.get(pk=project.account_id)
    assert (own.held_micros, whole.held_micros) == (0, 0)
    assert 0 < own.spent_micros == whole.spent_micros <= 40_000


def test_the_estimate_is_near_and_its_worst_case_is_above_what_was_paid(
    make_item, lm_annotator, asker, scripted
):
    for n in range(30):
        make_item(f"Question {n}", ("good " * (n + 1), "bad because"))
    detail = lm_annotator()
    said = runs.estimate(runs.find(detail.pk))
    asker(detail)
    paid = Decimal(scripted.billed_micros(2, 8)) / 1_000_000
    assert (said["items"], said["calls"], said["currency"]) == (30, 60, "EUR")
    assert Decimal(said["worst"]) > paid
    assert abs(Decimal(said["tokens_in"]) / sum(r.tokens_in for r in scripted.requests) - 1) < Decimal("0.05")
    assert runs.estimate(runs.find(detail.pk))["items"] == 0


def test_an_endpoint_is_asked_as_often_and_as_much_at_once_as_it_may(
    items, lm_annotator, asker, scripted, endpoint
):
    endpoint.concurrency, endpoint.requests_per_minute = 2, 1200
    endpoint.save()
    asker(lm_annotator("slow"))
    assert scripted.most_under_way <= 2
    scripted.requests.clear()
    endpoint.concurrency = 8
    endpoint.requests_per_minute = 300  # one every 0.2 s after a burst of 8
    endpoint.save()
    from annotations.lm.models import Pace

    Pace.objects.update(arrival=None)
    asker(lm_annotator(max_tokens=900))
    asker(lm_annotator(max_tokens=901))
    times = sorted(r.at for r in scripted.requests)
    assert len(times) == 12
    assert times[-1] - times[0] >= 0.2 * (12 - 8) - 0.05


def test_ratings_and_rankings_are_asked_in_both_orders_too(project, make_item, lm_annotator, asker):
    make_item("Say hello.", ("Hello, good.", "Go away."))
    detail = lm_annotator(asks="both")
    asker(detail)
    judgment = Judgment.objects.get()
    assert judgment.comparisons.get().preference == -1
    scores = {(s.attribute, s.response): s.value for s in judgment.scores.all()}
    assert scores == {
        ("helpfulness", 0): 4,
        ("helpfulness", 1): 0,
        ("correctness", 0): 4,
        ("correctness", 1): 0,
    }
    assert {(s.scale_min, s.scale_max) for s in judgment.scores.all()} == {(0, 4)}


def test_a_cancelled_run_keeps_what_it_paid(make_item, lm_annotator, asker, scripted, project):
    from app.jobs.runner import JobCancelled

    for n in range(60):
        make_item(f"Question {n}", ("good", "bad because"))
    detail = lm_annotator("slow")

    def stop(done, total, words):
        if done >= 8:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        asker(detail, report=stop)
    judged = Judgment.objects.count()
    assert 8 <= judged < 60
    paid = len(scripted.requests)
    assert Reply.objects.filter(state="done").count() == paid
    account = Account.objects.get(pk=project.account_id)
    assert (account.spent_micros, account.held_micros) == (scripted.billed_micros(2, 8), 0)
    assert asker(detail)["judged"] == 60 - judged
    assert len(scripted.requests) == 120  # every call once


def test_items_with_the_same_texts_share_their_calls(make_item, lm_annotator, asker, scripted, project):
    for n in range(6):
        make_item("Say why.", ("No.", "Good, because."), external_id=f"copy-{n}")
    detail = lm_annotator()
    result = asker(detail)
    assert (result["judged"], result["calls"], result["cached"]) == (6, 2, 10)
    assert len(scripted.requests) == 2
    assert verdicts(detail) == [(1, None)] * 6
    paid = sum(LMCall.objects.values_list("cost_micros", flat=True))
    assert paid == Account.objects.get(pk=project.account_id).spent_micros == scripted.billed_micros(2, 8)
