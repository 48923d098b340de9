"""The judging page: what it shows, what one POST does, what it refuses, what it must never hold."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotations.items.models import Item, Response
from annotations.judging import queue
from annotations.judging.answers import Answer, ComparisonAnswer, ScoreAnswer
from annotations.judging.models import Assignment, Comparison, Judgment, Score
from annotations.judging.submit import submit
from annotations.projects.access import annotator_for
from annotations.projects.models import Acknowledgement, Annotator, Guideline, Membership, Project

pytestmark = pytest.mark.django_db
JUDGE, SUBMIT, DRAFT = "/work/pairs/", "/work/pairs/submit/", "/work/pairs/draft/"
HTMX = {"HTTP_HX_REQUEST": "true"}


def hidden(html: str, name: str) -> str:
    return re.search(rf'name="{name}" value="([^"]*)"', html)[1]


def filled(html: str, **changes) -> dict:
    """The form of this page, answered: the left response better, ratings 3 and 1."""
    names = ["uuid", "assignment", "schema", "guideline", "day"]
    fields = {name: hidden(html, name) for name in names}
    fields |= {"outcome": "answered", "c-overall": "-2", "x-reason": "Kinder."}
    fields |= {"r-helpfulness-0": "3", "r-helpfulness-1": "1", "r-correctness-0": "4", "r-correctness-1": "4"}
    fields |= {
        "active_ms": "41200",
        "wall_ms": "58000",
        "position": "3",
        "n_changes": "6",
        "viewport": "1440x900",
    }
    fields |= {key.replace("__", "-"): value for key, value in changes.items()}
    return {key: value for key, value in fields.items() if value is not None}


def post(client, data, **extra):
    return client.post(SUBMIT, data, **{**HTMX, **extra})


def test_one_post_stores_the_judgment_and_answers_with_the_next_item(bob_client, make_item):
    make_item("First prompt", ("one", "two"))
    make_item("Second prompt", ("three", "four"))
    page = bob_client.get(JUDGE).content.decode()
    first = Assignment.objects.get()
    assert str(first.item.prompt) in page
    assert "Response A" in page
    assert "Response B" in page

    answer = post(bob_client, filled(page))

    assert answer.status_code == 200
    html = answer.content.decode()
    judgment = Judgment.objects.get()
    other = Item.objects.exclude(pk=first.item_id).get()
    assert other.prompt in html
    assert first.item.prompt not in html
    assert html.lstrip().startswith('<section id="desk"')
    assert "<html" not in html
    assert (judgment.outcome, judgment.reason, judgment.origin) == ("answered", "Kinder.", "page")
    assert (judgment.active_ms, judgment.wall_ms) == (41200, 58000)
    assert judgment.meta == {"position_in_session": 3, "n_changes": 6, "viewport": "1440x900"}
    left = int(first.presented_order[0])
    comparison = Comparison.objects.get()
    assert (comparison.preference, comparison.scale_max) == (-2 if left == 0 else 2, 3)
    assert Score.objects.get(attribute="helpfulness", response=left).value == 3
    assert 'data-today="1"' in html
    assert f"/work/pairs/history/{judgment.uuid}/" in html


def test_without_javascript_the_form_leads_back_to_the_page(bob_client, make_item):
    make_item()
    page = bob_client.get(JUDGE).content.decode()
    answer = bob_client.post(SUBMIT, filled(page))
    assert (answer.status_code, answer["Location"]) == (302, JUDGE)
    assert "Nothing left for you right now" in bob_client.get(JUDGE).content.decode()


def test_the_same_post_again_stores_nothing_and_answers_the_same(bob_client, make_item):
    make_item("First prompt")
    make_item("Second prompt")
    data = filled(bob_client.get(JUDGE).content.decode())
    first, again = post(bob_client, data), post(bob_client, data)
    assert (first.status_code, again.status_code) == (200, 200)
    assert Judgment.objects.count() == 1
    assert hidden(first.content.decode(), "assignment") == hidden(again.content.decode(), "assignment")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"c__overall": None}, "Choose one"),
        ({"c__overall": "99"}, "expected a strength"),
        ({"c__overall": "x" * 500}, "choose one of the given answers"),
        ({"c__overall": "equal_bad"}, "no such answer"),
        ({"r__helpfulness__0": "99"}, "expected 0 to 4"),
        ({"r__helpfulness__0": "1e9"}, "expected a whole number"),
        ({"r__helpfulness__1": None}, "1 of 2 responses"),
        ({"r__kindness__0": "1"}, "asks no such question"),
        ({"x__reason": "a\x00b"}, "NUL character"),
        ({"x__reason": "x" * 10_000_000}, "characters"),
        ({"outcome": "skipped:because"}, "choose one of the given reasons"),
        ({"outcome": "nonsense"}, "expected one of"),
    ],
)
def test_a_bad_answer_is_refused_in_words_and_nothing_is_lost(bob_client, make_item, changes, words):
    make_item()
    data = filled(bob_client.get(JUDGE).content.decode(), **changes)
    answer = post(bob_client, data)
    html = answer.content.decode()
    assert answer.status_code == 400
    assert words in html
    assert hidden(html, "uuid") == data["uuid"]
    assert re.search(r'name="r-correctness-0" value="4"[^>]* checked', html)
    if "x__reason" not in changes:
        assert "Kinder.</textarea>" in html
    assert not Judgment.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"uuid": "not-a-uuid"},
        {"uuid": None},
        {"assignment": "999999"},
        {"assignment": "\x00"},
        {"assignment": "9" * 40},
        {"schema": "424242"},
        {"schema": None},
        {"supersedes": str(uuid.uuid4())},
    ],
)
def test_a_form_about_nothing_of_ours_is_refused_in_words(bob_client, make_item, changes):
    make_item()
    answer = post(bob_client, filled(bob_client.get(JUDGE).content.decode(), **changes))
    assert answer.status_code == 400
    assert "That could not be stored" in answer.content.decode()
    assert not Judgment.objects.exists()


def test_nonsense_bytes_and_numbers_are_never_an_error_of_ours(bob_client, make_item):
    make_item()
    data = filled(
        bob_client.get(JUDGE).content.decode(), active_ms="9" * 30, wall_ms="-5", viewport="<b>", day="x:-1"
    )
    answer = post(bob_client, data)
    assert answer.status_code == 200
    judgment = Judgment.objects.get()
    assert (judgment.active_ms, judgment.wall_ms) == (None, None)
    assert "viewport" not in judgment.meta
    raw = b"outcome=answered&x-reason=%ED%A0%80%FF&uuid=%ED%A0%80"
    answer = bob_client.post(SUBMIT, raw, content_type="application/x-www-form-urlencoded", **HTMX)
    assert answer.status_code == 400


def test_another_answer_to_a_judged_item_is_a_conflict(bob_client, make_item):
    make_item()
    data = filled(bob_client.get(JUDGE).content.decode())
    post(bob_client, data)
    answer = post(bob_client, {**data, "uuid": str(uuid.uuid4()), "x-reason": "Second thoughts."})
    assert answer.status_code == 409
    html = answer.content.decode()
    assert "You have judged this item already." in html
    assert "Second thoughts." in html
    assert Judgment.objects.count() == 1


@pytest.mark.parametrize(
    ("outcome", "stored", "key", "code"),
    [
        ("skipped:not_now", "skipped", "skip", "not_now"),
        ("flagged:harmful", "flagged", "flag", "harmful"),
        ("cannot_judge:not_valid", "cannot_judge", "cannot_judge", "not_valid"),
    ],
)
def test_the_other_outcomes_store_their_reason_and_note(bob_client, make_item, outcome, stored, key, code):
    make_item()
    note = f"note-{stored}"
    data = filled(bob_client.get(JUDGE).content.decode(), outcome=outcome) | {note: "See line 3."}
    assert post(bob_client, data).status_code == 200
    judgment = Judgment.objects.get()
    assert (judgment.outcome, judgment.answers) == (stored, {key: code})
    assert judgment.reason == "See line 3.\n\nKinder."
    assert not Comparison.objects.exists()
    assert not Score.objects.exists()


def test_a_judgment_can_be_taken_back_and_corrected_while_the_window_is_open(bob_client, make_item):
    make_item()
    post(bob_client, filled(bob_client.get(JUDGE).content.decode()))
    old = Judgment.objects.get()
    page = bob_client.get(reverse("work:correct", args=["pairs", old.uuid])).content.decode()
    assert re.search(r'name="c-overall" value="-2"[^>]* checked', page)
    assert "Kinder.</textarea>" in page
    data = {
        "uuid": str(uuid.uuid4()), "supersedes": str(old.uuid), "outcome": "answered", "c-overall": "equal",
        "r-helpfulness-0": "2", "r-helpfulness-1": "2", "r-correctness-0": "2", "r-correctness-1": "2",
    }  # fmt: skip
    assert post(bob_client, data).status_code == 200
    assert post(bob_client, data).status_code == 200
    new = Judgment.objects.get(is_current=True)
    assert (new.supersedes_id, new.comparisons.get().tie, Judgment.objects.count()) == (old.pk, "equal", 2)

    Judgment.objects.update(created_at=timezone.now() - timedelta(minutes=61))
    late = post(bob_client, {**data, "uuid": str(uuid.uuid4()), "supersedes": str(new.uuid)})
    assert late.status_code == 409
    assert "60 minutes" in late.content.decode()
    page = bob_client.get(reverse("work:correct", args=["pairs", new.uuid])).content.decode()
    assert "can only be read" in page
    assert '<fieldset class="locked" disabled>' in page
    assert Judgment.objects.count() == 2


def test_a_draft_is_kept_with_the_lease_and_shown_again(bob_client, make_item):
    make_item()
    data = filled(bob_client.get(JUDGE).content.decode(), x__reason="Half a tho")
    assert bob_client.post(DRAFT, data).status_code == 204
    page = bob_client.get(JUDGE).content.decode()
    assert "Half a tho</textarea>" in page
    assert "data-drafted=" in page
    assert re.search(r'name="c-overall" value="-2"[^>]* checked', page)
    assert hidden(page, "active_ms") == "41200"
    assert bob_client.post(DRAFT, {**data, "x-reason": "\x00"}).status_code == 400
    assert bob_client.post(DRAFT, {**data, "assignment": "77"}).status_code == 400
    assert not Judgment.objects.exists()


def test_guidelines_come_first_and_again_when_they_change(bob_client, project, alice, make_item):
    make_item("The prompt")
    one = Guideline.objects.create(project=project, number=1, text="Be **fair**.", created_by=alice)
    page = bob_client.get(JUDGE).content.decode()
    assert "<strong>fair</strong>" in page
    assert "The prompt" not in page
    assert not Assignment.objects.exists()
    assert bob_client.post("/work/pairs/acknowledge/", {"number": "1"})["Location"] == JUDGE
    page = bob_client.get(JUDGE).content.decode()
    assert "The prompt" in page
    Guideline.objects.create(project=project, number=2, text="Be fairer.", created_by=alice)
    answer = post(bob_client, filled(page))
    assert "Guidelines, version 2" in answer.content.decode()
    assert Judgment.objects.get().guideline == one
    assert bob_client.post("/work/pairs/acknowledge/", {"number": "9"}).status_code == 404
    assert Acknowledgement.objects.count() == 1


def test_a_paused_project_keeps_the_work_and_gives_out_nothing(bob_client, project, make_item):
    make_item()
    make_item("Another")
    page = bob_client.get(JUDGE).content.decode()
    Project.objects.update(status="paused")
    answer = post(bob_client, filled(page))
    assert answer.status_code == 200
    assert "This project is paused" in answer.content.decode()
    assert Judgment.objects.count() == 1
    assert not Assignment.objects.filter(state="leased").exists()
    assert "Paused" in bob_client.get("/work/").content.decode()


def test_outsiders_see_nothing_and_change_nothing(bob_client, charlie_client, make_item):
    make_item()
    data = filled(bob_client.get(JUDGE).content.decode())
    post(bob_client, data)
    mine = f"/work/pairs/history/{Judgment.objects.get().uuid}/"
    for path in (JUDGE, "/work/pairs/history/", mine):
        assert charlie_client.get(path).status_code == 404
    for path in (SUBMIT, DRAFT, "/work/pairs/acknowledge/"):
        assert charlie_client.post(path, {**data, "uuid": str(uuid.uuid4())}).status_code == 404
    assert Judgment.objects.count() == 1
    assert Annotator.objects.count() == 1
    assert "Pairs" not in charlie_client.get("/work/").content.decode()


def test_a_colleague_cannot_use_my_lease_or_read_my_judgment(bob_client, alice_client, make_item):
    make_item(wanted=2)
    data = filled(bob_client.get(JUDGE).content.decode())
    assert post(alice_client, data).status_code == 400
    post(bob_client, data)
    stored = Judgment.objects.get()
    assert alice_client.get(f"/work/pairs/history/{stored.uuid}/").status_code == 404
    correction = {"uuid": str(uuid.uuid4()), "supersedes": str(stored.uuid), "outcome": "answered"}
    assert post(alice_client, correction).status_code == 400
    assert Judgment.objects.count() == 1


def test_a_session_that_ended_says_so_to_the_page(bob_client, make_item):
    make_item()
    data = filled(bob_client.get(JUDGE).content.decode())
    bob_client.logout()
    answer = post(bob_client, data)
    assert (answer.status_code, answer["X-Signed-Out"]) == (403, "1")
    assert bob_client.get(JUDGE)["Location"].startswith("/accounts/login/")
    assert not Judgment.objects.exists()


def test_a_removed_annotator_is_an_outsider(bob_client, annotator, make_item):
    make_item()
    Annotator.objects.filter(pk=annotator.pk).update(status="removed")
    assert bob_client.get(JUDGE).status_code == 404
    assert "Pairs" not in bob_client.get("/work/").content.decode()


def test_no_page_holds_a_model_name_a_vote_or_anothers_answer(bob_client, project, alice, make_item):
    secret = "SENTINEL"
    for number in range(3):
        item = make_item(
            f"Prompt {number}", ("one", "two"), wanted=3, external_id=f"{secret}-id-{number}",
            meta={"gold": f"{secret}-gold"}, source=f"{secret}-source",
        )  # fmt: skip
        Response.objects.filter(item=item).update(model=f"{secret}-model", meta={"m": f"{secret}-meta"})
        machine, _ = Annotator.objects.get_or_create(project=project, kind="lm", name=f"{secret}-lm")
        ratings = tuple(ScoreAnswer(r, a, 4, 0, 4) for a in ("helpfulness", "correctness") for r in (0, 1))
        for annotator in (machine, annotator_for(alice, "pairs")):
            given = Answer(
                comparisons=(ComparisonAnswer(0, 1, "overall", -3, 3),),
                scores=ratings,
                reason=f"{secret}-why",
            )
            submit(
                annotator=annotator, item_id=item.pk, schema_id=project.schema_id, uuid=uuid.uuid4(),
                answer=given, origin="api",
            )  # fmt: skip
    seen = [bob_client.get("/work/"), bob_client.get(JUDGE)]
    page = seen[-1].content.decode()
    seen.append(post(bob_client, filled(page, c__overall=None)))
    seen.append(bob_client.post(DRAFT, filled(page)))
    seen.append(post(bob_client, filled(page)))
    mine = Judgment.objects.filter(annotator__user__username="bob").get()
    seen.append(post(bob_client, {**filled(page), "uuid": str(uuid.uuid4())}))
    seen += [bob_client.get("/work/pairs/history/"), bob_client.get(f"/work/pairs/history/{mine.uuid}/")]
    assert [answer.status_code for answer in seen] == [200, 200, 400, 204, 200, 409, 200, 200]
    for answer in seen:
        assert secret not in answer.content.decode()
        assert secret not in str(answer.headers)


def test_my_history_pages_through_my_own_judgments(bob_client, annotator, make_item, project):
    for number in range(52):
        item = make_item(f"Prompt number {number}")
        given = Answer(outcome="skipped", answers={"skip": "not_now"})
        submit(
            annotator=annotator, item_id=item.pk, schema_id=project.schema_id, uuid=uuid.uuid4(),
            answer=given, origin="page",
        )  # fmt: skip
    page = bob_client.get("/work/pairs/history/").content.decode()
    assert page.count("Can be corrected") == 50
    assert "Prompt number 51" in page
    cursor = re.search(r"cursor=([\w-]+)", page)[1]
    rest = bob_client.get(f"/work/pairs/history/?cursor={cursor}").content.decode()
    assert rest.count("Can be corrected") == 2
    assert "Prompt number 0" in rest
    assert bob_client.get("/work/pairs/history/?cursor=%00").status_code == 400


def test_my_projects_show_what_is_left_and_researchers_the_way_to_the_project(
    bob_client, alice_client, make_item
):
    make_item()
    make_item("Another")
    post(bob_client, filled(bob_client.get(JUDGE).content.decode()))
    page = bob_client.get("/work/").content.decode()
    assert "1 left for you" in page
    assert "1 judged today" in page
    assert "1 in all" in page


def test_one_post_costs_few_queries_whatever_is_stored(bob_client, make_item, django_assert_max_num_queries):
    for number in range(6):
        make_item(f"Prompt {number}", (f"one {number}", f"two {number}"))
    page = bob_client.get(JUDGE).content.decode()
    for _ in range(2):
        page = post(bob_client, filled(page)).content.decode()
    with django_assert_max_num_queries(32):
        post(bob_client, filled(page))


def test_every_kind_of_question_is_shown_and_stored(bob_client, project, make_item):
    from annotations.projects import presets, schemas

    definition = {
        "responses": {"min": 3, "max": 3},
        "questions": [
            presets.PRESETS["ranking"]["questions"][0],
            presets.PRESETS["thumbs"]["questions"][0],
            {"kind": "comparison", "name": "overall", "label": "Which?", "scale_max": 1, "ties": ["equal"]},
            {"kind": "rating", "name": "percent", "label": "Percent", "min": 0, "max": 100},
            {"kind": "choice", "name": "topics", "label": "Topics", "multiple": True,
             "options": [{"value": v, "label": v} for v in ("code", "maths", "prose")]},
            {"kind": "text", "name": "fix", "label": "A better answer", "chips": ["shorter"], "required": True},
        ],
    }  # fmt: skip
    schema = schemas.add_schema(project=project, definition=definition)
    schemas.use_schema(project=project, schema=schema)
    make_item("Rank these", ("a", "b", "c"))
    page = bob_client.get(JUDGE).content.decode()
    order = Assignment.objects.get().presented_order
    fields = {name: hidden(page, name) for name in ("uuid", "assignment", "schema")} | {
        "outcome": "answered", "k-rank-0": "1", "k-rank-1": "1", "k-rank-2": "2", "t-thumb-0": "1",
        "t-thumb-1": "0", "t-thumb-2": "0", "c-overall": "1", "r-percent-0": "100", "r-percent-1": "0",
        "r-percent-2": "7", "o-topics": ["code", "prose"], "x-fix": "Shorter.\r\nKinder.",
    }  # fmt: skip
    assert post(bob_client, fields).status_code == 200
    ranks = {s.response: s.value for s in Score.objects.filter(attribute="rank")}
    assert ranks == {int(order[0]): 1, int(order[1]): 1, int(order[2]): 3}
    better = max(("0", "1"), key=order.index)
    assert Comparison.objects.get().preference == (-1 if better == "0" else 1)
    assert Judgment.objects.get().answers == {"topics": ["code", "prose"], "fix": "Shorter.\nKinder."}


def test_a_new_membership_needs_no_setup(project, charlie, make_item):
    make_item()
    Membership.objects.create(project=project, user=charlie, role="annotator")
    client = Client()
    client.force_login(charlie)
    assert "1 left for you" in client.get("/work/").content.decode()
    assert client.get(JUDGE).status_code == 200
    assert queue.next_assignment(annotator_for(charlie, "pairs")).item.prompt == "Say hello."


def test_an_empty_response_says_that_it_is_empty(bob, make_item, client):
    make_item("P", ("", "two"))
    client.force_login(bob)
    assert client.get("/work/pairs/").content.decode().count("This response is empty.") == 1
