"""Requests made up from the schema: no server error, and only answers that the schema declares."""

from __future__ import annotations

import uuid

import pytest
import schemathesis
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
    "POST /api/v1/jobs/{id}/cancel",
    "POST /api/v1/projects",
    "POST /api/v1/jobs/{id}/retry",
    "POST /api/v1/projects/{slug}/imports",
    "POST /api/v1/projects/{slug}/judgments",
    "POST /api/v1/projects/{slug}/plans",
    "POST /api/v1/projects/{slug}/plans/{number}/discard",
}
P = "/api/v1/projects/pairs"


@pytest.fixture
def ids(alice, project, make_item, alice_api, bob_api, answer):
    """Ids of things that are there, by the path parameter that takes them."""
    from annotations.datasets import tasks  # noqa: F401 - registers handlers
    from annotations.datasets.export import start_export
    from annotations.datasets.snapshots import freeze_now
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
    numbers = {
        "items/{id}": items[0].pk,
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
def test_no_request_breaks_the_api_or_its_schema(alice, ids, application):
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", application)
    _, secret = AuthToken.objects.create(user=alice)
    seen: dict[str, set[int]] = {}
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES,
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
    unreached = {label for label, codes in seen.items() if not any(code < 300 for code in codes)}
    assert unreached <= UNREACHED, unreached - UNREACHED
    assert len(seen) == 33
