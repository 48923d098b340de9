"""The task designer: its form holds every design without loss, its buttons compose one, and errors stand beside fields."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings as settings_
from django.template.loader import render_to_string
from django.urls import reverse
from hypothesis import HealthCheck, Phase, given, settings

from annotations.items.models import Item
from annotations.projects import builder, builder_form, designs
from annotations.projects.models import TaskSchema
from annotations.projects.presets import PRESETS
from annotations.projects.schemas import Definition, Design
from tests.judging.test_forms import definitions

EDIT = "/p/pairs/design/edit/"


class Fields(HTMLParser):
    """What a browser would post of a form: {name: [values]}."""

    def __init__(self):
        super().__init__()
        self.values: dict[str, list[str]] = {}
        self._select = self._text = None

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "disabled" in attrs:
            return
        if tag == "input" and (attrs.get("type") not in {"checkbox", "radio"} or "checked" in attrs):
            self.add(attrs.get("name"), attrs.get("value") or "")
        elif tag == "select":
            self._select = attrs["name"]
        elif tag == "option" and "selected" in attrs:
            self.add(self._select, attrs["value"])
        elif tag == "textarea":
            self._text = [attrs["name"], ""]

    def handle_endtag(self, tag):
        if tag == "textarea":
            self.add(self._text[0], self._text[1].removeprefix("\n"))
            self._text = None

    def handle_data(self, data):
        if self._text is not None:
            self._text[1] += data

    def add(self, name, value):
        if name:
            self.values.setdefault(name, []).append(value.replace("\n", "\r\n"))


def posted(html):
    fields = Fields()
    fields.feed(html)
    return fields.values


class _Project:
    slug = "pairs"


def drawn(content, **more):
    return render_to_string(
        "projects/builder_form.html", {"project": _Project, "form": builder_form.form_of(content, **more)}
    )


@pytest.mark.parametrize("key", PRESETS)
def test_a_preset_stands_in_the_form_without_loss(key):
    design = Design.model_validate(PRESETS[key])
    assert designs.check(builder.read(posted(drawn(builder.unfinished(design))))) == design


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(definitions())
def test_any_design_stands_in_the_form_without_loss(definition):
    read = builder.read(posted(drawn(builder.unfinished(definition))))
    assert as_asked(Definition.model_validate(read)) == as_asked(definition)


def as_asked(definition):
    """The definition with the values of conditions as sets, which they are."""
    content = definition.model_dump(mode="json")
    for question in content["questions"]:
        if question["when"]:
            question["when"]["values"] = sorted(set(question["when"]["values"]))
    return content


def names(content):
    return [question["name"] for question in content["questions"]]


def test_buttons_compose_a_design():
    content = builder.unfinished(Design.model_validate(PRESETS["arena4"]))
    for kind in builder.KINDS:
        content, focus = builder.act(content, f"add:{kind}")
        assert focus == f"q-{len(content['questions']) - 1}-label"
    assert names(content) == [
        "overall", "overall_2", "quality", "rank", "thumb", "how_sure_are_you", "reason", "mark_what_is_false",
        "rewrite_the_best_response",
    ]  # fmt: skip
    designs.check(content)  # what a button adds is right as it is
    content, focus = builder.act(content, "down:0")
    assert (names(content)[:2], focus) == (["overall_2", "overall"], "q-1-down")
    assert builder.act(content, "up:0") == (content, "q-0-up")
    content, focus = builder.act(content, "remove:8")
    assert (len(content["questions"]), focus) == (8, "q-7-label")
    content, _ = builder.act(content, "copy:5")
    assert names(content)[5:7] == ["how_sure_are_you", "how_sure_are_you_2"]
    content, focus = builder.act(content, "option:5")
    assert (content["questions"][5]["options"][2], focus) == ({"value": "", "label": ""}, "q-5-l-2")
    content, focus = builder.act(content, "option_up:5:2")
    assert ([o["value"] for o in content["questions"][5]["options"]], focus) == (
        ["sure", "", "unsure"],
        "q-5-option_up-1",
    )
    content, _ = builder.act(content, "option_remove:5:0")
    content, _ = builder.act(content, "option_remove:skip:0")
    assert [o["value"] for o in content["skip"]] == ["language", "uncomfortable"]
    for nonsense in (
        "",
        "up",
        "up:99",
        "up:x",
        "add:dance",
        "option:99",
        "option_remove:skip:77",
        "remove:-1",
        "up:²",
    ):
        assert builder.act(content, nonsense)[0] == content


def test_names_come_from_words_and_conditions_follow_a_renamed_question():
    read = builder.read(
        {
            "q": ["0", "1", "1"], "q-0-kind": ["choice"], "q-0-was": ["sure"], "q-0-name": ["confidence"],
            "q-0-label": ["Sure?"], "q-0-l": ["Too long", "Too long", "", "Ünsure"], "q-0-v": ["", "", "", ""],
            "q-1-kind": ["text"], "q-1-label": ["Why not?"], "q-1-when": ["sure"], "q-1-when-op": ["is"],
            "q-1-when-values": ["too_long"], "q-1-min_chars": ["x"], "responses-min": ["2"], "responses-max": [""],
        }
    )  # fmt: skip
    assert [o["value"] for o in read["questions"][0]["options"]] == ["too_long", "too_long_2", "nsure"]
    assert read["questions"][1]["name"] == "why_not"
    assert read["questions"][1]["when"] == {"question": "confidence", "op": "is", "values": ["too_long"]}
    with pytest.raises(designs.DesignError) as wrong:
        designs.check(read)
    assert builder.errors_by_field(wrong.value.errors) == {
        "q-1-min_chars": ["expected a whole number"],
        "responses": ["expected a whole number"],
    }
    assert builder.read({}) == {
        "title": "", "responses": {"min": None, "max": None}, "layout": "columns", "questions": [],
        "cannot_judge": [], "skip": [], "flag": [],
    }  # fmt: skip


@pytest.mark.django_db
def test_a_task_is_designed_in_the_browser(project, alice_client):
    page = alice_client.get(EDIT, {"from": "preset:arena4"})
    values = posted(page.content.decode().split('id="builder"')[1])
    part = alice_client.post(
        EDIT, values | {"act": "add:text"}, headers={"HX-Request": "true"}
    ).content.decode()
    assert part.lstrip().startswith('<form id="builder"')
    assert 'data-focus="q-1-label"' in part
    values = posted(part) | {"q-1-label": [""], "q-1-when": ["overall"], "q-1-when-op": ["is"]}
    refused = alice_client.post(EDIT, values | {"act": "use"})
    text = refused.content.decode()
    assert refused.status_code == 422
    assert "Not saved: 2 things to put right" in text
    assert text.count('<p class="field-error">Write something</p>') == 1
    assert '<p class="field-error">Expected at least one</p>' in text
    assert TaskSchema.objects.filter(project=project).count() == 1
    values |= {"q-1-label": ["Why is it bad?"], "q-1-when-values": ["equal_bad"]}
    saved = alice_client.post(EDIT, values | {"act": "save"})
    assert saved["Location"] == f"{reverse('projects:design', args=['pairs'])}?version=2"
    stored = TaskSchema.objects.get(project=project, number=2).definition
    assert [(q["name"], q["when"] and q["when"]["values"]) for q in stored["questions"]] == [
        ("overall", None),
        ("reason", ["equal_bad"]),
    ]
    text = alice_client.get(saved["Location"]).content.decode()
    assert "From v1 to v2" in text
    assert "New question" not in text  # the reason was asked before, of everybody
    assert "is asked if “Which response is better?” is “both bad” instead of always." in text


@pytest.mark.django_db
def test_the_preview_is_the_judging_page_and_stores_nothing(project, alice_client, make_item):
    address = reverse("projects:design_preview", args=["pairs"])
    values = posted(alice_client.get(EDIT, {"from": "preset:rag"}).content.decode().split('id="builder"')[1])
    page = alice_client.post(address, values)
    text = page.content.decode()
    assert page["X-Frame-Options"] == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in page["Content-Security-Policy"]
    assert "What is the moon made of?" in text
    assert 'name="c-overall"' in text
    assert 'name="h-unsupported_parts"' in text
    make_item("Say hello.", ("<b>Hello</b>", "Go away."))
    text = alice_client.post(address, values).content.decode()
    assert "Say hello." in text
    assert "model-0" not in text
    wrong = alice_client.post(address, values | {"q-0-label": [" "]}).content.decode()
    assert "questions.0.label: write something" in wrong
    for key in PRESETS:
        values = posted(
            alice_client.get(EDIT, {"from": f"preset:{key}"}).content.decode().split('id="builder"')[1]
        )
        assert 'class="q q-' in alice_client.post(address, values).content.decode()
    assert TaskSchema.objects.filter(project=project).count() == 1
    assert Item.objects.get().n_leased == 0


@pytest.mark.django_db
def test_a_design_goes_out_as_a_file_and_comes_back(project, alice_client, client):
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.test import Client

    page = reverse("projects:design", args=["pairs"])
    file = alice_client.get(reverse("projects:design_file", args=["pairs", 1]))
    assert file["Content-Disposition"] == 'attachment; filename="pairs-v1.json"'
    upload = lambda data: SimpleUploadedFile("design.json", data)  # noqa: E731
    back = alice_client.post(page, {"file": upload(file.content), "use": "1"})
    assert (back.status_code, TaskSchema.objects.filter(project=project).count()) == (302, 1)
    opened = alice_client.post(page, {"file": upload(file.content), "open": "1"})
    assert designs.check(
        builder.read(posted(opened.content.decode().split('id="builder"')[1]))
    ) == designs.parse(file.content.decode())
    for data, words in ((b"\xff", "not a text in UTF-8"), (b"{}", "questions: this field is missing")):
        refused = alice_client.post(page, {"file": upload(data)})
        assert (refused.status_code, words in refused.content.decode()) == (400, True)
    published = Client().get("/schemas/task-design-1.json")
    assert published["Content-Type"] == "application/schema+json"
    assert published.json()["$id"] == file.json()["$schema"] == "http://testserver/schemas/task-design-1.json"


def test_the_preview_stands_in_for_every_script_it_leaves_out():
    """What the judging page's kept scripts call of those left out (timing, drafts, outbox) the preview defines."""
    scripts = re.compile(r"js/judging/(\w+\.js)")
    names = re.compile(r"plumbline\.(\w+)")
    templates, js = (
        Path(settings_.BASE_DIR, "templates/judging"),
        Path(settings_.BASE_DIR, "static/js/judging"),
    )
    page, preview = (
        set(scripts.findall((templates / f"{name}.html").read_text())) for name in ("page", "preview")
    )
    used = {name for script in preview for name in names.findall((js / script).read_text())}
    defined = re.compile(r"Object\.assign\(window\.plumbline \|\| \{\}, \{(.*?)\n?\}\);", re.DOTALL)

    def names_of(some):
        bodies = [body for script in some for body in defined.findall((js / script).read_text())]
        return {word for body in bodies for word in re.findall(r"\w+", body)}

    left_out = names_of(page - preview) - names_of(preview - {"preview.js"})
    assert {"timing", "draft"} <= used & left_out
    stands_in = set(re.findall(r"(\w+):", (js / "preview.js").read_text()))
    assert used & left_out <= stands_in
