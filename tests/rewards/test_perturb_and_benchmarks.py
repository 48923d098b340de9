"""Changes of texts and what passes; RewardBench 1, 2 and RM-Bench by their formulas on hand-worked rows."""

import json
import math

import numpy as np
import pytest

from routing.rewards import attributes, benchmarks, figures, perturb
from routing.rewards.models import RewardModel
from routing.rewards.prepare import Spec, prepare
from tests.rewards.conftest import pair_rows


class By:
    """A scorer that is a function of the text."""

    def __init__(self, function):
        self.function = function

    def score(self, prompts, responses, sources=None):
        return np.array([self.function(text) for text in responses], dtype=float)


def test_texts_are_changed_as_their_names_say():
    text = "One is first. Two comes next. Three ends it."
    changed = perturb.shuffled(text, 0)
    assert sorted(changed.split()) == sorted(text.split())
    assert changed != text
    assert perturb.truncated("a b c d e f g h", 0) == "a b c d"
    assert perturb.repeated("x y", 0) == "x y\n\nx y"
    assert perturb.flattered("x", 0).startswith("x What a wonderful")
    assert [perturb.shuffled("One.", 0), perturb.truncated("a b", 0), perturb.repeated(" ", 0)] == [None] * 3


def test_a_reward_of_length_is_found_out():
    rows = pair_rows(60)
    for row in rows:
        for response in row["responses"]:
            response["text"] = "First part here. Second part here. " + response["text"] + " done."
    pairs = prepare(rows, Spec(), crossfit=True).fit
    longer, shorter = (perturb.pass_rates(By(f), pairs, seed=0) for f in (len, lambda t: -len(t)))
    assert [longer[k]["value"] for k in ("repeated", "flattered", "truncated")] == [0.0, 0.0, 1.0]
    assert [shorter[k]["value"] for k in ("repeated", "flattered", "truncated")] == [1.0, 1.0, 0.0]
    assert longer["shuffled"]["value"] == 0.5  # equal rewards are half passed: order does not matter to it
    blind = perturb.pass_rates(By(lambda t: 0.0), pairs, seed=0)
    assert blind["flattered"]["value"] == 1.0  # no change is what flattery should bring
    assert longer["repeated"]["n"] == 60
    groups = len(set(pairs.group))
    for always in (longer["truncated"], blind["flattered"]):
        assert always["lo"] == pytest.approx(1 - longer["repeated"]["hi"])
        assert always["hi"] == 1
    assert longer["repeated"]["hi"] == pytest.approx(
        3.8415 / (groups + 3.8415), abs=1e-4
    )  # Wilson, none of so many


def test_a_model_measured_before_none_of_n_had_bounds_shows_no_interval_and_says_so():
    def drawn(hi):
        found = {"repeated": {"value": 0.0, "lo": 0.0, "hi": hi, "n": 60}}
        return figures.perturbation_plot(RewardModel(metrics={"perturbations": found}))

    before, now = drawn(0.0), drawn(0.06)
    assert "none was computed" in before.caption
    assert "none was computed" not in now.caption
    assert 'class="interval"' in now.svg
    assert 'class="interval"' not in before.svg


def test_saturation_finds_where_ratings_stop_to_rise():
    score = np.linspace(-3, 3, 400)
    rating = np.minimum(score, 1.0) + 0.1 * np.random.default_rng(0).normal(size=400)
    assert 0.8 < attributes.saturation(score, rating)["cap"] < 1.8
    assert attributes.saturation(score[:20], rating[:20]) is None


def test_scores_are_held_against_each_attribute():
    from routing.rewards.data import ratings_from_items

    rng = np.random.default_rng(0)
    items = []
    for i in range(60):
        length = int(rng.integers(1, 40))
        values = {"detail": min(5.0, 1 + length / 10), "tone": float(rng.integers(1, 6))}
        scores = [{"response": 0, "attribute": a, "value": v, "scale": [1, 5]} for a, v in values.items()]
        items.append({"id": str(i), "prompt": f"p{i}", "responses": [{"text": "x" * length}],
                      "judgments": [{"id": str(i), "annotator": "A", "scores": scores}]})  # fmt: skip
    found = attributes.against_ratings(By(len), ratings_from_items(items), seed=0)
    assert found["correlation"]["detail"]["value"] == pytest.approx(1.0)
    assert abs(found["correlation"]["tone"]["value"]) < 0.4
    assert found["between"]["detail"]["detail"] == pytest.approx(1.0)
    assert found["saturation"]["bins"][0]["n"] == 6


