"""The `linear` reward model: r(text) = w·φ(text), trained in seconds on a CPU, without any download.

φ is twenty-one style features beside hashed n-grams (`routing.features.text`) and, where they are wanted, frozen sentence
embeddings (`routing.features.encoders`), which share the n-grams' penalty. Two stages, as in
HelpSteer2-Preference (Wang et al. 2024, arXiv:2410.01257), in their linear form:

1. ridge regression on ratings gives w_ridge (where there are ratings);
2. scaled Bradley-Terry on pairs with that as prior mean:
   min_w Σ m·softplus(-y·w·Δφ) + Σ_j λ_j (w_j - κ·w_ridge,j)²,  Δφ = φ(second) - φ(first).

There is no intercept, so swapping the sides only changes the sign. λ has one value for style and one for
n-grams (equivalently: a weight for the n-gram block and one λ). Both, and whether the prior is used, are
chosen by prompt-grouped cross-validation on the negative log-likelihood of the pairs; κ is the one-parameter
Bradley-Terry fit along w_ridge. Other losses (`terms`) take the place of the second stage's, or with "joint"
both stages are one fit. The out-of-fold logits of the choice give the temperature
(Guo et al. 2017, arXiv:1706.04599). The prompt enters only through Δφ: terms of the prompt alone cancel.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit
from threadpoolctl import threadpool_limits

from annotations.analysis.folds import grouped_folds
from routing.features.encoders import SentenceEncoder, sentences
from routing.features.text import MODEL_STYLE_NAMES, STYLE_NAMES, TextFeatures
from routing.rewards import artefacts, losses, terms
from routing.rewards.data import Pairs, Ratings
from routing.rewards.design import BATCH, Design
from routing.rewards.lists import Lists, with_pairs
from routing.rewards.penalised import (
    N_STYLE,
    PairProblem,
    Progress,
    TrainingCancelled,
    Watch,
    fit_ridges,
    fit_temperature,
    stretched,
)

__all__ = ["LOSSES", "LinearModel", "TrainingCancelled", "fit", "load"]

LOSSES = {
    "scaled_bt": "Bradley-Terry, a pair counts by the strength of its preference",
    "bt": "Bradley-Terry, every pair counts the same",
    "soft_bt": "the smoothed share of votes is the target, so disagreement is learnt too",
    "margin_bt": "Bradley-Terry that asks for a lead of the strength",
    "rao_kupper": "Bradley-Terry with ties as an outcome of their own",
    "plackett_luce": "whole rankings as choices one after the other",
    "lipo": "LiPO-lambda: pairs of a ranking weighted by what swapping them would cost",
    "bco": "thumbs; a decided pair is one thumb up and one down",
    "mse": "ratings alone",
    "joint": "scaled Bradley-Terry and ratings in one fit, not one after the other",
}
LIST_LOSSES = ("plackett_luce", "lipo")
JOINT_SHARE = 1.0
THUMB = "thumb"
N_FOLDS = 5
FORMAT = "plumbline-linear"


@dataclass(frozen=True)
class LinearModel:
    """A fitted linear scorer.

    Attributes:
        features: the feature map with its standardisation.
        style_weights: weight per style feature, float64 (21,), in older models (8,).
        ngram_columns: hashed columns with a weight, ascending int32 (k,).
        ngram_weights: their weights, float32 (k,).
        temperature: T; logits are divided by it.
        offset: subtracted from scores, so that the training texts have mean 0.
        info: how it was fitted (loss, seed, counts, penalties, cross-validation); plain JSON values.
        embedder: gives sentence embeddings of the texts; None without.
        embedding_weights: their weights, float32 (dimension,).
    """

    features: TextFeatures
    style_weights: np.ndarray
    ngram_columns: np.ndarray
    ngram_weights: np.ndarray
    temperature: float
    offset: float
    info: dict[str, Any]
    embedder: SentenceEncoder | None = None
    embedding_weights: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.float32))

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], sources: Sequence[str] | None = None
    ) -> np.ndarray:
        """Return a reward per response in calibrated logits, float64 (n,); only differences have meaning.

        This model reads neither prompts nor sources; they are the interface that all reward models share.
        """
        if len(prompts) != len(responses):
            raise ValueError(f"{len(prompts)} prompts but {len(responses)} responses")
        dense = np.zeros(self.features.n_hashed)
        dense[self.ngram_columns] = self.ngram_weights
        scores = np.empty(len(responses))
        for start in range(0, len(responses), BATCH):
            batch = responses[start : start + BATCH]
            # Summed row by row: a matrix product would round otherwise for other batches.
            style = (self.features.style(batch) * self.style_weights).sum(axis=1)
            scores[start : start + len(batch)] = style + self.features.ngrams(batch) @ dense
            if self.embedder is not None:
                scores[start : start + len(batch)] += self.embedder.encode(batch) @ self.embedding_weights
        return (scores - self.offset) / self.temperature

    def probability(self, prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        """Return P(second better than first), float64 (n,); swapping the sides gives the complement."""
        return expit(self.score(prompts, second) - self.score(prompts, first))

    def save(self, directory: str | Path) -> dict[str, Any]:
        """Write `weights.npz` and `model.json` atomically; return the manifest (see `artefacts.write`)."""
        header, arrays = self.parts()
        return artefacts.write(directory, header, arrays)

    def parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return (header, arrays): all that the model is."""
        header = {
            "format": FORMAT,
            "version": 1,
            "n_hashed": self.features.n_hashed,
            "style_names": list(MODEL_STYLE_NAMES[: len(self.style_weights)]),
            "temperature": self.temperature,
            "offset": self.offset,
            "info": self.info,
        }
        arrays = {
            "style_mean": self.features.style_mean,
            "style_scale": self.features.style_scale,
            "style_weights": self.style_weights,
            "ngram_columns": self.ngram_columns,
            "ngram_weights": self.ngram_weights,
        }
        if self.embedder is not None:
            header["embeddings"] = {"path": self.embedder.path, "sha256": self.embedder.sha256}
            arrays["embedding_weights"] = self.embedding_weights
        return header, arrays


