"""The plots on the pages of reward models: a model's measures, its learning curves, the loss of a run."""

from __future__ import annotations

import math
from typing import Any

from app.web import plots

from . import perturb
from .models import RewardModel

LEVELS = {"1": "Slightly better", "2": "Better", "3": "Much better"}
KIND_WORDS = {"human": "People", "lm": "Language models", "mixed": "Both"}


def _row(label: str, est: dict[str, Any], kind: str) -> plots.Row:
    """A row of a plot. Models measured before a share of none or all of n had bounds have it with a width of zero: that is
    no interval, and none is drawn."""
    lo, hi = est["lo"], est["hi"]
    if lo is not None and lo == hi:
        lo = hi = None
    return plots.Row(label, est["value"], lo, hi, est["n"], kind)


def gain_plot(models: list[RewardModel]) -> plots.Plot | None:
    """How much more often each model is right than the longer response, with paired intervals."""
    rows = []
    for model in models:
        gain = model.metrics.get("gain_over_length") or {}
        if gain.get("value") is not None and model.status != RewardModel.Status.ARCHIVED:
            name = f"{model.public_id} (promoted)" if model.status == "promoted" else model.public_id
            rows.append(_row(name, gain, "model"))
    if not rows:
        return None
    return plots.interval_plot(
        rows,
        title="Gain over choosing the longer response",
        value_label="Accuracy minus that of the longer response, on the same held-out pairs",
        percent=True,
        reference=0.0,
        caption="95 % intervals, bootstrap over prompt groups. At 0 the model knows no more than the length.",
    )


def calibration_plot(model: RewardModel) -> plots.Plot | None:
    """Confidence against how often the model was right, in ten bins."""
    points = [
        plots.Point(row["confidence"], est["value"], est["lo"], est["hi"], est["n"])
        for row in model.metrics.get("calibration") or []
        if row["confidence"] is not None and (est := row["accuracy"]).get("value") is not None
    ]
    if not points:
        return None
    return plots.calibration_plot(
        points,
        x_label="Its probability for the response it prefers",
        y_label="How often that was right",
        caption="Held-out pairs in bins of confidence from 50 to 100 %; bins of fewer than ten pairs are left out.",
    )


def parts_plot(model: RewardModel) -> plots.Plot | None:
    """Accuracy by strength of preference and by who judged."""
    metrics = model.metrics
    rows = []
    strengths = metrics.get("by_strength") or {}
    named = (
        [(LEVELS.get(level, level), est, "model") for level, est in strengths.items()]
        if len(strengths) > 1
        else []
    )
    sources = metrics.get("by_source") or {}
    kinds = {"human": ("Judged by people", "human"), "lm": ("Judged by language models", "lm")}
    if len(sources) > 1:
        named += [(kinds[source][0], est, kinds[source][1]) for source, est in sources.items()]
    for label, est, kind in named:
        if est.get("value") is not None:
            rows.append(_row(label, est, kind))
    for label, key in (("All, this model", "accuracy"), ("All, longer response", "length_baseline")):
        est = metrics.get(key) or {}
        if est.get("value") is not None:
            kind = "model" if key == "accuracy" else "baseline"
            rows.append(_row(label, est, kind))
    if not rows:
        return None
    return plots.interval_plot(
        rows,
        title="Accuracy on the hold-out",
        value_label="Share of decided pairs on the right side",
        percent=True,
        reference=0.5,
        caption="95 % intervals, bootstrap over prompt groups; the dashed line is a coin.",
    )


def sources_plot(model: RewardModel) -> plots.Plot | None:
    """For each of the items' sources, the model beside the longer response."""
    rows = []
    for source, figures in (model.metrics.get("by_dataset") or {}).items():
        for words, key, kind in (
            ("this model", "accuracy", "model"),
            ("longer", "length_baseline", "baseline"),
        ):
            est = figures[key]
            if est.get("value") is not None:
                rows.append(_row(f"{source}: {words}", est, kind))
    if not rows:
        return None
    return plots.interval_plot(
        rows, title="By source", value_label="Share of decided pairs on the right side", percent=True, reference=0.5,
        caption="Sources judge by different standards. 95 % intervals, bootstrap over prompt groups.",
    )  # fmt: skip


def perturbation_plot(model: RewardModel) -> plots.Plot | None:
    """How often the preferred response keeps its lead over a changed copy of itself."""
    found = model.metrics.get("perturbations") or {}
    rows = [
        _row(change.words, est, "model")
        for change in perturb.PERTURBATIONS
        if (est := found.get(change.name)) and est.get("value") is not None
    ]
    if not rows:
        return None
    bare = any(row.lo is None for row in rows)
    without = (
        " Where none is drawn, none was computed for a share of none or all; a new training has it."
        if bare
        else ""
    )
    return plots.interval_plot(
        rows, title="Is it fooled?", value_label="Share of responses it prefers to a changed copy", percent=True,
        reference=0.5,
        caption="Preferred held-out responses against copies that are worse, or, with flattery, no better. A reward "
        f"that goes by length fails on repeated text. 95 % intervals, bootstrap over prompt groups.{without}",
    )  # fmt: skip


