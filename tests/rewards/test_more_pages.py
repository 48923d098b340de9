"""Comparing models, rounds of training, learning curves and what the train form offers: pages and who may use them."""

import pytest
from django.urls import reverse

from app.jobs import runner
from app.jobs.models import Job
from routing.rewards import backends, loop, registry
from routing.rewards.models import Loop, LoopRound, TrainingRun

pytestmark = pytest.mark.django_db


def test_two_models_are_compared_on_the_same_pairs(register, alice_client):
    good, bad = register(), register(wrong=0.6)
    url = reverse("rewards:compare", args=["pairs"])
    page = alice_client.get(url, {"a": good.public_id, "b": bad.public_id}).content.decode()
    assert f"{good.public_id} is better than {bad.public_id} by " in page
    assert "Correlation of score and length" in page
    assert page.count(f"{good.public_id} · Scaled Bradley–Terry") == 2  # in both lists, in words
    turned = alice_client.get(url, {"a": bad.public_id, "b": good.public_id}).content.decode()
    assert f"{good.public_id} is better than {bad.public_id} by " in turned
    same = alice_client.get(url, {"a": good.public_id, "b": good.public_id})
    assert (same.status_code, "Choose two different models" in same.content.decode()) == (400, True)
    (registry.directory(bad) / "weights.npz").write_bytes(b"other")
    broken = alice_client.get(url, {"a": good.public_id, "b": bad.public_id})
    assert "They cannot be compared" in broken.content.decode()
    assert alice_client.get(url).status_code == 200


def test_the_models_page_shows_what_fools_it(register, alice_client):
    model = register()
    page = alice_client.get(reverse("rewards:detail", args=["pairs", model.public_id])).content.decode()
    for words in (
        "Is it fooled?",
        "The whole text twice",
        "Would more judgments help?",
        "Correlation of score and length",
    ):
        assert words in page, words


def test_rounds_are_set_begun_and_decided_on_their_page(
    pairs_project, alice_client, bob_client, charlie_client, monkeypatch
):
    monkeypatch.setattr(registry, "ECE_LIMIT", 1.0)
    slug = pairs_project.slug
    page, begin = reverse("rewards:loop", args=[slug]), reverse("rewards:loop_begin", args=[slug])
    decide = reverse("rewards:loop_decide", args=[slug, 1, "approve"])
    for client, status in ((bob_client, 403), (charlie_client, 404)):
        assert client.get(page).status_code == client.post(begin).status_code == status
        assert client.post(decide).status_code == status
    assert (Loop.objects.count(), LoopRound.objects.count()) == (0, 0)

    form = {"is_on": "on", "every_judgments": "100", "every_days": "0", "ask_before_promoting": "on",
            "after_promotion": "ask", "judgments": "human", "loss": "bt"}  # fmt: skip
    assert alice_client.post(page, {**form, "every_judgments": "-1"}).status_code == 400
    assert alice_client.post(page, form).status_code == 302
    saved = Loop.objects.get()
    assert (saved.is_on, saved.every_judgments, saved.loss, saved.changed_by.username) == (
        True,
        100,
        "bt",
        "alice",
    )
    assert alice_client.post(begin).status_code == 302
    round_ = LoopRound.objects.get()
    assert "Watch rm_" in alice_client.get(page).content.decode()
    assert runner.run(round_.run.job_id).state == Job.State.SUCCEEDED
    loop.tick()
    shown = alice_client.get(page).content.decode()
    assert "Promote rm_" in shown
    assert "<svg" in shown
    alice_client.post(decide)
    round_.refresh_from_db()
    assert round_.state == "promoted"
    assert registry.promoted(pairs_project).run == round_.run
    assert "Promotion approved by alice." in alice_client.get(page).content.decode()
    assert alice_client.post(reverse("rewards:loop_decide", args=[slug, 1, "burn"])).status_code == 404
    assert alice_client.post(reverse("rewards:loop_decide", args=[slug, 9, "approve"])).status_code == 404


def test_the_train_form_offers_every_loss_and_transformers_where_they_can_be_trained(
    pairs_project, alice_client, settings, tmp_path
):
    url = reverse("rewards:train", args=[pairs_project.slug])
    form = {
        "snapshot": "",
        "judgments": "human",
        "loss": "rao_kupper",
        "strength_map": "1-3-10",
        "seed": "0",
        "note": "",
    }
    assert alice_client.post(url, form).status_code == 302
    run = TrainingRun.objects.get()
    assert (run.loss, run.spec["strength_map"], run.backend) == ("rao_kupper", "1-3-10", "linear")
    page = alice_client.get(url).content.decode()
    assert ("Transformer, from a pretrained model" in page) == ("transformer" in backends.available())
    if "transformer" not in backends.available():
        return
    base = tmp_path / "small"
    base.mkdir()
    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_text("")
    settings.REWARD_BASE_FOLDERS = [str(tmp_path)]
    refused = alice_client.post(url, {**form, "backend": "transformer"})
    assert "choose one" in refused.content.decode()
    assert (
        alice_client.post(
            url, {**form, "backend": "transformer", "base": str(base), "max_length": "128"}
        ).status_code
        == 302
    )
    run = TrainingRun.objects.order_by("-pk").first()
    assert (run.backend, run.spec["options"]["max_length"], Job.objects.get(pk=run.job_id).queue) == (
        "transformer",
        128,
        "gpu",
    )


def test_a_curve_is_begun_from_the_models_page(register, alice_client, bob_client):
    model = register()
    url = reverse("rewards:curve", args=["pairs", model.public_id])
    assert bob_client.post(url).status_code == 403
    assert alice_client.post(url).status_code == 302
    assert Job.objects.get().title == f"Learning curve of {model.public_id}"


def est(value, lo, hi, n=60):
    return {"value": value, "lo": lo, "hi": hi, "n": n}


def test_the_page_says_where_length_wins_what_fools_it_and_where_scores_saturate(register, alice_client):
    model = register(
        accuracy=est(0.66, 0.58, 0.73),
        length_baseline=est(0.70, 0.62, 0.77),
        gain_over_length=est(-0.04, -0.1, 0.02),
        perturbations={"repeated": est(0.25, 0.15, 0.36), "flattered": est(0.9, 0.8, 0.97)},
        ratings={
            "correlation": {"overall": est(0.41, 0.2, 0.6), "clarity": est(0.12, -0.1, 0.3)},
            "between": {
                "overall": {"overall": 1.0, "clarity": 0.83},
                "clarity": {"overall": 0.83, "clarity": None},
            },
            "saturation": {"cap": 1.234, "bins": []},
        },
    )
    url = reverse("rewards:detail", args=["pairs", model.public_id])
    page = alice_client.get(url).content.decode().replace("\xa0", " ")
    for words in (
        "the longer response would on 70.0 %",
        "No better than choosing the longer response: the interval includes 0.",
        "The whole text twice",
        "25.0 %",
        "Flattery added at the end",
        "97.0 %",
        "Above a score of 1.23, ratings no longer rise with it.",
        "How the attributes go with each other",
        '<td class="num">0.83</td>',
    ):
        assert words in page, words
    model.metrics["gain_over_length"] = est(-0.2, -0.3, -0.1)
    model.save()
    assert "Worse than choosing the longer response" in alice_client.get(url).content.decode()


def test_a_comparison_without_two_models_says_so(project, register, alice_client):
    url = reverse("rewards:compare", args=["pairs"])
    assert "There are not two models yet" in alice_client.get(url).content.decode()
