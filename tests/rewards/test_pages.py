"""Who may see and steer reward models, and what the pages say."""

import pytest
from django.urls import reverse

from annotations.datasets.models import Snapshot
from annotations.projects.models import Membership
from app.jobs import runner
from app.jobs.models import Job
from routing.rewards import queries, registry
from routing.rewards.models import RewardModel, TrainingRun

FORM = {"snapshot": "", "judgments": "human_first", "loss": "scaled_bt", "seed": "0", "note": ""}
TEXTS = {"prompt": "Hello", "first": "bad vague", "second": "good clear"}


def pages(model):
    slug, run = model.project.slug, model.run.pk
    return {
        "get": [
            reverse("rewards:list", args=[slug]),
            reverse("rewards:train", args=[slug]),
            reverse("rewards:run", args=[slug, run]),
            reverse("rewards:run_live", args=[slug, run]),
            reverse("rewards:detail", args=[slug, model.public_id]),
            reverse("rewards:file", args=[slug, model.public_id, "model.json"]),
        ],
        "post": [
            (reverse("rewards:train", args=[slug]), FORM),
            (reverse("rewards:score", args=[slug, model.public_id]), TEXTS),
            (reverse("rewards:promote", args=[slug, model.public_id]), {}),
            (reverse("rewards:judge", args=[slug, model.public_id]), {}),
            (reverse("rewards:archive", args=[slug, model.public_id]), {}),
            (reverse("rewards:roll_back", args=[slug]), {}),
        ],
    }


def test_annotators_get_403_and_outsiders_404_and_nothing_changes(
    register, bob_client, charlie_client, client
):
    model = register()
    found = pages(model)
    for visitor, status in ((bob_client, 403), (charlie_client, 404), (client, 302)):
        for url in found["get"]:
            assert visitor.get(url).status_code == status, url
        for url, data in found["post"]:
            assert visitor.post(url, data).status_code == status, url
    model.refresh_from_db()
    assert model.status == "candidate"
    assert (Job.objects.count(), TrainingRun.objects.count(), RewardModel.objects.count()) == (0, 1, 1)


def test_a_model_is_not_found_under_another_project(register, alice_client, alice):
    from annotations.projects.models import Project

    model = register()
    other = Project.objects.create(slug="other", name="Other")
    Membership.objects.create(project=other, user=alice, role="owner")
    for name, args in (
        ("detail", [model.public_id]),
        ("file", [model.public_id, "model.json"]),
        ("run", [model.run.pk]),
    ):
        assert alice_client.get(reverse(f"rewards:{name}", args=["other", *args])).status_code == 404


def test_an_empty_project_offers_the_next_step(project, alice_client):
    page = alice_client.get("/p/pairs/reward-models/").content.decode()
    assert "No reward model yet" in page
    assert page.count("Train a model") == 2


def test_a_training_is_started_watched_and_opened(pairs_project, alice_client):
    answer = alice_client.post("/p/pairs/reward-models/train/", {**FORM, "seed": "5", "note": "<b>hi</b>"})
    run = TrainingRun.objects.get()
    assert answer.url == f"/p/pairs/reward-models/runs/{run.pk}/"
    assert (run.seed, run.loss, run.spec["note"]) == (5, "scaled_bt", "<b>hi</b>")
    page = alice_client.get(answer.url).content.decode()
    assert "Waiting for a worker" in page
    assert "&lt;b&gt;hi&lt;/b&gt;" in page
    assert f'hx-get="{answer.url}live/"' in page
    assert "Watch rm_" in alice_client.get("/p/pairs/reward-models/").content.decode()
    assert alice_client.get(f"{answer.url}live/").status_code == 200

    assert runner.run(run.job_id).state == Job.State.SUCCEEDED
    over = alice_client.get(f"{answer.url}live/")
    assert (over.status_code, over["HX-Refresh"]) == (286, "true")
    page = alice_client.get(answer.url).content.decode()
    assert page.count("is-done") == 7
    assert "Choosing the penalties" in page
    assert "hx-get" not in page.split('id="run-live"')[1].split(">")[0]

    run.refresh_from_db()
    model = run.reward_model
    listed = alice_client.get("/p/pairs/reward-models/").content.decode()
    assert queries.headline(model) in listed.replace("&#x27;", "'").replace("\xa0", " ")
    shown = alice_client.get(f"/p/pairs/reward-models/{model.public_id}/").content.decode()
    for line in queries.cautions(model):
        assert line in shown
    assert model.data_sha256 in shown
    for name, sha256 in model.files_sha256.items():
        assert name in shown
        assert sha256 in shown


@pytest.mark.parametrize(
    ("field", "value"), [("loss", "hinge"), ("seed", "-1"), ("seed", "x"), ("snapshot", "snap_other")]
)
def test_a_wrong_form_is_shown_again_and_starts_nothing(project, alice_client, field, value):
    answer = alice_client.post("/p/pairs/reward-models/train/", {**FORM, field: value})
    assert answer.status_code == 400
    assert f"id_{field}_error" in answer.content.decode()
    assert TrainingRun.objects.count() == Job.objects.count() == 0


def test_a_run_of_a_snapshot_of_another_project_cannot_be_started(project, alice_client):
    from annotations.projects.models import Project

    other = Project.objects.create(slug="other", name="Other")
    Snapshot.objects.create(public_id="snap_x", project=other, number=1, state="ready")
    assert (
        alice_client.post("/p/pairs/reward-models/train/", {**FORM, "snapshot": "snap_x"}).status_code == 400
    )
    assert TrainingRun.objects.count() == 0


