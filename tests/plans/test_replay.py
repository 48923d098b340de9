"""Replay: exact on a worked file, blind to labels of the scored prompts, honest about budgets, and usable as a command."""

import gzip
import json
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from annotations.analysis.majority import NONE
from annotations.items import readers
from routing.plans import policies, replay, replay_cases

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "1_pairs_human_lm.jsonl.gz"


def planted(n=240, seed=0, *, people=3, harder=True):
    """Pairs whose first model errs on long prompts; three people, the first of whom errs on every twentieth pair."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        truth = str(rng.choice(["a", "b"]))
        other = "b" if truth == "a" else "a"
        hard = i % 3 == 0 and harder
        words = "word " * (40 if hard else 5) + f"number {i // 2}"
        lm = other if rng.random() < (0.7 if hard else 0.05) else truth
        second = other if rng.random() < 0.3 else truth
        labels = [other if i % 20 == 0 else truth, truth, truth][:people]
        rows.append(
            {
                "id": f"r{i}", "source": "planted", "group": f"g{i // 2}", "prompt": words,
                "response_a": "yes " * int(rng.integers(1, 9)), "response_b": "no " * int(rng.integers(1, 9)),
                "human": [{"annotator": f"p{k}", "label": label} for k, label in enumerate(labels)],
                "lm": [{"model": "m1", "label": lm, "order": "ab"}, {"model": "m2", "label": second, "order": "ab"}],
            }
        )  # fmt: skip
    return rows


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def cases_of(path, **options):
    return replay_cases.cases([readers.to_native(r) for r in readers.read(path)], **options)


@pytest.fixture
def case(tmp_path):
    return cases_of(write(tmp_path / "x.jsonl", planted()), annotators=["m1"])[0]


def test_the_consensus_is_the_majority_of_the_others():
    labels = np.array(
        [[1, 1, 1], [1, -1, -1], [1, 0, -1], [-1, NONE, NONE], [NONE, 1, 1], [1, 1, NONE]], dtype=np.int8
    )
    assert replay_cases.consensus(labels).tolist() == [1, -1, NONE, -1, 1, 1]


def test_a_case_holds_who_is_wrong_against_the_others(case):
    assert len(case) == 240
    assert case.person_wrong.nonzero()[0].tolist() == list(range(0, 240, 20))
    assert (case.error == (case.pool.signals.verdict != case.truth)).all()
    assert case.pool.error is None
    assert case.pool.truth is None


def test_random_routing_leaves_the_share_it_should_and_the_router_finds_the_errors(case):
    rows = list(replay.replay(case, names=["net_gain"], budgets=[0.5], mode="offline", splits=4))
    found = {row.policy: row for row in rows}
    expected = 0.5 * case.error.mean() + 0.5 * case.person_wrong.mean()
    assert found["random"].residual_error["value"] == pytest.approx(expected, abs=0.04)
    assert found["net_gain"].gain_over_random["lo"] > 0
    assert found["random"].gain_over_random == {"value": 0.0, "lo": 0.0, "hi": 0.0, "n": 240}
    assert all(row.sent == 0.5 for row in rows)


@pytest.mark.parametrize("mode", replay.MODES)
def test_no_policy_ever_sees_a_label_of_a_prompt_that_it_scores(case, mode, monkeypatch):
    """Every pool that a policy gets is checked: offline against the fold, online against what was paid so far."""
    paid = []
    real = replay._with_people

    def spy(case, known, *args, **options):
        pool = real(case, known, *args, **options)
        assert np.isnan(pool.error[~known]).all()
        assert (pool.truth[~known] == NONE).all()
        if mode == "offline":
            assert not set(case.pool.group[known]) & set(case.pool.group[~known])
        else:
            paid.append(int(known.sum()))
        return pool

    monkeypatch.setattr(replay, "_with_people", spy)
    list(replay.replay(case, names=["net_gain", "influence", "mixes"], budgets=[0.25], mode=mode, splits=1))
    if mode == "online":
        assert 0 < max(paid) <= 60


@pytest.mark.parametrize("budget", [0.1, 0.25, 0.6, 0.95])
def test_online_spends_the_budget_and_not_an_item_more(case, budget):
    rng = np.random.default_rng(1)
    sent, _, _ = replay._online(case, ["random", "lm_confidence", "net_gain"], [budget], rng)
    quota = int(budget * 240 + 1e-9)
    assert sent.sum(axis=2).tolist() == [[quota]] * 3


def test_labels_shuffled_against_everything_give_no_gain(tmp_path):
    """Errors that nothing predicts: the interval of the gain must hold zero in nearly every replay."""
    excluded = 0
    for seed in range(6):
        path = write(tmp_path / f"{seed}.jsonl", planted(120, seed, harder=False))
        rows = replay.replay(
            cases_of(path, annotators=["m1"])[0], names=["net_gain"], budgets=[0.25], mode="offline", splits=2
        )
        gain = next(row.gain_over_random for row in rows if row.policy == "net_gain")
        excluded += not gain["lo"] <= 0 <= gain["hi"]
    assert excluded <= 2


def test_a_replay_is_the_same_for_the_same_seed(case):
    def run(seed):
        return list(
            replay.replay(case, names=["net_gain"], budgets=[0.25], mode="online", splits=2, seed=seed)
        )

    assert run(3) == run(3)
    assert run(3) != run(4)


def call(*args):
    out = StringIO()
    call_command("replay_routing", *map(str, args), "--jobs", "1", "--json", stdout=out)
    return json.loads(out.getvalue().splitlines()[-1])


def test_the_command_prints_rows_and_writes_json_and_a_plot(tmp_path):
    path = write(tmp_path / "x.jsonl", planted(120))
    found = call(
        path,
        "--budgets",
        ".25",
        ".5",
        "--policies",
        "net_gain",
        "hyper_linear",
        "--seeds",
        3,
        "--mode",
        "both",
        "--out",
        tmp_path / "o",
    )
    keys = {(r["annotator"], r["mode"], r["policy"], r["budget"]) for r in found["results"]}
    assert len(keys) == len(found["results"]) == 2 * 2 * 4 * 2
    row = found["results"][0]
    assert list(row)[:9] == [
        "source", "annotator", "mode", "policy", "budget", "splits", "residual_error", "gain_over_random", "reward_accuracy",
    ]  # fmt: skip
    assert set(row["residual_error"]) == {"value", "lo", "hi", "n"}
    assert json.loads((tmp_path / "o" / "replay.json").read_text())["results"] == found["results"]
    root = ElementTree.parse(tmp_path / "o" / "replay-online.svg").getroot()
    assert root.tag.endswith("svg")
    assert "m2" in "".join(root.itertext())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--budgets", "1.5"], "--budgets 1.5: expected shares"),
        (["--annotator", "gpt-9"], "gpt-9: no such LM annotator in the file. There are: m1, m2."),
        (["--seeds", "0"], "--seeds: expected at least 1"),
    ],
)
def test_bad_options_end_with_code_two_and_say_what_was_expected(tmp_path, change, words):
    path = write(tmp_path / "x.jsonl", planted(40))
    with pytest.raises(CommandError, match=words.replace(".", r"\.")) as caught:
        call(path, "--out", tmp_path / "o", *change)
    assert caught.value.returncode == 2


def test_files_without_both_kinds_of_labels_are_refused(tmp_path):
    rows = [{**row, "lm": []} for row in planted(40)]
    with pytest.raises(CommandError, match="both a person's and a language model's label"):
        call(write(tmp_path / "x.jsonl", rows), "--out", tmp_path / "o")
    with pytest.raises(CommandError, match="No such file"):
        call(tmp_path / "missing.jsonl", "--out", tmp_path / "o")


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="needs the shared data")
def test_on_real_data_the_default_beats_random_and_hyper_offline_and_is_no_worse_than_doubt():
    """The bundled rows, a few annotators and ten splits; the full run is `make replay` territory."""
    with gzip.open(REAL, "rt") as file:
        assert file.readline()
    found = cases_of(REAL, annotators=["gpt-3.5-turbo", "pandalm-7b", "GPT-4 · Vanilla", "ChatGPT · Vanilla"])
    for case in found:
        names = [policies.DEFAULT, "hyper_linear", "hyper_quadratic"]
        rows = list(replay.replay(case, names=names, budgets=[0.25, 0.5], mode="offline", splits=10))
        by = {(row.policy, row.budget): row for row in rows}
        for budget in (0.25, 0.5):
            mine = by[policies.DEFAULT, budget]
            assert mine.gain_over_random["lo"] > 0, (case.annotator, budget)
            assert mine.gain_over_confidence["hi"] >= 0, (case.annotator, budget)
            for other in names[1:]:
                assert mine.residual_error["value"] < by[other, budget].residual_error["value"]
