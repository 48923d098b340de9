"""Frozen sentence embeddings beside the words of the linear model."""

import json
from uuid import uuid4

import numpy as np
import pytest
from django.core.management import CommandError, call_command

pytest.importorskip("torch", reason="torch is not installed (pip install -r requirements-train.txt)")
pytest.importorskip("transformers", reason="transformers is not installed (requirements-train.txt)")

from app.jobs.models import Job
from routing.features import encoders
from routing.rewards import backends, jobs, linear, prepare, train
from routing.rewards.artefacts import ArtefactError
from tests.rewards.test_linear import make_items


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    from tests.rewards.tiny import make_base

    folder = tmp_path_factory.mktemp("bases") / "tiny"
    folder.mkdir()
    make_base(folder, layers=1)
    return folder


def test_a_row_depends_on_its_text_alone_and_on_the_pooling_that_the_folder_names(base):
    found = encoders.SentenceEncoder(base)
    texts = ["good clear word", "bad", "item " * 2000, "", "question of the item"]
    rows = found.encode(texts)
    assert rows.shape == (5, 32)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 1, 0, 1], abs=1e-6)
    again = encoders.SentenceEncoder(base)
    assert all(
        np.array_equal(again.encode([text])[0], row) for text, row in [*zip(texts, rows, strict=True)][::-1]
    )
    ids = found.tokenizer("bad", return_tensors="pt")["input_ids"]
    states = found.model(input_ids=ids).last_hidden_state[0].detach().numpy()
    mean = states.mean(axis=0)
    assert rows[1] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    (base / "1_Pooling").mkdir()
    (base / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    first = encoders.SentenceEncoder(base)
    assert first.encode(["bad"])[0] == pytest.approx(states[0] / np.linalg.norm(states[0]), abs=1e-6)
    assert (first.pooling, first.sha256 == found.sha256) == ("first", False)
    (base / "1_Pooling" / "config.json").unlink()
    with pytest.raises(ValueError, match="expected the folder"):
        encoders.SentenceEncoder(base / "1_Pooling")


def test_a_model_learns_from_them_and_its_files_name_what_made_them(base, tmp_path):
    spec = prepare.Spec(options={"embeddings": str(base)})
    material = prepare.prepare(make_items(80, 1), spec, crossfit=True)
    trained = train.train(material, spec, tmp_path / "m")
    model = backends.load(tmp_path / "m")
    assert model.info["embeddings"] == f"sentence-tiny-{model.embedder.sha256[:8]}"
    assert model.embedding_weights.shape == (32,)
    assert np.abs(model.embedding_weights).max() > 0.01
    assert trained.metrics["accuracy"]["value"] > 0.6
    texts = [*material.fit.first_texts[:20], "entirely new words"]
    style = model.features.style(texts) @ model.style_weights
    dense = np.zeros(model.features.n_hashed)
    dense[model.ngram_columns] = model.ngram_weights
    by_hand = style + model.features.ngrams(texts) @ dense
    by_hand += model.embedder.encode(texts) @ model.embedding_weights
    assert model.score([""] * 21, texts) == pytest.approx((by_hand - model.offset) / model.temperature)

    header = json.loads((tmp_path / "m" / "model.json").read_text())
    for change, words in (({"sha256": "0"}, "other embeddings"), ({"path": "/gone"}, "expected the folder")):
        with pytest.raises(ArtefactError, match=words):
            linear.from_parts(
                {**header, "embeddings": {**header["embeddings"], **change}}, model.parts()[1], "m"
            )


def test_one_command_reads_them(base, tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    items = make_items(40, 2)
    for item in items:
        item["judgments"][0]["id"] = str(uuid4())
    rows.write_text("".join(json.dumps(item) + "\n" for item in items))
    out = tmp_path / "m"
    call_command("train_reward_model", str(rows), embeddings=str(base), out=str(out), json=True)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["model"] == str(out)
    assert backends.load(out).embedder.path == str(base.resolve())
    for wrong, words in (
        ({"embeddings": str(tmp_path)}, "expected the folder"),
        ({"embeddings": str(base), "backend": "transformer", "base": str(base)}, "for --backend linear"),
    ):
        with pytest.raises(CommandError, match=words):
            call_command("train_reward_model", str(rows), **wrong)


@pytest.mark.django_db
def test_people_choose_them_among_the_models_that_may_be_read(base, pairs_project, alice, settings):
    wanted = {"options": {"embeddings": str(base)}}
    settings.REWARD_BASE_FOLDERS = []
    for options in (wanted, {"options": {"depth": 3}}):
        with pytest.raises(jobs.BadTraining, match=r"option '(embeddings|depth)'"):
            jobs.start_training(project=pairs_project, actor=alice, options=options)
    assert not pairs_project.training_runs.exists()
    settings.REWARD_BASE_FOLDERS = [str(base.parent)]
    run = jobs.start_training(project=pairs_project, actor=alice, options=wanted)
    assert Job.objects.get(pk=run.job_id).queue == "gpu"  # where torch is
    assert jobs.spec_of(run).options == {"embeddings": str(base)}
