"""What each family's options make of the same judgments, and that what finds no place is counted."""

from __future__ import annotations

import json

import pytest

from annotations.datasets import snapshots, truth
from annotations.datasets.export import write_export
from annotations.datasets.formats import FORMATS, BadOption, Conversion, check_options, note_left_out
from annotations.datasets.formats.goals import GOAL
from annotations.datasets.formats.pairs import reward_margin, similarity
from annotations.datasets.formats.ratings import whole_rating
from annotations.datasets.snapshots import freeze_now
from annotations.items.readers import native
from annotations.judging.importing import import_records
from annotations.projects.models import Annotator
from tests.datasets.conftest import prefer, scores, tie

pytestmark = pytest.mark.django_db


@pytest.fixture
def export(project, tmp_path):
    """Freeze and export; returns the manifest and the rows per table, sorted by their JSON."""

    def write(format, **options):
        folder = tmp_path / f"{format}-{len(list(tmp_path.iterdir()))}"
        manifest = write_export(
            snapshot=freeze_now(project=project),
            format=format,
            container="jsonl",
            options=options,
            folder=folder,
        )
        tables: dict[str, list] = {}
        for entry in manifest["files"]:
            if entry["split"]:
                lines = (folder / entry["path"]).read_text().splitlines()
                tables.setdefault(entry["config"], []).extend(json.loads(line) for line in lines)
        return manifest, tables

    return write


@pytest.fixture
def pair(asking, give, make_item):
    """One pair: Bea strongly for the first, Cem slightly for the second, Dana a tie."""
    item = make_item("Say hello.", ("Hello there, friend.", "Go away."), external_id="pair", wanted=3)
    give("Bea", item, prefer(-3, reason="Kind. It greets."), number=1)
    give("Cem", item, prefer(1), number=2)
    give("Dana", item, tie(), number=3)
    return item


def test_full_columns_say_how_sure_a_choice_is(pair, give, export):
    give("rm", pair, scores("helpfulness", 4, 1, low=0, high=4), kind="reward_model")
    manifest, tables = export("trl_preference", method="mean", columns="full")
    (row,) = tables["default"]
    assert row["votes"] == {"chosen": 1, "tie": 1, "rejected": 1}
    assert (row["soft_label"], row["chosen_chars"], row["rejected_chars"]) == (0.5, 20, 8)
    assert (row["similarity"], row["reward_margin"], row["chosen_model"]) == (0.0, 3.0, "model-0")
    assert round(row["margin"], 6) == 0.666667
    assert manifest["left_out"] == {"reasons in words": 1}
    assert manifest["dropped"] == {}


def test_ties_are_dropped_and_counted_or_kept_as_one_half(pair, export):
    manifest, tables = export("trl_preference")
    assert (tables, manifest["dropped"]) == ({}, {"ties": 1})
    _, tables = export("trl_preference", ties="soft", columns="full")
    (row,) = tables["default"]
    assert (row["chosen"][0]["content"], row["strength"], row["margin"]) == ("Hello there, friend.", 0, 0.0)
    assert row["soft_label"] == 0.5
    with pytest.raises(BadOption, match="expected columns 'full'"):
        check_options("trl_preference", None, {"ties": "soft"})


def test_raw_gives_a_row_for_every_vote(pair, export):
    manifest, tables = export("trl_preference", method="raw", style="standard", columns="schema")
    assert tables["default"] == [
        {"prompt": "Say hello.", "chosen": "Hello there, friend.", "rejected": "Go away.", "margin": 3.0},
        {"prompt": "Say hello.", "chosen": "Go away.", "rejected": "Hello there, friend.", "margin": 1.0},
    ]
    assert manifest["dropped"] == {"ties": 1}


def test_implicit_prompts_stand_inside_both_sides(pair, export):
    _, tables = export("openrlhf", method="mean")
    (row,) = tables["default"]
    said = {"role": "user", "content": "Say hello."}
    assert row["chosen"] == [said, {"role": "assistant", "content": "Hello there, friend."}]
    assert row["rejected"] == [said, {"role": "assistant", "content": "Go away."}]
    assert list(row) == ["chosen", "rejected", "margin"]
    _, tables = export("trl_preference", method="mean", style="standard", prompt="implicit", columns="schema")
    assert tables["default"][0]["chosen"] == "Say hello.\n\nHello there, friend."


