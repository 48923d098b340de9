"""Requests made up from the schema: no server error, and only answers that the schema declares."""

from __future__ import annotations

import uuid

import pytest
import schemathesis
import yaml
from django.conf import settings as settings_of_site
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from knox.models import AuthToken
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.accounts.models import User

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 12
# What made-up requests cannot do: cancel what is over, judge without a lease, send a file.
UNREACHED = {
    "GET /api/v1/projects/{slug}/reward-models/{public_id}",
    "POST /api/v1/projects/{slug}/reward-models/{public_id}/score",
    "POST /api/v1/projects/{slug}/reward-models/{public_id}/best",
    "POST /api/v1/jobs/{id}/cancel",
    "POST /api/v1/projects",
    "PATCH /api/v1/projects/{slug}",
    "DELETE /api/v1/projects/{slug}",
    "POST /api/v1/projects/{slug}/restore",
    "POST /api/v1/projects/{slug}/snapshots/{public_id}/diff",
    "GET /api/v1/projects/{slug}/snapshots/{public_id}/exports/{id}/pushes",
    "POST /api/v1/projects/{slug}/snapshots/{public_id}/exports/{id}/pushes",  # no token is set
    "GET /api/v1/projects/{slug}/items/{id}/gate",  # none is one
    "PUT /api/v1/projects/{slug}/items/{id}/gate",
    "DELETE /api/v1/projects/{slug}/items/{id}/gate",
    "POST /api/v1/projects/{slug}/pay/bonuses",
    "POST /api/v1/projects/{slug}/webhooks",
    "GET /api/v1/projects/{slug}/webhooks/{id}",
    "PATCH /api/v1/projects/{slug}/webhooks/{id}",
    "DELETE /api/v1/projects/{slug}/webhooks/{id}",
    "POST /api/v1/projects/{slug}/webhooks/{id}/test",
    "GET /api/v1/projects/{slug}/webhooks/{id}/deliveries",
    "POST /api/v1/projects/{slug}/webhooks/{id}/deliveries/{uuid}/resend",
    "POST /api/v1/jobs/{id}/retry",
    "POST /api/v1/projects/{slug}/imports",
    "POST /api/v1/projects/{slug}/judgments",
    "POST /api/v1/projects/{slug}/plans",
    "POST /api/v1/projects/{slug}/plans/{number}/discard",
    "GET /api/v1/endpoints",  # of site admins
    "POST /api/v1/endpoints",
    "GET /api/v1/endpoints/{id}",
    "PUT /api/v1/endpoints/{id}",
    "POST /api/v1/endpoints/{id}/try",
    "GET /api/v1/projects/{slug}/lm-annotators/{id}",  # none is there
    "GET /api/v1/projects/{slug}/lm-annotators/{id}/estimate",
    "GET /api/v1/projects/{slug}/lm-annotators/{id}/runs",
    "POST /api/v1/projects/{slug}/lm-annotators/{id}/runs",
    "POST /api/v1/projects/{slug}/lm-annotators/{id}/canaries",
    "POST /api/v1/projects/{slug}/lm-annotators",
    "GET /api/v1/projects/{slug}/criteria/{id}",  # none is there
    "GET /api/v1/projects/{slug}/criteria/{id}/versions",
    "GET /api/v1/projects/{slug}/criteria-releases/{number}",
    "POST /api/v1/projects/{slug}/criteria-proposals/{id}/decision",
    "GET /api/v1/projects/{slug}/analysis/subset",  # nothing is judged often enough to choose from
    "POST /api/v1/projects/{slug}/taggings",
    "GET /api/v1/projects/{slug}/taggings/{id}",
    "GET /api/v1/projects/{slug}/taggings/{id}/tags",
    "POST /api/v1/projects/{slug}/assignments",  # names of items and people
    "DELETE /api/v1/projects/{slug}/assignments/{id}",
    "PATCH /api/v1/projects/{slug}/batches/{id}",
    "DELETE /api/v1/projects/{slug}/batches/{id}",
    "POST /api/v1/projects/{slug}/batches/{id}/items",
    "POST /api/v1/projects/{slug}/items/{id}/reviews",
    "POST /api/v1/projects/{slug}/media",
    "DELETE /api/v1/projects/{slug}/media/{name}",
    "POST /api/v1/projects/{slug}/mappings",  # roles are words of our own
    "DELETE /api/v1/projects/{slug}/mappings/{id}",
    "POST /api/v1/projects/{slug}/places/{session}/end",
    "PATCH /api/v1/projects/{slug}/quality/people/{id}",
    "POST /api/v1/projects/{slug}/quality/people/{id}/quarantine",
    "DELETE /api/v1/projects/{slug}/quality/people/{id}/quarantine",
    "POST /api/v1/projects/{slug}/schemas",
    "POST /api/v1/projects/{slug}/schemas/{number}/ask-again",
}
P = "/api/v1/projects/pairs"


