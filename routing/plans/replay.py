"""Replay routing on data whose labels are all known: policies compared at equal budgets, over paired splits.

The final label of an item is the person's where the policy sent it to people, else the model's; an item's error is its
final label differing from the consensus of the other people. A model's missing verdict is an error.

`offline`: an old project informs a new one. In every split the prompt groups fall into folds; what a policy learns from
for one fold are the human labels of the others. The whole source is then ranked and the top share goes to people.

`online`: cold start. Items arrive in random order, `STEP` at a time; every human label that a policy learns from is paid
from the budget. A floor of `FLOOR` of the arrivals is drawn at random, the rest goes above the quantile of the scores
seen so far that spends the remaining budget over the remaining items; learnt scores are refitted as labels grow.

All policies see the same folds, arrivals and coin tosses in a split, so differences are paired. An item's error is averaged
over the splits and the mean of the items gets an interval by prompt groups: more splits reduce the noise of the draw, only
more prompts reduce the interval. Since the threshold of a policy is a quantile of the same items, what the interval is made
of is centred at the gain of the items next to it (as in `doubly_robust`): the mean stays, the variance becomes that of the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from annotations.analysis.majority import NONE
from routing.plans import policies
from routing.plans.doubly_robust import clustered_mean
from routing.plans.replay_cases import Case
from routing.predict import human_error, label_error

MODES = ("offline", "online")
FOLDS = 5
STEP = 10
FLOOR = 0.1
NEAR = 0.05  # share of the items on each side of a threshold that tell the gain there
REFIT = 1.25  # growth of the labels between two fits
ONLINE_GRID = ((5.0, 40.0),)
RM_FOLDS = 5
BASELINES = ("random", "lm_confidence")
ON_LABELS = ("label_error", "net_gain", "influence")
ON_MIXES = ("hyper_linear", "hyper_quadratic", "mixes")


@dataclass(frozen=True)
class Row:
    """One source × LM annotator × mode × policy × budget. Estimates are {"value", "lo", "hi", "n"} or None.

    `gain_over_random`, `gain_over_confidence`: paired reductions of residual label error; `reward_accuracy`: of a ridge
    reward model trained on the mix, on held-out prompts' consensus; `sent`: mean share of items sent to people;
    `left_out`: items of the source without a consensus.
    """

    source: str
    annotator: str
    mode: str
    policy: str
    budget: float
    splits: int
    sent: float
    model_error: dict | None
    residual_error: dict | None
    gain_over_random: dict | None
    gain_over_confidence: dict | None
    reward_accuracy: dict | None
    gain_in_reward: dict | None
    left_out: int
    fallback: str


def replay(
    case: Case,
    *,
    names: Sequence[str],
    budgets: Sequence[float],
    mode: str,
    splits: int = 40,
    seed: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[Row]:
    """Rows of one case, random and LM confidence always among them; `tick` is called once a split."""
    names = list(dict.fromkeys([*BASELINES, *names]))
    n = len(case)
    wrong = np.zeros((len(names), len(budgets), n))
    right = np.zeros((len(names), len(budgets), n))
    went = np.zeros((len(names), len(budgets), n))
    edge = np.zeros((len(names), len(budgets)))
    gain = case.error - case.person_wrong
    told = [""] * len(names)
    run = _offline if mode == "offline" else _online
    for split in range(splits):
        rng = np.random.default_rng([seed, split])
        sent, ranked, notes = run(case, names, budgets, rng)
        final = np.where(sent, case.person, case.pool.signals.verdict)
        wrong += final != case.truth
        right += _reward_accuracy(case, final, rng)
        went += sent
        for b, budget in enumerate(budgets):
            cut, width = _quota(budget, n), max(5, int(NEAR * n))
            edge[:, b] += gain[ranked[:, b, max(0, cut - width) : cut + width]].mean(axis=1)
        told = [now or before for now, before in zip(notes, told, strict=True)]
        tick()
    wrong, right, went, edge = wrong / splits, right / splits, went / splits, edge / splits
    share = went.mean(axis=2)
    edge[names.index("random")] = gain.mean()
    centred = wrong + (went - share[:, :, None]) * edge[:, :, None]
    decided = np.abs(case.truth) == 1
    for k, name in enumerate(names):
        for b, budget in enumerate(budgets):
            yield Row(
                source=case.source,
                annotator=case.annotator,
                mode=mode,
                policy=name,
                budget=budget,
                splits=splits,
                sent=float(share[k, b]),
                model_error=clustered_mean(case.error, case.pool.group, share=True),
                residual_error=clustered_mean(centred[k, b], case.pool.group, share=True),
                gain_over_random=clustered_mean(centred[0, b] - centred[k, b], case.pool.group),
                gain_over_confidence=clustered_mean(centred[1, b] - centred[k, b], case.pool.group),
                reward_accuracy=clustered_mean(right[k, b, decided], case.pool.group[decided], share=True),
                gain_in_reward=clustered_mean((right[k, b] - right[0, b])[decided], case.pool.group[decided]),
                left_out=case.left_out,
                fallback=told[k],
            )


def _quota(budget: float, n: int) -> int:
    return int(budget * n + 1e-9)


def _offline(
    case: Case, names: list[str], budgets: Sequence[float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """sent bool[policies, budgets, n], items by score int[policies, budgets, n], and what each policy fell back to."""
    n = len(case)
    fold = label_error.group_folds(case.pool.group, FOLDS, int(rng.integers(2**31)))
    toss, seed = rng.permutation(n), int(rng.integers(2**31))
    scores = np.zeros((len(names), n))
    notes = [""] * len(names)
    learning = [name for name in names if policies.POLICIES[name].learns]
    for k, name in enumerate(names):
        if name not in learning:
            found = policies.score(name, case.pool, seed=seed)
            scores[k], notes[k] = found.score, found.fallback
    for f in range(FOLDS) if learning else ():
        mine = fold == f
        pool = _with_people(case, ~mine, case.error, case.truth)
        pool = _prepared(pool, learning, seed)
        for k, name in enumerate(names):
            if name in learning:
                found = policies.score(name, pool, seed=seed)
                comparable = found.prediction is not None and not found.fallback and name != "influence"
                scores[k, mine] = found.score[mine] if comparable else _percentiles(found.score[mine])
                notes[k] = found.fallback or notes[k]
    sent = np.zeros((len(names), len(budgets), n), dtype=bool)
    ranked = np.zeros((len(names), len(budgets), n), dtype=np.int64)
    for k in range(len(names)):
        ranked[k] = order = np.lexsort((toss, -scores[k]))
        for b, budget in enumerate(budgets):
            sent[k, b, order[: _quota(budget, n)]] = True
    return sent, ranked, notes


def _with_people(
    case: Case,
    known: np.ndarray,
    error: np.ndarray,
    truth: np.ndarray,
    propensity: np.ndarray | None = None,
    overlaps: bool = True,
) -> policies.Pool:
    """The pool with the labels of the items in `known` bool[n], and nothing of the others'."""
    h = 0.0
    if overlaps:
        differs = case.differs[known]
        who = np.broadcast_to(np.arange(differs.shape[1]), differs.shape)
        found = human_error.estimate(differs.ravel(), who.ravel())
        h = found.rate if found.n else 0.0
    return replace(
        case.pool,
        error=np.where(known, error, np.nan),
        truth=np.where(known, truth, NONE).astype(np.int8),
        propensity=propensity,
        person_error=h,
    )