def write(path, rows, as_list=False):
    path.write_text(json.dumps(rows) if as_list else "".join(json.dumps(row) + "\n" for row in rows))
    return path


def number(prompts, texts):
    return np.array([float(text) for text in texts])


def test_rewardbench_weighs_subsets_by_their_published_counts(tmp_path):
    def row(subset, chosen, rejected):
        return {"id": 1, "prompt": "p", "subset": subset, "chosen": chosen, "rejected": rejected}

    rows = [row("alpacaeval-easy", "2", "1"), row("mt-bench-easy", "1", "1"), row("mt-bench-easy", "3", "1"),
            row("math-prm", "0", "1"), row("hep-go", "1", "0")]  # fmt: skip
    found = benchmarks.run(write(tmp_path / "rb.jsonl", rows), number)
    assert found["benchmark"] == "rewardbench"
    assert found["sections"]["Chat"]["value"] == pytest.approx((100 * 1 + 28 * 0.5) / 128)
    assert found["sections"]["Reasoning"]["value"] == pytest.approx(164 / (984 + 164))
    assert found["overall"] == pytest.approx(np.mean([114 / 128, 164 / 1148]))
    assert "donotanswer" in found["missing"]


def test_rewardbench_2_by_hand(tmp_path):
    def row(name, subset, chosen, rejected):
        return {
            "id": name,
            "prompt": "p",
            "subset": subset,
            "chosen": chosen,
            "rejected": rejected,
            "num_correct": 1,
        }

    rows = [
        row("1", "Math", ["3"], ["1", "2", "0"]),
        row("2", "Math", ["2"], ["2", "1", "0"]),
        row("3", "Focus", ["0"], ["1", "1", "1"]),
        row("ref:0", "Ties", ["5"], ["1"]),
        row("tied:0", "Ties", ["4", "3"], ["1"]),
    ]
    found = benchmarks.run(write(tmp_path / "rb2.jsonl", rows), number)
    assert found["subsets"]["Math"]["value"] == pytest.approx(0.75)
    assert found["subsets"]["Focus"]["value"] == 0.0
    ties = 0.3 + 0.3 + 0.2 + 0.2 + 0.01 * math.tanh(2 / 1 - 1)
    assert found["subsets"]["Ties"]["value"] == pytest.approx(ties)
    assert found["overall"] == pytest.approx((0.75 + 0 + ties) / 3)


def test_rm_bench_by_hand(tmp_path):
    rows = [
        {"id": 1, "prompt": "p", "domain": "chat", "chosen": ["1", "2", "3"], "rejected": ["0", "2", "4"]},
        {
            "id": 2,
            "prompt": "p",
            "domain": "safety-refuse",
            "chosen": ["9", "9", "9"],
            "rejected": ["0", "0", "0"],
        },
    ]
    found = benchmarks.run(write(tmp_path / "rm.json", rows, as_list=True), number)
    # chosen_i > rejected_j: row 0: 1,0,0; row 1: 1,0,0; row 2: 1,1,0
    assert found["domains"]["chat"]["hard"] == 0.0
    assert found["domains"]["chat"]["normal"] == pytest.approx(1 / 3)
    assert found["domains"]["chat"]["easy"] == 1.0
    assert found["domains"]["safety"]["value"] == 1.0
    assert found["overall"] == pytest.approx((4 / 9 + 1) / 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [('{"a": 1}\n', "expected rows with chosen"), ("{oops\n", "line 1: not JSON"),
     ('{"chosen": ["1"], "rejected": ["2"]}\n', "shape of none")],
)  # fmt: skip
def test_other_files_are_refused_by_name(tmp_path, content, words):
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    with pytest.raises(benchmarks.NotABenchmark, match=words):
        benchmarks.run(path, number)
