"""`rank FILE` and `bias FILE`: the reference figures on real data, and what is said where nothing can be said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from annotations.analysis import bias, style
from annotations.analysis.votes import Builder

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
real = pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")


def run(capsys, *arguments):
    call_command(*map(str, arguments), "--json")
    out, _ = capsys.readouterr()
    return json.loads(out.splitlines()[-1])["results"]


@real
@pytest.mark.parametrize("votes", ["all", "majority"])
def test_pandalm_ranks_as_in_the_reference(capsys, votes):
    rows = run(capsys, "rank", SHARED / "1_pairs_human_lm.jsonl.gz", "--source", "pandalm", "--votes", votes)
    by = {row["judges"]: row for row in rows}
    people = {player["name"]: player for player in by["human"]["players"]}
    assert [name.split("-")[0] for name in people] == ["llama", "pythia", "opt", "bloom", "cerebras"]
    # The whole source's ratings by people's majority; 453 of its 999 items are here.
    for name, rating in {"llama-7b": 0.7243, "pythia-6.9b": 0.0736, "bloom-7b": -0.0182, "opt-7b": -0.2430,
                         "cerebras-gpt-6.7B": -0.5368}.items():  # fmt: skip
        found = people[name]["rating"]
        assert found["lo"] < rating < found["hi"]
    assert sum(player["rating"]["value"] for player in people.values()) == pytest.approx(0, abs=1e-9)
    assert people["llama-7b"]["rank_lo"] == 1
    # Both models put bloom before pythia, people the other way round.
    for judge in ("gpt-3.5-turbo", "pandalm-7b"):
        order = [player["name"] for player in by[judge]["players"]]
        assert order.index("bloom-7b") < order.index("pythia-6.9b")


def test_ranks_count_the_models_of_their_own_source_only(capsys, tmp_path):
    def row(n, source, label):
        return {"id": str(n), "source": source, "prompt": "p", "response_a": "a", "response_b": "b",
                "model_a": f"{source}-1", "model_b": f"{source}-2", "human": [{"annotator": "x", "label": label}]}  # fmt: skip

    rows = [row(n, source, "a" if n % 4 else "b") for source in ("s", "t") for n in range(400)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    for found in run(capsys, "rank", path):
        assert [(p["rank_lo"], p["rank_hi"]) for p in found["players"]] == [(1, 1), (2, 2)]
        assert found["players"][0]["rating"]["value"] == pytest.approx(np.log(3) / 2)


@real
def test_bounds_by_bootstrap_are_close_to_the_sandwichs(capsys):
    [row] = run(
        capsys,
        "rank",
        SHARED / "1_pairs_human_lm.jsonl.gz",
        "--source",
        "pandalm",
        "--bootstrap",
        "400",
        "--aspect",
        "overall",
    )[:1]
    for player in row["players"]:
        assert player["bootstrap"]["lo"] == pytest.approx(player["rating"]["lo"], abs=0.05)
        assert player["bootstrap"]["hi"] == pytest.approx(player["rating"]["hi"], abs=0.05)
    with pytest.raises(CommandError, match="counts ties as half"):
        call_command("rank", "x", "--bootstrap", "10", "--ties", "davidson")


@real
def test_responses_without_names_are_not_ranked(capsys):
    rows = run(capsys, "rank", SHARED / "1_pairs_human_lm.jsonl.gz", "--source", "llmbar")
    assert {row["undefined"] for row in rows} == {"the responses do not say which models wrote them"}
    assert all(row["players"] == [] for row in rows)
    with pytest.raises(CommandError, match="compare no responses"):
        call_command("rank", str(SHARED / "2_ratings.jsonl.gz"))


@real
def test_llmbar_order_and_length_as_in_the_reference(capsys):
    rows = run(capsys, "bias", SHARED / "1_pairs_human_lm.jsonl.gz")
    by = {(row["source"], row["judges"]): row for row in rows}
    gpt, chat = by["llmbar", "GPT-4 · Vanilla"], by["llmbar", "ChatGPT · Vanilla"]
    assert 1 - gpt["order_flips"]["value"] == pytest.approx(0.920, abs=5e-4)
    assert 1 - chat["order_flips"]["value"] == pytest.approx(0.629, abs=5e-4)
    assert gpt["first_shown"]["value"] == pytest.approx(0.67, abs=0.01)
    assert chat["first_shown"]["value"] == pytest.approx(0.93, abs=0.03)
    assert by["llmbar", "human"]["longer"]["value"] == pytest.approx(0.271, abs=0.02)
    assert chat["against_people"]["longer"]["lo"] > 0  # it follows length where gold does not
    assert by["pandalm", "human"]["longer"]["value"] == pytest.approx(0.675, abs=0.02)
    assert by["pandalm", "human"]["undefined"]["left"] == "it is not recorded which response stood left"


def test_style_counts_by_hand():
    text = "# Title\n\nMaybe **two** words.\n- one\n- two\n1. three\n#hashtag\n__strong__ 3*4*5"
    words, headings, items, bold, hedges = style.counts([text])[0]
    assert (words, headings, items, bold, hedges) == (len(text.split()), 1, 3, 2, 1)
    assert style.counts([""]).tolist() == [[0, 0, 0, 0, 0]]


def test_sides_ratings_and_a_model_beside_people_by_hand():
    """Four items. x prefers left thrice of four decided; its ratings fit three of four comparisons."""
    b = Builder()
    x, lm = b.annotator("x", "human"), b.annotator("judge", "lm")
    aspect, attribute = b.aspects.code("overall"), b.attributes.code("quality")
    nan = float("nan")
    for n, (verdict, shown, model_verdict, gap) in enumerate(
        [(-1, 1, -1, -2), (-1, 1, 1, -1), (1, -1, 1, 1), (1, 1, 1, -1)]
    ):
        item = b.item(n, source="s", models=["", ""])
        for who, said in ((x, verdict), (lm, model_verdict)):
            side = shown if who == x else 0
            b.comparisons.add((item, who, aspect, 0, 1, said, said, 1, side, -1, nan, 0, nan, 1.0))
        b.scores.add((item, x, attribute, 0, 3, 0, 1.0))
        b.scores.add((item, x, attribute, 1, 3 + gap, 0, 1.0))
    b.style_parts.append(style.counts(["long long", "short"] * 4))  # the first is always longer
    rows = bias.results(b.build())
    people = next(row for row in rows if row["judges"] == "human" and row["kind"] == "human")
    assert people["left"]["value"] == 0.75
    assert people["longer"]["value"] == 0.5
    model = next(row for row in rows if row["kind"] == "lm")
    assert model["longer"]["value"] == 0.25
    assert model["against_people"]["longer"]["value"] == pytest.approx(-0.25)
    assert model["left"] is None
    fits = next(row for row in rows if row["kind"] == "protocol")
    assert fits["consistent"]["value"] == 0.75
    assert (fits["aspect"], fits["attribute"]) == ("overall", "quality")
    assert not any(isinstance(v, float) and np.isnan(v) for row in rows for v in row.values())


@real
def test_what_to_compare_next_and_what_cheaper_judges_keep(capsys):
    call_command(
        "rank", str(SHARED / "1_pairs_human_lm.jsonl.gz"), "--source", "pandalm", "--next", "6", "--json"
    )
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    pairs = found["next"][0]["pairs"]
    assert len(pairs) == 6
    assert all(pair["first"] != pair["second"] and 0 < pair["propensity"] <= 1 for pair in pairs)
    kept = {row["judges"]: row.get("kept") for row in found["results"]}
    assert kept["human"] is None
    assert kept["gpt-3.5-turbo"]["pairs"] == 10
    assert kept["gpt-3.5-turbo"]["reversed"] == 0
    with pytest.raises(CommandError, match="whole number of at least 1"):
        call_command("rank", "x", "--next", "0")


def test_duplicates_among_prompts_and_against_a_benchmark(capsys, tmp_path):
    text = "Write a poem about the sea and the ships that sail upon it at night"

    def write(name, prompts):
        rows = [
            {"id": f"{name}{n}", "prompt": p, "response_a": "a", "response_b": "b"}
            for n, p in enumerate(prompts)
        ]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        return str(path)

    mine = write("mine", [text, "Explain how photosynthesis works in plants", text + "."])
    bench = write("bench", ["Something else entirely, not at all alike", text.upper()])
    for arguments, expected in (
        ((mine,), [("mine0", "mine2")]),
        ((mine, "--against", bench), [("mine0", "bench1"), ("mine2", "bench1")]),
    ):
        with pytest.raises(SystemExit) as end:
            call_command("duplicates", *arguments, "--json")
        assert end.value.code == 1
        pairs = json.loads(capsys.readouterr().out.splitlines()[-1])["pairs"]
        assert [(pair["first"], pair["second"]) for pair in pairs] == expected
    call_command("duplicates", bench, "--json")
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["pairs"] == []
    with pytest.raises(CommandError, match="expected a number from 0"):
        call_command("duplicates", mine, "--threshold", "0.1")