def ratings_plot(model: RewardModel) -> plots.Plot | None:
    """How the score goes with each attribute that people rated on the hold-out."""
    found = (model.metrics.get("ratings") or {}).get("correlation") or {}
    rows = [_row(name, est, "model") for name, est in found.items() if est.get("value") is not None]
    if not rows:
        return None
    cap = (model.metrics["ratings"].get("saturation") or {}).get("cap")
    words = f" Above a score of {cap:.2f}, ratings no longer rise with it." if cap is not None else ""
    return plots.interval_plot(
        rows,
        title="What the score goes with",
        value_label="Correlation of the score with people's rating",
        reference=0.0,
        caption=f"Held-out responses that were rated; 95 % intervals, bootstrap over prompt groups.{words}",
    )


def attributes_between(model: RewardModel) -> dict[str, Any] | None:
    """How the rated attributes go with each other: {"names", "rows": [(name, [r or None])]}; None below two."""
    found = (model.metrics.get("ratings") or {}).get("between") or {}
    names = sorted(found)
    if len(names) < 2:
        return None
    return {"names": names, "rows": [(a, [found[a].get(b) for b in names]) for a in names]}


def curve_plots(model: RewardModel) -> list[dict[str, Any]]:
    """The learning curves with their advice: [{"words", "advice", "plot", "more"}]."""
    shown = []
    for kind, found in (model.metrics.get("learning_curve") or {}).items():
        measured = [plots.Point(p["n"], p["value"], p["lo"], p["hi"]) for p in found["points"]]
        series = [plots.Series("measured", measured, {"human": "human", "lm": "lm"}.get(kind, "accent"))]
        if found.get("curve"):
            fitted = [plots.Point(p["n"], p["value"], p["lo"], p["hi"]) for p in found["curve"]]
            series.insert(0, plots.Series("fitted", fitted, "baseline"))
        plot = plots.line_plot(
            series, title=f"Learning curve: {KIND_WORDS.get(kind, kind).lower()}", x_label="Decided pairs learnt from",
            y_label="Accuracy on the hold-out", y_percent=True, height=300,
            caption="Points: mean and range of repetitions. Band: 95 % interval of the fitted power law; beyond the last "
            "point it extrapolates.",
        )  # fmt: skip
        shown.append(
            {
                "words": KIND_WORDS.get(kind, kind),
                "advice": found.get("advice", ""),
                "plot": plot,
                "more": found.get("more"),
            }
        )
    return shown


def loss_plots(events: list[dict[str, Any]]) -> list[plots.Plot]:
    """The curve over the penalties tried and of the final fit; of a transformer, loss and validation by step."""
    found = []
    by_stage = [
        plots.Series(stage, [plots.Point(e["step"], e["loss"]) for e in events if e["stage"] == stage], kind)
        for stage, kind in (
            ("ratings", "accent"),
            ("preferences", "model"),
            ("joint", "model"),
            ("validation", "human"),
        )
    ]
    if any(len(series.points) > 1 for series in by_stage):
        found.append(
            plots.line_plot(
                [series for series in by_stage if series.points],
                title="Loss",
                x_label="Optimiser step",
                y_label="Loss",
                height=300,
                caption="Each point is one step; validation is on prompt groups the training never sees.",
            )
        )
    tried = [event for event in events if event["stage"] == "cross-validation"]
    if tried:
        points = [plots.Point(i, event["loss"]) for i, event in enumerate(tried, 1)]
        found.append(
            plots.line_plot(
                [plots.Series("left-out folds", points, "model")],
                title="Choosing the penalties",
                x_label="Setting tried",
                y_label="Mean negative log-likelihood on the folds left out",
                caption=f"Latest: {tried[-1]['message']}. Lower is better; 0.693 is a coin.",
                height=260,
            )
        )
    fits = _fits([event for event in events if event["stage"] == "final"])
    if fits:
        found.append(
            plots.line_plot(
                fits,
                title="Final fit",
                x_label="Iteration",
                y_label="Penalised loss on all training pairs",
                y_range=_range(fits),
                height=260,
            )
        )
    return found


def _range(series: list[plots.Series]) -> tuple[float, float]:
    """From the least to the largest value, at least a thousandth: below that a fit moves no more."""
    levels = [point.y for each in series for point in each.points]
    middle, half = (min(levels) + max(levels)) / 2, max((max(levels) - min(levels)) / 2, 0.0005)
    return middle - half, middle + half


def _fits(events: list[dict]) -> list[plots.Series]:
    """The curve of every fit that reported more than once; the steps of each begin anew."""
    fits: list[list[plots.Point]] = []
    last = math.inf
    for event in events:
        if event["step"] <= last:
            fits.append([])
        fits[-1].append(plots.Point(event["step"], event["loss"]))
        last = event["step"]
    drawn = [points for points in fits if len(points) > 1]
    return [
        plots.Series("training" if len(drawn) == 1 else f"fit {number}", points, "model")
        for number, points in enumerate(drawn, 1)
    ]
