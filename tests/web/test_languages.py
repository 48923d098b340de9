"""German and English: the choice, the pages of people who judge, no language leaking into the other, the catalogue."""

from __future__ import annotations

import re
import string
import uuid
from datetime import timedelta

import pytest
from babel.messages.mofile import read_mo
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from annotations.judging.models import Judgment
from annotations.projects import invitations
from annotations.projects.models import Annotator
from app.accounts.models import User
from app.web.numbers import grouped
from app.web.templatetags.plumbline import when
from tests import catalogue

JUDGE, SUBMIT = "/work/pairs/", "/work/pairs/submit/"
GERMAN = {"HTTP_ACCEPT_LANGUAGE": "de-AT,de;q=0.9,en;q=0.5"}
ANSWER = {"c-overall": "-2", "x-reason": "Kinder."} | {
    f"r-{name}-{place}": "3" for name in ("helpfulness", "correctness") for place in (0, 1)
}
HTMX = {"HTTP_HX_REQUEST": "true"}


def choose(client, code, back=""):
    return client.post(reverse("accounts:language"), {"language": code, "next": back})


def hidden(html: str, name: str) -> str:
    return re.search(rf'name="{name}" value="([^"]*)"', html)[1]


def form_of(html: str, **changes) -> dict:
    fields = {name: hidden(html, name) for name in ("uuid", "assignment", "schema", "guideline", "day")}
    return fields | {"outcome": "answered"} | changes


# --- The choice ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_choice_is_kept_with_the_person_and_in_the_browser(bob_client, bob):
    User.objects.filter(pk=bob.pk).update(preferences={"keys": {"skip": "y"}})
    answer = choose(bob_client, "de", "/me/keys/?x=1")

    assert (answer.status_code, answer["Location"]) == (302, "/me/keys/?x=1")
    assert User.objects.get(pk=bob.pk).preferences == {"keys": {"skip": "y"}, "language": "de"}
    assert bob_client.cookies[settings.LANGUAGE_COOKIE_NAME].value == "de"
    page = bob_client.get("/me/")
    assert page["Content-Language"] == "de"
    assert '<html lang="de">' in page.content.decode()
    assert "<h1>Mein Konto</h1>" in page.content.decode()


@pytest.mark.django_db
def test_a_strange_language_or_a_strange_address_is_refused(bob_client, bob):
    answer = choose(bob_client, "tlh")
    assert answer.status_code == 400
    assert "There is no such language here." in answer.content.decode()
    assert User.objects.get(pk=bob.pk).preferences == {}
    assert settings.LANGUAGE_COOKIE_NAME not in bob_client.cookies
    assert choose(bob_client, "de", "https://elsewhere.example/")["Location"] == "/"
    assert bob_client.get(reverse("accounts:language")).status_code == 405


@pytest.mark.django_db
def test_what_the_person_chose_beats_the_cookie_and_the_browser(bob_client):
    choose(bob_client, "en")
    bob_client.cookies[settings.LANGUAGE_COOKIE_NAME] = "de"
    assert '<html lang="en">' in bob_client.get("/me/", **GERMAN).content.decode()


@pytest.mark.django_db
def test_the_sign_in_page_follows_the_browser_and_then_the_cookie():
    visitor = Client()
    page = visitor.get("/accounts/login/", **GERMAN)
    assert "<h1>Anmelden</h1>" in page.content.decode()
    assert {"Accept-Language", "Cookie"} <= {part.strip() for part in page["Vary"].split(",")}
    assert "<h1>Sign in</h1>" in visitor.get("/accounts/login/").content.decode()
    assert "<h1>Sign in</h1>" in visitor.get("/accounts/login/", HTTP_ACCEPT_LANGUAGE="fr").content.decode()
    choose(visitor, "de")
    assert "<h1>Anmelden</h1>" in visitor.get("/accounts/login/", HTTP_ACCEPT_LANGUAGE="en").content.decode()


@pytest.mark.django_db
def test_pages_of_researchers_and_the_api_stay_english_as_a_whole(alice_client, project):
    choose(alice_client, "de")
    for address in ("/p/pairs/", "/p/pairs/people/", "/p/"):
        page = alice_client.get(address, **GERMAN)
        html = page.content.decode()
        assert page.status_code == 200
        assert '<html lang="en">' in html
        assert "Theme: system" in html
        assert '<button name="language" value="de" lang="de" aria-current="true">' in html
        assert "Accept-Language" not in page.get("Vary", "")
    refused = alice_client.post("/p/pairs/people/invite/", {"emails": "", "role": "x"}, **GERMAN)
    assert "Dieses Feld" not in refused.content.decode()
    answer = alice_client.get("/api/v1/projects/nothing/", **GERMAN)
    assert answer.status_code == 404
    assert "Nicht gefunden" not in answer.content.decode()
    assert "Accept-Language" not in answer.get("Vary", "")
    assert "Accept-Language" not in alice_client.get("/api/schema/", **GERMAN).get("Vary", "")


