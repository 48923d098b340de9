"""Who may do what: every endpoint, every role; refused requests change nothing."""

from __future__ import annotations

import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import get_resolver
from rest_framework.test import APIClient

from annotations.criteria import lab
from annotations.criteria.models import CriterionVersion, Proposal
from annotations.datasets.models import Export, Snapshot
from annotations.items import batches, mappings
from annotations.items.models import Batch, SavedMapping
from annotations.judging import assigning
from annotations.judging.models import Assignment, Judgment, Review
from annotations.projects.models import Acknowledgement, Annotator
from annotations.projects.setup import add_guideline
from app.jobs import runner
from app.jobs.models import Job
from app.webhooks import outbox
from app.webhooks.models import Webhook
from routing.plans.models import RoutingPlan

ROLES = ("alice", "researcher", "reviewer", "bob", "charlie", "anonymous")
P = "/api/v1/projects/pairs"
# name of the route → (method, path, body, status by role in the order of ROLES)
MATRIX = {
    "projects": [
        ("get", "/api/v1/projects", None, (200, 200, 200, 200, 200, 401)),
        ("post", "/api/v1/projects", {}, (400, 400, 400, 400, 400, 401)),
    ],
    "project": [
        ("get", P, None, (200, 200, 200, 200, 404, 401)),
        ("patch", P, {"name": "Pairs 2"}, (200, 403, 403, 403, 404, 401)),
        ("delete", P, None, (200, 403, 403, 403, 404, 401)),
    ],
    "project_restore": [("post", f"{P}/restore", None, (404, 404, 404, 404, 404, 401))],
    "deleted_projects": [("get", "/api/v1/deleted-projects", None, (200, 200, 200, 200, 200, 401))],
    "log": [("get", f"{P}/log", None, (200, 200, 403, 403, 404, 401))],
    "guidelines": [("get", f"{P}/guidelines", None, (200, 200, 200, 200, 404, 401))],
    "guideline_acknowledgement": [
        ("post", f"{P}/guidelines/1/acknowledgement", None, (204, 204, 204, 204, 404, 401))
    ],
    "schemas": [
        ("get", f"{P}/schemas", None, (200, 200, 200, 403, 404, 401)),
        ("post", f"{P}/schemas", {"definition": {}}, (400, 400, 403, 403, 404, 401)),
    ],
    "schema_version": [("get", f"{P}/schemas/1", None, (200, 200, 200, 403, 404, 401))],
    "schema_use": [("post", f"{P}/schemas/1/use", None, (200, 200, 403, 403, 404, 401))],
    "items": [
        ("get", f"{P}/items", None, (200, 200, 200, 403, 404, 401)),
        ("post", f"{P}/items", {"items": [{"prompt": "x"}]}, (200, 200, 403, 403, 404, 401)),
    ],
    "item": [("get", f"{P}/items/ITEM", None, (200, 200, 200, 403, 404, 401))],
    "ask_again": [
        ("get", f"{P}/schemas/1/ask-again", None, (200, 200, 403, 403, 404, 401)),
        ("post", f"{P}/schemas/1/ask-again", {"people": 2}, (202, 202, 403, 403, 404, 401)),
    ],
    "item_reviews": [
        ("get", f"{P}/items/ITEM/reviews", None, (200, 200, 200, 403, 404, 401)),
        ("post", f"{P}/items/ITEM/reviews", {"votes_stand": True}, (201, 201, 201, 403, 404, 401)),
    ],
    "reviews": [("get", f"{P}/reviews", None, (200, 200, 200, 403, 404, 401))],
    "gate_items": [("get", f"{P}/quality/gate-items", None, (200, 200, 403, 403, 404, 401))],
    "gate_item": [
        ("get", f"{P}/items/ITEM/gate", None, (404, 404, 403, 403, 404, 401)),
        ("put", f"{P}/items/ITEM/gate", {"purpose": "gold"}, (400, 400, 403, 403, 404, 401)),
        ("delete", f"{P}/items/ITEM/gate", None, (204, 204, 403, 403, 404, 401)),
    ],
    "identity_rule": [
        ("get", f"{P}/quality/identity", None, (200, 200, 403, 403, 404, 401)),
        ("put", f"{P}/quality/identity", {"mode": "off"}, (202, 202, 403, 403, 404, 401)),
    ],
    "arms": [
        ("get", f"{P}/quality/arms", None, (200, 200, 403, 403, 404, 401)),
        ("put", f"{P}/quality/arms", {"arms": [{"name": "a"}]}, (200, 200, 403, 403, 404, 401)),
    ],
    "overview": [("get", f"{P}/overview", None, (200, 200, 200, 403, 404, 401))],
    "entry": [
        ("get", f"{P}/entry", None, (200, 403, 403, 403, 404, 401)),
        ("patch", f"{P}/entry", {"mode": "open"}, (200, 403, 403, 403, 404, 401)),
    ],
    "pay": [
        ("get", f"{P}/pay", None, (200, 200, 403, 403, 404, 401)),
        ("patch", f"{P}/pay", {"unit": "none"}, (200, 403, 403, 403, 404, 401)),
    ],
    "earned": [("get", f"{P}/pay/people", None, (200, 200, 403, 403, 404, 401))],
    "bonuses": [("post", f"{P}/pay/bonuses", {"person": 0}, (400, 403, 403, 403, 404, 401))],
    "quality_people": [("get", f"{P}/quality/people", None, (200, 200, 200, 403, 404, 401))],
    "quality_person": [
        ("patch", f"{P}/quality/people/PERSON", {"paused": True}, (200, 200, 403, 403, 404, 401))
    ],
    "quality_quarantine": [
        ("post", f"{P}/quality/people/PERSON/quarantine", {}, (200, 200, 403, 403, 404, 401)),
        ("delete", f"{P}/quality/people/PERSON/quarantine", None, (200, 200, 403, 403, 404, 401)),
    ],
    "quality_gates": [
        ("get", f"{P}/quality/gates", None, (200, 200, 403, 403, 404, 401)),
        ("patch", f"{P}/quality/gates", {"gold_share": 0.1}, (200, 200, 403, 403, 404, 401)),
    ],
    "analysis_agreement": [("get", f"{P}/analysis/agreement", None, (200, 200, 403, 403, 404, 401))],
    "analysis_rankings": [("get", f"{P}/analysis/rankings", None, (200, 200, 403, 403, 404, 401))],
    "analysis_bias": [("get", f"{P}/analysis/bias", None, (200, 200, 403, 403, 404, 401))],
    "analysis_subset": [("get", f"{P}/analysis/subset?k=1", None, (200, 200, 403, 403, 404, 401))],
    "analysis_annotators": [("get", f"{P}/analysis/annotators", None, (200, 200, 403, 403, 404, 401))],
    "mappings": [
        ("get", f"{P}/mappings", None, (200, 200, 403, 403, 404, 401)),
        ("post", f"{P}/mappings", {"name": "n", "columns": {"q": "prompt"}}, (201, 201, 403, 403, 404, 401)),
    ],
    "mapping": [
        ("get", f"{P}/mappings/MAPPING", None, (200, 200, 403, 403, 404, 401)),
        ("delete", f"{P}/mappings/MAPPING", None, (204, 204, 403, 403, 404, 401)),
    ],
    "batches": [
        ("get", f"{P}/batches", None, (200, 200, 200, 403, 404, 401)),
        ("post", f"{P}/batches", {"name": "b"}, (201, 201, 403, 403, 404, 401)),
    ],
    "batch": [
        ("get", f"{P}/batches/BATCH", None, (200, 200, 200, 403, 404, 401)),
        ("patch", f"{P}/batches/BATCH", {"weight": 0}, (200, 200, 403, 403, 404, 401)),
        ("delete", f"{P}/batches/BATCH", None, (204, 204, 403, 403, 404, 401)),
    ],
    "batch_items": [("post", f"{P}/batches/BATCH/items", {"items": ["1"]}, (200, 200, 403, 403, 404, 401))],
    "assignments": [
        ("get", f"{P}/assignments", None, (200, 200, 200, 403, 404, 401)),
        (
            "post",
            f"{P}/assignments",
            {"assignments": [{"item": "ITEM", "person": "bob"}]},
            (200, 200, 403, 403, 404, 401),
        ),
    ],
    "assignment": [("delete", f"{P}/assignments/GIVEN", None, (204, 204, 403, 403, 404, 401))],
    "places": [("get", f"{P}/places", None, (200, 200, 403, 403, 404, 401))],
    "place_end": [
        ("post", f"{P}/places/s1/end", {"state": "returned"}, (404, 404, 403, 403, 404, 401)),
        ("post", f"{P}/places/%00/end", {"state": "returned"}, (404, 404, 403, 403, 404, 401)),
    ],
    "media": [
        ("get", f"{P}/media", None, (200, 200, 403, 403, 404, 401)),
        ("post", f"{P}/media", "FILE", (400, 400, 403, 403, 404, 401)),
    ],
    "media_one": [("delete", f"{P}/media/none.png", None, (404, 404, 403, 403, 404, 401))],
    "imports": [("post", f"{P}/imports", "FILE", (202, 202, 403, 403, 404, 401))],
    "next": [("post", f"{P}/next", None, (409, 409, 409, 409, 404, 401))],
    "judgments": [
        ("get", f"{P}/judgments", None, (200, 200, 200, 200, 404, 401)),
        ("post", f"{P}/judgments", {}, (400, 400, 400, 400, 404, 401)),
    ],
    "judgment": [("get", f"{P}/judgments/JUDGMENT", None, (200, 200, 200, 200, 404, 401))],
    "jobs": [("get", "/api/v1/jobs", None, (200, 200, 200, 200, 200, 401))],
    "job": [("get", "/api/v1/jobs/JOB", None, (200, 200, 200, 404, 404, 401))],
    "job_cancel": [("post", "/api/v1/jobs/JOB/cancel", None, (200, 200, 200, 404, 404, 401))],
    "job_retry": [("post", "/api/v1/jobs/FAILED/retry", None, (202, 202, 202, 404, 404, 401))],
    "features": [("get", f"{P}/features", None, (200, 200, 403, 403, 404, 401))],
    "taggings": [
        ("get", f"{P}/taggings", None, (200, 200, 403, 403, 404, 401)),
        ("post", f"{P}/taggings", {"annotator": "1"}, (400, 400, 403, 403, 404, 401)),
    ],
    "tagging": [("get", f"{P}/taggings/1", None, (404, 404, 403, 403, 404, 401))],
    "tagging_tags": [("get", f"{P}/taggings/1/tags", None, (404, 404, 403, 403, 404, 401))],
    "plans": [
        ("get", f"{P}/plans", None, (200, 200, 403, 403, 404, 401)),
        ("post", f"{P}/plans", {"budget": "0.5"}, (202, 202, 403, 403, 404, 401)),
    ],
    "plan": [("get", f"{P}/plans/1", None, (200, 200, 403, 403, 404, 401))],
    "plan_decisions": [("get", f"{P}/plans/1/decisions", None, (200, 200, 403, 403, 404, 401))],
    "item_decisions": [("get", f"{P}/items/ITEM/decisions", None, (200, 200, 403, 403, 404, 401))],
    "plan_apply": [("post", f"{P}/plans/1/apply", None, (409, 409, 403, 403, 404, 401))],
    "plan_discard": [("post", f"{P}/plans/1/discard", None, (409, 409, 403, 403, 404, 401))],
    "budget": [
        ("get", f"{P}/budget", None, (200, 200, 403, 403, 404, 401)),
        ("patch", f"{P}/budget", {}, (200, 403, 403, 403, 404, 401)),
    ],
    "webhooks": [
        ("get", f"{P}/webhooks", None, (200, 403, 403, 403, 404, 401)),
        ("post", f"{P}/webhooks", {"url": "https://example.org/"}, (201, 403, 403, 403, 404, 401)),
    ],
    "webhook": [
        ("get", f"{P}/webhooks/HOOK", None, (200, 403, 403, 403, 404, 401)),
        ("patch", f"{P}/webhooks/HOOK", {"active": False}, (200, 403, 403, 403, 404, 401)),
        ("delete", f"{P}/webhooks/HOOK", None, (204, 403, 403, 403, 404, 401)),
    ],
    "webhook_test": [("post", f"{P}/webhooks/HOOK/test", None, (202, 403, 403, 403, 404, 401))],
    "webhook_deliveries": [("get", f"{P}/webhooks/HOOK/deliveries", None, (200, 403, 403, 403, 404, 401))],
    "delivery_resend": [
        ("post", f"{P}/webhooks/HOOK/deliveries/MESSAGE/resend", None, (202, 403, 403, 403, 404, 401))
    ],
    "snapshots": [
        ("get", f"{P}/snapshots", None, (200, 200, 403, 403, 404, 401)),
        ("post", f"{P}/snapshots", {}, (202, 202, 403, 403, 404, 401)),
    ],
    "snapshot": [("get", f"{P}/snapshots/SNAPSHOT", None, (200, 200, 403, 403, 404, 401))],
    "snapshot_diff": [
        ("post", f"{P}/snapshots/SNAPSHOT/diff", {"since": "SNAPSHOT"}, (202, 202, 403, 403, 404, 401))
    ],
    "exports": [
        ("get", f"{P}/snapshots/SNAPSHOT/exports", None, (200, 200, 403, 403, 404, 401)),
        ("post", f"{P}/snapshots/SNAPSHOT/exports", {"format": "csv"}, (202, 202, 403, 403, 404, 401)),
    ],
    "export": [("get", f"{P}/snapshots/SNAPSHOT/exports/1", None, (404, 404, 403, 403, 404, 401))],
    "pushes": [
        ("get", f"{P}/snapshots/SNAPSHOT/exports/1/pushes", None, (404, 404, 403, 403, 404, 401)),
        ("post", f"{P}/snapshots/SNAPSHOT/exports/1/pushes", {}, (404, 404, 403, 403, 404, 401)),
    ],
    "export_file": [
        ("get", f"{P}/snapshots/SNAPSHOT/exports/1/files/README.md", None, (404, 404, 403, 403, 404, 401))
    ],
    "reward_models": [("get", f"{P}/reward-models", None, (200, 200, 403, 403, 404, 401))],
    "reward_model": [("get", f"{P}/reward-models/rm_1", None, (404, 404, 403, 403, 404, 401))],
    "reward_model_score": [("post", f"{P}/reward-models/rm_1/score", {}, (404, 404, 403, 403, 404, 401))],
    "reward_model_best": [("post", f"{P}/reward-models/rm_1/best", {}, (404, 404, 403, 403, 404, 401))],
    "training_runs": [
        ("get", f"{P}/training-runs", None, (200, 200, 403, 403, 404, 401)),
        ("post", f"{P}/training-runs", {}, (202, 202, 403, 403, 404, 401)),
    ],
    "training_run": [("get", f"{P}/training-runs/1", None, (404, 404, 403, 403, 404, 401))],
    "endpoints": [
        ("get", "/api/v1/endpoints", None, (403, 403, 403, 403, 403, 401)),
        ("post", "/api/v1/endpoints", {}, (403, 403, 403, 403, 403, 401)),
    ],
    "endpoint": [
        ("get", "/api/v1/endpoints/1", None, (403, 403, 403, 403, 403, 401)),
        ("put", "/api/v1/endpoints/1", {}, (403, 403, 403, 403, 403, 401)),
    ],
    "endpoint_try": [("post", "/api/v1/endpoints/1/try", None, (403, 403, 403, 403, 403, 401))],
    "usable_models": [("get", f"{P}/usable-models", None, (200, 200, 403, 403, 404, 401))],
    "prompts": [
        ("get", f"{P}/prompts", None, (200, 200, 403, 403, 404, 401)),
        ("post", f"{P}/prompts", {"name": "Judge"}, (201, 201, 403, 403, 404, 401)),
    ],
    "lm_annotators": [
        ("get", f"{P}/lm-annotators", None, (200, 200, 403, 403, 404, 401)),
        ("post", f"{P}/lm-annotators", {}, (400, 400, 403, 403, 404, 401)),
    ],
    "lm_annotator": [("get", f"{P}/lm-annotators/1", None, (404, 404, 403, 403, 404, 401))],
    "lm_estimate": [("get", f"{P}/lm-annotators/1/estimate", None, (404, 404, 403, 403, 404, 401))],
    "lm_runs": [
        ("get", f"{P}/lm-annotators/1/runs", None, (404, 404, 403, 403, 404, 401)),
        ("post", f"{P}/lm-annotators/1/runs", {}, (404, 404, 403, 403, 404, 401)),
    ],
    "lm_canaries": [("post", f"{P}/lm-annotators/1/canaries", None, (404, 404, 403, 403, 404, 401))],
    "criteria": [("get", f"{P}/criteria", None, (200, 200, 403, 403, 404, 401))],
    "criterion": [("get", f"{P}/criteria/CRITERION", None, (200, 200, 403, 403, 404, 401))],
    "criterion_versions": [("get", f"{P}/criteria/CRITERION/versions", None, (200, 200, 403, 403, 404, 401))],
    "criteria_releases": [("get", f"{P}/criteria-releases", None, (200, 200, 403, 403, 404, 401))],
    "criteria_release": [("get", f"{P}/criteria-releases/1", None, (404, 404, 403, 403, 404, 401))],
    "criteria_proposals": [("get", f"{P}/criteria-proposals", None, (200, 200, 403, 403, 404, 401))],
    "criteria_proposal_decision": [
        (
            "post",
            f"{P}/criteria-proposals/PROPOSAL/decision",
            {"accept": True},
            (200, 200, 403, 403, 404, 401),
        )
    ],
    "judge_wordings": [("get", f"{P}/judge-wordings", None, (200, 200, 403, 403, 404, 401))],
    "none": [("get", "/api/v1/none", None, (404, 404, 404, 404, 404, 401))],
}


