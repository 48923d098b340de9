"""Who may open and change what: every address of the project, items and import pages, for every role."""

import pytest
from django.test import Client
from django.urls import reverse

from annotations.items.models import Item
from annotations.projects import setup
from annotations.projects.models import Annotator, Guideline, Invitation, Membership, Project, TaskSchema
from app.accounts.models import AuditEvent
from app.jobs.models import Job
from tests.conftest import make_user

pytestmark = pytest.mark.django_db

# (address, lowest role that may open it); `{item}` and so on are filled from the scene
PAGES = [
    ("projects:overview", [], "reviewer"),
    ("projects:design", [], "reviewer"),
    ("projects:guidelines", [], "reviewer"),
    ("projects:people", [], "reviewer"),
    ("projects:settings", [], "owner"),
    ("projects:started", [], "owner"),
    ("projects:remove_member", ["member"], "owner"),
    ("items:list", [], "reviewer"),
    ("items:detail", ["item"], "reviewer"),
    ("items:import", [], "researcher"),
    ("items:import_errors", ["job"], "researcher"),
]
ACTS = [
    ("projects:design", [], {"definition": '{"questions": [{"kind": "thumb", "name": "t", "label": "?"}]}'}, "researcher"),
    ("projects:design_preview", [], {"definition": "{}"}, "researcher"),
    ("projects:use_version", ["schema"], {}, "researcher"),
    ("projects:guidelines", [], {"text": "New words"}, "researcher"),
    ("projects:settings", [], {"name": "Taken over"}, "owner"),
    ("projects:invite", [], {"role": "owner", "link_uses": "1"}, "owner"),
    ("projects:revoke_invitation", ["invitation"], {}, "owner"),
    ("projects:change_role", ["member"], {"role": "owner"}, "owner"),
    ("projects:remove_member", ["member"], {"confirm": "bob"}, "owner"),
    ("projects:pause_annotator", ["annotator"], {"paused": "1"}, "owner"),
    ("items:withdraw", ["item"], {"withdrawn": "1"}, "researcher"),
    ("items:route", ["item"], {"route": "lm", "wanted": "2", "priority": "1"}, "researcher"),
    ("items:import", [], {}, "researcher"),
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
    return {
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
            Job,
            AuditEvent,
        )
    ]


@pytest.mark.parametrize("role", ROLES)
def test_each_role_opens_its_pages_and_no_other(role, project, scene):
    client = client_of(role, project)
    for name, parts, lowest in PAGES:
        expected = 404 if role == "outsider" else 200 if ROLES.index(role) >= ROLES.index(lowest) else 403
        assert client.get(address(name, parts, scene)).status_code == expected, name


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
    text = charlie_client.get(page).content.decode()
    assert "Pairs" not in text
    assert "Your projects will be here" in text
    root = Client()
    root.force_login(admin)
    assert "Site admin" in root.get(page).content.decode()