# --- Judging ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_desk_and_its_errors_are_german(bob_client, make_item):
    make_item("Say hello.", ("Hello.", "Go away."))
    choose(bob_client, "de")
    page = bob_client.get(JUDGE)
    html = page.content.decode()
    assert page["Cache-Control"] == "no-store"
    for words in ("Antwort A", "Antwort B", "Absenden", "Überspringen"):
        assert words in html
    assert '"stored_answered": "Gespeichert."' in html
    assert "Response A" not in html

    refused = bob_client.post(SUBMIT, form_of(html), **HTMX)

    assert refused.status_code == 400
    assert "Bitte eins wählen" in refused.content.decode()
    assert Judgment.objects.count() == 0
    stale = bob_client.post(SUBMIT, form_of(html, assignment="999999"), **HTMX)
    assert "Diese Aufgabe ist Ihnen nicht zugeteilt." in stale.content.decode()


@pytest.mark.django_db
def test_two_languages_on_one_schema_never_meet(alice_client, bob_client, make_item, annotator):
    """Interleaved, so that whatever is cached for one of them is asked for by the other."""
    for number in range(6):
        make_item(f"Prompt {number}", ("one", "two"), wanted=2)
    choose(bob_client, "de")
    german, english = bob_client.get(JUDGE).content.decode(), alice_client.get(JUDGE).content.decode()
    for _round in range(4):
        for html, its, others in (
            (german, ("Antwort A", ">Absenden", ">Überspringen"), ("Response A", ">Submit", ">Skip <")),
            (english, ("Response A", ">Submit", ">Skip <"), ("Antwort A", ">Absenden", ">Überspringen")),
        ):
            assert all(words in html for words in its)
            assert not any(words in html for words in others)
        german, english = (
            client.post(SUBMIT, form_of(html, uuid=str(uuid.uuid4()), **ANSWER), **HTMX).content.decode()
            for client, html in ((bob_client, german), (alice_client, english))
        )
    assert Judgment.objects.filter(outcome="answered").count() == 8


@pytest.mark.django_db
def test_the_language_costs_no_query(bob_client, make_item):
    make_item()
    bob_client.get(JUDGE)
    counts = []
    for code in ("en", "de"):
        choose(bob_client, code)
        bob_client.get(JUDGE)
        with CaptureQueriesContext(connection) as queries:
            bob_client.get(JUDGE)
        counts.append(len(queries))
    User.objects.update(preferences={})
    del bob_client.cookies[settings.LANGUAGE_COOKIE_NAME]
    with CaptureQueriesContext(connection) as queries:
        bob_client.get(JUDGE)
    assert counts == [len(queries)] * 2


@pytest.mark.django_db
def test_why_a_person_is_stopped_is_said_in_their_language_and_stored_in_one(bob_client, annotator):
    rule = "Some of your recent answers differ from what this project expects."
    Annotator.objects.filter(pk=annotator.pk).update(status=Annotator.Status.PAUSED, note=rule)
    choose(bob_client, "de")
    html = bob_client.get(JUDGE).content.decode()
    assert "Einige Ihrer letzten Angaben weichen von der Vorgabe dieses Projekts ab." in html
    assert Annotator.objects.get(pk=annotator.pk).note == rule
    Annotator.objects.filter(pk=annotator.pk).update(note="Write to Alice.")
    assert "Write to Alice." in bob_client.get(JUDGE).content.decode()
    Annotator.objects.filter(pk=annotator.pk).update(note="")
    assert "Project-Id-Version" not in bob_client.get(JUDGE).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "german"),
    [
        ("/work/", "Meine Arbeit"),
        ("/work/pairs/history/", "Noch nichts beurteilt"),
        ("/me/data/", "Alles löschen lassen"),
        ("/me/keys/", "Zurück zu den üblichen Tasten"),
        ("/me/tokens/", "Token anlegen"),
        ("/accounts/password/change/", "Passwort ändern"),
        ("/accounts/logout/", "Abmelden"),
        ("/work/nothing/", "Seite nicht gefunden"),
    ],
)
def test_the_pages_of_people_who_judge_are_german(bob_client, project, address, german):
    choose(bob_client, "de")
    html = bob_client.get(address).content.decode()
    assert german in html
    assert '<html lang="de">' in html


