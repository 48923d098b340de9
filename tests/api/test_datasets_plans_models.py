"""Snapshots, exports, plans and reward models over the API: jobs that are really run."""

from __future__ import annotations

import hashlib
import json
import uuid

import pytest

from annotations.datasets import tasks as dataset_tasks  # noqa: F401 - registers handlers
from annotations.datasets.models import Export, Snapshot
from annotations.items.models import Item
from annotations.judging.answers import Answer, ComparisonAnswer, ScoreAnswer
from annotations.judging.submit import submit
from annotations.projects.models import Annotator
from app.jobs import runner
from app.jobs.models import Job
from routing.plans import tasks as plan_tasks  # noqa: F401 - registers handlers
from routing.plans.models import RoutingPlan
from routing.rewards import tasks as reward_tasks  # noqa: F401 - registers handlers
from routing.rewards.models import RewardModel, TrainingRun

P = "/api/v1/projects/pairs"


@pytest.fixture
def judged(project, make_item, annotator):
    """Forty items that Bob judged: the longer response is better."""
    for number in range(40):
        item = make_item(
            f"Question {number}",
            (f"word {number}", f"many more words {number} " * 3),
            external_id=f"q{number}",
        )
        scores = tuple(
            ScoreAnswer(place, name, 3 if place else 1, 0, 4)
            for place in (0, 1)
            for name in ("helpfulness", "correctness")
        )
        submit(
            annotator=annotator, item_id=item.pk, schema_id=project.schema_id, uuid=uuid.uuid4(), origin="import",
            answer=Answer(comparisons=(ComparisonAnswer(0, 1, "overall", 2, 3),), scores=scores),
        )  # fmt: skip


def follow(api, started) -> dict:
    """The job of a 202, after it was run to its end."""
    assert started.status_code == 202, started.content
    job = started.json()
    assert started["Location"] == f"/api/v1/jobs/{job['id']}"
    runner.run(job["id"])
    return api.get(started["Location"]).json()


