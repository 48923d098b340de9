"""The lineage of rounds as a graph, from judgments to the routing plan that a promoted model led to, and what replaced what."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app.web.plots import Plot

from .models import LoopRound, RewardModel

COLUMNS = ("Judgments", "Snapshot", "Training", "Model", "Decision", "Predictor", "Plan")
WIDTH, ROW, BOX_W, BOX_H, TOP = 1080, 64, 130, 38, 44
SHOWN = 8
WORDS = {
    "waiting": "waits for approval", "proposed": "proposed", "promoted": "promoted", "kept": "not promoted",
    "declined": "declined", "failed": "failed",
}  # fmt: skip
REFIT_WORDS = {
    "waiting": "waits for approval", "running": "being refitted", "done": "refitted", "declined": "declined",
    "failed": "failed",
}  # fmt: skip


def draw(rounds: Sequence[LoopRound]) -> Plot:
    """Draw up to eight rounds, newest on top; arrows between models say which one replaced which."""
    shown = list(rounds)[:SHOWN]
    step = (WIDTH - BOX_W - 16) / (len(COLUMNS) - 1)
    left = [8 + k * step for k in range(len(COLUMNS))]
    height = TOP + ROW * len(shown) + 8
    parts = [
        f'<text class="label" x="{x + BOX_W / 2:.1f}" y="22" text-anchor="middle">{name}</text>'
        for x, name in zip(left, COLUMNS, strict=True)
    ]
    place: dict[str, float] = {}
    rows = []
    for number, round_ in enumerate(shown):
        y = TOP + number * ROW
        cells = _cells(round_)
        rows.append([round_.number, *cells, round_.reason])
        before = 0
        for k, words in enumerate(cells):
            if not words:
                continue
            if k:
                parts.append(_arrow(left[before] + BOX_W, y + BOX_H / 2, left[k] - 4, y + BOX_H / 2))
            current = k == 3 and round_.run.reward_model.status == RewardModel.Status.PROMOTED
            kind = " is-current" if current else ""
            parts.append(_box(left[k], y, words, kind))
            before = k
        if cells[3]:
            place[cells[3]] = y
    replaced = False
    for round_ in shown:
        model = round_.run.reward_model if round_.run else None
        before = model.replaced.public_id if model and model.replaced else None
        if before in place:
            replaced, x = True, left[3] + BOX_W / 2
            parts.append(_arrow(x, place[before], x, place[model.public_id] + BOX_H + 4))
    label = "Lineage of the rounds: from judgments to the decision about a model"
    svg = (
        f'<svg class="plot lineage" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">'
        f"<title>{label}</title>{''.join(parts)}</svg>"
    )
    columns = [{"label": name, "numeric": name == "Round"} for name in ("Round", *COLUMNS, "Why")]
    caption = "Newest on top."
    if replaced:
        caption += " An upward arrow between models: the upper one replaced the lower."
    return Plot(svg, "Lineage", caption, columns, rows)


def _cells(round_: LoopRound) -> list[str]:
    """The words of a round's boxes, empty where it has not come so far."""
    run = round_.run
    model = run.reward_model if run else None
    ended = WORDS.get(round_.state, "")
    return [
        f"{round_.judgments:,}",
        f"snapshot {run.snapshot.number}" if run and run.snapshot else "",
        f"run {run.pk}" if run else "",
        model.public_id if model else "",
        ended if model or not run else (ended if round_.state == LoopRound.State.FAILED else ""),
        *_routing(round_),
    ]


def _routing(round_: LoopRound) -> tuple[str, str]:
    """What the round led to in the room of plans: (predictor, plan)."""
    model = round_.run.reward_model if round_.run else None
    refit = getattr(model, "refit", None)
    if refit is None:
        return "", ""
    plan = refit.plan
    return REFIT_WORDS[refit.state], f"plan {plan.number}: {plan.get_state_display().lower()}" if plan else ""


def _box(x: float, y: float, words: str, kind: str) -> str:
    cut = words if len(words) <= 20 else words[:19] + "…"
    return (
        f'<g class="node{kind}"><rect x="{x:.1f}" y="{y:.1f}" width="{BOX_W}" height="{BOX_H}" rx="6"/>'
        f'<text x="{x + BOX_W / 2:.1f}" y="{y + BOX_H / 2 + 5:.1f}" text-anchor="middle">{escape(cut)}</text></g>'
    )


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    if x1 == x2:
        head = f"{x2 - 4:.1f},{y2 + 6:.1f} {x2 + 4:.1f},{y2 + 6:.1f} {x2:.1f},{y2:.1f}"
    else:
        head = f"{x2 - 6:.1f},{y2 - 4:.1f} {x2 - 6:.1f},{y2 + 4:.1f} {x2:.1f},{y2:.1f}"
    return (
        f'<line class="edge" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
        f'<polygon class="edge-head" points="{head}"/>'
    )