@pytest.fixture
def world(alice, project, make_item, bob_api, answer):
    """An item, Bob's judgment of it, a waiting and a failed job, a plan being made, a snapshot."""
    from annotations.datasets.snapshots import freeze_now
    from routing.plans.budget import Budget
    from routing.plans.draft import draft_plan

    item = make_item()
    shown = bob_api.post(f"{P}/next").json()
    body = answer(shown["assignment"])
    assert bob_api.post(f"{P}/judgments", body, format="json").status_code == 201
    add_guideline(project=project, text="Be fair.", actor=alice)
    jobs = {
        name: runner.start(kind="none.such", title="Work", args={}, scope="pairs", actor=alice).pk
        for name in ("JOB", "FAILED")
    }
    runner.run(jobs["FAILED"])
    snapshot = freeze_now(project=project, actor=alice)
    draft_plan(project=project, budget=Budget(share=0.5), policy="random", actor=alice)
    batch = batches.create_batch(project=project, actor=alice, name="Batch")
    given = make_item("Given by hand.")
    bob = Annotator.objects.get(project=project, name="bob")
    assigning.assign(project=project, pairs=[assigning.Pair(1, given.pk, bob.pk)], actor=alice)
    saved, _ = mappings.save_mapping(project=project, name="m", columns={"q": "prompt"}, actor=alice)
    jobs["MAPPING"] = saved.pk
    hook = Webhook.objects.create(scope="pairs", url="https://example.org/")
    jobs |= {"HOOK": hook.pk, "MESSAGE": outbox.add(hook, "test", {}).uuid}
    jobs |= {"BATCH": batch.pk, "GIVEN": Assignment.objects.get(item=given).pk, "PERSON": bob.pk}
    criterion = lab.add_criterion(
        project=project, name="Kind", wording="Prefer what is kind.", status="draft", actor=alice
    )
    jobs |= {"CRITERION": criterion.pk, "PROPOSAL": lab.propose(kind="add", criterion=criterion).pk}
    return {"ITEM": item.pk, "JUDGMENT": body["id"], "SNAPSHOT": snapshot.public_id, **jobs}


