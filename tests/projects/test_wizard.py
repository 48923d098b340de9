"""The new-project wizard and adding files: from an upload in the browser to items and judgments."""

import gzip
import json
import re
from pathlib import Path

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from annotations.items.models import Item, SavedMapping
from annotations.judging import tasks  # noqa: F401 - registers the import job
from annotations.judging.models import Judgment
from annotations.projects.models import Annotator, Invitation, Membership, Project
from app.accounts.models import AuditEvent
from app.jobs import runner
from app.jobs.models import Job

pytestmark = pytest.mark.django_db


def pair(number, **changes):
    row = {
        "id": f"p{number}",
        "prompt": f"Question {number}?",
        "response_a": f"Left {number}.",
        "response_b": f"Right {number}.",
        "human": [{"annotator": "rater1", "label": "a"}],
        "lm": [
            {"model": "judge", "label": "b", "order": "ab"},
            {"model": "judge", "label": "b", "order": "ba"},
        ],
    }
    return row | changes


def jsonl(rows, name="pairs.jsonl"):
    return SimpleUploadedFile(name, "".join(json.dumps(row) + "\n" for row in rows).encode())


def step(response):
    """Where a step of the wizard leads; the answer must be a redirect."""
    assert response.status_code == 302, response.content.decode()[:3000]
    return response["Location"]


def test_a_file_becomes_a_project_with_items_judgments_and_an_invitation(alice, alice_client):
    rows = [pair(n) for n in range(20)] + [
        pair(99, human=[{"annotator": "rater1", "label": "z"}]),
        {"id": "x"},
    ]
    upload = SimpleUploadedFile("pairs.jsonl.gz", gzip.compress(jsonl(rows).read()))
    check = step(alice_client.post(reverse("projects:new"), {"name": "Teas & <b>", "file": upload}))
    page = alice_client.get(check).content.decode()
    assert "21 new items, with 41 judgments of 1 person and 1 model; 2 rows with something wrong" in page
    assert "Plumbline JSONL" in page
    assert re.search(r"<td>22</td>", page)  # the line of the row that is no item
    task = step(alice_client.post(check, {"next": "1", "ask_again": "on"}))
    page = alice_client.get(task).content.decode()
    assert 'value="strength7" checked' in page
    assert "A much better · A better · A slightly better · about equal" in page
    people = step(
        alice_client.post(task, {"preset": "arena4", "overlap": "2", "guidelines": "# Be *fair*\r\nAlways."})
    )
    assert Project.objects.count() == 0
    answer = {"role": "annotator", "emails": "dora@example.org, eve@example.org", "link_uses": "3"}
    done = step(alice_client.post(people, answer))

    project = Project.objects.get()
    assert (project.name, project.slug, project.overlap) == ("Teas & <b>", "teas-b", 2)
    assert project.guidelines.get().text == "# Be *fair*\nAlways."
    assert done == reverse("projects:started", args=["teas-b"])
    assert list(Membership.objects.values_list("user__username", "role")) == [("alice", "owner")]
    assert sorted(Invitation.objects.values_list("email", "uses_left")) == [
        ("", 3), ("dora@example.org", 1), ("eve@example.org", 1)
    ]  # fmt: skip
    assert [message.to for message in mail.outbox] == [["dora@example.org"], ["eve@example.org"]]

    job = Job.objects.get(kind="judging.import")
    ran = runner.run(job.pk)
    assert ran.state == "succeeded", ran.error + ran.log
    assert Item.objects.filter(project=project).count() == 21
    assert Judgment.objects.filter(project=project).count() == 41  # 20 by the rater, 21 by the model
    assert set(Item.objects.filter(n_human=1).values_list("wanted", flat=True)) == {3}

    page = alice_client.get(done).content.decode()
    link = re.search(r'value="(http://[^"]+/join/[^"]+)"', page).group(1)
    assert "/join/" not in alice_client.get(done).content.decode()  # shown once
    assert alice_client.get(link).status_code == 200

    assert step(alice_client.post(people, answer)) == done  # a second click makes no second project
    assert Project.objects.count() == 1

    page = alice_client.get(reverse("items:import", args=["teas-b"])).content.decode()
    assert "21 new · 0 updated · 0 unchanged · 41 judgments" in page
    report = alice_client.get(reverse("items:import_errors", args=["teas-b", job.pk]))
    lines = b"".join(report.streaming_content).decode("utf-8-sig").splitlines()
    assert lines[0] == "file,line,field,message"
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["pairs.jsonl.gz", "21", "human[0].label"], ["pairs.jsonl.gz", "22", ""]
    ]  # fmt: skip


