"""Responses that say which model wrote them: what is found, what is not, and what happens to their items."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.items.identity import BAR, find_leaks, redact
from annotations.items.models import Item, Response
from annotations.items.readers import read
from annotations.judging import identity_rules, queue
from annotations.judging.importing import ImportOptions, import_records
from annotations.judging.models import Assignment
from annotations.projects import rules
from app.jobs import runner

LEAKS = [
    ("As an AI language model made by OpenAI, I cannot do that.", "OpenAI"),
    ("As a large language model trained by Google, I have no opinion.", "Google"),
    ("I'm Claude, an AI assistant.", "Claude"),
    ("Hello! I’m ChatGPT.", "ChatGPT"),
    ("I am actually Claude 3 Opus and not a person.", "Claude 3 Opus"),
    ("My name is Bard and I can help.", "Bard"),
    ("You can call me Vicuna.", "Vicuna"),
    ("I am an AI assistant called Koala from Berkeley.", "Koala"),
    ("I'm a language model developed by researchers at Anthropic.", "Anthropic"),
    ("I was created by Anthropic to be helpful.", "Anthropic"),
    ("I was trained by the team at Mistral AI.", "Mistral AI"),
    ("Assistant is a large language model trained by OpenAI.", "OpenAI"),
    ("That would be against OpenAI's content policy.", "OpenAI"),
    ("As ChatGPT, I do not browse.", "ChatGPT"),
    ("My creators at DeepMind did not say.", "DeepMind"),
    ("Alibaba Cloud developed me last year.", "Alibaba Cloud"),
    ("Je suis Claude, et je peux vous aider.", "Claude"),
    ("Ich bin ChatGPT.", "ChatGPT"),
    ("I am GPT-4, the newest one.", "GPT-4"),
]
NO_LEAKS = [
    "OpenAI is a company in San Francisco that made ChatGPT.",
    "I am a big fan of Claude Monet.",
    "I am a Gemini, born in June.",
    "As an AI language model, I have no opinions.",
    "You can search for it on Google.",
    "The llama lives in the Andes; I'm told the alpaca does too.",
    "Claude said: I am tired.",
    "As a teacher, I use ChatGPT by OpenAI in class.",
    "My name is Claudette.",
    "I'm going to Meta-analyse this.",
    "I was made by hand. Google it.",
    "Bard means poet; the bards of Wales sang.",
    "I'm Claudia and I work at Microsoft.",
    "I am reading a book by Anthropic researchers.",
    "The model is a small language model trained on Wikipedia.",
    "Shakespeare, the Bard, wrote it.",
    "",
]


@pytest.mark.parametrize(("text", "name"), LEAKS)
def test_a_response_that_names_its_model_is_found(text, name):
    found = find_leaks(text)
    assert next(leak.name for leak in found).startswith(name)
    [*_, leak] = found
    assert text[leak.name_start : leak.name_end] == leak.name
    covered = redact(text)
    assert name not in covered
    assert len(covered) == len(text)
    assert find_leaks(covered) == []


@pytest.mark.parametrize("text", NO_LEAKS)
def test_a_text_about_models_or_people_is_no_leak(text):
    assert find_leaks(text) == []
    assert redact(text) == text


def test_the_name_is_covered_wherever_it_stands_again():
    text = "I'm Claude. Ask claude anything; Claudette is not me."
    assert redact(text) == f"I'm {BAR * 6}. Ask {BAR * 6} anything; Claudette is not me."


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("I'm Claude, made by Anthropic.", "I'm ██████, made by █████████."),
        (
            "My name is Bard, a language model from Google AI.",
            "My name is ████, a language model from ██████ ██.",
        ),
        ("I am ChatGPT and I like Facebook.", "I am ███████ and I like Facebook."),
    ],
)
def test_the_maker_named_beside_the_model_is_covered_too(text, covered):
    assert redact(text) == covered


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), st.sampled_from([text for text, _ in LEAKS]), st.text(max_size=50))
def test_redacting_keeps_every_place_of_the_text(before, leak, after):
    text = f"{before} {leak} {after}"
    covered = redact(text)
    assert len(covered) == len(text)
    assert all(new in (old, BAR) for old, new in zip(text, covered, strict=True))
    assert redact(covered) == covered


# --- What happens to items -----------------------------------------------------------------------------------

JSONL = (
    '{"id": "q1", "prompt": "Who?", "response_a": "I\'m Claude.", "response_b": "Nobody."}\n'
    '{"id": "q2", "prompt": "What?", "response_a": "OpenAI made it.", "response_b": "Nothing."}\n'
)


def bring_in(project, tmp_path, mode):
    rules.change(project=project, page=rules.Page(identity=mode))
    file = tmp_path / "pairs.jsonl"
    file.write_text(JSONL)
    import_records(project=project, records=read(file), origin_label="pairs", options=ImportOptions())
    return {item.external_id: item for item in Item.objects.all()}


def shown(project, bob_client):
    return bob_client.get(reverse("work:judge", args=["pairs"])).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("mode", ["off", "flag", "redact", "exclude"])
def test_an_import_follows_the_rule(project, tmp_path, mode, bob_client):
    items = bring_in(project, tmp_path, mode)
    assert [items[k].names_model for k in ("q1", "q2")] == [mode != "off", False]
    assert (items["q1"].withdrawn_for, items["q1"].open_slots) == (
        ("identity", 0) if mode == "exclude" else ("", 1)
    )
    assert items["q2"].open_slots == 1
    first = Response.objects.get(item=items["q1"], index=0)
    assert first.text == "I'm Claude."
    assert first.redacted == (f"I'm {BAR * 6}." if mode == "redact" else "")
    assert Response.objects.exclude(pk=first.pk).exclude(redacted="").count() == 0
    Item.objects.filter(external_id="q2").update(open_slots=0, wanted=0)
    page = shown(project, bob_client)
    assert ("Claude" in page) is (mode in {"off", "flag"})
    assert (BAR * 6 in page) is (mode == "redact")
    for lease in Assignment.objects.all():
        texts = b"".join(
            bob_client.get(
                reverse("work:text", args=["pairs"]), {"assignment": lease.pk, "place": place}
            ).content
            for place in (0, 1)
        )
        assert (b"Claude" in texts) is (mode in {"off", "flag"})
        assert b"Nobody." in texts


@pytest.mark.django_db
def test_the_rule_can_be_changed_and_undone_for_what_is_there(
    project, tmp_path, alice, annotator, alice_client
):
    items = bring_in(project, tmp_path, "flag")
    Item.objects.filter(external_id="q2").update(open_slots=0, wanted=0)
    lease = queue.next_assignment(annotator)
    assert lease.item_id == items["q1"].pk
    response = alice_client.post(reverse("quality:identity", args=["pairs"]), {"identity": "exclude"})
    job = response["Location"].rstrip("/").rpartition("/")[2]
    runner.run(job)
    item = Item.objects.get(external_id="q1")
    assert (item.withdrawn_for, item.open_slots, item.n_leased) == ("identity", 0, 0)
    assert queue.next_assignment(annotator) is None
    page = alice_client.get(reverse("items:list", args=["pairs"]) + "?mark=names_model").content.decode()
    assert re.findall(r">\s*(q\d)\s*<", page) == ["q1"]
    for mode, redacted in (("redact", f"I'm {BAR * 6}."), ("off", "")):
        identity_rules.start_rule(project=project, mode=mode, actor=alice)
        project.refresh_from_db()
        identity_rules.apply_to_project(project=project)
        item.refresh_from_db()
        assert (item.withdrawn_at, item.open_slots, item.names_model) == (None, 1, mode == "redact")
        assert Response.objects.get(item=item, index=0).redacted == redacted


@pytest.mark.django_db
def test_the_bundled_data_names_no_model():
    """0 of 41,871 responses: they speak of Google, llamas and ChatGPT, but none says that it wrote them."""
    from pathlib import Path

    from django.conf import settings as django_settings

    texts = 0
    for file in sorted(Path(django_settings.BASE_DIR, "demo", "data").glob("*.jsonl.gz")):
        for record in read(file):
            for response in getattr(record, "responses", ()):
                texts += 1
                assert find_leaks(response.text) == [], response.text[:200]
    assert texts > 500
