"""Places of a panel's study: coming in, ending, giving back; and who must not get in."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import pytest
from django.test import Client
from django.urls import reverse

from annotations.items.models import Item
from annotations.judging.models import Assignment, Judgment
from annotations.judging.verify import verify_counts
from annotations.people import places
from annotations.people.models import Participant, Place
from annotations.projects import rules
from annotations.projects.models import Annotator, Membership
from app.accounts.models import User
from tests.people.study import PID, Browser, answer_next, open_study
from tests.threads import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def study(project, make_item):
    open_study(project)
    return [make_item(prompt=f"Question {n}?", external_id=f"i{n}") for n in range(6)]


def test_the_whole_way_from_the_panels_address_to_the_code(project, study):
    browser = Browser(project, 1)
    page = browser.look()
    assert page.status_code == 200
    assert User.objects.filter(is_guest=True).count() == 0  # looking makes nothing
    assert browser.enter().url == reverse("work:judge", args=["pairs"])
    for _ in range(3):
        assert b'id="answer"' in browser.next().content
        answer_next(browser)
    last = browser.next()
    assert b"Thank you, you are done" in last.content
    assert b"DONE123" in last.content
    assert b"https://app.prolific.com/submissions/complete?cc=DONE123" in last.content
    place = Place.objects.get()
    assert (place.state, place.judged, place.code) == ("complete", 3, "DONE123")
    assert b"DONE123" in browser.client.get(reverse("people:place", args=["pairs"])).content
    user = User.objects.get(is_guest=True)
    assert not user.has_usable_password()
    assert [m.project_id for m in Membership.objects.filter(user=user)] == [project.pk]


def test_a_guest_reaches_the_study_and_nothing_else(project, study, alice):
    browser = Browser(project, 1)
    browser.enter()
    for path in ("/p/", "/new/", "/me/tokens/", "/api/v1/projects/", "/accounts/password/change/", "/admin/",
                 "/accounts/email/", "/accounts/2fa/", "/jobs/", "/p/pairs/people/"):  # fmt: skip
        assert browser.client.get(path).status_code == 404, path
    assert browser.client.get("/work/").status_code == 200
    from annotations.projects import setup

    _, token = setup.invite(project=project, role="owner", actor=alice)
    refused = browser.client.post(reverse("projects:join", args=[token]))
    assert refused.status_code == 410
    assert Membership.objects.get(user__is_guest=True).role == "annotator"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"PROLIFIC_PID": "a" * 65}, "PROLIFIC_PID"),
        ({"PROLIFIC_PID": "a\0b"}, "PROLIFIC_PID"),
        ({"PROLIFIC_PID": "<script>alert(1)</script>"}, "PROLIFIC_PID"),
        ({"PROLIFIC_PID": ""}, "PROLIFIC_PID"),
        ({"SESSION_ID": "../../etc"}, "SESSION_ID"),
        ({"SESSION_ID": ["s1", "s2"]}, "given 2 times"),
        ({"STUDY_ID": "ü"}, "STUDY_ID"),
    ],
)
def test_bad_ids_are_named_and_make_nothing(project, study, change, words):
    browser = Browser(project, 1)
    before = User.objects.count()
    for answer in (browser.look(**change), browser.enter(**change)):
        assert answer.status_code == 400
        assert words in answer.content.decode()
        assert b"<script>alert" not in answer.content
    assert (User.objects.count(), Place.objects.count()) == (before, 0)


def test_who_knows_all_ids_but_has_not_the_browser_does_not_get_in(project, study):
    victim, thief = Browser(project, 1), Browser(project, 1)
    victim.enter()
    answer_next(victim)
    for ids in ({}, {"SESSION_ID": "another"}):
        refused = thief.enter(**ids)
        assert refused.status_code == 403
        assert b"another browser" in refused.content
        assert "_auth_user_id" not in thief.client.session
    assert Place.objects.count() == 1
    # A cookie that was not signed by us, and one of another person, are none.
    thief.client.cookies[f"place-{project.pk}"] = "eyJhIjoiYiJ9:1abc:forged"
    assert thief.enter().status_code == 403
    other = Browser(project, 2)
    other.enter()
    other.ids["PROLIFIC_PID"] = victim.ids["PROLIFIC_PID"]
    assert other.enter().status_code == 403
    # The victim's session cannot be used under another person's id either.
    stranger = Browser(project, 3)
    assert stranger.enter(SESSION_ID=victim.ids["SESSION_ID"]).status_code == 403
    assert Participant.objects.count() == 2


def test_a_replayed_session_is_the_same_place_and_person(project, study):
    browser = Browser(project, 1)
    browser.enter()
    answer_next(browser)
    del browser.client.cookies["sessionid"]
    assert browser.enter().status_code == 302
    assert (User.objects.filter(is_guest=True).count(), Place.objects.count()) == (1, 1)
    for _ in range(2):
        answer_next(browser)
    browser.next()
    again = browser.enter()
    assert again.url == reverse("people:place", args=["pairs"])
    assert Place.objects.get().state == "complete"


def test_a_researcher_lets_a_person_in_from_another_browser(project, study, alice_client, bob_client):
    first, second = Browser(project, 1), Browser(project, 1)
    first.enter()
    participant = Participant.objects.get()
    address = reverse("people:unbind", args=["pairs", participant.pk])
    assert bob_client.post(address).status_code == 403
    assert second.enter().status_code == 403
    assert alice_client.post(address).status_code == 302
    assert second.enter().status_code == 302
    assert first.enter().status_code == 403  # it is the second browser's now
    assert Participant.objects.count() == 1


def test_a_returned_place_gives_its_lease_back_and_takes_the_person_out(project, study):
    browser = Browser(project, 1)
    browser.enter()
    answer_next(browser)
    browser.next()
    assert Assignment.objects.filter(state="leased").count() == 1
    browser.client.post(reverse("people:return_place", args=["pairs"]))
    assert Assignment.objects.filter(state="leased").count() == 0
    assert Judgment.objects.filter(is_current=True).count() == 1
    assert browser.next().status_code == 404
    annotator = Annotator.objects.get(user__is_guest=True)
    assert annotator.status == "removed"
    assert list(verify_counts(project=project)) == []
    assert browser.client.post(reverse("people:return_place", args=["pairs"])).status_code == 302
    # The panel lists it as returned too, and the researcher wants those items judged by others.
    place = places.end(place=Place.objects.get(), state="returned", give_back=True)
    assert (place.given_back, Judgment.objects.filter(is_current=True).count()) == (1, 0)
    assert sum(Item.objects.values_list("open_slots", flat=True)) == 6
    assert list(verify_counts(project=project)) == []


def test_a_person_who_returns_and_comes_again_has_a_new_place_and_no_item_twice(project, study):
    browser = Browser(project, 1)
    browser.enter()
    answer_next(browser)
    browser.client.post(reverse("people:return_place", args=["pairs"]))
    assert browser.enter(SESSION_ID="second").status_code == 302
    for _ in range(3):
        answer_next(browser)
    assert b"DONE123" in browser.next().content
    assert User.objects.filter(is_guest=True).count() == 1
    judged = list(Judgment.objects.values_list("item_id", flat=True))
    assert (len(judged), len(set(judged))) == (4, 4)
    assert [p.judged for p in Place.objects.order_by("pk")] == [1, 3]


def test_the_panels_list_ends_places_and_names_what_does_not_fit(project, study, alice_client, bob_client):
    people = [Browser(project, n) for n in range(3)]
    for person in people:
        person.enter()
        answer_next(person)
    lines = [
        "Submission id,Participant id,Status,Completion code",
        f"session-0,{PID.format(0)},TIMED-OUT,",
        f"session-1,{PID.format(2)},RETURNED,",
        "never-came,5f0000000000000000000009,APPROVED,DONE123",
    ]
    address = reverse("people:submissions", args=["pairs"])

    def upload(client, text):
        from django.core.files.uploadedfile import SimpleUploadedFile

        file = SimpleUploadedFile("s.csv", text if isinstance(text, bytes) else text.encode())
        return client.post(address, {"file": file, "give_back": "on"})

    assert upload(bob_client, "\n".join(lines)).status_code == 403
    assert Place.objects.filter(state="active").count() == 3
    page = upload(alice_client, "\n".join(lines)).content.decode()
    assert {p.session: p.state for p in Place.objects.all()} == {
        "session-0": "timed_out", "session-1": "active", "session-2": "active",
    }  # fmt: skip
    assert "1 place ended" in page
    assert f"Line 3: submission session-1 is {PID.format(1)} here" in page
    assert "Line 4: submission never-came" in page
    assert "session-2" in page  # at work, but not in the list
    again = upload(alice_client, "\n".join(lines)).content.decode()
    assert "0 places ended, 1 had ended before, 0 judgments put aside" in again
    for bad in (b"\xff\xfe", "a,b\n1,2", "Submission id,Status\n\0,RETURNED", '"Submission id",Status\n"x'):
        before = list(Place.objects.order_by("pk").values())
        assert upload(alice_client, bad).status_code in {200, 400}
        assert list(Place.objects.order_by("pk").values()) == before
    assert list(verify_counts(project=project)) == []


def test_the_api_ends_a_place_like_the_page(project, study, alice_client, bob_client):
    browser = Browser(project, 1)
    browser.enter()
    answer_next(browser)
    browser.next()
    address = reverse("api:place_end", args=["pairs", "session-1"])

    def end(client, **body):
        return client.post(address, body, content_type="application/json")

    assert end(bob_client, state="returned").status_code == 403
    assert end(alice_client, state="complete").status_code == 400
    assert end(alice_client, state="returned", give_back="yes").status_code == 400
    assert Place.objects.get().state == "active"
    told = end(alice_client, state="timed_out", give_back=True).json()
    assert (told["person"], told["state"], told["judged"], told["given_back"]) == (
        PID.format(1),
        "timed_out",
        1,
        1,
    )
    assert end(alice_client, state="timed_out", give_back=True).json() == told
    (listed,) = alice_client.get(reverse("api:places", args=["pairs"])).json()["results"]
    assert listed == told
    assert Assignment.objects.filter(state="leased").count() == 0
    assert list(verify_counts(project=project)) == []


def test_somebody_disqualified_gets_the_screen_out_code(project, study):
    browser = Browser(project, 1)
    browser.enter()
    Annotator.objects.filter(user__is_guest=True).update(stage="failed")
    page = browser.next().content.decode()
    assert "Your part ends here" in page
    assert "OUT456" in page
    assert Place.objects.get().state == "screened_out"


def test_late_comers_get_a_kind_page_with_a_code(project, study):
    open_study(project, places=1)
    Browser(project, 1).enter()
    late = Browser(project, 2)
    page = late.enter()
    assert page.status_code == 200
    assert "All places of this study are taken. Thank you" in page.content.decode()
    assert b"LATE789" in page.content
    assert User.objects.filter(is_guest=True).count() == 1
    open_study(project, places=None)
    Item.objects.update(open_slots=0, wanted=0)
    assert late.enter().url == reverse("people:place", args=["pairs"])
    assert b"LATE789" in late.client.get(reverse("people:place", args=["pairs"])).content
    project.status = "paused"
    project.save()
    assert b"takes nobody in" in Browser(project, 3).enter().content


def test_other_modes_do_not_let_a_panel_in(project, study):
    for mode in ("invitation", "open_link", "open", "panel"):
        open_study(project, mode=mode)
        assert Browser(project, 1).enter().status_code == 404
    open_study(project, mode="panel", person_parameter="pid", session_parameter="run", study_parameter="st")
    client = Client()
    address = reverse("people:join_panel", args=["pairs"])
    assert client.post(address, {"pid": "x1", "run": "r1"}).status_code == 302
    assert Place.objects.get().participant.person == "x1"
    open_study(
        project,
        mode="panel",
        study_ids=("st1",),
        person_parameter="pid",
        session_parameter="run",
        study_parameter="st",
    )
    assert Client().post(address, {"pid": "x2", "run": "r2", "st": "other"}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_places_are_not_overrun_by_people_who_come_at_once(project, make_item):
    """Twelve come at the same time for five places; each twice, as impatient browsers do."""
    for n in range(30):
        make_item(prompt=f"Question {n}?", external_id=f"i{n}")
    open_study(project, places=5)
    results = []

    def come(n):
        for _ in range(2):
            with suppress(places.Refused):
                places.enter(project=project, person=f"p{n % 6}", study="s", session=f"s{n % 6}")
                results.append(n)

    assert at_once(partial(come, n) for n in range(12)) == [None] * 12
    assert Place.objects.count() == 5
    assert Participant.objects.count() == 5
    assert User.objects.filter(is_guest=True).count() == 5
    assert len(results) == 5


def test_who_came_by_invitation_has_no_place_and_judges_on(project, study, bob_client):
    page = bob_client.get(reverse("work:judge", args=["pairs"]))
    assert b'id="answer"' in page.content
    assert bob_client.get(reverse("people:place", args=["pairs"])).status_code == 404
    assert rules.of(project).entry.mode == "prolific"