@pytest.fixture
def ids(alice, project, make_item, alice_api, bob_api, answer):
    """Ids of things that are there, by the path parameter that takes them."""
    from annotations.datasets import tasks  # noqa: F401 - registers handlers
    from annotations.datasets.export import start_export
    from annotations.datasets.snapshots import freeze_now
    from annotations.items import batches, mappings
    from annotations.projects.setup import add_guideline
    from app.jobs import runner
    from routing.plans import tasks as plan_tasks  # noqa: F401 - registers handlers
    from routing.plans.budget import Budget
    from routing.plans.draft import draft_plan
    from routing.rewards.jobs import start_training

    items = [make_item(f"Question {number}", wanted=3) for number in range(4)]
    body = answer(bob_api.post(f"{P}/next").json()["assignment"])
    assert bob_api.post(f"{P}/judgments", body, format="json").status_code == 201
    add_guideline(project=project, text="Be fair.", actor=alice)
    snapshot = freeze_now(project=project, actor=alice)
    exported, _ = start_export(snapshot=snapshot, actor=alice, format="native")
    plan = draft_plan(project=project, budget=Budget(share=0.5), policy="random", actor=alice)
    run = start_training(project=project, actor=alice, snapshot=snapshot)
    for job in (exported.job_id, plan.job_id):
        runner.run(job)
    export_path = "snapshots/{public_id}/exports/{id}"
    saved, _ = mappings.save_mapping(project=project, name="m", columns={"q": "prompt"}, actor=alice)
    numbers = {
        "mappings/{id}": saved.pk,
        "batches/{id}": batches.create_batch(project=project, actor=alice, name="Batch").pk,
        "items/{id}": items[0].pk,
        "items/{id}/reviews": items[0].pk,
        "items/{id}/decisions": items[0].pk,
        "training-runs/{id}": run.pk,
        export_path: exported.pk,
        f"{export_path}/files/{{name}}": exported.pk,
    }
    return {
        "slug": "pairs",
        "public_id": snapshot.public_id,
        "uuid": body["id"],
        "id": str(plan.job_id),
        "number": plan.number,
        "version": 1,
        "name": "README.md",
        # An archived or deleted project would leave nothing to try.
        "PATCH /api/v1/projects/{slug}:slug": "none-such",
        "DELETE /api/v1/projects/{slug}:slug": "none-such",
        **{f"GET /api/v1/projects/{{slug}}/{path}:id": pk for path, pk in numbers.items()},
    }


@pytest.fixture
def application():
    """The WSGI application, without closing the connection that holds the test's transaction."""
    from app.wsgi import application

    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield application
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.slow
@pytest.mark.parametrize(("role", "examples"), [("alice", EXAMPLES), ("vera", 2), ("bob", 2), ("charlie", 1)])
def test_no_request_breaks_the_api_or_its_schema(role, examples, alice, project, ids, application):
    """As the owner, and with fewer examples as a reviewer, an annotator and an outsider."""
    from tests.api.conftest import _member

    person = (
        _member(project, "vera", "reviewer")
        if role == "vera"
        else User.objects.get_or_create(username=role)[0]
    )
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", application)
    _, secret = AuthToken.objects.create(user=person)
    seen: dict[str, set[int]] = {}
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=operation.as_strategy(), real=st.sampled_from([True, True, True, False]))
        def one(case, real):
            if real:
                case.path_parameters = {
                    name: ids.get(f"{case.operation.label}:{name}", ids.get(name, value))
                    for name, value in (case.path_parameters or {}).items()
                }
            if isinstance(case.body, dict) and "assignment" in case.body:
                case.body["id"] = str(uuid.uuid4())
            response = case.call(headers={"Authorization": f"Token {secret}"})
            case.validate_response(response, checks=CHECKS)
            seen.setdefault(case.operation.label, set()).add(response.status_code)

        one()
    described = yaml.safe_load((settings_of_site.BASE_DIR / "docs" / "openapi.yaml").read_text())["paths"]
    assert len(seen) == sum(len(methods) for methods in described.values())
    if role != "alice":
        return
    unreached = {label for label, codes in seen.items() if not any(code < 300 for code in codes)}
    assert unreached <= UNREACHED, unreached - UNREACHED