def test_a_snapshot_is_frozen_exported_and_fetched(alice_api, judged):
    job = follow(alice_api, alice_api.post(f"{P}/snapshots", {"note": "First"}, format="json"))
    assert job["state"] == "succeeded", job["error"]
    [snapshot] = alice_api.get(f"{P}/snapshots").json()["results"]
    assert (snapshot["state"], snapshot["note"], snapshot["n_items"], snapshot["n_judgments"], snapshot["job"]) == (
        "ready", "First", 40, 40, job["id"],
    )  # fmt: skip
    url = f"{P}/snapshots/{snapshot['id']}"
    assert alice_api.get(f"{url}?fields=id,number").json() == {"id": snapshot["id"], "number": 1}
    done = follow(alice_api, alice_api.post(f"{url}/exports", {"format": "native"}, format="json"))
    assert done["state"] == "succeeded", done["error"]
    [export] = alice_api.get(f"{url}/exports").json()["results"]
    assert (export["state"], export["rows"], export["container"], export["snapshot"]) == (
        "ready", 40, "jsonl", snapshot["id"],
    )  # fmt: skip
    again = alice_api.post(f"{url}/exports", {"format": "native"}, format="json")
    assert (again.status_code, again.json()["id"]) == (200, export["id"])
    seen = set()
    for file in export["files"]:
        fetched = alice_api.get(f"{url}/exports/{export['id']}/files/{file['path']}")
        content = b"".join(fetched.streaming_content)
        assert (fetched.status_code, fetched["ETag"]) == (200, f'"{file["sha256"]}"')
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        if file["split"]:
            seen |= {json.loads(line)["id"] for line in content.splitlines()}
    assert seen == {f"q{number}" for number in range(40)}
    for name in ("../../secret", "data/none.jsonl", "%2e%2e/x"):
        assert alice_api.get(f"{url}/exports/{export['id']}/files/{name}").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("snapshots", {"query": {"kinds": ["robot"]}}, "query.kinds.0"),
        ("snapshots", {"query": {"colour": 1}}, "query.colour"),
        ("snapshots", {"query": {"only_judged": "yes"}}, "query.only_judged"),
        ("snapshots", {"note": "a\x00"}, "note"),
        ("plans", {}, "budget"),
        ("plans", {"budget": "2"}, "budget"),
        ("plans", {"budget": 0.5}, "budget"),
        ("plans", {"budget": "25 EUR"}, "budget"),
        ("plans", {"budget": "0.5", "policy": "luck"}, "policy"),
        ("plans", {"budget": "0.5", "audit_share": 2}, "audit_share"),
        ("plans", {"budget": "0.5", "annotators": ["99999"]}, "annotators"),
        ("training-runs", {"loss": "hinge"}, "loss"),
        ("training-runs", {"lm_weight": 0}, "lm_weight"),
        ("training-runs", {"snapshot": "snap_none"}, "snapshot"),
        ("training-runs", {"seed": -1}, "seed"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(alice_api, project, path, body, field):
    refused = alice_api.post(f"{P}/{path}", body, format="json")
    assert (refused.status_code, refused["Content-Type"]) == (400, "application/problem+json")
    assert field in {error["field"] for error in refused.json()["errors"]}
    assert [model.objects.count() for model in (Job, Snapshot, RoutingPlan, TrainingRun)] == [0, 0, 0, 0]


def test_exports_wait_for_their_snapshot(alice_api, project):
    alice_api.post(f"{P}/snapshots", {}, format="json")
    url = f"{P}/snapshots/{Snapshot.objects.get().public_id}/exports"
    refused = alice_api.post(url, {"format": "native"}, format="json")
    assert (refused.status_code, refused.json()["title"]) == (409, "The snapshot is not ready")
    for body, field in (
        ({"format": "word"}, "format"),
        ({"format": "native", "options": {"a": "b"}}, "options"),
    ):
        assert alice_api.post(url, body, format="json").json()["errors"][0]["field"] == field
    assert Export.objects.count() == 0


def test_a_plan_is_drafted_and_applied(alice_api, make_item):
    for number in range(20):
        make_item(f"Question {number}")
    body = {"budget": "0.25", "policy": "random", "audit_share": 0.1, "seed": 3}
    job = follow(alice_api, alice_api.post(f"{P}/plans", body, format="json"))
    assert job["state"] == "succeeded", job["error"]
    plan = alice_api.get(f"{P}/plans/1").json()
    assert (plan["state"], plan["budget_share"], plan["seed"], plan["summary"]["people"]) == (
        "draft",
        0.25,
        3,
        5,
    )
    assert Item.objects.filter(route="human").count() == 20
    applied = alice_api.post(f"{P}/plans/1/apply")
    assert (applied.status_code, applied.json()["state"]) == (200, "applied")
    routes = [Item.objects.filter(route=route).count() for route in ("human", "both", "lm")]
    assert routes == [3, 2, 15]
    refused = alice_api.post(f"{P}/plans/1/discard")
    assert (refused.status_code, refused.json()["title"]) == (409, "Not discarded")
    assert alice_api.get(f"{P}/plans/2").status_code == 404


def test_a_plan_that_costs_too_much_is_not_applied(alice_api, project, make_item):
    from app.ledger.models import Account

    account = Account.objects.create(name="Pairs", currency="EUR", cap_micros=1_000_000)
    project.account_id, project.human_cost = account.pk, "0.5"
    project.save()
    for number in range(20):
        make_item(f"Question {number}")
    follow(alice_api, alice_api.post(f"{P}/plans", {"budget": "0.5", "policy": "random"}, format="json"))
    refused = alice_api.post(f"{P}/plans/1/apply")
    assert (refused.status_code, refused.json()["title"]) == (409, "Not applied, nothing was changed")
    assert Item.objects.filter(route="human").count() == 20


def test_a_reward_model_is_trained(alice_api, judged):
    job = follow(alice_api, alice_api.post(f"{P}/training-runs", {"seed": 5, "note": "Try"}, format="json"))
    [run] = alice_api.get(f"{P}/training-runs").json()["results"]
    assert (run["seed"], run["loss"], run["job"]) == (5, "scaled_bt", job["id"])
    assert job["state"] == "succeeded", job["error"]
    assert alice_api.get(f"{P}/training-runs/{run['id']}").json()["reward_model"] == job["result"]["model"]
    [model] = alice_api.get(f"{P}/reward-models").json()["results"]
    assert (model["id"], model["status"], model["backend"]) == (job["result"]["model"], "candidate", "linear")
    assert model["snapshot"] == Snapshot.objects.get().public_id
    whole = alice_api.get(f"{P}/reward-models/{model['id']}").json()
    assert whole == model
    assert RewardModel.objects.count() == 1


def test_models_and_data_of_another_project_are_not_found(alice_api, charlie, judged):
    from annotations.datasets.snapshots import freeze_now
    from annotations.projects.models import Membership, Project

    other = Project.objects.create(slug="other", name="Other")
    Membership.objects.create(project=other, user=charlie, role="owner")
    snapshot = freeze_now(project=other)
    assert alice_api.get(f"{P}/snapshots/{snapshot.public_id}").status_code == 404
    refused = alice_api.post(f"{P}/training-runs", {"snapshot": snapshot.public_id}, format="json")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "snapshot")
    assert Annotator.objects.filter(project=other).count() == 0
