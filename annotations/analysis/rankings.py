"""Which models are better, by whom judged: ratings with intervals and ranks that hold at once. Pure."""

from __future__ import annotations

import numpy as np

from . import active, bradley_terry, designs, ranks, resampled, sequential_ratings, styled, win_rates
from .majority import majority
from .votes import HUMAN, LM, Columns, Votes

ELO_PER_LOGIT = 400 / np.log(10)
ELO_MEAN = 1000.0
ONE_ITEM = "all its votes are on one item, so its rating has no bounds"


def results(
    votes: Votes, *, ties: str = "half", per_item: bool = False, seed: int = 0, draws: int = 0
) -> list[dict]:
    """One row per source, aspect and judges: people first, then each language model.

    `per_item`: one vote per item, people's majority, instead of everybody's votes. Where the responses do not say who
    wrote them, `players` is empty and `undefined` says so. A model's row says under `kept` which of people's significant
    differences its ranking keeps. `draws`: of a bootstrap over items, whose bounds stand under `bootstrap` (ties as half).
    """
    rows = []
    for source, part in votes.by_source():
        for code, aspect in enumerate(part.aspects):
            mine = part.comparisons.aspect == code
            if not mine.any():
                continue
            head = {"source": source, "aspect": aspect}
            kinds = part.kinds[part.comparisons.annotator]
            groups = [("human", "human", mine & (kinds == HUMAN))]
            groups += [
                ("lm", part.annotators[who], mine & (part.comparisons.annotator == who))
                for who in np.flatnonzero(part.kinds == LM)
            ]
            people: np.ndarray | None = None
            for kind, name, chosen in groups:
                if chosen.any():
                    judged = head | {"judges": name, "kind": kind}
                    row, told = of_judges(part, chosen, judged, ties, per_item, seed, draws)
                    if kind == "human":
                        people = told
                    elif told is not None and people is not None:
                        row["kept"] = kept_differences(people, told)
                    rows.append(row)
    return rows


def of_judges(
    votes: Votes, chosen: np.ndarray, head: dict, ties: str, per_item: bool, seed: int, draws: int = 0
) -> tuple[dict, np.ndarray | None]:
    """(the ranking by the chosen comparisons bool[n], which models it tells apart: `ranks.significant`)."""
    game = games(votes, chosen, per_item=per_item)
    m = len(votes.models)
    row = {**head, "ties": ties, "votes": "majority" if per_item else "all", "players": [], "n": len(game)}
    if not len(game):
        row["undefined"] = "the responses do not say which models wrote them"
        return row, None
    fitted = bradley_terry.fit(bradley_terry.count(game.first, game.second, game.verdict, m), ties=ties)
    over_people = (
        head["kind"] == "human" and not per_item and len(np.unique(game.annotator)) >= ranks.FEW_PEOPLE
    )
    spread = ranks.clustered(
        fitted, game.first, game.second, game.verdict, item=game.item,
        annotator=game.annotator if over_people else None,
    )  # fmt: skip
    row |= _players(votes.models, fitted.theta, spread, fitted.counts, fitted.reasons, seed)
    if draws and ties == "half":
        drawn = resampled.bootstrap(
            fitted, game.first, game.second, game.verdict, item=game.item, draws=draws, seed=seed
        )
        low, high = resampled.percentiles(drawn)
        for player in row["players"]:
            code = votes.models.index(player["name"])
            known = player["rating"] is not None
            player["bootstrap"] = {"lo": float(low[code]), "hi": float(high[code])} if known else None
    row["tie_parameter"] = None if fitted.ties == "half" else float(np.exp(fitted.eta))
    if votes.styles is not None and not per_item:
        row["style"] = _styled(votes, game, m, over_people, seed)
    row["win_rates"] = win_rates.rates(
        votes.models, game.first, game.second, game.verdict, item=game.item,
        annotator=game.annotator if over_people else None, seed=seed,
    )  # fmt: skip
    if not per_item:
        in_turn = in_order(game, m)
        for player in row["players"]:
            player |= in_turn[votes.models.index(player["name"])]
    told = ranks.significant(fitted.theta, spread, seed=seed)
    if head["kind"] == "human" and not per_item:
        row["schemes"] = schemes(game, m, told, over_people, seed)
        row["designs"] = compare_designs(fitted.counts, len(game), seed)
    return row, told


