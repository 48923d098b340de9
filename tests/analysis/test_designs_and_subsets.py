"""Brackets and other designs, cheaper schemes, win rates that may be watched, subsets with bounds, drift."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as some

from annotations.analysis import ballots, bias, designs, means, rankings, subset, tournament, win_rates
from annotations.analysis.subset import Ballots
from annotations.analysis.votes import Builder, Columns

NAN = float("nan")


# --- Tournaments and designs --------------------------------------------------------------------------------
@settings(max_examples=50, deadline=None)
@given(some.integers(2, 8), some.integers(0, 10_000))
def test_a_bracket_takes_one_match_less_than_there_are_responses_and_the_best_wins(m, seed):
    strength = np.random.default_rng(seed).permutation(m)
    places = tournament.order(m, seed=seed, key="prompt")
    assert sorted(places) == list(range(m))
    verdicts, rounds = {}, 0
    while True:
        matches, winner = tournament.open_matches(places, verdicts)
        if winner is not None:
            break
        rounds += 1
        for a, b in matches:
            assert a < b
            assert (a, b) not in verdicts
            verdicts[a, b] = -1 if strength[a] > strength[b] else 1
    assert len(verdicts) == m - 1
    assert rounds == int(np.ceil(np.log2(m)))
    assert strength[winner] == m - 1


def test_a_tie_lets_the_one_drawn_earlier_go_on():
    assert tournament.open_matches([2, 0, 1], {}) == ([(0, 2)], None)
    assert tournament.open_matches([2, 0, 1], {(0, 2): 0}) == ([(1, 2)], None)
    assert tournament.open_matches([2, 0, 1], {(0, 2): 0, (1, 2): 0}) == ([], 2)
    assert tournament.open_matches([2, 0, 1], {(0, 2): -1}) == ([(0, 1)], None)


@pytest.mark.parametrize("name", designs.DESIGNS)
def test_every_design_spends_the_same_and_pairs_nobody_with_itself(name):
    theta = np.linspace(-1, 1, 7)
    first, second, verdict = designs.DESIGNS[name](theta, np.log(0.5), 40, np.random.default_rng(1))
    assert len(first) == len(second) == len(verdict) == 40 * 6
    assert (first != second).all()
    assert set(np.unique(verdict)) == {-1, 0, 1}
    without = designs.DESIGNS[name](theta, -np.inf, 40, np.random.default_rng(1))[2]
    assert set(np.unique(without)) == {-1, 1}


def test_brackets_beat_the_anchor_and_not_random_pairs():
    """Reference section 1: at an equal budget a bracket is better than an anchor and about as good as random pairs."""
    theta = np.random.default_rng(3).normal(0, 0.8, 20)
    rows = {row["design"]: row for row in designs.compare(theta, np.log(0.5), 50 * 19, runs=20, seed=1)}
    assert {row["comparisons"] for row in rows.values()} == {950}
    assert rows["random"]["against_random"] is None
    assert rows["anchor"]["against_random"]["lo"] > 0
    assert rows["tournament"]["error"]["value"] < rows["anchor"]["error"]["value"]
    assert rows["tournament"]["order"]["value"] > 0.9
    again = designs.compare(theta, np.log(0.5), 50 * 19, runs=20, seed=1)
    assert again == list(rows.values())


def test_rounds_are_written_until_every_prompt_has_its_winner(tmp_path, capsys):
    items = [
        {"id": f"q{n}", "prompt": f"Question {n}", "source": "s",
         "responses": [{"text": f"answer {n} {i}", "model": f"m{i}"} for i in range(5)]}
        for n in range(3)
    ]  # fmt: skip
    source, out, judged = (tmp_path / name for name in ("items.jsonl", "next.jsonl", "judged.jsonl"))
    source.write_text("\n".join(json.dumps(item) for item in items))
    done: list[dict] = []
    counts = []
    for _ in range(4):
        judged.write_text("\n".join(json.dumps(row) for row in done))
        arguments = [str(source), "--out", str(out), "--json", *(["--judged", str(judged)] if done else [])]
        call_command("tournament", *arguments)
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        counts.append((said["matches"], len(said["winners"])))
        for line in out.read_text().splitlines():
            row = json.loads(line)
            better = max(range(2), key=lambda i, row=row: row["responses"][i]["model"])
            row["judgments"] = [
                {"id": f"00000000-0000-4000-8000-{len(done):012d}", "annotator": "judge", "kind": "lm", "outcome": "answered",
                 "comparisons": [{"first": 0, "second": 1, "aspect": "overall", "preference": 2 * better - 1, "scale_max": 1}]}
            ]  # fmt: skip
            done.append(row)
    assert counts == [(6, 0), (3, 0), (3, 0), (0, 3)]
    assert set(said["winners"].values()) == {"m4"}
    with pytest.raises(CommandError, match="no items with three or more"):
        call_command("tournament", str(judged), "--out", str(out))


# --- Cheaper schemes, win rates -----------------------------------------------------------------------------
def game(first, second, verdict, item, annotator=None) -> Columns:
    n = len(first)
    who = np.zeros(n, dtype=np.int32) if annotator is None else np.asarray(annotator)
    return Columns(
        {"first": np.asarray(first), "second": np.asarray(second), "verdict": np.asarray(verdict, dtype=np.int8),
         "item": np.asarray(item), "annotator": who, "at": np.zeros(n), "a": np.zeros(n), "b": np.zeros(n)}
    )  # fmt: skip


def test_fewer_votes_lose_differences_and_reverse_none():
    rng = np.random.default_rng(5)
    theta = np.array([-0.5, -0.1, 0.1, 0.5])
    first = np.repeat(rng.integers(0, 4, 400), 3)
    second = (first + np.repeat(rng.integers(1, 4, 400), 3)) % 4
    verdict = designs.drawn(theta, np.log(0.3), first, second, rng)
    played = game(first, second, verdict, np.repeat(np.arange(400), 3))
    told = np.sign(theta[:, None] - theta[None, :]).astype(np.int8)
    rows = {row["judges"]: row for row in rankings.schemes(played, 4, told, False, 0)}
    assert rows["One vote per item"]["votes"] == 400
    assert rows["One vote per item"]["kept"] > rows["A quarter of the items"]["kept"]
    assert all(row["reversed"] == row["invented"] == 0 and row["pairs"] == 6 for row in rows.values())
    assert all(row["kept"] + row["lost"] == 6 for row in rows.values())


def test_win_rates_by_hand_and_the_best_of_equals_is_not_called_best():
    rows = win_rates.rates(
        ("x", "y", "never"), np.array([0, 0, 1, 0]), np.array([1, 1, 0, 1]), np.array([-1, -1, 1, 0]), item=np.arange(4)
    )  # fmt: skip
    assert [row["name"] for row in rows] == ["x", "y"]
    assert rows[0]["rate"]["value"] == pytest.approx(3.5 / 4)
    assert rows[0]["anytime"]["n"] == 4
    assert rows[0]["anytime"]["hi"] == 1
    named = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        first = rng.integers(0, 8, 800)
        second = (first + rng.integers(1, 8, 800)) % 8
        verdict = rng.choice([-1, 1], 800)
        rows = win_rates.rates(tuple("abcdefgh"), first, second, verdict, item=np.arange(800))
        named += any(row["rank_lo"] > 1 or row["rank_hi"] < 8 for row in rows)
    assert named <= 9


def test_win_rate_intervals_are_those_of_the_clustered_mean():
    rng = np.random.default_rng(6)
    n = 600
    first, item, who = (
        np.zeros(n, dtype=int),
        rng.integers(0, 100, n),
        rng.integers(0, 20, n).astype(np.int32),
    )
    verdict = rng.choice([-1, 0, 1], n)
    row = win_rates.rates(("x", "y"), first, first + 1, verdict, item=item, annotator=who)[0]
    name = row["name"]
    score = (1 - verdict) / 2 if name == "x" else (1 + verdict) / 2
    expected = means.mean(score, item=item, annotator=who)
    assert row["rate"] == pytest.approx(expected, rel=0.01)  # that one takes the largest of three variances


def test_bounds_that_are_watched_hold_at_every_moment_and_ordinary_ones_do_not():
    missed = alone = 0
    for seed in range(300):
        wins = np.cumsum(np.random.default_rng(seed).random(1500) < 0.5)
        n = np.arange(1, 1501)
        v = n / 4
        half = np.sqrt((v + 25) * np.log((v + 25) / (25 * 0.05**2))) / n
        assert half[99] == pytest.approx(win_rates.anytime(50, 100)["hi"] - 0.5)
        share = wins / n
        missed += bool((np.abs(share - 0.5) > half).any())
        alone += bool((np.abs(share - 0.5) > 1.96 * 0.5 / np.sqrt(n))[9:].any())
    assert missed / 300 <= 0.05
    assert alone / 300 > 0.3
    assert win_rates.anytime(0, 0) is None


# --- Subsets ------------------------------------------------------------------------------------------------
cases = some.integers(0, 2**32 - 1).map(np.random.default_rng)


@settings(max_examples=40, deadline=None)
@given(cases)
def test_borda_is_the_best_of_all_choices_within_the_bounds_and_coverage_is_near_it(rng):
    n, k = 7, 3
    voter = np.repeat(np.arange(4), n)
    given_to = Ballots(
        voter, np.tile(np.arange(n), 4), rng.random(4 * n), n, rng.integers(0, 2, n), ("a", "b")
    )
    size = np.bincount(given_to.group, minlength=2)
    bounds = {g: int(min(size[g], 1 + g)) for g in (0, 1)}
    score, table = given_to.score, given_to.points.reshape(4, n)

    def within(some_of):
        return all((given_to.group[list(some_of)] == g).sum() >= least for g, least in bounds.items())

    choices = [c for c in combinations(range(n), k) if within(c)]
    found = subset.choose(given_to, k, at_least=bounds)
    assert within(found.chosen)
    assert found.value == pytest.approx(max(score[list(c)].mean() for c in choices))
    assert found.free_value >= found.value - 1e-12
    covered = subset.choose(given_to, k, at_least=bounds, rule="coverage")
    assert within(covered.chosen)
    best = max(table[:, list(c)].max(axis=1).mean() for c in combinations(range(n), k))
    assert covered.free_value >= (1 - 1 / np.e) * best
    assert covered.value == pytest.approx(table[:, covered.chosen].max(axis=1).mean())


def test_a_voter_who_compares_a_response_often_counts_once_with_the_mean():
    # Voter 0 gave candidate 0 two points of ½ each (mean ½) and candidate 1 one of .9; voter 1 likes candidate 2.
    given_to = Ballots(
        np.array([0, 0, 0, 1]),
        np.array([0, 0, 1, 2]),
        np.array([0.5, 0.5, 0.9, 0.8]),
        3,
        np.zeros(3, int),
        ("",),
    )
    found = subset.choose(given_to, 2, rule="coverage")
    assert found.chosen.tolist() == [1, 2]
    assert found.value == pytest.approx((0.9 + 0.8) / 2)


def test_impossible_bounds_say_which():
    few = Ballots(np.zeros(3, int), np.arange(3), np.ones(3), 3, np.array([0, 0, 1]), ("a", "b"))
    for k, bounds, words in (
        (4, {}, "4 cannot be chosen: expected a number from 1 to 3"),
        (2, {1: 2}, "b has 1 candidates, 2 were asked for"),
        (1, {0: 1, 1: 1}, "add up to 2, more than 1"),
    ):
        with pytest.raises(subset.Impossible, match=words):
            subset.choose(few, k, at_least=bounds)


def test_points_of_ratings_are_shares_rated_lower():
    # One voter rates 1, 2, 2, 3: below each are 0, 1 + half of the equal one, the same, 3 of 3.
    who, value = np.array([0, 0, 0, 0, 1]), np.array([1.0, 2, 2, 3, 5])
    np.testing.assert_allclose(ballots._places(who, value), [0, 0.5, 0.5, 1, 0.5])


def rated() -> Builder:
    """Two sources of six items each; everybody likes source s better, item by item more."""
    b = Builder()
    quality = b.attributes.code("quality")
    people = [b.annotator(f"p{i}", "human") for i in range(3)]
    for n in range(12):
        item = b.item(f"{'st'[n // 6]}{n % 6}", source="st"[n // 6], models=["m1", "m2"])
        for who in people:
            for response in (0, 1):
                value = (10 if n < 6 else 0) + n % 6 + response / 2
                b.scores.add((item, who, quality, response, value, 0, 1.0))
    return b


def test_a_bound_brings_a_group_in_and_says_what_it_costs():
    votes = rated().build()
    free = ballots.select(votes, of="items", k=4)
    assert [row["item"] for row in free["chosen"]] == ["s5", "s4", "s3", "s2"]
    assert free["points"] == "ratings"
    bound = ballots.select(votes, of="items", k=4, at_least=2)
    assert [row["item"] for row in bound["chosen"]] == ["s5", "s4", "t5", "t4"]
    assert [row["only_by_bound"] for row in bound["chosen"]] == [False, False, True, True]
    assert [(g["name"], g["chosen"], g["unbounded"]) for g in bound["groups"]] == [("s", 2, 4), ("t", 2, 0)]
    assert bound["value"] < bound["unbounded_value"] == free["value"]
    responses = ballots.select(votes, of="responses", k=2, group="model")
    assert [(row["item"], row["response"], row["group"]) for row in responses["chosen"]] == [
        ("s5", 2, "m2"), ("s5", 1, "m1"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="items go by source or batch"):
        ballots.select(votes, of="items", k=1, group="model")


@pytest.mark.django_db
def test_a_selection_is_the_same_on_the_page_by_api_and_by_command(tmp_path, alice, alice_client, capsys):
    from annotations.projects.models import Membership, Project

    rows = [
        {"id": str(n), "source": "st"[n % 2], "prompt": f"Question {n}", "response_a": f"one {n}", "response_b": f"two {n}",
         "model_a": "m1", "model_b": "m2",
         "human": [{"annotator": f"p{i}", "label": "a" if n % 2 or i == 0 else "b"} for i in range(3)]}
        for n in range(10)
    ]  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    call_command("import_items", "judged", str(path), "--create", "--json")
    Membership.objects.create(project=Project.objects.get(slug="judged"), user=alice, role="owner")
    capsys.readouterr()
    call_command("select_subset", "judged", "-k", "4", "--at-least", "2", "--json")
    command = json.loads(capsys.readouterr().out.splitlines()[-1])
    answer = alice_client.get("/api/v1/projects/judged/analysis/subset?k=4&at_least=2").json()
    assert [row["score"] for row in answer["chosen"]] == [row["score"] for row in command["chosen"]]
    assert answer["groups"] == command["groups"]
    url = reverse("analysis:selection", args=["judged"])
    assert "Choose the responses or items" in alice_client.get(url).content.decode()
    query = "?of=responses&k=4&group=source&at_least=2&rule=borda"
    html = alice_client.get(url + query).content.decode()
    moved = sum(row["only_by_bound"] for row in answer["chosen"])
    assert moved
    assert f"The bounds brought in {moved}" in html
    text = b"".join(alice_client.get(url + query + "&format=csv")).decode("utf-8-sig")
    assert len(text.splitlines()) == 5
    refused = alice_client.get(url + "?of=responses&k=3&group=source&at_least=2&rule=borda")
    assert refused.status_code == 400
    assert "add up to 4, more than 3" in refused.content.decode()
    refused = alice_client.get("/api/v1/projects/judged/analysis/subset?k=3&at_least=2")
    assert refused.status_code == 400
    assert "add up to 4" in refused.content.decode()
    assert alice_client.get("/api/v1/projects/judged/analysis/subset?k=0").status_code == 400


# --- Drift --------------------------------------------------------------------------------------------------
def test_a_drift_to_the_left_and_of_ratings_is_found_and_steadiness_is_not():
    b = Builder()
    aspect, quality = b.aspects.code("overall"), b.attributes.code("quality")
    people = [b.annotator(f"p{i}", "human") for i in range(10)]
    rng = np.random.default_rng(8)
    for n in range(400):
        item = b.item(n, source="s", models=["", ""])
        for who in rng.choice(people, 2, replace=False):
            left = rng.random() < (0.5 if n < 200 else 0.8)
            shown = rng.choice([-1, 1])
            verdict = -shown if left else shown
            b.comparisons.add(
                (item, who, aspect, 0, 1, verdict, verdict, 1, shown, -1, NAN, 1000 + n, NAN, 1.0)
            )
            b.scores.add((item, who, quality, 0, 3 + (n >= 200) * 0.5 + rng.normal(0, 0.3), 1000 + n, 1.0))
    rows = bias.results(b.build())
    people_row = next(row for row in rows if row["kind"] == "human")
    change = people_row["drift"]["left"]["change"]
    assert change["lo"] > 0.1
    assert change["lo"] < 0.3 < change["hi"]
    assert people_row["drift"]["left"]["middle"] == pytest.approx(1200, abs=2)
    ties = people_row["drift"]["ties"]
    assert ties["change"]["value"] == 0
    moved = next(row for row in rows if row["kind"] == "rating_drift")
    assert moved["drift"]["change"]["lo"] < 0.5 < moved["drift"]["change"]["hi"]
    assert moved["drift"]["change"]["lo"] > 0.3


@pytest.mark.slow
def test_the_interval_of_a_change_covers_where_people_differ():
    covered = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        p = 1 / (1 + np.exp(-rng.normal(0, 0.8, 25)))
        who, item = rng.integers(0, 25, 1000), rng.integers(0, 300, 1000)
        found = means.difference(
            (rng.random(1000) < p[who]).astype(float), rng.random(1000) < 0.5, item=item, annotator=who
        )
        covered += found["lo"] <= 0 <= found["hi"]
    assert 0.92 <= covered / 400 <= 0.98
    assert means.difference(np.ones(3), np.zeros(3, dtype=bool)) is None