def test_the_matrix_names_every_route():
    [api] = [p for p in get_resolver().url_patterns if getattr(p, "app_name", "") == "api"]
    assert {pattern.name for pattern in api.url_patterns} == set(MATRIX)


def counts() -> list[int]:
    return [
        model.objects.count()
        for model in (
            Judgment,
            Job,
            Acknowledgement,
            RoutingPlan,
            Export,
            Snapshot,
            Batch,
            Assignment,
            Review,
            SavedMapping,
            CriterionVersion,
            Proposal,
        )
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "statuses"), [row for rows in MATRIX.values() for row in rows]
)
def test_every_role_gets_its_answer(request, world, method, path, body, statuses):
    for name, value in world.items():
        path = path.replace(name, str(value))
        if isinstance(body, dict) and body.get("since") == name:
            body = {"since": value}
    for role, status in zip(ROLES, statuses, strict=True):
        api = APIClient() if role == "anonymous" else request.getfixturevalue(f"{role}_api")
        with transaction.atomic():  # taken back: every role finds the same world
            check(api, method, path, body, role, status, world)
            transaction.set_rollback(True)


def check(api, method, path, body, role, status, world) -> None:
    before = counts()
    if body == "FILE":
        file = SimpleUploadedFile("a.jsonl", b'{"id": "1", "prompt": "x", "responses": [{"text": "y"}]}\n')
        response = api.post(path, {"file": file}, format="multipart")
    else:
        response = getattr(api, method)(path, body, format="json")
    assert response.status_code == status, (role, response.content)
    if status >= 400:
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["status"] == status
        assert before == counts(), role
        states = Job.objects.filter(pk__in=[world["JOB"], world["FAILED"]]).values_list("state", flat=True)
        assert sorted(states) == ["failed", "queued"]
    if status == 401:
        assert response["WWW-Authenticate"] == "Token"