def test_nothing_typed_or_uploaded_is_lost_on_an_error(alice_client):
    new = reverse("projects:new")
    response = alice_client.post(new, {"name": "", "description": "Kept words", "file": jsonl([pair(1)])})
    page = response.content.decode()
    assert response.status_code == 400
    assert "Kept words" in page
    assert "pairs.jsonl" in page
    draft = re.search(r'name="draft" value="([^"]+)"', page).group(1)
    check = step(alice_client.post(new, {"name": "Now named", "draft": draft}))
    assert "1 new item" in alice_client.get(check).content.decode()
    task = step(alice_client.post(check, {"next": "1"}))
    response = alice_client.post(task, {"preset": "arena4", "overlap": "0", "guidelines": "Kept too"})
    assert response.status_code == 400
    assert "Kept too" in response.content.decode()
    assert 'value="arena4" checked' in response.content.decode()
    people = step(alice_client.post(task, {"preset": "arena4", "overlap": "1", "guidelines": ""}))
    response = alice_client.post(people, {"role": "annotator", "emails": "dora, eve@example.org"})
    assert response.status_code == 400
    assert "Not an e-mail address: dora" in response.content.decode()
    assert Project.objects.count() == 0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b"", "the file is empty"),
        ("a.xlsx", b"PK\x03\x04whatever", "save the table as CSV"),
        ("a.json", b"[1, 2]", "expected rows that are JSON objects"),
        ("a.jsonl", b"x" * 2000, "at most 1 kB can be uploaded"),
    ],
)
def test_an_unusable_file_is_refused_in_words(alice_client, settings, name, content, words):
    settings.UPLOAD_MAX_BYTES = 1000
    response = alice_client.post(
        reverse("projects:new"), {"name": "Teas", "file": SimpleUploadedFile(name, content)}
    )
    assert response.status_code == 400
    assert words in response.content.decode()
    uploads = Path(settings.MEDIA_ROOT) / "uploads"
    assert not uploads.exists() or list(uploads.iterdir()) == []


def test_a_table_needs_its_columns_mapped(alice_client):
    table = "nr,frage,links,rechts,fluency_l,fluency_r\n1,Why?,Because.,No.,4,2\n2,How?,So.,Thus.,x,3\n3,Ho\n"
    upload = SimpleUploadedFile("votes.csv", table.encode())
    check = step(alice_client.post(reverse("projects:new"), {"name": "Table", "file": upload}))
    page = alice_client.get(check).content.decode()
    assert "No column is mapped to prompt or to response A." in page
    assert "Next: the task" not in page
    roles = ["id", "prompt", "response_1", "response_2", "rating_1", "rating_2"]
    mapping = {f"column_{place}": role for place, role in enumerate(roles)}
    assert alice_client.post(check, {"column_0": "nonsense", "next": "1"}).status_code == 400
    response = alice_client.post(check, mapping)
    page = response.content.decode()
    assert response.status_code == 200
    assert "1 new item" in page or "2 new items" in page
    assert "expected 6 columns, found 2" in page
    task = step(alice_client.post(check, mapping | {"next": "1"}))
    people = step(alice_client.post(task, {"preset": "strength7", "overlap": "1", "guidelines": ""}))
    step(alice_client.post(people, {"role": "annotator"}))
    assert runner.run(Job.objects.get().pk).state == "succeeded"
    item = Item.objects.get(external_id="1")
    assert [response.text for response in item.responses.all()] == ["Because.", "No."]
    scores = item.judgments.get().scores.order_by("attribute").values_list("attribute", "response", "value")
    assert list(scores) == [("fluency_l", 0, 4.0), ("fluency_r", 1, 2.0)]


FOREIGN = [
    {"frage": f"Q{n}?", "out": {"one": f"A{n}.", "two": f"B{n}."}, "who": "ann", "pick": n % 3}
    for n in range(4)
]
ROLES = {
    "frage": "prompt",
    "out.one": "response_1",
    "out.two": "response_2",
    "who": "annotator",
    "pick": "label",
}