def test_nearly_equal_responses_are_left_out_where_asked(asking, give, make_item, export):
    words = " ".join(f"word{n}" for n in range(40))
    item = make_item("Copy.", (words, f"{words} more"), external_id="near")
    give("Bea", item, prefer(-1))
    manifest, tables = export("trl_preference", near_duplicates="drop")
    assert (tables, manifest["dropped"]) == ({}, {"pairs of nearly equal texts": 1})
    _, tables = export("trl_preference")
    assert len(tables["default"]) == 1


def test_two_responses_that_tie_share_the_first_rank(pair, export):
    _, tables = export("nemo_ranking")
    (row,) = tables["default"]
    assert [one["rank"] for one in row["completions"]] == [0, 0]
    assert row["completions"][1]["completion"] == [{"role": "assistant", "content": "Go away."}]


def test_goals_double_a_rated_pair_with_the_sides_swapped(asking, give, make_item, export):
    item = make_item("Explain.", ("Long.", "Short."), external_id="rated")
    give("Bea", item, scores("helpfulness", 4, 1, low=0, high=4))
    manifest, tables = export("goal_conditioned", aspect="helpfulness")
    better, worse = tables["default"]
    assert (better["goal"], better["chosen"][0]["content"]) == (10.0, "Long.")
    assert (worse["goal"], worse["chosen"][0]["content"]) == (3.25, "Short.")
    assert worse["prompt"][0] == {"role": "system", "content": GOAL.format(score=3.25)}
    assert better["prompt"][0]["content"].endswith("Overall score: 10.")
    assert manifest["dropped"] == {}


def test_experts_stand_apart_in_multipref(project, export):
    row = {"id": "mp", "prompt": "Which?", "responses": ["One.", "Two."], "judgments": []}
    for name, preference, scale in (("Bea", -2, 2), ("Cem", -2, 2), ("Dana", 1, 3)):
        compared = {"aspect": "overall", "preference": preference, "scale_max": scale}
        row["judgments"].append({"annotator": name, "comparisons": [compared]})
    import_records(project=project, records=[native.parse(row, 1, [])])
    Annotator.objects.filter(name="Cem").update(tags=["expert"])
    manifest, tables = export("multipref", annotators="name")
    (row,) = tables["default"]
    assert [one["evaluator"] for one in row["normal_worker_annotations"]] == ["Bea"]
    assert [one["evaluator"] for one in row["expert_worker_annotations"]] == ["Cem"]
    assert row["expert_worker_annotations"][0]["overall_pref"] == "A-is-clearly-better"
    assert manifest["dropped"] == {"judgments on another scale than MultiPref's five steps": 1}


def test_a_vote_on_another_scale_takes_the_whole_pair_out_of_helpsteer(project, export):
    row = {"id": "hs", "prompt": "Which?", "responses": ["One.", "Two."], "judgments": []}
    for name, compared in (
        ("Bea", {"preference": -1, "scale_max": 1}),
        ("Cem", {"tie": "equal"}),
        ("Dana", {"preference": 2, "scale_max": 3}),
    ):
        row["judgments"].append({"annotator": name, "comparisons": [{"aspect": "overall", **compared}]})
    import_records(project=project, records=[native.parse(row, 1, [])])
    manifest, tables = export("helpsteer3")
    assert (tables, manifest["dropped"]) == ({}, {"pairs compared on another scale than −3 to 3": 1})


def test_pairs_of_one_item_have_names_of_their_own(judged, export):
    _, tables = export("trl_preference", columns="usual")
    names = [row["id"] for row in tables["default"]]
    assert len(set(names)) == len(names) == 5
    assert {"chat#0-1", "chat#0-2", "chat#1-2", "pair"} < set(names)