def test_nobody_answers_anothers_assignment_or_corrects_anothers_judgment(
    world, alice_api, bob_api, answer, make_item
):
    make_item("Another one.")
    bob_api.post(f"{P}/guidelines/1/acknowledgement")
    assignment = bob_api.post(f"{P}/next").json()["assignment"]
    refused = alice_api.post(f"{P}/judgments", answer(assignment), format="json")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "assignment")
    correction = answer("", supersedes=world["JUDGMENT"])
    correction.pop("assignment")
    refused = alice_api.post(f"{P}/judgments", correction, format="json")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "supersedes")
    taken = {**answer(assignment), "id": world["JUDGMENT"]}
    assert bob_api.post(f"{P}/judgments", taken, format="json").status_code == 409
    assert Judgment.objects.count() == 1


def test_people_who_were_removed_get_404(world, bob_api, annotator):
    annotator.status = "removed"
    annotator.save()
    assert bob_api.post(f"{P}/next").status_code == 404
    assert bob_api.post(f"{P}/judgments", {}, format="json").status_code == 404


def test_tokens_that_are_none_are_refused(world):
    for credentials in ("Token x", f"Token {'a' * 64}", "Token", "Bearer x", "Token \xff"):
        api = APIClient()
        api.credentials(HTTP_AUTHORIZATION=credentials)
        response = api.get(f"{P}/items")
        assert (response.status_code, response["Content-Type"]) == (401, "application/problem+json"), (
            credentials
        )


