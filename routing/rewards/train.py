"""One training from prepared rows to files on disk: fit, evaluate on the hold-out, save, reload and rescore.

No database here: the Job (`jobs.py`) and the command on a file call the same functions.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from annotations.analysis.folds import grouped_folds
from routing.rewards import artefacts, attributes, backends, linear, perturb, sourced
from routing.rewards.data import Pairs
from routing.rewards.evaluate import MIN_PAIRS, evaluate_pairs
from routing.rewards.prepare import Material, Spec

BACKENDS = backends.NAMES
HOLDOUT_FILE = "holdout.jsonl.gz"
EVALUATION_FILE = "evaluation.json"
RESCORED, RESCORED_SLOW = 512, 16
# Scores are read against these quantiles of the responses the model was measured on (`scoring`).
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.85, 0.95)

Step = Callable[[str, str], None]


class NotReproduced(RuntimeError):
    """The saved files do not give the scores of the model in memory; nothing may be registered."""


@dataclass(frozen=True)
class Trained:
    """A model on disk, not yet in any registry.

    Attributes:
        directory: where its files are.
        metrics: `evaluate_pairs` on the hold-out, with `yardstick`, `n_train` and `n_holdout`; JSON values.
        files: {file name: {"sha256", "bytes"}}.
        info: how the model was fitted.
        report: the pre-flight.
    """

    directory: Path
    metrics: dict[str, Any]
    files: dict[str, dict[str, Any]]
    info: dict[str, Any]
    report: dict[str, Any]


def train(
    material: Material,
    spec: Spec,
    directory: str | Path,
    *,
    step: Step | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
    should_cancel: Callable[[], bool] | None = None,
    work: backends.Work | None = None,
) -> Trained:
    """Fit, evaluate, save under `directory` and check the saved files.

    The hold-out enters only after the fit. `step` hears (name, words) as each stage begins. Raises
    ValueError for an unknown backend or loss, `linear.TrainingCancelled`, and `NotReproduced`.
    """
    tell = step or (lambda name, words: None)
    tell("fit", f"Fitting on {len(material.fit):,} pairs")
    model = backends.fit(material, spec, progress=progress, should_cancel=should_cancel, work=work)
    measured = material.holdout
    if len(measured) or not len(material.fit) or spec.backend != "linear":
        tell("evaluate", f"Evaluating on {len(measured):,} held-out pairs")
        logits, how = margins(model, measured), "holdout"
    else:
        tell(
            "evaluate", f"Evaluating on {len(material.fit):,} pairs, each by a model that never saw its group"
        )
        measured, how = material.fit, "crossfit"
        logits = crossfit(material, spec, should_cancel=should_cancel)
    metrics = evaluate(logits, measured, seed=spec.seed)
    metrics["evaluated"] = how
    metrics["n_train"] = material.report["decided"]
    metrics["by_annotators"] = finite(_by_annotators(model, material, spec.seed))
    rates = perturb.pass_rates(model, measured, seed=spec.seed)
    metrics["perturbations"] = finite(rates)
    if material.held_ratings is not None and len(material.held_ratings):
        metrics["ratings"] = finite(attributes.against_ratings(model, material.held_ratings, seed=spec.seed))
    both = np.concatenate([model.score(measured.prompts, texts, measured.dataset)
                           for texts in (measured.first_texts, measured.second_texts)])  # fmt: skip
    metrics["reference"] = {f"{q:g}": float(np.quantile(both, q)) for q in QUANTILES} if len(both) else {}
    tell("verify", "Saving, reloading and rescoring")
    directory = Path(directory)
    files = dict(model.save(directory))
    files[HOLDOUT_FILE] = artefacts.write_file(
        directory / HOLDOUT_FILE, _gzipped("".join(_holdout_lines(measured, logits)))
    )
    document = {"spec": spec.as_dict(), "metrics": metrics, "preflight": material.report}
    files[EVALUATION_FILE] = artefacts.write_file(directory / EVALUATION_FILE, _json(document))
    verify(directory, model, material)
    return Trained(directory, metrics, files, model.info, material.report)


def _by_annotators(model: backends.Model, material: Material, seed: int) -> dict[str, Any]:
    """Accuracy against each group of annotators (experts, others) on the hold-out, by its own labels."""
    return {
        name: evaluate_pairs(margins(model, pairs), pairs, kind="logit", seed=seed)["accuracy"]
        for name, pairs in material.views.items()
    }


def crossfit(
    material: Material,
    spec: Spec,
    *,
    n_folds: int = linear.N_FOLDS,
    should_cancel: Callable[[], bool] | None = None,
) -> np.ndarray:
    """Return each training pair's margin under a model that has seen nothing of its prompt group, float64 (n,).

    Whole groups are dealt into folds source by source; everything that a training chooses (penalties, prior,
    temperature) is chosen anew inside the other folds. A source with a model of its own is measured under that.
    """
    pairs = material.fit
    fold = np.zeros(len(pairs), dtype=int)
    names = np.array(pairs.dataset, dtype=object)
    for name in sorted(set(pairs.dataset)):
        mine = np.flatnonzero(names == name)
        fold[mine] = grouped_folds([pairs.group[i] for i in mine], n_folds, spec.seed)
    logits = np.zeros(len(pairs))
    own = sourced.own_sources(pairs)
    parts = [(name, names == name) for name in own]
    parts.append(("", ~np.isin(names, own) if own else np.ones(len(pairs), dtype=bool)))
    for name, within in parts:
        for k in range(int(fold[within].max()) + 1 if within.any() else 0):
            test = np.flatnonzero(within & (fold == k))
            if len(test):
                barred = {pairs.group[i] for i in test}
                model = backends.fit(_without(material, barred, name), spec, should_cancel=should_cancel)
                logits[test] = margins(model, pairs.take(test))
    return logits


def _without(material: Material, groups: set[str], dataset: str) -> Material:
    """The material without some groups, and of one source only if one is named."""

    def kept(table):
        return table.take(
            [g not in groups and dataset in ("", d) for g, d in zip(table.group, table.dataset, strict=True)]
        )

    return replace(
        material, fit=kept(material.fit), ratings=kept(material.ratings), lists=kept(material.lists)
    )


def margins(model: backends.Model, pairs: Pairs) -> np.ndarray:
    """Return the model's r(second) - r(first) for each pair, float64 (n,)."""
    first = model.score(pairs.prompts, pairs.first_texts, pairs.dataset)
    return model.score(pairs.prompts, pairs.second_texts, pairs.dataset) - first


