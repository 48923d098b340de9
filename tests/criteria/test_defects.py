"""What EvalGen and CritiQ get wrong, by reading their code (reference/criteria.md 1.6 and 2.5), is a test here or elsewhere.

EvalGen
1 every change re-queues all criteria: `test_rounds.test_an_unchanged_criterion_is_not_judged_again`,
  `test_models_over_http.test_a_round_with_an_oracle_that_is_right_in_85_of_100` (the same round again asks nothing)
2 every response is stored as bad: `test_pages.test_five_are_read_before_any_criterion_shows_and_bad_needs_a_reason`
3 few-shot examples are never found, and "random" is the first: `test_examples_reach_the_prompt_and_measure_nothing`,
  `test_the_draw_of_examples_is_a_draw`
4 an edit changes a criterion in place: `test_rounds.test_an_edit_of_meaning_makes_grades_stale_and_queues_some_again`,
  `test_single_responses.test_a_new_meaning_asks_single_responses_again`
5 numbers from the grades that chose: `test_selection.test_in_sample_numbers_flatter_and_cross_fitted_ones_do_not`,
  `test_pages.test_the_report_card_refuses_few_grades_and_then_shows_cross_fitted`
6 credit for failing a response bad for another reason:
  `test_selection.test_nobody_is_credited_for_failing_a_response_that_is_bad_for_another_reason`,
  `test_single_responses.test_the_report_card_credits_only_what_a_response_was_failed_on`
7 errors vanish: `test_selection.test_an_error_is_wrong_on_both_sides_and_stays_counted`,
  `test_while_it_runs.test_an_assertion_that_breaks_on_everything_stops_and_one_that_breaks_on_half_goes_on`
8 one person, one format, one provider, yes or no: `test_two_people_a_spreadsheet_three_kinds_of_criteria_and_any_endpoint`

CritiQ
- "Description: None": `test_models_over_http.test_a_round_with_an_oracle_that_is_right_in_85_of_100`, `…test_refinements_are_
  tested_in_pairs_the_manager_did_not_see`
- accuracy ignores abstention: `test_evidence.test_abstention_counts_and_one_lucky_case_is_not_good`
- chosen and reported on the same pairs: `test_selection.test_five_hundred_runs_of_the_engine_tell_the_truth`,
  `test_selection.test_cross_fitted_sets_are_not_flattered_either`
- one order only: `test_evidence.test_a_judge_that_takes_the_first_shown_is_never_trusted`, and over HTTP in `test_models_over_http`
- banned by exact name only: `test_rounds.test_what_was_rejected_does_not_come_back_under_another_name`
- an unread refinement deletes the criterion: `test_models_over_http.test_a_manager_that_says_nothing_takes_no_criterion_away`
- no tie: `test_evidence.test_both_orders_make_one_verdict_and_a_consistency`
- no identity of who judged: `test_two_people_a_spreadsheet_three_kinds_of_criteria_and_any_endpoint`
- no cap: `test_models_over_http.test_the_cap_holds_and_what_was_judged_stays`
- one voice each for criteria that say the same: `test_evidence.test_two_criteria_that_say_the_same_get_one_voice`
"""

from __future__ import annotations

import csv
import re
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import call_command
from django.urls import reverse

from annotations.criteria import cards, graders, grading, judging, lab, material, offers
from annotations.criteria.manager import Graded
from annotations.criteria.models import Grade, Grader, GroupSplit, Verdict
from annotations.items.models import Item
from annotations.lm.models import EndpointModel
from annotations.projects.models import Annotator

pytestmark = pytest.mark.django_db
ANCHORS = ["Rude throughout.", "Mostly rude.", "Neither.", "Kind with lapses.", "Kind throughout."]


@pytest.fixture
def judged(plain_project, endpoint, funded, alice):
    """The project with a budget, and a judge that grades single responses."""
    funded("100")
    plain_project.refresh_from_db()
    lab.configure(
        project=plain_project, judge=EndpointModel.objects.get(name="strict"), manager=None, cap=Decimal(5)
    )
    return plain_project


def person(project, name):
    return Annotator.objects.get_or_create(project=project, kind="human", name=name)[0]


def test_every_test_named_above_is_there():
    names = re.findall(r"test_\w+", __doc__.replace("_\n  ", "_"))
    source = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    files = {path.stem for path in Path(__file__).parent.glob("test_*.py")}
    assert [n for n in names if n not in files and f"def {n}(" not in source] == []