def load(directory: str | Path) -> LinearModel:
    """Read a saved model; raise `artefacts.ArtefactError` when files are missing, altered or foreign."""
    return from_parts(*artefacts.read(directory), directory)


def from_parts(header: dict[str, Any], arrays: dict[str, np.ndarray], where: str | Path) -> LinearModel:
    """Make a model of what `parts` gave; raise `artefacts.ArtefactError` naming `where` it came from."""
    if header.get("format") != FORMAT or header.get("version") != 1:
        raise artefacts.ArtefactError(f"{where} does not hold a linear model of version 1")
    if header.get("style_names") not in (list(MODEL_STYLE_NAMES), list(STYLE_NAMES)):
        raise artefacts.ArtefactError(f"{where} was trained on other style features")
    try:
        features = TextFeatures(arrays["style_mean"], arrays["style_scale"], int(header["n_hashed"]))
        return LinearModel(
            features, arrays["style_weights"], arrays["ngram_columns"], arrays["ngram_weights"],
            float(header["temperature"]), float(header["offset"]), header["info"],
            _embedder(header, where), arrays.get("embedding_weights", np.zeros(0, dtype=np.float32)),
        )  # fmt: skip
    except KeyError as error:
        raise artefacts.ArtefactError(f"{where} lacks {error.args[0]!r}") from error


def _embedder(header: dict[str, Any], where: str | Path) -> SentenceEncoder | None:
    """The encoder a model was trained with; raises ArtefactError where it is gone or another."""
    wanted = header.get("embeddings")
    if wanted is None:
        return None
    try:
        found = sentences(wanted["path"])
    except ValueError as error:
        raise artefacts.ArtefactError(f"{where} reads sentence embeddings. {error}") from error
    if found.sha256 != wanted["sha256"]:
        raise artefacts.ArtefactError(f"{where} was trained on other embeddings than {wanted['path']} gives")
    return found