SCHEMES = (("One vote per item", 1, 0.0), ("Half of the items", 0, 0.5), ("A quarter of the items", 0, 0.25))


def schemes(game: Columns, m: int, told: np.ndarray, over_people: bool, seed: int) -> list[dict]:
    """Which of the significant differences cheaper judging by the same people would keep: rows of `kept_differences` with `judges`
    and `votes`. Items are drawn by `seed`, so is the vote that stands for an item."""
    rng = np.random.default_rng(seed)
    mixed = game[rng.permutation(len(game))]
    items = int(game.item.max(initial=0)) + 1
    luck = rng.random(items)
    rows = []
    for name, votes_each, share in SCHEMES:
        if votes_each:
            _, first = np.unique(mixed.item, return_index=True)
            some = mixed[np.sort(first)]
        else:
            some = mixed[luck[mixed.item] < share]
        if len(some) in (0, len(game)) or len(np.unique(some.item)) < 2:
            continue
        fitted = bradley_terry.fit(bradley_terry.count(some.first, some.second, some.verdict, m))
        people = len(np.unique(some.annotator)) >= ranks.FEW_PEOPLE
        spread = ranks.clustered(
            fitted, some.first, some.second, some.verdict, item=some.item,
            annotator=some.annotator if over_people and people else None,
        )  # fmt: skip
        kept = kept_differences(told, ranks.significant(fitted.theta, spread, seed=seed))
        rows.append({"judges": name, "votes": len(some), **kept})
    return rows


def compare_designs(counts: bradley_terry.Counts, n: int, seed: int) -> list[dict]:
    """`designs.compare` with these votes' own ratings as the truth and as many comparisons; nothing for fewer than three models or ties alone."""
    fitted = bradley_terry.fit(counts, ties="davidson")
    theta = fitted.theta[np.isfinite(fitted.theta)]
    tied = counts.n[:, bradley_terry.TIE].sum()
    if len(theta) < 3 or tied == counts.total:
        return []
    return designs.compare(theta, fitted.eta if tied > 0 else -np.inf, n, seed=seed)


def games(votes: Votes, chosen: np.ndarray, *, per_item: bool = False) -> Columns:
    """Comparisons of two different known models: first, second, verdict, item, annotator, at, a, b (response rows)."""
    c = votes.comparisons[chosen]
    model = votes.items.model
    a, b = votes.responses(c.item, c.first), votes.responses(c.item, c.second)
    first, second = model[a], model[b]
    known = (first >= 0) & (second >= 0) & (first != second)
    item, verdict, annotator, at = c.item[known], c.verdict[known], c.annotator[known], c.at[known]
    first, second, a, b = first[known], second[known], a[known], b[known]
    if per_item and len(item):
        key = item.astype(np.int64) * 64 + c.first[known].astype(np.int64) * 8 + c.second[known]
        _, row, place = np.unique(key, return_index=True, return_inverse=True)
        verdict = majority(place, verdict, len(row))
        item, first, second, annotator, a, b, at = (
            x[row] for x in (item, first, second, annotator, a, b, at)
        )
    return Columns(
        {
            "first": first,
            "second": second,
            "verdict": verdict,
            "item": item,
            "annotator": annotator,
            "a": a,
            "b": b,
            "at": at,
        }
    )


def _players(names, theta, spread, counts, reasons, seed) -> dict:
    n = ranks.of_counts(counts)
    played = np.flatnonzero(n > 0)
    among = spread.among(played)
    low, high = np.zeros(len(n), dtype=int), np.zeros(len(n), dtype=int)
    low[played], high[played] = ranks.rank_sets(theta[played], among, seed=seed)
    wins = np.bincount(counts.first, counts.n[:, 0], len(names)) + np.bincount(
        counts.second, counts.n[:, 1], len(names)
    )
    tied = np.bincount(counts.first, counts.n[:, 2], len(names)) + np.bincount(
        counts.second, counts.n[:, 2], len(names)
    )
    players = []
    for code in played:
        value, half = float(theta[code]), spread.half(code)
        rating = elo = None
        why = reasons.get(int(code), "")
        if np.isfinite(value):
            bounds = (None, None) if half is None else (value - half, value + half)
            rating = {"value": value, "lo": bounds[0], "hi": bounds[1], "n": int(n[code])}
            elo = rating | {
                key: ELO_MEAN + ELO_PER_LOGIT * rating[key]
                for key in ("value", "lo", "hi")
                if rating[key] is not None
            }
            why = ONE_ITEM if half is None else why
        players.append(
            {
                "name": names[code],
                "rating": rating,
                "elo": elo,
                "rank_lo": int(low[code]),
                "rank_hi": int(high[code]),
                "wins": round(wins[code]),
                "ties": round(tied[code]),
                "n": int(n[code]),
                "undefined": why,
            }
        )
    players.sort(key=lambda p: (p["rating"] is None, -(p["rating"] or {"value": 0})["value"], p["name"]))
    return {"players": players, "clusters": spread.clusters}