def test_examples_reach_the_prompt_and_measure_nothing(judged, make_item, scripted, alice, alice_client):
    made = lab.add_criterion(project=judged, name="Kind", wording="Is it kind to the reader?", kind="binary")
    where = reverse("criteria:code", args=["pairs", made.pk])
    asked = {"act": "model", "kind": "lm_yesno", "few_shot": "on"}
    alice_client.post(where, asked)
    assert not Grader.objects.exists()  # nothing is graded yet
    ann = person(judged, "ann")
    for k in range(12):
        item = make_item(f"Question {k}", (f"good, GOOD{k}.", f"rude, RUDE{k}."), external_id=f"f{k}")
        split = ("train", "select", "audit")[k % 3]
        GroupSplit.objects.create(project=judged, group=material.group_key(item), split=split)
        for response in (0, 1):
            grading.grade_single(
                project=judged, person=ann, item=item, response=response,
                said={made.current_id: "fail" if response else "pass"},
            )  # fmt: skip
    alice_client.post(where, asked)
    grader = Grader.objects.get()
    (one, _, meets), (other, _, fails) = grader.body["examples"]
    assert (meets, fails) == (True, False)
    texts = {i.pk: i.external_id[1:] for i in Item.objects.filter(pk__in=[one, other])}
    assert all(int(k) % 3 == 0 for k in texts.values())  # of train alone
    places = judging.response_material(offers.graded_places(judged))
    done = judging.run(grader, lab.lab_of(judged), places, owner="test:1")
    assert done["judged"] == 24 - 2 * len({one, other})
    for request in scripted.requests:
        shown = request.data["examples"]
        assert [(e["response"], e["meets_it"]) for e in shown] == [
            (f"good, GOOD{texts[one]}.", True),
            (f"rude, RUDE{texts[other]}.", False),
        ]
        assert "GOOD" not in request.system  # strangers' texts stay inside the fences
        assert "RUDE" not in request.system
    assert not Verdict.objects.filter(item__in=[one, other]).exists()
    [(_, aligned)] = cards.by_own_grades(judged)
    assert aligned.coverage["n"] == 12 - len({one, other})  # what was shown measures nothing
    assert "with two examples" in alice_client.get(
        reverse("criteria:detail", args=["pairs", made.pk])
    ).content.decode()  # fmt: skip


def test_the_draw_of_examples_is_a_draw():
    graded = [Graded(k, "train", "", "", k % 2 == 0, "", k % 2) for k in range(10)]
    drawn = [offers.pick_examples(graded, seed=s) for s in range(200)]
    assert {len(d) for d in drawn} == {2}
    assert {d[0][0] for d in drawn} == {0, 2, 4, 6, 8}
    assert {tuple(d[1]) for d in drawn} == {(k, 1, False) for k in (1, 3, 5, 7, 9)}
    assert drawn[7] == offers.pick_examples(graded[::-1], seed=7)
    assert offers.pick_examples(graded[::2], seed=1)[0][2] is True
    assert len(offers.pick_examples(graded[::2], seed=1)) == 1


def test_two_people_a_spreadsheet_three_kinds_of_criteria_and_any_endpoint(judged, tmp_path, scripted, alice):
    with (tmp_path / "sheet.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "prompt", "response_a", "response_b", "annotator", "label"])
        rows.writerows([k, f"Ask {k}", f"good {k}", f"rude {k}", "ann", "a"] for k in range(6))
    call_command("import_items", "pairs", str(tmp_path / "sheet.csv"))
    items = list(Item.objects.filter(project=judged).order_by("pk"))
    assert len(items) == 6
    binary = lab.add_criterion(
        project=judged, name="Kind", wording="Is it kind to the reader?", kind="binary"
    )
    scored = lab.add_criterion(
        project=judged, name="Tone", wording="How kind is it?", kind="ordinal", anchors=ANCHORS
    )
    pairwise = lab.add_criterion(project=judged, name="Kinder", wording="Prefer the response that is kinder.")
    # Two people who disagree both stay, under their names; none overwrites the other.
    ann, ben = person(judged, "ann"), person(judged, "ben")
    for who, good in ((ann, "pass"), (ben, "fail")):
        for item in items:
            grading.grade_single(
                project=judged, person=who, item=item, response=0,
                said={binary.current_id: good, scored.current_id: good},
            )  # fmt: skip
            grading.grade_pair(
                project=judged,
                person=who,
                item=item,
                said={pairwise.current_id: "first" if who == ann else "tie"},
            )
    assert Grade.fresh().count() == 2 * 6 * 3
    assert Grade.fresh().filter(annotator=ben, value="tie").count() == 6
    the_lab = lab.lab_of(judged)
    kinds = ((binary, "lm_yesno"), (scored, "lm_rubric"), (pairwise, "lm_pair"))
    for criterion, kind in kinds:
        grader = graders.grader_for(criterion.current, kind, model=the_lab.judge)
        if kind == "lm_pair":
            pairs = [(i, -1, tuple(texts)) for i in items for texts in [judging.texts_shown([i])[i.pk]]]
            judging.run(grader, the_lab, pairs, owner="test:1")
        else:
            judging.run(
                grader, the_lab, judging.response_material([(i.pk, 0) for i in items]), owner="test:1"
            )
    said = Verdict.objects.values_list("grader__kind", "value", "score").distinct()
    assert set(said) == {("lm_yesno", 1, 1.0), ("lm_rubric", 1, 5.0), ("lm_pair", -1, None)}
    assert {r.authorization for r in scripted.requests} == {"Bearer sk-plumbline-test-0123456789abcdef"}
    # An item on which people are split decides nothing.
    assert all(a.missing for _, a in cards.by_own_grades(judged))
    # And with no endpoint at all an offline rule judges.
    lab.configure(project=judged, judge=None, manager=None, cap=None)
    rule = graders.grader_for(pairwise.current, "rule", body={"name": "longer", "margin": 0.0})
    assert rule.model is None