def test_a_session_writes_only_with_its_csrf_token(world, alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.get(f"{P}/items").status_code == 200
    refused = client.post(f"/api/v1/jobs/{world['JOB']}/cancel")
    assert (refused.status_code, refused["Content-Type"]) == (403, "application/problem+json")
    assert "CSRF" in refused.json()["detail"]
    assert Job.objects.get(pk=world["JOB"]).state == "queued"
    client.get("/me/tokens/")
    token = client.cookies["csrftoken"].value
    done = client.post(
        f"/api/v1/jobs/{world['JOB']}/cancel", content_type="application/json", headers={"X-CSRFToken": token}
    )
    assert done.status_code == 200, done.content
    assert done.json()["state"] == "cancelled"


def test_too_many_requests_are_told_to_wait(world, alice_api, monkeypatch):
    from rest_framework.throttling import AnonRateThrottle, UserRateThrottle

    monkeypatch.setattr(UserRateThrottle, "THROTTLE_RATES", {"user": "3/min", "anon": "2/min"})
    monkeypatch.setattr(AnonRateThrottle, "THROTTLE_RATES", {"user": "3/min", "anon": "2/min"})
    mine = [alice_api.get(P).status_code for _ in range(4)]
    strange = [APIClient().get(P) for _ in range(3)]
    assert mine == [200, 200, 200, 429]
    assert [response.status_code for response in strange] == [401, 401, 429]
    assert (strange[-1]["Content-Type"], strange[-1]["Retry-After"]) == ("application/problem+json", "60")


SECRETS = ("model-0", "model-1", "gpt-secret", "dave", "Dave says no", "gold", "plan:7", "x-identity")


def test_nothing_an_annotator_can_ask_for_breaks_the_blind(world, project, bob_api, make_item, answer):
    """A model's vote, another person's answer, model names, metadata and routes never reach Bob."""
    from annotations.items.models import Item
    from annotations.judging.answers import Answer, Call, ComparisonAnswer, ScoreAnswer
    from annotations.judging.submit import submit
    from annotations.projects.models import Annotator

    Assignment.objects.filter(pk=world["GIVEN"]).delete()  # it would come first
    item = make_item("Blind?", ("one", "two"), external_id="x-identity", meta={"gold": "a"}, wanted=3)
    Item.objects.filter(pk=item.pk).update(route="both", route_ref="plan:7")
    scores = tuple(ScoreAnswer(r, a, 2, 0, 4) for r in (0, 1) for a in ("helpfulness", "correctness"))
    uuids = []
    for kind, name in (("lm", "gpt-secret"), ("human", "dave")):
        other = Annotator.objects.create(project=project, kind=kind, name=name)
        uuids.append(uuid.uuid4())
        submit(
            annotator=other, item_id=item.pk, schema_id=project.schema_id, uuid=uuids[-1], origin="import",
            answer=Answer(
                comparisons=(ComparisonAnswer(0, 1, "overall", -3, 3),), scores=scores,
                reason=f"{name.title()} says no", calls=(Call(order="ab", raw="gpt-secret"),),
            ),
        )  # fmt: skip
    bob_api.post(f"{P}/guidelines/1/acknowledgement")
    shown = bob_api.post(f"{P}/next")
    assert shown.json()["prompt"][0]["content"] == "Blind?"
    answered = bob_api.post(f"{P}/judgments", answer(shown.json()["assignment"]), format="json")
    assert answered.status_code == 201
    answers = [shown, answered]
    for query in ("", "?kind=lm", "?current=false", f"?item={item.pk}"):
        answers.append(bob_api.get(f"{P}/judgments{query}"))
    for path in (
        P,
        "/api/v1/projects",
        f"{P}/guidelines",
        "/api/v1/jobs",
        f"{P}/items",
        f"{P}/items/{item.pk}",
    ):
        answers.append(bob_api.get(path))
    for other in uuids:
        refused = bob_api.get(f"{P}/judgments/{other}")
        assert refused.status_code == 404
        taken = bob_api.post(
            f"{P}/judgments", {**answer(shown.json()["assignment"]), "id": str(other)}, format="json"
        )
        assert taken.status_code == 409
        answers += [refused, taken]
    for response in answers:
        for secret in SECRETS:
            assert secret not in response.content.decode(), (secret, response.request["PATH_INFO"])
    mine = bob_api.get(f"{P}/judgments").json()["results"]
    assert len(mine) == 2
    assert {judgment["order"] for judgment in mine} == {"displayed"}
    assert not {"presented_order", "annotator", "propensity", "probability", "calls"} & set(mine[0])
