"""How each annotator judges, people and models alike, from votes alone. Pure."""

from __future__ import annotations

import numpy as np

from annotations.judging.intervals import Z95, wilson

from . import (
    alternative,
    careless,
    dawid_skene,
    difficulty,
    glad,
    mace,
    means,
    peers,
    rankings,
    reliability,
)
from .agreement import agrees_with_rest
from .majority import NONE
from .patterns import Labels
from .votes import HUMAN, KINDS, LM, Votes

MOST = 300
WIDEST = 12  # values beyond which confusion matrices are not estimated


def rows(votes: Votes, labels: Labels, aspect: int | None = None) -> list[dict]:
    """One row per annotator who answered this question, the busiest first, at most 300.

    with_rest: share of votes equal to the most frequent of the others' (Wilson by item); accuracy: Dawid-Skene's chance
    of being right; competence: MACE's share of votes given with knowledge; ability: GLAD's, in log-odds on an average item;
    peer_score: of people, agreement with other people beyond what everybody says (`peers`); alpha_without: people's alpha without the person minus alpha with; care: share of votes with care
    (comparisons of known models); ties, left, seconds; alt: for models, the alternative annotator test.
    """
    n = len(votes.annotators)
    total = np.bincount(labels.annotator, minlength=n)
    same, known = agrees_with_rest(labels)
    n_known = np.bincount(labels.annotator[known], minlength=n)
    n_same = np.bincount(labels.annotator[known & same], minlength=n)
    right, knew, able = expected_right(labels, n), competences(labels, n), abilities(labels, n)
    busiest = [int(code) for code in np.argsort(-total, kind="stable")[:MOST] if total[code]]
    by_people = labels.only(votes.kinds[labels.annotator] == HUMAN)
    bonus = peers.scores(by_people, n, [code for code in busiest if votes.kinds[code] == HUMAN])
    without, alpha = _without(votes, labels, n)
    care = _care(votes, aspect) if aspect is not None else None
    comparisons = _comparisons(votes, aspect, n) if aspect is not None else {}
    found = []
    for code in busiest:
        row = {
            "name": votes.annotators[code],
            "id": votes.ids[code] if votes.ids else None,
            "kind": KINDS[votes.kinds[code]],
            "n": int(total[code]),
            "with_rest": wilson(float(n_same[code]), int(n_known[code])),
            "accuracy": None if right is None else wilson(float(right[code]), int(total[code])),
            "competence": None if knew is None else wilson(float(knew[code] * total[code]), int(total[code])),
            "ability": None if able is None else able.get(code),
            "peer_score": bonus.get(code),
            "alpha_without": None,
            "care": None if care is None or not np.isfinite(care[code]) else float(care[code]),
            **{name: values.get(int(code)) for name, values in comparisons.items()},
        }
        if alpha is not None and votes.kinds[code] == HUMAN and np.isfinite(without[code]):
            row["alpha_without"] = float(without[code] - alpha)
        if votes.kinds[code] == LM:
            row["alt"] = stand_in(votes, labels, int(code))
        found.append(row)
    return found


def expected_right(labels: Labels, n: int) -> np.ndarray | None:
    """Expected number of right votes per annotator by Dawid-Skene, float64[n]; None with one or too many values."""
    if not _several(labels):
        return None
    truth = dawid_skene.fit(labels, n)
    return np.bincount(labels.annotator, truth.posterior[labels.unit, labels.value], n)


def competences(labels: Labels, n: int) -> np.ndarray | None:
    """MACE's competence per annotator, float64[n]; None where `expected_right` is."""
    return mace.fit(labels, n).competence if _several(labels) else None


def abilities(labels: Labels, n: int) -> dict[int, dict] | None:
    """{annotator: GLAD's ability as an estimate}; None where `expected_right` is None."""
    if not _several(labels):
        return None
    found, votes = glad.fit(labels, n), np.bincount(labels.annotator, minlength=n)
    rows = {}
    for code in np.flatnonzero(votes):
        value, half = float(found.ability[code]), Z95 * float(found.error[code])
        rows[int(code)] = {"value": value, "lo": value - half, "hi": value + half, "n": int(votes[code])}
    return rows


def _several(labels: Labels) -> bool:
    """Whether there are two or more values, not too many, and a unit that two annotators judged."""
    several = np.bincount(labels.unit, minlength=labels.n_units) >= 2
    return 2 <= len(labels.levels) <= WIDEST and bool(several.any())


def hardest(votes: Votes, labels: Labels, *, most: int = 15) -> list[dict]:
    """The items on which people are least likely to be right: difficulty by two-parameter item response theory.

    People are the takers, right is Dawid-Skene's probability that a vote is. Only units with two or more people.
    """
    people = labels.only(votes.kinds[labels.annotator] == HUMAN)
    if not 2 <= len(labels.levels) <= WIDEST or len(np.unique(people.annotator)) < 3:
        return []
    several = np.bincount(people.unit, minlength=labels.n_units) >= 2
    people = people.only(several[people.unit])
    if not len(people):
        return []
    truth = dawid_skene.fit(people, len(votes.annotators))
    right = truth.posterior[people.unit, people.value]
    unit, place = np.unique(people.unit, return_inverse=True)
    who, taker = np.unique(people.annotator, return_inverse=True)
    found = difficulty.fit(place, taker, right, len(unit), len(who))
    n = np.bincount(place)
    share = np.bincount(place, right) / n
    rows = []
    for at in np.argsort(-found.difficulty, kind="stable")[:most]:
        code = int(labels.item[unit[at]])
        key = votes.items.ids[code]
        value, half = float(found.difficulty[at]), Z95 * float(found.error[at])
        rows.append(
            {
                "item": str(key),
                "source": votes.sources[votes.items.source[code]],
                "difficulty": {"value": value, "lo": value - half, "hi": value + half, "n": int(n[at])},
                "right": float(share[at]),
            }
        )
    return rows


