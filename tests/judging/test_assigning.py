"""Work given by hand, by page, API and CSV: it comes first for its people and takes a place from the others."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import F
from django.utils import timezone

from annotations.items import batches
from annotations.items.models import Item
from annotations.judging import assigning, leases, queue, tasks
from annotations.judging.assigning import Pair
from annotations.judging.models import Assignment, Judgment
from annotations.projects import rules
from annotations.projects.models import Annotator
from app.accounts.models import AuditEvent
from tests.judging.test_engine import assert_counts_hold, drain, fill, judge, person  # noqa: F401  fixtures

pytestmark = pytest.mark.django_db


def give(project, item: int, *people: Annotator, **more) -> assigning.Report:
    pairs = [Pair(n, item, one.pk) for n, one in enumerate(people, 1)]
    return assigning.assign(project=project, pairs=pairs, actor=None, **more)


def test_what_is_given_comes_first_in_the_order_it_was_given(project, make_item, person):  # noqa: F811
    ids = [make_item(prompt=f"Question {k}", priority=k).pk for k in range(5)]
    someone = person("a")
    give(project, ids[1], someone)
    give(project, ids[0], someone)
    assert_counts_hold(project)
    assert drain(someone) == [ids[1], ids[0], ids[4], ids[3], ids[2]]
    someone.refresh_from_db()
    assert someone.n_assigned == 0
    assert_counts_hold(project)


def test_others_do_not_get_the_place_and_nobody_goes_beyond_the_quota(project, make_item, person):  # noqa: F811
    single, double = make_item(prompt="one").pk, make_item(prompt="two", wanted=2).pk
    chosen, other, third = person("a"), person("b"), person("c")
    give(project, single, chosen)
    give(project, double, chosen)
    assert drain(other) == [double]
    assert drain(third) == []
    assert drain(chosen) == [single, double]
    assert not Item.objects.filter(n_human__gt=F("wanted")).exists()
    assert_counts_hold(project)


def test_a_lease_that_ends_leaves_it_to_the_person(project, make_item, person):  # noqa: F811
    item = make_item().pk
    chosen, other = person("a"), person("b")
    give(project, item, chosen)
    assert queue.next_assignment(chosen).item_id == item
    assert queue.expire_leases(now=timezone.now() + timedelta(hours=2)) == 1
    assert_counts_hold(project)
    assert queue.next_assignment(other) is None
    held = queue.next_assignment(chosen)
    assert queue.release(assignment_id=held.pk, annotator=chosen)
    assert_counts_hold(project)
    assert drain(chosen) == [item]
    assert_counts_hold(project)


def test_taking_back_frees_the_place_begun_or_not(project, make_item, person, alice):  # noqa: F811
    first, second = make_item(prompt="1").pk, make_item(prompt="2").pk
    chosen, other = person("a"), person("b")
    give(project, first, chosen)
    give(project, second, chosen)
    queue.next_assignment(chosen)
    for row in list(assigning.given_by_hand(project)):
        assert assigning.unassign(assignment=row, actor=alice)
        assert not assigning.unassign(assignment=row, actor=alice)
    assert_counts_hold(project)
    assert sorted(drain(other)) == [first, second]
    assert AuditEvent.objects.filter(action="item.unassigned").count() == 2


def test_what_cannot_be_given_says_why_and_changes_nothing(project, make_item, person):  # noqa: F811
    judged = make_item(prompt="judged", wanted=2).pk
    someone, other, gone = person("a"), person("b"), person("c")
    judge(someone)
    full = make_item(prompt="full").pk
    withdrawn = make_item(prompt="withdrawn", withdrawn_at=timezone.now()).pk
    models = make_item(prompt="models", route="lm").pk
    give(project, full, other)
    gone.status = "removed"
    gone.save()
    before = list(Item.objects.order_by("pk").values())
    said = {
        name: [one.message for one in give(project, item, who).refused]
        for name, item, who in (
            ("full", full, someone),
            ("withdrawn", withdrawn, someone),
            ("models", models, someone),
            ("judged", judged, someone),
            ("removed", judged, gone),
            ("no item", 10**9, someone),
        )
    }
    assert said == {
        "full": ["All 1 places of this item are taken."],
        "withdrawn": ["The item was withdrawn."],
        "models": ["The item goes to models only; send it to people first."],
        "judged": ["a has judged it."],
        "removed": ["c was removed from the project."],
        "no item": ["There is no such item in this project."],
    }
    assert list(Item.objects.order_by("pk").values()) == before
    again = give(project, full, other)
    assert (again.assigned, again.known, again.refused) == (0, 1, [])
    more = give(project, full, someone, ask_more=True)
    assert more.assigned == 1
    assert Item.objects.values_list("wanted", "n_leased", "open_slots").get(pk=full) == (2, 2, 0)


def test_an_expert_is_given_an_experts_place(project, person, fill):  # noqa: F811
    _, [item] = fill(1, overlap=2, expert_slots=1, expert_tags=["law"])
    expert, anybody, late = person("a", "law"), person("b"), person("c")
    assert give(project, item, expert, anybody).assigned == 2
    assert give(project, item, late).refused[0].message == "All 2 places of this item are taken."
    assert Item.objects.values_list("n_leased", "n_expert", "open_slots", "expert_slots").get() == (
        2,
        1,
        0,
        0,
    )
    assert drain(expert) == drain(anybody) == [item]
    assert_counts_hold(project)


def test_a_removed_persons_places_are_given_back_by_the_sweeper(project, make_item, person):  # noqa: F811
    item = make_item().pk
    gone, other = person("a"), person("b")
    give(project, item, gone)
    Annotator.objects.filter(pk=gone.pk).update(status="removed")
    tasks.expire_leases()
    assert_counts_hold(project)
    assert drain(other) == [item]


def test_skipping_what_was_given_frees_it(project, make_item, person):  # noqa: F811
    from annotations.judging.answers import Answer

    item = make_item().pk
    chosen, other = person("a"), person("b")
    give(project, item, chosen)
    judge(chosen, answer=Answer(outcome="skipped", answers={"skip": "not_now"}))
    assert_counts_hold(project)
    assert drain(other) == [item]


# --- CSV, page, API -----------------------------------------------------------------------------------------


def test_a_csv_is_read_by_line_and_its_errors_too():
    rows, refused = assigning.read_csv("\ufeffperson;item\r\nbob;x1\r\n\r\nbob\r\n;x2\r\n".encode())
    assert rows == [(2, "x1", "bob"), (5, "x2", "")]
    assert [(one.line, one.message) for one in refused] == [(4, "Expected 2 columns, found 1.")]
    for wrong, words in (
        (b"a,b\n1,2\n", "names the columns"),
        (b"", "names the columns"),
        (b"\xff\xfe", "not UTF-8"),
        (b"item,person\n\x00,b\n", "NUL"),
    ):
        with pytest.raises(assigning.UnreadableTable, match=words):
            assigning.read_csv(wrong)


def test_the_page_gives_by_file_and_lists_what_it_could_not(project, make_item, person, alice_client):  # noqa: F811
    first = make_item(prompt="1", external_id="x1").pk
    second = make_item(prompt="2").pk
    person("bea")
    file = SimpleUploadedFile("work.csv", f"item,person\nx1,bea\n{second},bea\nx9,bea\nx1,nobody\n".encode())
    page = alice_client.post("/p/pairs/items/assign/", {"file": file})
    text = page.content.decode()
    assert page.status_code == 400
    assert "2 given; 2 could not be given" in text
    assert "&#x27;x9&#x27;: there is no such item" in text
    assert "&#x27;nobody&#x27;: there is no such person" in text
    assert list(assigning.given_by_hand(project).order_by("pk").values_list("item", flat=True)) == [
        first,
        second,
    ]
    done = alice_client.post("/p/pairs/items/assign/", {"items": "x1", "people": ["bea"]}, follow=True)
    assert "0 given, 1 were given before." in done.content.decode()
    row = Assignment.objects.get(item=first)
    taken = alice_client.post(f"/p/pairs/items/assign/{row.pk}/take-back/", follow=True)
    assert "Taken back from bea." in taken.content.decode()
    assert_counts_hold(project)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "Name items and people"),
        ({"items": "1"}, "Choose at least one person"),
        ({"people": ["bea"]}, "Name at least one item"),
    ],
)
def test_the_page_says_what_is_missing(project, make_item, person, alice_client, data, words):  # noqa: F811
    make_item()
    person("bea")
    page = alice_client.post("/p/pairs/items/assign/", data)
    assert (page.status_code, words in page.content.decode()) == (400, True)
    assert not Assignment.objects.exists()


def test_the_api_gives_lists_and_takes_back(project, make_item, person, alice_client):  # noqa: F811
    item = make_item(external_id="x1").pk
    person("bea")
    body = {"assignments": [{"item": "x1", "person": "bea"}, {"item": "x2", "person": "bea"}]}
    done = alice_client.post("/api/v1/projects/pairs/assignments", body, content_type="application/json")
    assert (done.status_code, done.json()) == (
        200,
        {
            "assigned": 1,
            "known": 0,
            "refused": [
                {"place": 2, "field": "item", "message": "'x2': there is no such item in this project."}
            ],
        },
    )
    [row] = alice_client.get("/api/v1/projects/pairs/assignments").json()["results"]
    assert (row["item"], row["external_id"], row["person"], row["begun"]) == (str(item), "x1", "bea", False)
    assert alice_client.delete(f"/api/v1/projects/pairs/assignments/{row['id']}").status_code == 204
    assert Item.objects.values_list("n_leased", "open_slots").get() == (0, 1)


# --- Batches: pages, API, import ----------------------------------------------------------------------------


def test_a_batch_is_made_changed_filled_and_emptied_on_its_pages(project, make_item, alice_client):
    ids = [make_item(prompt=f"Law {k}" if k < 2 else f"Tea {k}").pk for k in range(4)]
    made = alice_client.post(
        "/p/pairs/items/batches/new/",
        {
            "name": "Law",
            "overlap": "3",
            "weight": "2",
            "required_tags": "DE, law,de",
            "expert_slots": "1",
            "expert_tags": "lawyer",
            "max_votes": "5",
        },
    )
    batch = batches.Batch.objects.get()
    assert made["Location"] == f"/p/pairs/items/batches/{batch.pk}/"
    assert (batch.required_tags, batch.expert_tags, batch.weight, batch.max_votes) == (
        ["de", "law"],
        ["lawyer"],
        2,
        5,
    )
    moved = alice_client.post(
        "/p/pairs/items/batches/move/", {"wish": "q=Law", "batch": batch.pk}, follow=True
    )
    assert "2 items moved, now in Law." in moved.content.decode()
    assert list(Item.objects.order_by("pk").values_list("batch", "wanted", "open_slots", "expert_slots")) == [
        (batch.pk, 3, 2, 1),
        (batch.pk, 3, 2, 1),
        (None, 1, 1, 0),
        (None, 1, 1, 0),
    ]
    listed = alice_client.get(f"/p/pairs/items/?batch={batch.pk}").content.decode()
    assert ("Law 0" in listed, "Tea 2" in listed) == (True, False)
    wrong = alice_client.post(
        f"/p/pairs/items/batches/{batch.pk}/",
        {"name": "Law", "overlap": "2", "weight": "1", "expert_slots": "3"},
    )
    assert wrong.status_code == 400
    assert "expected at most so many experts" in wrong.content.decode()
    kept = alice_client.post(f"/p/pairs/items/batches/{batch.pk}/delete/", follow=True)
    assert "move them out first" in kept.content.decode()
    alice_client.post("/p/pairs/items/batches/move/", {"wish": f"batch={batch.pk}", "batch": ""})
    assert set(Item.objects.values_list("batch", "wanted", "open_slots", "expert_slots")) == {(None, 1, 1, 0)}
    alice_client.post(f"/p/pairs/items/batches/{batch.pk}/delete/")
    assert not batches.Batch.objects.exists()
    assert len(ids) == Item.objects.count()


def test_limits_and_tags_are_saved_and_wrong_ones_change_nothing(project, annotator, alice_client):
    rules.change(project=project, limits=rules.Limits(break_minutes=30))
    good = {
        "per_day": "40",
        "max_votes": "5",
        "agreement": "two_thirds",
        "order": "per_person",
        "adaptive_lease": "on",
    }
    assert alice_client.post("/p/pairs/items/batches/limits/", good).status_code == 302
    project.refresh_from_db()
    assert rules.of(project).limits == rules.Limits(
        per_day=40,
        max_votes=5,
        agreement="two_thirds",
        order="per_person",
        adaptive_lease=True,
        break_minutes=30,
    )
    assert alice_client.post("/p/pairs/items/batches/limits/", good | {"per_day": "0"}).status_code == 400
    project.refresh_from_db()
    assert rules.of(project).limits.per_day == 40
    page = alice_client.post("/p/pairs/items/batches/tags/", {f"tags-{annotator.pk}": "x" * 41})
    assert (page.status_code, "at most 40 characters" in page.content.decode()) == (400, True)
    alice_client.post("/p/pairs/items/batches/tags/", {f"tags-{annotator.pk}": "Law, de"})
    annotator.refresh_from_db()
    assert annotator.tags == ["de", "law"]


def test_batches_over_the_api(project, make_item, alice_client):
    item = make_item().pk
    base = "/api/v1/projects/pairs/batches"
    made = alice_client.post(
        base, {"name": "b", "overlap": 2, "required_tags": ["DE"]}, content_type="application/json"
    )
    assert made.status_code == 201
    pk = made.json()["id"]
    assert made.json()["required_tags"] == ["de"]
    again = alice_client.post(base, {"name": "b"}, content_type="application/json")
    assert (again.status_code, again.json()["errors"][0]["field"]) == (400, "name")
    moved = alice_client.post(
        f"{base}/{pk}/items", {"items": [str(item), "99999"]}, content_type="application/json"
    )
    assert moved.json() == {"moved": 1}
    alice_client.patch(f"{base}/{pk}", {"overlap": 4}, content_type="application/json")
    assert Item.objects.values_list("batch", "wanted", "open_slots").get() == (int(pk), 4, 4)
    full = alice_client.delete(f"{base}/{pk}")
    assert (full.status_code, full.json()["errors"][0]["message"]) == (
        400,
        "The batch has items; move them out first.",
    )


def test_an_import_puts_items_into_batches_by_option_and_by_row(project, tmp_path):
    from django.core.management import call_command

    batches.create_batch(
        project=project, actor=None, name="old", overlap=3, expert_slots=1, expert_tags=["law"]
    )
    file = tmp_path / "rows.jsonl"
    rows = '{"id": "1", "prompt": "a", "response_a": "x", "response_b": "y", "batch": "old"}\n'
    rows += '{"id": "2", "prompt": "b", "response_a": "x", "response_b": "y", "meta": {"batch": "new"}}\n'
    rows += '{"id": "3", "prompt": "c", "response_a": "x", "response_b": "y"}\n'
    file.write_text(rows)
    call_command("import_items", "pairs", str(file), "--no-render")
    listed = Item.objects.order_by("pk").values_list("batch__name", "wanted", "open_slots", "expert_slots")
    assert list(listed) == [("old", 3, 2, 1), ("new", 1, 1, 0), (None, 1, 1, 0)]
    file.write_text(rows.replace('"id": "', '"id": "n'))
    call_command("import_items", "pairs", str(file), "--no-render", "--batch", "old")
    assert set(Item.objects.filter(external_id__startswith="n").values_list("batch__name", "wanted")) == {
        ("old", 3)
    }
    assert_counts_hold(project)


# --- Leases that adapt --------------------------------------------------------------------------------------


def test_leases_follow_the_time_people_need():
    assert leases.lease_minutes([60_000] * 49) is None
    assert leases.lease_minutes([1_000] * 100) == 5
    assert leases.lease_minutes([300_000] * 98 + [600_000] * 2) == 20
    assert leases.lease_minutes([300_000] * 99 + [10**9]) == 10
    assert leases.lease_minutes([10**9] * 60) == 240


def test_only_projects_that_ask_get_adapted_leases(project, make_item, annotator):
    for k in range(50):
        make_item(prompt=f"Question {k}")
    drain(annotator)
    Judgment.objects.update(active_ms=400_000)
    assert leases.adapt_leases() == 0
    rules.change(project=project, limits=rules.Limits(adaptive_lease=True))
    assert leases.adapt_leases() == 1
    project.refresh_from_db()
    assert project.lease_minutes == 14
    assert leases.adapt_leases() == 0
