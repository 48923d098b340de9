"""The annotator's loop over the API: lease, answer in displayed order, retry, correct, refuse."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from annotations.judging.models import Comparison, Judgment, Score
from annotations.projects import schemas

NEXT, JUDGMENTS = "/api/v1/projects/pairs/next", "/api/v1/projects/pairs/judgments"
PROBLEM = "application/problem+json"


def lease(api):
    answer = api.post(NEXT)
    assert answer.status_code == 200
    return answer.json()


def test_next_gives_texts_in_the_shown_order_and_nothing_else(bob_api, make_item):
    make_item("Say hello.", ("Hello.", "Go away."), context="A shop.", meta={"gold": "a"})
    first, again = lease(bob_api), lease(bob_api)
    assert set(first) == {
        "assignment", "expires_at", "prompt", "context", "responses", "compared", "schema_version", "definition",
    }  # fmt: skip
    assert first["prompt"] == [{"role": "user", "content": "Say hello."}]
    assert first["context"] == "A shop."
    assert sorted(r["text"] for r in first["responses"]) == ["Go away.", "Hello."]
    assert all(set(r) == {"text"} for r in first["responses"])
    assert (first["compared"], first["schema_version"]) == ([0, 1], "v1")
    assert again["assignment"] == first["assignment"]


@pytest.mark.parametrize("key", ["a", "b", "c", "d", "e", "f"])
def test_displayed_answers_are_stored_in_canonical_order(bob_api, make_item, answer, key):
    make_item(f"Say {key}.", ("Hello.", "Go away."))
    shown = lease(bob_api)
    answered = bob_api.post(JUDGMENTS, answer(shown["assignment"], -2), format="json")
    assert answered.status_code == 201
    stored = Judgment.objects.get()
    left = 0 if shown["responses"][0]["text"] == "Hello." else 1
    comparison = Comparison.objects.get()
    assert (comparison.first, comparison.second, comparison.scale_max) == (0, 1, 3)
    assert comparison.preference == (-2 if left == 0 else 2)
    assert {(s.response, s.attribute): s.value for s in Score.objects.all()} == {
        (left, "helpfulness"): 4, (1 - left, "helpfulness"): 1,
        (left, "correctness"): 3, (1 - left, "correctness"): 0,
    }  # fmt: skip
    assert (stored.origin, stored.reason) == ("api", "The first one is polite.")
    body = answered.json()
    assert body["order"] == "displayed"
    assert body["comparisons"] == [
        {"first": 0, "second": 1, "aspect": "overall", "preference": -2, "scale_max": 3, "tie": None}
    ]
    assert [(s["response"], s["attribute"], s["value"], s["scale"]) for s in body["scores"]] == [
        (0, "correctness", 3.0, [0.0, 4.0]), (1, "correctness", 0.0, [0.0, 4.0]),
        (0, "helpfulness", 4.0, [0.0, 4.0]), (1, "helpfulness", 1.0, [0.0, 4.0]),
    ]  # fmt: skip


def test_a_retry_answers_with_what_is_stored(bob_api, make_item, answer):
    make_item()
    body = answer(lease(bob_api)["assignment"])
    first = bob_api.post(JUDGMENTS, body, format="json")
    again = bob_api.post(JUDGMENTS, body, format="json")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert Judgment.objects.count() == 1
    assert bob_api.post(NEXT).status_code == 204


def test_the_header_may_carry_the_id(bob_api, make_item, answer):
    make_item()
    body, key = answer(lease(bob_api)["assignment"]), str(uuid.uuid4())
    other = bob_api.post(JUDGMENTS, body, format="json", headers={"Idempotency-Key": key})
    assert (other.status_code, other.json()["errors"][0]["field"]) == (400, "id")
    body.pop("id")
    assert bob_api.post(JUDGMENTS, body, format="json").json()["errors"][0]["field"] == "id"
    for status in (201, 200):
        stored = bob_api.post(JUDGMENTS, body, format="json", headers={"Idempotency-Key": key})
        assert (stored.status_code, stored.json()["id"]) == (status, key)


def test_a_second_answer_to_the_same_item_is_a_conflict(bob_api, make_item, answer):
    make_item()
    assignment = lease(bob_api)["assignment"]
    bob_api.post(JUDGMENTS, answer(assignment), format="json")
    refused = bob_api.post(JUDGMENTS, answer(assignment), format="json")
    assert (refused.status_code, refused["Content-Type"]) == (409, PROBLEM)
    assert refused.json()["detail"] == "You have judged this item already."
    assert Judgment.objects.count() == 1


def test_a_correction_within_the_window_and_none_after(bob_api, make_item, answer, project):
    make_item()
    body = answer(lease(bob_api)["assignment"])
    bob_api.post(JUDGMENTS, body, format="json")
    correction = answer("", 3, supersedes=body["id"])
    correction.pop("assignment")
    corrected = bob_api.post(JUDGMENTS, correction, format="json")
    assert (corrected.status_code, corrected.json()["supersedes"]) == (201, body["id"])
    assert corrected.json()["comparisons"][0]["preference"] == 3
    Judgment.objects.update(created_at=timezone.now() - timedelta(minutes=project.edit_minutes + 1))
    assert bob_api.post(JUDGMENTS, correction, format="json").status_code == 200
    late = {**correction, "id": str(uuid.uuid4()), "supersedes": correction["id"]}
    refused = bob_api.post(JUDGMENTS, late, format="json")
    assert (refused.status_code, refused.json()["detail"]) == (
        409, "Judgments can be changed for 60 minutes; that is over.",
    )  # fmt: skip
    assert Judgment.objects.count() == 2


def test_a_skip_carries_its_reason(bob_api, make_item):
    make_item()
    body = {
        "id": str(uuid.uuid4()),
        "assignment": lease(bob_api)["assignment"],
        "outcome": "skipped",
        "answers": {"skip": "language"},
        "reason": "I read no Finnish.",
    }
    stored = bob_api.post(JUDGMENTS, body, format="json")
    assert stored.status_code == 201
    judgment = Judgment.objects.get()
    assert (judgment.outcome, judgment.answers, judgment.reason) == (
        "skipped", {"skip": "language"}, "I read no Finnish.",
    )  # fmt: skip


BAD = [
    ({"reason": "a\x00b"}, "reason"),
    ({"reason": "a\ud800b"}, "reason"),
    ({"reason": "x" * 10_000_000}, "reason"),
    ({"reason": 5}, "reason"),
    ({"comparisons": [{"preference": 4}]}, "overall"),
    ({"comparisons": [{"preference": 0}]}, "overall"),
    ({"comparisons": [{"preference": "2"}]}, "comparisons.0.preference"),
    ({"comparisons": [{"preference": True}]}, "comparisons.0.preference"),
    ({"comparisons": [{"preference": 1.5}]}, "comparisons.0.preference"),
    ({"comparisons": [{"preference": 10**400}]}, "comparisons.0.preference"),
    ({"comparisons": [{"preference": 1, "tie": "equal"}]}, "overall"),
    ({"comparisons": [{}]}, "overall"),
    ({"comparisons": [{"tie": "equal_bad"}]}, "overall"),
    ({"comparisons": [{"tie": "\ud800"}]}, "comparisons.0.tie"),
    ({"comparisons": [{"preference": 1, "aspect": "Beauty"}]}, "Beauty"),
    ({"comparisons": [{"preference": 1, "first": 1, "second": 0}]}, "overall"),
    ({"comparisons": [{"preference": 1}, {"preference": 1}]}, "overall"),
    ({"comparisons": {"preference": 1}}, "comparisons.non_field_errors"),
    ({"comparisons": []}, "overall"),
    ({"scores": [{"response": 0, "attribute": "helpfulness", "value": 99}]}, "helpfulness"),
    ({"scores": [{"response": 0, "attribute": "helpfulness", "value": 2.5}]}, "helpfulness"),
    ({"scores": [{"response": 0, "attribute": "helpfulness", "value": "4"}]}, "scores.0.value"),
    ({"scores": [{"response": 0, "attribute": "helpfulness", "value": False}]}, "scores.0.value"),
    ({"scores": [{"response": 0, "attribute": "charm", "value": 1}]}, "charm"),
    ({"scores": [{"response": 2, "attribute": "helpfulness", "value": 1}]}, "helpfulness"),
    ({"scores": "many"}, "scores.non_field_errors"),
    ({"answers": ["a"]}, "answers"),
    ({"answers": {"mood": "good"}}, "mood"),
    ({"answers": {"mood": {"deep": 1}}}, "mood"),
    ({"answers": {"mood\x00": "good"}}, "answers"),
    ({"answers": {"reason": "twice"}}, "reason"),
    ({"outcome": "perfect"}, "outcome"),
    ({"outcome": "skipped", "answers": {"skip": "not_now"}}, "outcome"),
    ({"id": "not-a-uuid"}, "id"),
    ({"id": 7}, "id"),
    ({"assignment": "987654321"}, "assignment"),
    ({"assignment": 1}, "assignment"),
    ({"assignment": "9" * 40}, "assignment"),
    ({"supersedes": str(uuid.UUID(int=5))}, "assignment"),
    ({"schema_version": "v99"}, "schema_version"),
    ({"active_ms": -1}, "active_ms"),
    ({"active_ms": "soon"}, "active_ms"),
    ({"guideline_version": 2**40}, "guideline_version"),
    ({"colour": "red"}, "colour"),
    ({"\ud800": "red"}, "\\ud800"),
]


@pytest.mark.parametrize(("change", "field"), BAD, ids=lambda value: ascii(value)[:60])
def test_bad_answers_are_named_by_field_and_nothing_is_stored(bob_api, make_item, answer, change, field):
    make_item()
    body = answer(lease(bob_api)["assignment"]) | change
    refused = bob_api.post(JUDGMENTS, json.dumps(body), content_type="application/json")
    assert (refused.status_code, refused["Content-Type"]) == (400, PROBLEM)
    problem = refused.json()
    assert set(problem) == {"type", "title", "status", "detail", "errors"}
    assert field in {error["field"] for error in problem["errors"]}
    assert all(0 < len(error["message"]) <= 500 for error in problem["errors"])
    assert Judgment.objects.count() == 0


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"scores": NaN}', "application/json", 400),
        (b"[" * 200_000, "application/json", 400),
        (b'{"id": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b"", "application/json", 400),
        (b"a=1", "application/x-www-form-urlencoded", 415),
        (b'"' + b"x" * (12 * 1024 * 1024) + b'"', "application/json", 413),
    ],
    ids=["cut", "no-utf8", "nan", "deep", "long-number", "list", "null", "empty", "form", "large"],
)
def test_bodies_that_are_no_object_are_refused(bob_api, make_item, content, content_type, status):
    make_item()
    refused = bob_api.post(JUDGMENTS, content, content_type=content_type)
    assert (refused.status_code, refused["Content-Type"]) == (status, PROBLEM)
    assert Judgment.objects.count() == 0


def test_score_of_infinity_is_refused(bob_api, make_item, answer):
    make_item()
    text = json.dumps(answer(lease(bob_api)["assignment"])).replace('"value": 4', '"value": 1e999')
    refused = bob_api.post(JUDGMENTS, text, content_type="application/json")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "scores.0.value")


def test_guidelines_come_before_the_first_item(bob_api, make_item, project, alice):
    from annotations.projects.setup import add_guideline

    make_item()
    add_guideline(project=project, text="Be fair.", actor=alice)
    refused = bob_api.post(NEXT)
    assert (refused.status_code, refused.json()["title"]) == (409, "There are guidelines to read")
    listed = bob_api.get("/api/v1/projects/pairs/guidelines").json()["results"]
    assert [(g["version"], g["text"], g["acknowledged"]) for g in listed] == [(1, "Be fair.", False)]
    for _ in range(2):
        assert bob_api.post("/api/v1/projects/pairs/guidelines/1/acknowledgement").status_code == 204
    assert bob_api.post("/api/v1/projects/pairs/guidelines/2/acknowledgement").status_code == 404
    assert bob_api.post(NEXT).status_code == 200


def test_judging_rests_while_the_project_is_paused(bob_api, make_item, project):
    make_item()
    project.status = "paused"
    project.save()
    refused = bob_api.post(NEXT)
    assert (refused.status_code, refused.json()["title"]) == (409, "Judging is paused")


def test_three_responses_compare_the_two_that_next_names(bob_api, project, make_item):
    from annotations.projects import presets, schemas

    definition = {**presets.PRESETS["strength7"], "responses": {"min": 2, "max": 3}}
    schemas.use_schema(project=project, schema=schemas.add_schema(project=project, definition=definition))
    make_item("Three.", ("zero", "one", "two"))
    shown = lease(bob_api)
    texts = [response["text"] for response in shown["responses"]]
    left, right = sorted((texts.index("zero"), texts.index("one")))
    assert shown["compared"] == [left, right]
    body = {
        "id": str(uuid.uuid4()),
        "assignment": shown["assignment"],
        "schema_version": shown["schema_version"],
        "comparisons": [{"preference": -1, "first": left, "second": right}],
    }
    stored = bob_api.post(JUDGMENTS, body, format="json")
    assert stored.status_code == 201
    assert stored.json()["comparisons"][0] | {"scale_max": 3} == {
        "first": left, "second": right, "aspect": "overall", "preference": -1, "scale_max": 3, "tie": None,
    }  # fmt: skip
    assert Comparison.objects.get().preference == (-1 if texts.index("zero") < texts.index("one") else 1)


def test_every_kind_of_answer_is_given_and_read_in_the_order_shown(bob_api, project, make_item):
    questions = [
        {"kind": "span", "name": "parts", "label": "P", "options": [{"value": "wrong", "label": "W"}]},
        {"kind": "rewrite", "name": "better", "label": "B", "of": "any"},
        {
            "kind": "choice", "name": "faults", "label": "F", "per_response": True, "multiple": True,
            "options": [{"value": "long", "label": "L"}, {"value": "off", "label": "O"}],
        },
        {"kind": "text", "name": "why", "label": "W", "required": True, "when": {"question": "parts"}},
    ]  # fmt: skip
    schema = schemas.add_schema(project=project, definition={"questions": questions})
    schemas.use_schema(project=project, schema=schema)
    make_item(responses=("One two", "Three"))
    leased = lease(bob_api)
    place = [response["text"] for response in leased["responses"]].index("Three")
    faults = [["long"], ["long"]]
    faults[place] = ["off", "long"]
    answers = {
        "parts": [{"response": place, "start": 0, "end": 5, "quote": "Three", "label": "wrong", "note": ""}],
        "better": {"response": place, "text": "Thr33"},
        "faults": faults,
        "why": "So",
    }
    body = {"id": str(uuid.uuid4()), "assignment": leased["assignment"], "answers": answers}
    for change, field in (
        ({"why": ""}, "why"), ({"parts": []}, "why"), ({"better": {"response": 2, "text": "x"}}, "better"),
        ({"faults": ["off"]}, "faults"), ({"parts": [{**answers["parts"][0], "end": 4}]}, "parts"),
    ):  # fmt: skip
        refused = bob_api.post(JUDGMENTS, {**body, "answers": {**answers, **change}}, format="json")
        assert refused.status_code == 400
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert Judgment.objects.count() == 0
    stored = bob_api.post(JUDGMENTS, body, format="json")
    assert (stored.status_code, stored.json()["answers"]) == (201, answers)
    judgment = Judgment.objects.get()
    assert judgment.answers["parts"][0]["response"] == 1
    assert judgment.answers["faults"] == [["long"], ["off", "long"]]