def test_croissant_describes_the_files_and_their_columns_of_single_values(pair, export, tmp_path):
    manifest, _ = export("trl_preference", method="mean", style="standard")
    folder = tmp_path / "trl_preference-0"
    made = json.loads((folder / "croissant.json").read_text())
    (entry,) = [entry for entry in manifest["files"] if entry["split"]]
    (file,) = made["distribution"]
    assert (file["@id"], file["sha256"]) == (entry["path"], entry["sha256"])
    (records,) = made["recordSet"]
    kinds = {one["name"]: one["dataType"] for one in records["field"]}
    assert kinds == {
        "prompt": "sc:Text",
        "chosen": "sc:Text",
        "rejected": "sc:Text",
        "margin": "sc:Float",
        "id": "sc:Text",
        "group": "sc:Text",
        "split": "sc:Text",
        "strength": "sc:Integer",
        "annotator_kind": "sc:Text",
    }
    assert {one["source"]["fileObject"]["@id"] for one in records["field"]} == {entry["path"]}


def test_three_good_and_three_bad_make_a_row_of_rm_bench(asking, give, make_item, export):
    item = make_item("Sum?", ("a", "b", "c"), external_id="styled")
    give("Bea", item, scores("thumb", 1, 0, 1))
    manifest, tables = export("rm_bench")
    assert tables == {}
    assert manifest["dropped"] == {"items without a good and a bad response of each of the three styles": 1}
    _, tables = export("rewardbench2")
    (row,) = tables["default"]
    assert (row["chosen"], row["rejected"]) == (["a", "c"], ["b"])
    assert (row["num_correct"], row["num_incorrect"], row["total_completions"]) == (2, 1, 3)


def test_every_judgment_that_gives_no_row_is_counted(judged, export):
    manifest, _ = export("trl_preference")
    assert manifest["left_out"] == {
        "judgments that were corrected later": 1,
        "judgments: cannot judge": 1,
        "judgments: flagged": 1,
        "reasons in words": 1,
    }
    manifest, _ = export("native")
    assert (manifest["left_out"], manifest["dropped"]) == ({}, {})


@pytest.mark.parametrize(
    ("values", "method", "expected"),
    [
        ([4, 4, 0], "mean", 3),
        ([1, 1, 4, 4, 4], "three_most_similar", 4),
        ([0, 1], "mean", 1),
        ([0, 0, 3, 3, 4], "majority", 3),
    ],
)
def test_several_ratings_become_one_whole_number(values, method, expected):
    assert whole_rating(values, method) == expected


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [("a b c d", "A B C D", 1.0), ("a b c d", "a b c e", 1 / 3), ("yes", "no", 0.0), ("", "", 1.0)],
)
def test_similarity_is_the_share_of_common_runs_of_words(left, right, expected):
    assert similarity(left, right) == round(expected, 4)


def test_a_corrected_reward_does_not_count():
    def scored(number, value, supersedes=None):
        return {
            "id": number,
            "kind": "reward_model",
            "supersedes": supersedes,
            "scores": [{"response": i, "attribute": "reward", "value": v} for i, v in enumerate((value, 0))],
        }

    item = {"judgments": [scored("1", 9), scored("2", 1, "1"), scored("3", 2)]}
    assert reward_margin(item, 0, 1) == 1.5
    assert reward_margin({"judgments": []}, 0, 1) is None


@pytest.mark.parametrize("name", [name for name, known in FORMATS.items() if known.read is not None])
def test_rows_need_no_more_of_a_judgment_than_their_format_reads(name, judged, give, make_item, project):
    rated = make_item("Rated?", ("Long.", "Short."), external_id="rated")
    give("Bea", rated, scores("helpfulness", 4, 1, low=0, high=4))
    lines = list(snapshots.open_lines(freeze_now(project=project)))
    known = FORMATS[name]

    def rows(read, options):
        conversion = Conversion(options)
        made = []
        for item in map(read, lines):
            note_left_out(item, known.holds(options), conversion)
            made += [row for table in known.tables for row in table.rows(item, conversion)]
        return made, conversion.dropped, conversion.left_out

    _, usual = check_options(name, None, {})
    every = [
        {**usual, key: choice}
        for key, choices in known.options.items()
        for choice in choices or ("overall", "helpfulness")
        if choice != truth.METHOD
    ]
    for options in every:
        narrow = rows(known.read, options)
        assert narrow == rows(snapshots.parse_line, options)
    assert rows(known.read, usual)[0], "no row was compared"