def _prepared(pool: policies.Pool, names: list[str], seed: int, **options) -> policies.Pool:
    """The pool with what several of these policies read, reckoned once: the label error, and runs over mixes."""
    if any(name in ON_LABELS for name in names):
        pool = replace(pool, predicted=policies.predict(pool, seed, **options))
    if any(name in ON_MIXES for name in names):
        pool = replace(pool, runs=policies.runs_of(pool, seed))
    return pool


def _percentiles(values: np.ndarray) -> np.ndarray:
    """Ranks in (0, 1], equal values equal: scores of different fits side by side."""
    ordered = np.sort(values)
    return np.searchsorted(ordered, values, side="right") / max(len(values), 1)


def _online(
    case: Case, names: list[str], budgets: Sequence[float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    n = len(case)
    arrival, toss, coin = rng.permutation(n), rng.random(n), rng.random(n)
    seed = int(rng.integers(2**31))
    sent = np.zeros((len(names), len(budgets), n), dtype=bool)
    ranked = np.zeros((len(names), len(budgets), n), dtype=np.int64)
    notes = [""] * len(names)
    for k, name in enumerate(names):
        for b, budget in enumerate(budgets):
            sent[k, b], scores = _stream(case, name, _quota(budget, n), arrival, toss, coin, seed)
            ranked[k, b] = np.lexsort((toss, -scores.score))
            notes[k] = scores.fallback or notes[k]
    return sent, ranked, notes


def _stream(
    case: Case, name: str, quota: int, arrival: np.ndarray, toss: np.ndarray, coin: np.ndarray, seed: int
) -> tuple[np.ndarray, policies.Scores]:
    """Route one stream of arrivals; returns who was sent to people, and the last scores."""
    n, learns = len(case), policies.POLICIES[name].learns
    person_error = (case.pool.signals.verdict != case.person).astype(float)
    sent, propensity = np.zeros(n, dtype=bool), np.ones(n)
    left, fitted, scores = quota, 0, None
    for start in range(0, n, STEP):
        new = arrival[start : start + STEP]
        labels = quota - left
        due = learns and labels >= max(label_error.MIN_LABELS, fitted * REFIT) and labels > fitted
        if scores is None or due:
            pool = _with_people(case, sent, person_error, case.person, propensity, overlaps=False)
            pool = _prepared(pool, [name], seed, grid=ONLINE_GRID)
            scores, fitted = policies.score(name, pool, seed=seed), labels
        value, rate = scores.score, left / (n - start)
        # a floor is drawn at random; the quantile of what has arrived spends the rest of the rate
        floor = min(FLOOR, rate)
        by_score = (rate - floor) / (1 - floor) if rate < 1 else 1.0
        chance = _chance(value[new], value[arrival[: start + len(new)]], by_score)
        go = (coin[new] < floor) | (toss[new] < chance)
        propensity[new] = np.clip(floor + (1 - floor) * chance, 1e-3, 1.0)
        wanted = min(left, int(go.sum())) if start + STEP < n else left
        picked = np.lexsort((-value[new], ~go))[:wanted]
        sent[new[picked]] = True
        left -= len(picked)
    return sent, scores


def _chance(values: np.ndarray, seen: np.ndarray, share: float) -> np.ndarray:
    """P(sent) of each value such that a `share` of the seen ones is sent, highest first; equal values alike."""
    ordered = np.sort(seen)
    m = len(ordered)
    above = (m - np.searchsorted(ordered, values, side="right")) / m
    level = (
        np.searchsorted(ordered, values, side="right") - np.searchsorted(ordered, values, side="left")
    ) / m
    return np.clip((share - above) / level, 0.0, 1.0)


def _reward_accuracy(case: Case, final: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Whether a ridge reward model trained on the other folds' final labels ranks each pair as the consensus does.

    final int8[..., n]; returns float[..., n]: 1, ½ or 0 (anything where the consensus is a tie). The ridge form of the
    linear reward model, in its dual, so that one factorisation serves all mixes of a fold.
    """
    fold = label_error.group_folds(case.pool.group, RM_FOLDS, int(rng.integers(2**31)))
    target = np.where(np.abs(final) <= 1, final, 0).reshape(-1, final.shape[-1]).astype(float)
    margin = np.zeros(target.shape)
    for f in range(RM_FOLDS):
        test, train = fold == f, fold != f
        inner = case.kernel[np.ix_(train, train)] + np.eye(int(train.sum()))
        margin[:, test] = (case.kernel[np.ix_(test, train)] @ np.linalg.solve(inner, target[:, train].T)).T
    right = 0.5 + 0.5 * np.sign(margin) * case.truth
    return right.reshape(final.shape)