def evaluate(logits: np.ndarray, holdout: Pairs, *, seed: int) -> dict[str, Any]:
    """Return the hold-out metrics; people are the yardstick wherever they judged enough of it.

    `yardstick` is "human" when at least ten decided pairs of the hold-out carry people's labels (only
    those are counted then; accuracy against language models stays in `by_source`), else "lm", else "none".
    """
    human = np.array([source == "human" for source in holdout.source], dtype=bool)
    decided = holdout.decided
    use_people = int((human & decided).sum()) >= MIN_PAIRS or bool(human.all())
    rows = human if use_people else np.ones(len(holdout), dtype=bool)
    metrics = evaluate_pairs(logits[rows], holdout.take(rows), kind="logit", seed=seed)
    if use_people and not human.all():
        lm = evaluate_pairs(logits[~human], holdout.take(~human), kind="logit", seed=seed)
        metrics["by_source"] = {**metrics["by_source"], **lm["by_source"]}
        metrics["accuracy_lm"] = lm["accuracy"]
    metrics["yardstick"] = "none" if not metrics["n"] else "human" if use_people else "lm"
    metrics["n_holdout"] = metrics["n"]
    return finite(metrics)


def verify(directory: Path, model: backends.Model, material: Material) -> None:
    """Raise `NotReproduced` unless the files give exactly the scores of the model in memory."""
    again = backends.load(directory)
    many = RESCORED if model.info.get("base") is None else RESCORED_SLOW
    texts = (material.holdout.first_texts or material.fit.first_texts or material.ratings.texts)[:many]
    prompts = [""] * len(texts)
    before, after = model.score(prompts, texts), again.score(prompts, texts)
    if not (np.array_equal(before, after) and np.all(np.isfinite(after))):
        raise NotReproduced("The saved model does not give the same scores after loading it again.")


def move_into_place(source: Path, target: Path) -> None:
    """Rename a finished folder to its name; the same files already there stay, others give way."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        if _contents(source) == _contents(target):
            shutil.rmtree(source)
            return
        shutil.rmtree(target)
    os.replace(source, target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _contents(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file()
    }


def read_holdout(directory: str | Path) -> tuple[Pairs, np.ndarray]:
    """Return the hold-out that was saved with a model, and that model's margins on it.

    Raises `artefacts.ArtefactError` when the file is missing or damaged.
    """
    path = Path(directory) / HOLDOUT_FILE
    try:
        with gzip.open(path, "rt", encoding="ascii") as lines:
            rows = [json.loads(line) for line in lines]
    except (OSError, EOFError, ValueError) as error:
        raise artefacts.ArtefactError(f"{path.name} cannot be read: {error}") from error
    pairs = Pairs(
        prompts=[row["prompt"] for row in rows],
        first_texts=[row["first"] for row in rows],
        second_texts=[row["second"] for row in rows],
        target=np.array([row["target"] for row in rows], dtype=float),
        weight=np.array([row["weight"] for row in rows], dtype=float),
        strength=np.array([row["strength"] for row in rows], dtype=int),
        group=[row["group"] for row in rows],
        source=[row["source"] for row in rows],
        origin=[row["origin"] for row in rows],
        item_ids=[row["item"] for row in rows],
        votes=np.array([row["votes"] for row in rows], dtype=int).reshape(-1, 3),
        dataset=[row.get("dataset", "") for row in rows],
    )
    return pairs, np.array([row["margin"] for row in rows], dtype=float)


def finite(value: Any) -> Any:
    """Return JSON values with every number that is not finite replaced by None."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _holdout_lines(holdout: Pairs, logits: np.ndarray) -> Iterator[str]:
    for i, margin in enumerate(logits.tolist()):
        row = {
            "item": holdout.item_ids[i], "group": holdout.group[i], "source": holdout.source[i],
            "origin": holdout.origin[i], "prompt": holdout.prompts[i], "first": holdout.first_texts[i],
            "second": holdout.second_texts[i], "votes": holdout.votes[i].tolist(),
            "dataset": holdout.dataset[i], "target": float(holdout.target[i]), "weight": float(holdout.weight[i]),
            "strength": int(holdout.strength[i]), "margin": margin,
        }  # fmt: skip
        yield json.dumps(row, ensure_ascii=True) + "\n"


def _gzipped(text: str) -> bytes:
    """Compress so that the bytes depend on the text alone."""
    return gzip.compress(text.encode("ascii"), compresslevel=6, mtime=0)


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, sort_keys=True, indent=1, allow_nan=False) + "\n").encode("ascii")
