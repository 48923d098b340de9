"""Two registered models on the same held-out pairs, figure by figure, with paired intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.web import plots

from . import backends, registry, train
from .data import Pairs
from .evaluate import Estimate, _Sums, paired_gain
from .figures import LEVELS
from .models import RewardModel


@dataclass(frozen=True)
class Comparison:
    """What the page of two models shows.

    Attributes:
        first, second: the models; pairs are those held out from `first`.
        gain: accuracy of `first` minus that of `second`, paired.
        rows: [{"words", "first", "second"}] estimates of both.
        agree: share of pairs both decide the same way.
        plot: accuracy of both by strength and in all.
        same_data: whether both learnt from the same snapshot.
    """

    first: RewardModel
    second: RewardModel
    gain: Estimate
    rows: list[dict[str, Any]]
    agree: Estimate
    plot: plots.Plot
    same_data: bool

    @property
    def words(self) -> str:
        """Which one is better, in one sentence."""
        if self.gain["value"] is None:
            return f"Too few pairs to say which is better: {self.gain.get('reason', '')}."
        points = 100 * abs(self.gain["value"])
        if points < 0.05:
            return "No difference is shown: both are right equally often."
        better, other = (self.first, self.second) if self.gain["value"] >= 0 else (self.second, self.first)
        if self.gain["lo"] <= 0 <= self.gain["hi"]:
            return f"No difference is shown: {better.public_id} leads by {points:.1f} points, and the interval includes 0."
        return f"{better.public_id} is better than {other.public_id} by {points:.1f} points."


def compare(first: RewardModel, second: RewardModel) -> Comparison:
    """Compare on the pairs held out from `first`. Raises `artefacts.ArtefactError` where files cannot be read.

    The split is a function of the prompt group, so these pairs were held out from the other as well.
    """
    pairs, mine = train.read_holdout(registry.directory(first))
    theirs = train.margins(backends.load(registry.directory(second)), pairs)
    seed = int(first.metrics.get("seed", 0))
    figures = [train.evaluate(margins, pairs, seed=seed) for margins in (mine, theirs)]
    names = (
        ("accuracy", "Accuracy"), ("accuracy_longer_wrong", "Accuracy where the longer response is worse"),
        ("length_correlation", "Correlation of score and length"), ("nll", "Negative log-likelihood"),
        ("brier", "Brier score"), ("ece5", "Calibration error, 5 bins"), ("ece10", "Calibration error, 10 bins"),
        ("ece20", "Calibration error, 20 bins"),
    )  # fmt: skip
    rows = [{"words": words, "first": figures[0][key], "second": figures[1][key]} for key, words in names]
    return Comparison(
        first, second, train.finite(paired_gain(mine, theirs, pairs, seed=seed)), rows,
        _agreement(mine, theirs, pairs, seed), _plot(first, second, figures),
        first.snapshot_id == second.snapshot_id,
    )  # fmt: skip


def _agreement(mine: np.ndarray, theirs: np.ndarray, pairs: Pairs, seed: int) -> Estimate:
    table = _Sums(pairs.group)
    table.ratio("agree", (np.sign(mine) == np.sign(theirs)).astype(float), np.ones(len(pairs)))
    return train.finite(table.estimates(seed, 1000)["agree"])


def _plot(first: RewardModel, second: RewardModel, figures: list[dict[str, Any]]) -> plots.Plot:
    rows = []
    for model, found, kind in ((first, figures[0], "model"), (second, figures[1], "accent")):
        parts = [("all", found["accuracy"])]
        if len(found["by_strength"]) > 1:
            parts += [(LEVELS.get(k, k).lower(), est) for k, est in found["by_strength"].items()]
        rows += [
            plots.Row(f"{model.public_id}: {name}", est["value"], est["lo"], est["hi"], est["n"], kind)
            for name, est in parts
            if est.get("value") is not None
        ]
    return plots.interval_plot(
        rows, title="Accuracy by strength", value_label="Share of decided pairs on the right side", percent=True,
        reference=0.5, caption="95 % intervals, bootstrap over prompt groups; the dashed line is a coin.",
    )  # fmt: skip