# The vectors are short: BLAS threads would only wait for each other (five times slower on a busy machine).
@threadpool_limits.wrap(limits=1, user_api="blas")
def fit(
    pairs: Pairs,
    ratings: Ratings | None = None,
    lists: Lists | None = None,
    *,
    seed: int,
    loss: str = "scaled_bt",
    strength_map: Mapping[int, float] | None = None,
    extrapolate: bool = False,
    embedder: SentenceEncoder | None = None,
    n_folds: int = N_FOLDS,
    progress: Progress | None = None,
    should_cancel: Callable[[], bool] | None = None,
) -> LinearModel:
    """Train on pairs, rankings and, where there are any, ratings; deterministic for the same input and seed.

    `loss` is one of `LOSSES` (see there); ties count as soft label ½ in all but "rao_kupper". `extrapolate`
    stretches the way from the ratings' weights to the solution by the factor that predicts left-out folds best;
    `embedder` adds its rows to the features.
    `progress` gets dicts {stage, fold, step, loss, message, fraction}; `should_cancel` is asked at least every
    16 evaluations and leads to `TrainingCancelled`. Raises ValueError for an unknown loss or when there is
    nothing the loss can learn from.
    """
    if loss not in LOSSES:
        raise ValueError(f"unknown loss {loss!r}; choose one of {', '.join(LOSSES)}")
    thumbs = (
        ratings.take([name.lower() == THUMB for name in ratings.attribute]) if ratings is not None else None
    )
    thumbs = thumbs if thumbs is not None and len(thumbs) else None
    ratings = ratings.primary() if ratings is not None and len(ratings) else None
    has_pairs = bool(len(pairs)) and bool(np.any(pairs.decided)) and loss != "mse"
    if not has_pairs and (ratings is None or len(ratings) < 2):
        raise ValueError("nothing to learn from: no decided pair and fewer than two rated responses")
    if loss in ("mse", "joint") and ratings is None:
        raise ValueError(f"loss {loss!r} learns from ratings, and there are none")
    watch = Watch(progress, should_cancel)
    watch.tell("features", 0.0, "Computing text features")
    strength_map = dict(strength_map or losses.STRENGTH_MAP)
    target, weight = training_targets(pairs, loss, strength_map)
    lists = with_pairs(lists if lists is not None else _no_lists(), pairs) if loss in LIST_LOSSES else None
    design = Design.build(pairs, ratings, lists, thumbs, embedder, watch)
    groups = pairs.group + (ratings.group if ratings is not None else [])
    groups = groups + (lists.group if lists else []) + (thumbs.group if thumbs else [])
    folds = grouped_folds(groups, n_folds, seed)
    n_folds = int(folds.max()) + 1
    fold, rated_fold, list_fold, thumb_fold = _cut(folds, len(pairs), ratings, lists, thumbs)

    ridges = None
    if ratings is not None and loss != "joint":
        rated = design.texts[design.rated]
        ridges = fit_ridges(rated, ratings.value, ratings.weight, rated_fold, n_folds, watch)
    alpha = 1.0
    if has_pairs:
        ridge = ridges.weights if ridges else [np.zeros(design.texts.shape[1])] * (n_folds + 1)
        if lists is not None:
            sizes = [len(texts) for texts in lists.texts]
            of = np.repeat(np.arange(len(lists)), sizes)
            rows = design.texts[design.listed]
            term = terms.list_term(rows, list_fold[of], loss, of, lists.ranks, lists.weight)
        elif loss == "bco":
            term = _bco_term(design, pairs, thumbs, fold, thumb_fold)
        else:
            term = terms.pair_term(design.delta, fold, loss, target, weight, pairs.strength)
        minimised = [term]
        if loss == "joint" and ratings is not None:
            rated = design.texts[design.rated]
            minimised.append(terms.rating_term(rated, rated_fold, ratings.value, ratings.weight, JOINT_SHARE))
        label, _ = training_targets(pairs, loss, strength_map)
        problem = PairProblem(minimised, design.delta, label, pairs.weight, fold, n_folds, ridge, watch)
        choice, logits, table = problem.select()
        if extrapolate:
            alpha, stretched_logits = problem.extrapolate(choice)
            logits = logits if stretched_logits is None else stretched_logits
        watch.tell("final", 0.86, "Fitting on all training rows")
        weights, prior_scale = problem.solve(None, choice, final=True)
        weights = stretched(weights, prior_scale * ridge[-1], alpha)
        temperature = fit_temperature(logits, label, pairs.weight) if logits is not None else 1.0
    else:
        # Ratings alone: two responses equal in truth differ by noise of standard deviation √2·s, and the
        # logistic function with slope 1.702 is within .01 of the normal distribution function.
        choice, table, prior_scale, weights = None, [], 1.0, ridges.weights[-1]
        temperature = max(ridges.residual_sd * 2**0.5 / 1.702, 1e-3)
    info = {
        "loss": loss,
        **({"embeddings": embedder.name} if embedder else {}),
        "seed": seed,
        "strength_map": {str(level): factor for level, factor in sorted(strength_map.items())},
        "n_pairs": len(pairs),
        "n_decided": int(np.sum(pairs.decided)),
        "n_ratings": len(ratings) if ratings is not None else 0,
        "n_lists": len(lists) if lists is not None else 0,
        "n_thumbs": len(thumbs) if thumbs is not None else 0,
        "n_groups": len(set(groups)),
        "n_folds": n_folds,
        "choice": asdict(choice) if choice else None,
        "prior_scale": prior_scale,
        "extrapolation": alpha,
        "ridge": ridges.info if ridges else None,
        "cross_validation": table,
        "data_sha256": _digest(pairs, ratings),
    }
    watch.tell("done", 1.0, "Trained")
    style, rest = weights[:N_STYLE], weights[N_STYLE:].astype(np.float32)
    offset = float(np.mean(design.texts @ np.concatenate([style, rest.astype(float)])))
    ngrams, embedding = np.split(rest, [len(design.columns)])
    return LinearModel(
        design.features, style, design.columns, ngrams, temperature, offset, info, embedder, embedding
    )