# --- Words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ago", "english", "german"),
    [
        (timedelta(minutes=1), "1 minute ago", "vor 1 Minute"),
        (timedelta(minutes=5), "5 minutes ago", "vor 5 Minuten"),
        (timedelta(hours=1), "1 hour ago", "vor 1 Stunde"),
        (timedelta(days=3), "3 days ago", "vor 3 Tagen"),
        (-timedelta(days=1, hours=1), "in 1 day", "in 1 Tag"),
    ],
)
def test_plural_forms(ago, english, german):
    moment = timezone.now() - ago
    assert f">{english}</time>" in when(moment)
    with translation.override("de"):
        assert f">{german}</time>" in when(moment)


def test_thousands_are_set_apart_as_the_language_does():
    assert grouped(12_345) == "12,345"
    with translation.override("de"):
        assert grouped(12_345) == "12.345"


def _parts(message) -> list[tuple[str, str]]:
    """The texts of a message beside their translations: the last translation belongs to the plural."""
    ids = (message.id,) if isinstance(message.id, str) else message.id
    strings = (message.string,) if isinstance(message.string, str) else message.string
    return [(ids[min(n, len(ids) - 1)], text) for n, text in enumerate(strings)]


def _slots(text: str) -> set[str]:
    braces = {name for _, name, _, _ in string.Formatter().parse(text.replace("%", "")) if name}
    return (
        braces
        | set(re.findall(r"%\((\w+)\)s", text))
        | set(re.findall(r"<kbd[^>]*>|<span[^>]*>|<a [^>]*>", text))
    )


def test_every_marked_text_is_translated_and_the_compiled_catalogue_is_current():
    translated = catalogue.read("de")
    known = {(m.context or "", *((m.id, "") if isinstance(m.id, str) else m.id)) for m in translated if m.id}
    assert known == set(catalogue.marked()), "run `python -m tests.catalogue` and translate what is new"
    for message in translated:
        if message.id:
            assert not message.fuzzy, message.id
            for source, text in _parts(message):
                assert text, message.id
                assert _slots(source) == _slots(text) or (
                    len(_parts(message)) > 1 and _slots(text) <= _slots(source)
                ), source
                assert "!" not in text
    with catalogue.po_path("de").with_suffix(".mo").open("rb") as file:
        stored = read_mo(file)
    assert _plain(stored) == _plain(translated), "run `python -m tests.catalogue`"


def _plain(messages) -> dict:
    """The messages as plain values; Babel gives the contexts of a compiled catalogue as bytes."""
    return {
        (
            m.context.decode() if isinstance(m.context, bytes) else m.context,
            m.id if isinstance(m.id, str) else tuple(m.id),
        ): [text for _, text in _parts(m)]
        for m in messages
        if m.id
    }


def test_the_extractor_finds_what_is_marked():
    assert catalogue.of_python('x = _("a")\ny = ngettext("b", "c", n)\nz = pgettext_lazy("d", "e")') == [
        ("", "a", ""),
        ("", "b", "c"),
        ("d", "e", ""),
    ]
    with pytest.raises(ValueError, match="line 1"):
        catalogue.of_python('_(f"a {b}")')
    template = (
        '{% translate "a" %} {% blocktranslate count n=x %}one{% plural %}{{ n }} many{% endblocktranslate %}'
        ' {% include "x" with t=_("it\'s") %} {% translate \'May\' context "month" %}'
    )
    assert catalogue.of_template(template) == [
        ("", "a", ""),
        ("", "one", "%(n)s many"),
        ("", "it's", ""),
        ("month", "May", ""),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("bob@example.org", "alice lädt Sie zu „Pairs“ ein. Ihre Rolle: Durchsicht."),
        ("new@example.org", "alice invites you to “Pairs”. Your role will be Reviewer."),
    ],
)
def test_an_invitation_speaks_the_language_of_who_has_the_address(
    project, alice, bob, mailoutbox, address, words
):
    User.objects.filter(pk=bob.pk).update(email="bob@example.org", preferences={"language": "de"})
    invitations.invite_people(project=project, role="reviewer", actor=alice, emails=[address])
    assert words in mailoutbox[0].body


@pytest.mark.django_db
def test_the_page_of_an_error_speaks_the_persons_language(bob_client, monkeypatch):
    monkeypatch.setattr("annotations.people.start.rows_of", lambda user: 1 / 0)
    choose(bob_client, "de")
    bob_client.raise_request_exception = False
    page = bob_client.get("/work/")
    assert page.status_code == 500
    assert "Bei uns ist etwas kaputtgegangen" in page.content.decode()
