"""Real pairs in a project, and models registered without waiting for a training each."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path

import pytest

from annotations.items import readers
from routing.rewards import prepare, train

PAIRS = Path(__file__).resolve().parents[2] / "demo" / "data" / "1_pairs_human_lm.jsonl.gz"
N_REAL = 240


def real_records():
    """The first 240 real pairs of PandaLM, with three people's and two models' labels each."""
    return islice(readers.read(PAIRS), N_REAL)


def pair_rows(n, *, seed=0, wrong=0.0, groups=None, split=None):
    """Native rows whose better response says `good`; a share `wrong` is labelled the other way."""
    rows = []
    for i in range(n):
        better = (i * 7 + seed) % 2
        texts = [
            f"item{seed}x{i} word{i % 13} " + ("good clear" if k == better else "bad vague") for k in range(2)
        ]
        said = 1 - better if (i * 31 % 100) < 100 * wrong else better
        row = {
            "id": f"{seed}-{i}",
            "prompt": f"Question {seed} {i if groups is None else i % groups}",
            "responses": [{"text": text} for text in texts],
            "judgments": [
                {
                    "id": f"j{seed}-{i}-{a}",
                    "annotator": f"p{a}",
                    "kind": "human",
                    "comparisons": [
                        {"first": 0, "second": 1, "preference": 1 if said else -1, "scale_max": 1}
                    ],
                }
                for a in range(2)
            ],
        }
        if split:
            row["plumbline"] = {"split": split(i)}
        rows.append(row)
    return rows


@pytest.fixture
def pairs_project(project):
    """The project with 240 real pairs and their judgments imported."""
    from annotations.judging.importing import import_records

    report = import_records(project=project, records=real_records())
    assert (report.new, report.invalid) == (N_REAL, 0)
    return project


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """Models of synthetic rows by share of wrong training labels, each trained once in the session."""
    known: dict[float, train.Trained] = {}

    def get(wrong: float) -> train.Trained:
        if wrong not in known:
            rows = pair_rows(260, wrong=wrong, split=lambda i: "train")
            held = pair_rows(60, seed=1, split=lambda i: "holdout")
            spec = prepare.Spec()
            folder = tmp_path_factory.mktemp("model") / "m"
            known[wrong] = train.train(prepare.prepare(rows + held, spec), spec, folder)
        return known[wrong]

    return get


@pytest.fixture
def register(project, trained_once, tmp_path):
    """Register a model of the project from a training done before; `metrics` replaces some figures."""
    from dataclasses import replace

    from annotations.datasets.models import Snapshot
    from routing.rewards import registry
    from routing.rewards.models import TrainingRun

    def make(wrong=0.0, **metrics):
        trained = trained_once(wrong)
        number = Snapshot.objects.count() + 1
        snapshot = Snapshot.objects.create(
            public_id=f"snap_{number}", project=project, number=number, state="ready", sha256="0" * 64
        )
        run = TrainingRun.objects.create(
            project=project, snapshot=snapshot, loss="scaled_bt", spec=prepare.Spec().as_dict()
        )
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(trained.directory, copy)
        trained = replace(trained, directory=copy, metrics={**trained.metrics, **metrics})
        config = {"spec": run.spec, "preflight": trained.report, "fit": {}, "versions": {}}
        return registry.register(run_id=run.pk, trained=trained, config=config)

    return make