def _cut(folds: np.ndarray, n: int, *tables: Ratings | Lists | None) -> list[np.ndarray]:
    """Cut the fold numbers of everything into those of the pairs and of each table."""
    bounds = np.cumsum([n, *(len(table) if table is not None else 0 for table in tables)])
    return np.split(folds, bounds[:-1])


def _no_lists() -> Lists:
    return Lists([], [], [], np.zeros(0), [], [], [], [])


def _bco_term(
    design: Design, pairs: Pairs, thumbs: Ratings | None, fold: np.ndarray, thumb_fold: np.ndarray
) -> terms.Term:
    """Thumbs as they were given, and decided pairs as one thumb up and one down."""
    kept = np.flatnonzero(pairs.decided)
    second = pairs.sign[kept] > 0
    blocks = [design.texts[design.first[kept]], design.texts[design.second[kept]]]
    up, weight, folds = [~second, second], [pairs.weight[kept]] * 2, [fold[kept]] * 2
    if thumbs is not None:
        blocks.append(design.texts[design.thumbed])
        up.append(thumbs.value >= 0.5)
        weight.append(thumbs.weight)
        folds.append(thumb_fold)
    matrix = sparse.csr_matrix(sparse.vstack(blocks, format="csr"))
    return terms.thumb_term(matrix, np.concatenate(folds), np.concatenate(up), np.concatenate(weight))


def training_targets(
    pairs: Pairs, loss: str, strength_map: Mapping[int, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return (target, weight) that turn `soft_bradley_terry` into the named loss, with ties at ½."""
    if loss == "soft_bt":
        return losses.soft_labels(pairs.votes), pairs.weight
    target = (pairs.sign + 1) / 2
    if loss in ("scaled_bt", "joint"):
        return target, pairs.weight * losses.strength_weights(pairs.strength, strength_map)
    return target, pairs.weight


def _digest(pairs: Pairs, ratings: Ratings | None) -> str:
    """Return the sha256 of what was learnt from: texts, labels, weights and groups, in order."""
    digest = hashlib.sha256()
    columns: list[Sequence[Any]] = [
        pairs.first_texts,
        pairs.second_texts,
        pairs.target.tolist(),
    ]
    columns += [
        pairs.weight.tolist(),
        pairs.strength.tolist(),
        pairs.votes.tolist(),
        pairs.group,
    ]
    if ratings is not None:
        columns += [
            ratings.texts,
            ratings.value.tolist(),
            ratings.weight.tolist(),
            ratings.group,
        ]
    for column in columns:
        digest.update(json.dumps(column, ensure_ascii=True).encode("ascii") + b"\n")
    return digest.hexdigest()