def _styled(votes: Votes, game: Columns, m: int, over_people: bool, seed: int) -> dict:
    columns = list(styled.COVARIATES)
    x = styled.differences(votes.styles[game.a][:, columns], votes.styles[game.b][:, columns])
    found = styled.fit(
        game.first, game.second, game.verdict, x, m, item=game.item,
        annotator=game.annotator if over_people else None,
    )  # fmt: skip
    counts = bradley_terry.count(game.first, game.second, game.verdict, m)
    rows = _players(votes.models, found.theta, found.spread, counts, {}, seed)["players"]
    return {
        "players": [{key: row[key] for key in ("name", "rating", "rank_lo", "rank_hi")} for row in rows],
        "effects": found.effects,
        "undefined": found.reasons,
    }


def in_order(game: Columns, m: int) -> dict[int, dict]:
    """{model: {"sequential_elo", "glicko": {"rating", "deviation"}}} of games in the order they were given."""
    game = game[np.argsort(game.at, kind="stable")]
    elo = sequential_ratings.elo(game.first, game.second, game.verdict, m)
    start = sequential_ratings.glicko_start(m)
    glicko = sequential_ratings.glicko2(start, game.first, game.second, game.verdict)
    return {
        int(i): {
            "sequential_elo": float(elo[i]),
            "glicko": {"rating": float(glicko.rating[i]), "deviation": float(glicko.deviation[i])},
        }
        for i in np.unique(np.concatenate([game.first, game.second]))
    }


def next_pairs(votes: Votes, aspect: int, n: int, *, seed: int = 0) -> list[dict]:
    """The `n` comparisons of models that would make people's ratings certain soonest: first, second, propensity."""
    chosen = (votes.comparisons.aspect == aspect) & (votes.kinds[votes.comparisons.annotator] == HUMAN)
    game = games(votes, chosen)
    players = np.unique(np.concatenate([game.first, game.second]))
    if len(players) < 2:
        return []
    place = np.zeros(len(votes.models), dtype=np.int64)
    place[players] = np.arange(len(players))
    counts = bradley_terry.count(place[game.first], place[game.second], game.verdict, len(players))
    # Half a tie with everybody keeps those without a rating in: they are the least certain.
    table = np.zeros((len(players), len(players), 3))
    table[counts.first, counts.second] = counts.n[:, [0, 2, 1]]
    table[:, :, 1] += 0.25 * (1 - np.eye(len(players)))
    fitted = bradley_terry.fit(bradley_terry.of_table(table))
    covariance = bradley_terry.bread(fitted)[: len(players), : len(players)]
    pairs, chances = active.next_pairs(fitted.theta, covariance, n, seed=seed)
    return [
        {"first": votes.models[players[i]], "second": votes.models[players[j]], "propensity": float(chance)}
        for (i, j), chance in zip(pairs.tolist(), chances, strict=True)
    ]


def kept_differences(full: np.ndarray, cheaper: np.ndarray) -> dict:
    """Whether a cheaper judging scheme keeps the significant differences (Otero, Parapar & Ferro 2023, on qrels).

    Both int8[M, M] of `ranks.significant`. Of the pairs: kept (same sign), lost (no longer told apart), invented, and
    reversed, which must be 0.
    """
    upper = np.triu_indices(len(full), 1)
    a, b = full[upper], cheaper[upper]
    return {
        "pairs": len(a),
        "kept": int(((a != 0) & (a == b)).sum()),
        "lost": int(((a != 0) & (b == 0)).sum()),
        "invented": int(((a == 0) & (b != 0)).sum()),
        "reversed": int((a * b < 0).sum()),
    }