def test_a_failed_training_says_why_and_can_be_run_again(project, make_item, alice_client):
    make_item()
    url = alice_client.post("/p/pairs/reward-models/train/", FORM).url
    runner.run(TrainingRun.objects.get().job_id)
    page = alice_client.get(url).content.decode()
    assert "Too little to learn from: 0 decided pairs" in page
    assert "Run again" in page
    assert "is-failed" in page
    assert "Too little to learn from" in alice_client.get("/p/pairs/reward-models/").content.decode()


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "..%2f..%2fplumbline.sqlite3",
        "%2e%2e",
        "weights.npz%00",
        "WEIGHTS.NPZ",
        "other.txt",
    ],
)
def test_only_registered_files_are_downloaded(register, alice_client, name):
    model = register()
    (registry.directory(model) / "other.txt").write_text("secret")
    url = f"/p/pairs/reward-models/{model.public_id}/files/"
    assert alice_client.get(url + name).status_code == 404
    answer = alice_client.get(url + "weights.npz")
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content) == (registry.directory(model) / "weights.npz").read_bytes()
    assert answer["Content-Disposition"] == f'attachment; filename="{model.public_id}-weights.npz"'


def test_the_score_box_prefers_what_the_model_learnt(register, alice_client):
    model = register()
    url = reverse("rewards:score", args=["pairs", model.public_id])
    part = alice_client.post(url, TEXTS, headers={"HX-Request": "true"}).content.decode()
    assert "for the second response" in part
    assert "<html" not in part
    likely = int(part.split('<strong class="num">')[1].split(" %")[0])
    assert likely > 60
    turned = {**TEXTS, "first": TEXTS["second"], "second": TEXTS["first"]}
    whole = alice_client.post(url, turned).content.decode()
    assert "<html" in whole
    assert int(whole.split('<strong class="num">')[1].split(" %")[0]) == 100 - likely
    missing = alice_client.post(url, {**TEXTS, "second": ""}, headers={"HX-Request": "true"})
    assert missing.status_code == 400
    assert "id_second_error" in missing.content.decode()
    (registry.directory(model) / "weights.npz").unlink()
    broken = alice_client.post(url, TEXTS, headers={"HX-Request": "true"})
    assert broken.status_code == 400
    assert "weights.npz is missing" in broken.content.decode()


def test_a_refused_promotion_names_the_gate_and_only_an_owner_may_override(
    register, alice_client, bob, bob_client
):
    model = register(n_train=50)
    url = reverse("rewards:promote", args=["pairs", model.public_id])
    Membership.objects.filter(user=bob).update(role="researcher")
    for data in ({}, {"reason": "because"}):
        refused = bob_client.post(url, data)
        assert refused.status_code == 409
        assert "50 decided pairs; 100 are needed" in refused.content.decode()
        assert "Promote all the same" not in refused.content.decode()
    refused = alice_client.post(url)
    assert refused.status_code == 409
    assert "Promote all the same" in refused.content.decode()
    assert alice_client.post(url, {"reason": " "}).status_code == 409
    model.refresh_from_db()
    assert model.status == "candidate"
    assert alice_client.post(url, {"reason": "a pilot"}).status_code == 302
    model.refresh_from_db()
    assert model.status == "promoted"
    assert (
        f"Roll back to {model.public_id}"
        not in alice_client.get(reverse("rewards:detail", args=["pairs", model.public_id])).content.decode()
    )


def test_promote_archive_and_roll_back_by_their_buttons(register, bob, bob_client):
    Membership.objects.filter(user=bob).update(role="researcher")
    first, second, third = register(), register(), register()
    for model in (first, second):
        bob_client.post(reverse("rewards:promote", args=["pairs", model.public_id]))
    bob_client.post(reverse("rewards:archive", args=["pairs", third.public_id]))
    assert [m.status for m in RewardModel.objects.order_by("pk")] == ["archived", "promoted", "archived"]
    page = bob_client.get(reverse("rewards:detail", args=["pairs", second.public_id])).content.decode()
    assert f"Roll back to {first.public_id}" in page
    bob_client.post(reverse("rewards:roll_back", args=["pairs"]))
    assert [m.status for m in RewardModel.objects.order_by("pk")] == ["promoted", "archived", "archived"]


def test_the_sentences_are_honest(register):
    def est(value, lo, hi, n=200):
        return {"value": value, "lo": lo, "hi": hi, "n": n}

    model = register(
        accuracy=est(0.713, 0.66, 0.762), length_baseline=est(0.62, 0.55, 0.69), gain_over_length=est(0.09, 0.01, 0.17),
        ece10=est(0.04, 0.03, 0.08), n_groups=80,
    )  # fmt: skip
    assert queries.headline(model) == (
        f"{model.public_id} picks the preferred response on 71.3 % [66.0, 76.2] of 200 held-out pairs; "
        "the longer response would on 62.0 %."
    )
    assert queries.cautions(model) == []
    model.metrics.update(
        gain_over_length=est(0.02, -0.05, 0.09), accuracy=est(0.55, 0.45, 0.65, 40), n_groups=1
    )
    assert queries.cautions(model) == [
        "No better than choosing the longer response: the interval includes 0.",
        "Not shown to be better than a coin: the interval of its accuracy includes 50 %.",
        "Measured on 40 pairs only.",
        "The hold-out comes from 1 prompt group only.",
    ]
    model.metrics.update(gain_over_length=est(-0.2, -0.3, -0.1))
    assert queries.cautions(model)[0].startswith("Worse than choosing the longer response")