def test_rows_of_unknown_keys_are_mapped_and_the_mapping_serves_again(project, alice_client, bob_client):
    page = reverse("items:import", args=["pairs"])
    check = step(alice_client.post(page, {"file": jsonl(FOREIGN, "votes.jsonl")}))
    seen = alice_client.get(check).content.decode()
    assert "No column is mapped to prompt or to response A." in seen
    assert 'name="save_as"' in seen
    columns = list(ROLES)
    posted = {f"column_{place}": ROLES[column] for place, column in enumerate(columns)}
    looked = alice_client.post(check, posted | {"save_as": "Our votes"}).content.decode()
    assert "4 new items, with 4 judgments of 1 person" in looked
    assert 'value="Our votes"' in looked
    assert SavedMapping.objects.count() == 0  # until the import starts
    step(alice_client.post(check, posted | {"save_as": "Our votes", "next": "1"}))
    saved = SavedMapping.objects.get()
    assert (saved.name, saved.columns, saved.saved_by.username) == ("Our votes", ROLES, "alice")
    runner.run(Job.objects.get(scope="pairs").pk)
    assert sorted(Item.objects.values_list("prompt", flat=True)) == ["Q0?", "Q1?", "Q2?", "Q3?"]

    more = [{**row, "frage": f"More {row['frage']}", "extra": 1} for row in FOREIGN]
    check = step(alice_client.post(page, {"file": jsonl(more, "more.jsonl")}))
    assert "Our votes</option>" in alice_client.get(check).content.decode()
    used = alice_client.post(check, {"use": "1", "saved": saved.pk}).content.decode()
    assert "4 new items, with 4 judgments of 1 person; no row left out" in used
    step(alice_client.post(check, posted | {"next": "1"}))
    runner.run(Job.objects.filter(scope="pairs", kind="judging.import").latest("created_at").pk)
    assert Item.objects.count() == 8

    # the wizard offers it too, to who may use it
    new = {"name": "Another", "file": jsonl(FOREIGN, "votes.jsonl")}
    assert (
        "Our votes (Pairs)"
        in alice_client.get(step(alice_client.post(reverse("projects:new"), new))).content.decode()
    )
    new["file"].seek(0)
    mine = step(bob_client.post(reverse("projects:new"), new))
    assert "Our votes" not in bob_client.get(mine).content.decode()
    stolen = bob_client.post(mine, {"use": "1", "saved": saved.pk}).content.decode()
    assert "No column is mapped to prompt or to response A." in stolen


def test_a_file_in_a_known_shape_may_be_mapped_all_the_same(project, alice_client):
    rows = [{"prompt": "Q?", "chosen": "A.", "rejected": "B.", "second": "C."}]
    check = step(alice_client.post(reverse("items:import", args=["pairs"]), {"file": jsonl(rows)}))
    assert "Map its columns instead" in alice_client.get(check).content.decode()
    mapped = alice_client.post(check, {"read_as": "1"}).content.decode()
    assert "Rows with keys of their own" in mapped
    assert "Read as Plumbline JSONL" in mapped
    again = alice_client.post(check, {"read_as": "1"}).content.decode()
    assert "Map its columns instead" in again


def test_a_draft_belongs_to_its_session(alice_client, bob_client):
    check = step(alice_client.post(reverse("projects:new"), {"name": "Mine", "file": jsonl([pair(1)])}))
    assert bob_client.get(check).status_code == 404
    assert bob_client.post(check, {"next": "1"}).status_code == 404


def test_more_files_go_into_a_project_that_exists(project, alice_client):
    page = reverse("items:import", args=["pairs"])
    check = step(alice_client.post(page, {"file": jsonl([pair(1), pair(2)])}))
    assert "2 new items" in alice_client.get(check).content.decode()
    assert Item.objects.count() == 0  # a look writes nothing
    assert Annotator.objects.filter(kind="lm").count() == 0
    assert step(alice_client.post(check, {"next": "1"})) == page
    step(alice_client.post(check, {"next": "1"}))  # a second click starts no second import
    runner.run(Job.objects.get(scope="pairs").pk)
    assert Item.objects.count() == 2
    assert AuditEvent.objects.filter(action="items.import_started").count() == 1
    check = step(alice_client.post(page, {"file": jsonl([pair(2), pair(3)])}))
    assert "1 new item, 1 that is here already" in alice_client.get(check).content.decode()


def test_a_project_may_start_empty(alice_client):
    task = step(alice_client.post(reverse("projects:new"), {"name": "Later"}))
    people = step(alice_client.post(task, {"preset": "ratings", "overlap": "1", "guidelines": ""}))
    done = step(alice_client.post(people, {"role": "annotator"}))
    assert "It is still empty" in alice_client.get(done).content.decode()
    assert Job.objects.count() == 0


def test_a_task_must_fit_the_files_responses(alice_client):
    rows = [{"id": "1", "prompt": "Q", "responses": [{"text": "Only one."}]}]
    check = step(alice_client.post(reverse("projects:new"), {"name": "Singles", "file": jsonl(rows)}))
    task = step(alice_client.post(check, {"next": "1"}))
    assert 'value="ratings" checked' in alice_client.get(task).content.decode()
    response = alice_client.post(task, {"preset": "strength7", "overlap": "1", "guidelines": ""})
    assert response.status_code == 400
    assert (
        "The items of your file have 1 response: choose a task that fits them." in response.content.decode()
    )
    step(alice_client.post(task, {"preset": "thumbs", "overlap": "1", "guidelines": ""}))