def _without(votes: Votes, labels: Labels, n: int) -> tuple[np.ndarray, float | None]:
    people = labels.only(votes.kinds[labels.annotator] == HUMAN)
    none = np.full(n, np.nan), None
    if not len(people):
        return none
    found = reliability.within(people, n)
    estimate = found.estimates["alpha_nominal"]
    if estimate is None or found.without is None:
        return none
    return found.without["alpha_nominal"], estimate["value"]


def _care(votes: Votes, aspect: int) -> np.ndarray | None:
    """Share of each annotator's votes given with care, from votes on known models; None without any."""
    game = rankings.games(votes, votes.comparisons.aspect == aspect)
    if not len(game) or len(np.unique(game.annotator)) < 2:
        return None
    return careless.fit_careful(
        game.first, game.second, game.verdict, game.annotator, len(votes.models), len(votes.annotators)
    ).care


def _comparisons(votes: Votes, aspect: int, n: int) -> dict[str, dict[int, dict | float | None]]:
    c = votes.comparisons[votes.comparisons.aspect == aspect]
    total = np.bincount(c.annotator, minlength=n)
    tied = np.bincount(c.annotator[c.verdict == 0], minlength=n)
    sided = (c.verdict != 0) & (c.shown != 0)
    side = np.bincount(c.annotator[sided], minlength=n)
    left = np.bincount(c.annotator[sided & (c.verdict == -c.shown)], minlength=n)
    codes = np.flatnonzero(total)
    timed = np.isfinite(c.seconds)
    order = np.lexsort((c.seconds[timed], c.annotator[timed]))
    who, seconds = c.annotator[timed][order], c.seconds[timed][order]
    start, end = np.searchsorted(who, codes), np.searchsorted(who, codes, side="right")
    return {
        "ties": {int(i): wilson(float(tied[i]), int(total[i])) for i in codes},
        "left": {int(i): wilson(float(left[i]), int(side[i])) for i in codes},
        "seconds": {
            int(i): float(np.median(seconds[a:b])) if b > a else None
            for i, a, b in zip(codes, start, end, strict=True)
        },
    }


def stand_in(votes: Votes, labels: Labels, code: int) -> dict:
    """The alternative annotator test of one model as plain values."""
    chosen = (votes.kinds[labels.annotator] == HUMAN) | (labels.annotator == code)
    both = labels.only(chosen)
    found = alternative.alt_test(both, both.annotator == code)
    return {
        "passes": found.passes,
        "winning_rate": found.winning_rate,
        "advantage": found.advantage,
        "people": found.people,
        "epsilon": alternative.EPSILON,
        "undefined": found.undefined,
    }


def win_rates(votes: Votes, aspect: int, model: int) -> list[dict]:
    """Each player's win rate over all its items: by people alone, and with a language model's verdicts beside.

    Items that people judged count as drawn with their propensity; the model judged all. Combined by PPI++ where every
    propensity is 1 and by AIPW otherwise (see `estimates`).
    """
    from . import estimates

    c = votes.comparisons
    human = (c.aspect == aspect) & (votes.kinds[c.annotator] == HUMAN)
    lm = (c.aspect == aspect) & (c.annotator == model)
    rows: list[dict] = []
    if not human.any() or not lm.any():
        return rows
    by_people, by_model = rankings.games(votes, human, per_item=True), rankings.games(votes, lm)
    chance = np.ones(len(votes.items))
    chance[c.item[human]] = c.propensity[human]
    for player, name in enumerate(votes.models):
        y, item_y = _won(by_people, player)
        f, item_f = _won(by_model, player)
        if not len(f):
            continue
        labelled = np.isin(item_f, item_y)
        known = dict(zip(item_y.tolist(), y.tolist(), strict=True))
        truth = np.array([known.get(i, 0.0) for i in item_f.tolist()])
        alone = means.mean(y, item=item_y) if len(y) else None
        pi = chance[item_f]
        routed = bool((pi[labelled] < 1).any())
        if routed:
            both = estimates.aipw_mean(truth, f, labelled, pi)
        else:
            both = estimates.ppi_mean(truth[labelled], f[labelled], f[~labelled])
        if both and both["lo"] is not None:  # a share, whose normal interval may reach beyond
            both |= {"lo": max(0.0, both["lo"]), "hi": min(1.0, both["hi"])}
        rows.append(
            {"name": name, "people": alone, "combined": both, "method": "AIPW" if routed else "PPI++",
             "model_alone": means.mean(f, item=item_f)}
        )  # fmt: skip
    return rows


def _won(game, player: int) -> tuple[np.ndarray, np.ndarray]:
    """(1 won, ½ tied, 0 lost; item) of the player's comparisons, one per item."""
    mine = ((game.first == player) | (game.second == player)) & (game.verdict != NONE)
    verdict = np.where(game.first[mine] == player, -game.verdict[mine], game.verdict[mine])
    item, at = np.unique(game.item[mine], return_index=True)
    return (verdict[at] + 1) / 2, item
