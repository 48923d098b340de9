"""Who may open and change what: every address of the project, items and import pages, for every role."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from annotations.items import batches
from annotations.items.models import Batch, Item
from annotations.judging import assigning
from annotations.judging.models import Assignment
from annotations.people.models import Participant, Place
from annotations.projects import setup
from annotations.projects.models import Annotator, Guideline, Invitation, Membership, Project, TaskSchema
from app.accounts.models import AuditEvent
from app.jobs.models import Job
from tests.conftest import make_user

pytestmark = pytest.mark.django_db

# (address, lowest role that may open it); `{item}` and so on are filled from the scene
PAGES = [
    ("projects:overview", [], "reviewer"),
    ("projects:overview_live", [], "reviewer"),
    ("projects:overview_table", ["days"], "reviewer"),
    ("projects:overview_table", ["people"], "reviewer"),
    ("projects:overview_table", ["budget"], "researcher"),
    ("projects:design", [], "reviewer"),
    ("projects:design_edit", [], "researcher"),
    ("projects:ask_again", ["schema"], "researcher"),
    ("projects:design_file", ["schema"], "reviewer"),
    ("projects:guidelines", [], "reviewer"),
    ("projects:people", [], "reviewer"),
    ("projects:settings", [], "owner"),
    ("projects:started", [], "owner"),
    ("projects:remove_member", ["member"], "owner"),
    ("people:entry", [], "owner"),
    ("people:places", [], "researcher"),
    ("people:places_csv", [], "researcher"),
    ("people:pay", [], "researcher"),
    ("people:pay_csv", [], "researcher"),
    ("people:statement", ["annotator"], "researcher"),
    ("items:list", [], "reviewer"),
    ("items:detail", ["item"], "reviewer"),
    ("items:batches", [], "reviewer"),
    ("items:batch", ["batch"], "reviewer"),
    ("items:batch_new", [], "researcher"),
    ("items:assign", [], "researcher"),
    ("items:import", [], "researcher"),
    ("items:media", [], "researcher"),
    ("items:import_errors", ["job"], "researcher"),
]
ACTS = [
    ("projects:design", [], {"definition": '{"questions": [{"kind": "thumb", "name": "t", "label": "?"}]}'}, "researcher"),
    ("projects:design_preview", [], {"definition": "{}"}, "researcher"),
    ("projects:design_edit", [], {"q": "0", "q-0-kind": "thumb", "q-0-label": "?", "responses-min": "1", "responses-max": "8", "act": "use"}, "researcher"),
    ("projects:use_version", ["schema"], {}, "researcher"),
    ("projects:ask_again", ["schema"], {"again": "1", "people": "2"}, "researcher"),
    ("projects:guidelines", [], {"text": "New words"}, "researcher"),
    ("projects:settings", [], {"name": "Taken over"}, "owner"),
    ("projects:invite", [], {"role": "owner", "link_uses": "1"}, "owner"),
    ("projects:revoke_invitation", ["invitation"], {}, "owner"),
    ("projects:change_role", ["member"], {"role": "owner"}, "owner"),
    ("projects:remove_member", ["member"], {"confirm": "bob"}, "owner"),
    ("projects:pause_annotator", ["annotator"], {"paused": "1"}, "owner"),
    ("people:entry", [], {"mode": "open"}, "owner"),
    ("people:change_pay", [], {"unit": "none", "rate": "0", "floor_per_hour": "0", "longest_item_minutes": "20"}, "owner"),
    ("people:bonus", [], {"amount": "1", "note": "x"}, "owner"),
    ("people:submissions", [], {}, "researcher"),
    ("people:end_place", ["place"], {"state": "returned"}, "researcher"),
    ("people:unbind", ["participant"], {}, "researcher"),
    ("items:withdraw", ["item"], {"withdrawn": "1"}, "researcher"),
    ("items:route", ["item"], {"route": "lm", "wanted": "2", "priority": "1"}, "researcher"),
    ("items:batch_new", [], {"name": "Mine", "weight": "1", "expert_slots": "0"}, "researcher"),
    ("items:batch", ["batch"], {"name": "Taken over", "weight": "0", "expert_slots": "0"}, "researcher"),
    ("items:limits", [], {"per_day": "1", "agreement": "majority", "order": "shared"}, "researcher"),
    ("items:tags", [], {"tags-1": "x"}, "researcher"),
    ("items:move", [], {"wish": "", "batch": ""}, "researcher"),
    ("items:assign", [], {"items": "1", "people": "bob"}, "researcher"),
    ("items:unassign", ["assignment"], {}, "researcher"),
    ("items:batch_delete", ["batch"], {}, "researcher"),
    ("items:import", [], {}, "researcher"),
    ("items:media", [], {}, "researcher"),
]  # fmt: skip
ROLES = ["outsider", "annotator", "reviewer", "researcher", "owner"]


@pytest.fixture
def scene(project, make_item, annotator, alice, bob):
    """A project with one of everything, and the words of the addresses."""
    _, token = setup.invite(project=project, role="annotator", actor=alice)
    other = TaskSchema.objects.create(
        project=project, number=9, definition=project.schema.definition, sha256="other"
    )
    job = Job.objects.create(kind="judging.import", title="Import", scope=project.slug, result={"errors": []})
    participant = Participant.objects.create(project=project, person="p1", annotator=annotator, binding="x")
    place = Place.objects.create(project=project, participant=participant, session="s1")
    batch = batches.create_batch(project=project, actor=None, name="Batch")
    given = make_item(prompt="Given by hand").pk
    assigning.assign(project=project, pairs=[assigning.Pair(1, given, annotator.pk)], actor=alice)
    return {
        "days": "days",
        "people": "people",
        "budget": "budget",
        "batch": batch.pk,
        "assignment": Assignment.objects.get().pk,
        "participant": participant.pk,
        "place": place.pk,
        "item": make_item().pk,
        "member": Membership.objects.get(project=project, user=bob).pk,
        "annotator": annotator.pk,
        "invitation": Invitation.objects.get().pk,
        "schema": other.number,
        "job": job.pk,
        "token": token,
    }


def client_of(role, project):
    user = make_user(f"the-{role}")
    if role != "outsider":
        Membership.objects.create(project=project, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


def address(name, parts, scene):
    return reverse(name, args=["pairs", *(scene[part] for part in parts)])


def state():
    """Everything these pages can change."""
    return [
        list(model.objects.order_by("pk").values())
        for model in (
            Project,
            Membership,
            Invitation,
            Annotator,
            TaskSchema,
            Guideline,
            Item,
            Batch,
            Assignment,
            Job,
            Participant,
            Place,
            AuditEvent,
        )
    ]


@pytest.mark.parametrize("role", ROLES)
def test_each_role_opens_its_pages_and_no_other(role, project, scene):
    client = client_of(role, project)
    for name, parts, lowest in PAGES:
        expected = 404 if role == "outsider" else 200 if ROLES.index(role) >= ROLES.index(lowest) else 403
        assert client.get(address(name, parts, scene)).status_code == expected, name


@pytest.mark.parametrize(("role", "links"), [("reviewer", 6), ("researcher", 11), ("owner", 11)])
def test_every_link_of_the_rail_opens(role, links, project):
    client = client_of(role, project)
    page = client.get(reverse("projects:overview", args=["pairs"])).content.decode()
    rail = page.split('class="rail"')[1].split("</nav>")[0]
    found = re.findall(r'href="([^"]+)"', rail)
    assert len(found) == links
    assert {client.get(url).status_code for url in found} == {200}


@pytest.mark.parametrize("role", ROLES)
def test_a_denied_act_changes_nothing(role, project, scene):
    client = client_of(role, project)
    for name, parts, data, lowest in ACTS:
        if ROLES.index(role) >= ROLES.index(lowest):
            continue
        before = state()
        response = client.post(address(name, parts, scene), data)
        assert response.status_code == (404 if role == "outsider" else 403), name
        assert state() == before, name


@pytest.mark.parametrize("role", ["researcher", "owner"])
def test_an_allowed_act_is_not_refused(role, project, scene):
    client = client_of(role, project)
    for name, parts, data, lowest in ACTS:
        if ROLES.index(role) >= ROLES.index(lowest):
            status = client.post(address(name, parts, scene), data).status_code
            assert status in {200, 302, 400}, name


def test_strangers_are_sent_to_sign_in(client, scene):
    for name, parts, _ in PAGES:
        response = client.get(address(name, parts, scene))
        assert response.status_code == 302
        assert response["Location"].startswith("/accounts/login/")
    for name, parts, data, _ in ACTS:
        before = state()
        assert client.post(address(name, parts, scene), data).status_code == 302
        assert state() == before


def test_another_projects_things_are_not_reachable_through_ones_own(scene, project, charlie, charlie_client):
    """Charlie owns a project; ids of Alice's project under his address lead nowhere."""
    setup.create_project(name="Own", slug="own", owner=charlie, definition=project.schema.definition)
    for name, parts, data, _ in ACTS:
        if not parts:
            continue
        before = state()
        response = charlie_client.post(reverse(name, args=["own", *(scene[part] for part in parts)]), data)
        assert response.status_code == 404, name
        assert state() == before
    assert charlie_client.get(reverse("items:detail", args=["own", scene["item"]])).status_code == 404
    assert charlie_client.get(reverse("items:import_errors", args=["own", scene["job"]])).status_code == 404


def test_the_list_shows_ones_own_projects(project, alice_client, bob_client, charlie_client, admin):
    page = reverse("projects:index")
    assert "Pairs" in alice_client.get(page).content.decode()
    response = bob_client.get(page)
    assert (response.status_code, response["Location"]) == (302, reverse("work:index"))
    links = (
        bob_client.get(reverse("work:index"))
        .content.decode()
        .split('class="topbar-nav"')[1]
        .split("</nav>")[0]
    )
    assert 'href="/work/"' in links
    assert 'href="/p/"' not in links
    assert 'href="/jobs/"' not in links
    text = charlie_client.get(page).content.decode()
    assert "Pairs" not in text
    assert "Your projects will be here" in text
    root = Client()
    root.force_login(admin)
    assert "Site admin" in root.get(page).content.decode()
