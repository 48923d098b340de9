"""Routing policies behind one interface: a pool in, one score per item out, and the reasons for it.

A policy sees what is known before people judge: the models' judgments, text statistics, tags, and, where it learns,
labels that people gave earlier (`Pool.error`, NaN where unknown). Scores of items with a known label come from fits that
saw no label of their prompt group. Higher goes to people first. Pure: no Django.

`score` returns `Scores`; `gain` is what `allocation.allocate` maximises: for `net_gain` the expected number of labels put
right, which may be negative (the model's label is kept although there is money left); for others a positive order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from annotations.analysis.majority import NONE
from routing.features.signals import NAMES as SIGNAL_NAMES
from routing.features.signals import LMSignals
from routing.predict import influence, label_error, mixes

DEFAULT = "net_gain"
NO_VERDICT = 1.0  # only a person can judge what no model judged


@dataclass(frozen=True)
class Runs:
    """Reward-model runs: counts float[k, t] of tags among the items sent, budget int[k], performance float[k]; n items."""

    counts: np.ndarray
    budget: np.ndarray
    performance: np.ndarray
    n: int


@dataclass(frozen=True)
class Pool:
    """n items, and what is known of each. Everything beyond `signals` may be missing.

    Attributes:
        signals: the judgments of the model whose labels would be final, and of the others beside it.
        group: int[n], prompt groups; items of one group are never split between learning and scoring.
        text, text_names: float[n, d], statistics of the texts; `toward_*`: those seen from the preferred response.
        tags, tag_names: 0/1 float[n, t].
        length: float[n], log of the longer response's words.
        error: float[n], 1 where people contradict the model's label, 0 where they agree, NaN where unknown.
        propensity: float[n], P(that label was to be seen); None: all alike.
        person_error: h_i, P(a person's label differs from the consensus): float[n] or one number.
        truth: int8[n], people's consensus, `NONE` where unknown (influence and mixes need it).
        phi: float[n, k], φ(second) - φ(first) of a reward model (influence and mixes need it).
        runs: reward-model runs over mixes of these items; without them the mixes' policies train small ridge reward
            models on the labelled items themselves.
        predicted: the cross-fitted label error if it is at hand already; it must come from the same labels.
        version: int[n], code of the model version whose label stands; `current` is the version in use. Labels of
            other versions teach nothing about this one: trust is reset.
    """

    signals: LMSignals
    group: np.ndarray
    text: np.ndarray | None = None
    text_names: tuple[str, ...] = ()
    toward: np.ndarray | None = None
    toward_names: tuple[str, ...] = ()
    tags: np.ndarray | None = None
    tag_names: tuple[str, ...] = ()
    length: np.ndarray | None = None
    error: np.ndarray | None = None
    propensity: np.ndarray | None = None
    person_error: np.ndarray | float = 0.0
    truth: np.ndarray | None = None
    phi: np.ndarray | None = None
    version: np.ndarray | None = None
    current: int = 0
    runs: Runs | None = None
    predicted: label_error.Prediction | None = None

    def __len__(self) -> int:
        return len(self.signals)

    def labels(self) -> np.ndarray:
        """The labels that may teach: `error`, NaN for other versions of the model."""
        error = np.full(len(self), np.nan) if self.error is None else self.error
        return error if self.version is None else np.where(self.version == self.current, error, np.nan)

    def design(self) -> label_error.Design:
        """Columns for predictors: the models' signals lightly penalised, the rest heavily."""
        blocks = [(self.signals.columns(), SIGNAL_NAMES, True)]
        for columns, names in (
            (self.text, self.text_names),
            (self.toward, self.toward_names),
            (self.tags, self.tag_names),
        ):
            if columns is not None and columns.shape[1]:
                blocks.append((columns, names, False))
        return label_error.Design.of(*blocks)


@dataclass(frozen=True)
class Scores:
    """What a policy says.

    Attributes:
        score: float[n], higher goes to people first.
        is_gain: whether the score is an expected gain in labels put right per judgment; else only its order counts.
        reasons: i -> [{"code", "value"}], strongest first.
        prediction: the cross-fitted label error behind it, where there is one.
        fallback: why a simpler order was used, in words; empty if it was not.
        runs: of the mixes' policies, what they learnt from: {"items", "low", "high"} of the runs' mixes, and the held-out
            skill {"n", "rmse", "spearman", "coverage" where there are intervals}.
    """

    score: np.ndarray
    is_gain: bool
    reasons: Callable[[int], list[dict]]
    prediction: label_error.Prediction | None = None
    fallback: str = ""
    runs: dict | None = None

    @property
    def gain(self) -> np.ndarray:
        """What an allocation maximises, float[n]: the score if it is a gain, else its order moved above zero."""
        if self.is_gain or not len(self.score):
            return self.score
        low, high = float(self.score.min()), float(self.score.max())
        return (self.score - low) / (high - low or 1.0) + 1.0


@dataclass(frozen=True)
class Policy:
    """A named rule. `learns`: needs labels; `score(pool, seed)` never reads a label of the group it scores."""

    name: str
    title: str
    score: Callable[[Pool, int], Scores]
    learns: bool = False
    needs: tuple[str, ...] = field(default=())


def _random(pool: Pool, seed: int) -> Scores:
    return Scores(np.zeros(len(pool)), False, lambda i: [])


def doubt(signals: LMSignals) -> np.ndarray:
    """The models' own doubt, float[n]: graded probability if there is one, contradiction and the others' votes else."""
    unsure = signals.unsure() if signals.graded else np.where(signals.verdict == NONE, 1.0, 0.0)
    contradicts = (signals.consistent == 0).astype(float)
    dissent = np.nan_to_num(1.0 - signals.agreement, nan=0.0)
    score = unsure if signals.graded else np.maximum(contradicts, 0.9 * dissent) + 0.05 * dissent
    return np.where(signals.verdict == NONE, 2.0, score)


def _lm_confidence(pool: Pool, seed: int) -> Scores:
    s = pool.signals
    score = doubt(s)

    def reasons(i: int) -> list[dict]:
        if s.verdict[i] == NONE:
            return [{"code": "no_verdict", "value": 1.0}]
        found = [("unsure", float(s.unsure()[i]))] if s.graded else []
        found += [("contradicts_itself", float(s.consistent[i] == 0))]
        found += [("others_disagree", float(np.nan_to_num(1 - s.agreement[i], nan=0.0)))]
        return _listed(found)

    return Scores(score, False, reasons)


def _uncertainty(pool: Pool, seed: int) -> Scores:
    s = pool.signals
    parts = {
        "unsure": s.unsure(),
        "contradicts_itself": (s.consistent == 0).astype(float),
        "entropy": s.entropy,
        "no_verdict": (s.verdict == NONE).astype(float),
    }
    score = np.where(s.verdict == NONE, NO_VERDICT, sum(parts.values()) / len(parts))
    return Scores(score, False, lambda i: _listed([(name, float(v[i])) for name, v in parts.items()]))


def _length(pool: Pool, seed: int) -> Scores:
    score = _given(pool.length, "length", pool)
    return Scores(score, False, lambda i: [{"code": "length", "value": float(score[i])}])


RULE = ("safety_concern", "complexity_of_intents")  # at "moderate", as HyPER's tags or as metadata columns


def _tag_rule(pool: Pool, seed: int) -> Scores:
    """HyPER's rule of thumb: moderate safety or moderate complexity goes to people (arXiv:2410.19133, section 5)."""
    columns = [
        i
        for i, name in enumerate(pool.tag_names)
        if name.endswith("=moderate") and any(rule in name for rule in RULE)
    ]
    if pool.tags is None or not columns:
        return replace(_random(pool, seed), fallback="no item carries the tags of the rule: drawn at random")
    hits = pool.tags[:, columns]
    names = [pool.tag_names[i] for i in columns]
    return Scores(
        hits.sum(axis=1),
        False,
        lambda i: _listed([(name, float(v)) for name, v in zip(names, hits[i], strict=True)]),
    )


def predict(pool: Pool, seed: int, **options) -> label_error.Prediction:
    """The cross-fitted label error of a pool, to be stored in `Pool.predicted` and read by every policy that learns."""
    return label_error.predict(
        pool.design(), pool.labels(), pool.group, propensity=pool.propensity, seed=seed, **options
    )


def _predicted(pool: Pool, seed: int) -> label_error.Prediction:
    return predict(pool, seed) if pool.predicted is None else pool.predicted


def _label_error(pool: Pool, seed: int) -> Scores:
    found = _predicted(pool, seed)
    if found.skill is None:
        return replace(
            _lm_confidence(pool, seed),
            prediction=found,
            fallback="too few human labels to learn from: the models' own doubt decides",
        )
    return Scores(
        found.mean,
        False,
        lambda i: [{"code": name, "value": round(value, 4)} for name, value in found.contributions(i)],
        prediction=found,
    )


def _net_gain(pool: Pool, seed: int) -> Scores:
    scores = _label_error(pool, seed)
    if scores.fallback:
        return scores
    h = np.broadcast_to(np.asarray(pool.person_error, dtype=float), len(pool))
    return replace(scores, score=scores.score - h, is_gain=True)


def _influence(pool: Pool, seed: int) -> Scores:
    if pool.phi is None or pool.truth is None:
        return replace(
            _label_error(pool, seed),
            fallback="no reward-model features or labelled pairs: label error decides",
        )
    scores = _label_error(pool, seed)
    if scores.fallback:
        return scores
    truth = np.where(np.isnan(pool.labels()), NONE, pool.truth)
    found = influence.gains(pool.phi, pool.signals.verdict, truth, scores.score, pool.person_error)
    if found is None:
        return replace(scores, fallback="too few labelled pairs for a reward model: label error decides")
    # a tie's first-order influence is 0; among equals the more likely error goes first
    return Scores(
        found + 1e-9 * scores.score,
        False,
        lambda i: [{"code": "influence", "value": float(found[i])}, *scores.reasons(i)[:2]],
        prediction=scores.prediction,
    )


N_RUNS = 200  # as in the paper
MIN_RUN_LABELS = 60
FOLDS = 5
BY_MIXES = frozenset({"hyper_linear", "hyper_quadratic", "mixes"})


def runs_of(pool: Pool, seed: int) -> Runs | None:
    """The pool's runs, or runs on its labelled items; None where tags or labels are too few."""
    if pool.runs is not None:
        return pool.runs
    known = labelled(pool)
    return None if known is None else train_runs(pool, known, pool.phi[known], seed)


def labelled(pool: Pool) -> np.ndarray | None:
    """Places of the items that runs are trained on; None without tags or with too few labels."""
    if pool.phi is None or pool.truth is None or pool.tags is None:
        return None
    known = np.flatnonzero(~np.isnan(pool.labels()) & (pool.truth != NONE))
    return known if len(known) >= MIN_RUN_LABELS else None


def train_runs(pool: Pool, known: np.ndarray, phi: np.ndarray, seed: int) -> Runs:
    """Ridge reward models on random mixes of the items `known`, a third of their prompts held out; phi float[len(known), k]."""
    held = label_error.group_folds(pool.group[known], 3, seed) == 0
    train, test = known[~held], known[held]
    drawn = mixes.draw(mixes.TagSets(pool.tags[train]), N_RUNS, seed=seed)
    performance = mixes.ridge_runs(
        phi[~held],
        pool.truth[train],
        pool.signals.verdict[train],
        drawn.sent,
        phi[held],
        pool.truth[test],
    )
    return Runs(drawn.counts, drawn.budget, performance, len(train))


def _by_mixes(kind: str) -> Callable[[Pool, int], Scores]:
    """A policy from the performance of mixes: `linear` and `quadratic` as in the paper, `bayesian` ours."""

    def score(pool: Pool, seed: int, skill: bool = False) -> Scores:
        runs = runs_of(pool, seed) if pool.tags is not None and pool.tags.shape[1] else None
        if runs is None:
            return replace(
                _random(pool, seed), fallback="no tags, or too few labels or runs: drawn at random"
            )
        tags = np.asarray(pool.tags, dtype=float)
        if kind == "linear":
            model = mixes.fit_linear(runs.counts, runs.performance)
        elif kind == "quadratic":
            model = mixes.fit_quadratic(runs.counts, runs.performance)
        else:
            model = mixes.fit_bayesian(
                runs.counts,
                runs.budget,
                runs.n,
                runs.performance,
                tags.mean(axis=0),
                folds=FOLDS if skill else 0,
            )

        def reasons(i: int) -> list[dict]:
            if kind == "quadratic":
                return []
            return _listed(
                [(pool.tag_names[j], float(tags[i, j] * model.weights[j])) for j in np.flatnonzero(tags[i])]
            )

        found = Scores(model.gains(tags), False, reasons)
        if not skill:
            return found
        held = (
            model.skill
            if kind == "bayesian"
            else mixes.paper_skill(kind, runs.counts, runs.performance, FOLDS)
        )
        low, high = (float(end) / runs.n for end in (runs.budget.min(), runs.budget.max()))
        return replace(found, runs={"items": runs.n, "low": low, "high": high, **held})

    return score


def _listed(found: list[tuple[str, float]], k: int = 3) -> list[dict]:
    """The k strongest non-zero reasons."""
    ranked = sorted((pair for pair in found if abs(pair[1]) > 1e-9), key=lambda pair: -abs(pair[1]))
    return [{"code": code, "value": round(value, 4)} for code, value in ranked[:k]]


def _given(values: np.ndarray | None, name: str, pool: Pool) -> np.ndarray:
    if values is None:
        raise ValueError(f"the policy needs {name}, and the pool has none")
    return np.asarray(values, dtype=float)


POLICIES: dict[str, Policy] = {
    policy.name: policy
    for policy in (
        Policy("random", "At random (the yardstick)", _random),
        Policy("lm_confidence", "The models' own doubt", _lm_confidence),
        Policy("length", "Long responses", _length, needs=("length",)),
        Policy("tag_rule", "Moderate safety or complexity", _tag_rule),
        Policy("uncertainty", "Where the models are unsure", _uncertainty),
        Policy("label_error", "Where the model is likely wrong", _label_error, learns=True),
        Policy("net_gain", "Where a person puts most labels right", _net_gain, learns=True),
        Policy("influence", "Where a label helps a reward model most", _influence, True, ("phi", "truth")),
        Policy("hyper_linear", "HyPER, linear", _by_mixes("linear"), True, ("tags",)),
        Policy("hyper_quadratic", "HyPER, quadratic", _by_mixes("quadratic"), True, ("tags",)),
        Policy("mixes", "Tags that pay in reward-model runs", _by_mixes("bayesian"), True, ("tags",)),
    )
}


def score(name: str, pool: Pool, *, seed: int = 0, skill: bool = False) -> Scores:
    """Score a pool by the policy of this name; `skill`: also how well the mixes' policies predict, which takes a few fits
    more. Raises ValueError for an unknown name or what the pool lacks."""
    policy = POLICIES.get(name)
    if policy is None:
        raise ValueError(f"{name!r}: no such policy. There are: {', '.join(POLICIES)}.")
    return policy.score(pool, seed, skill=True) if skill and name in BY_MIXES else policy.score(pool, seed)
