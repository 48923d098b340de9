"""What a file's rows become: new, updated, duplicate or a line in the report."""

from __future__ import annotations

import json

import pytest

from annotations.items import readers
from annotations.items.models import Item, Response
from annotations.items.readers import Problem
from annotations.judging import importing, quarantine, queue
from annotations.judging.models import Comparison, Judgment, LMCall, Score
from annotations.projects import rules
from annotations.projects.models import Annotator, TaskSchema
from annotations.projects.schemas import Definition
from tests.judging.import_state import assert_counted_right, pair, state

pytestmark = pytest.mark.django_db


def tally(report):
    return report.new, report.updated, report.duplicate, report.invalid, report.judgments


def test_a_pair_with_people_and_a_model_becomes_rows_and_counters(project, bring):
    report = bring(
        pair(
            human=[
                {"annotator": "ann", "label": "a", "reason": "Short."},
                {"annotator": "ben", "label": "tie"},
            ],
            lm=[
                {"model": "m1", "strategy": "cot", "label": "a", "order": "ab"},
                {"model": "m1", "strategy": "cot", "label": "b", "order": "ba"},
                {"model": "m2", "label": None, "order": "ab"},
            ],
            model_a="left",
            meta={"topic": "x"},
        ),
        ask_again=True,
    )
    assert tally(report) == (1, 0, 0, 0, 4)
    item = Item.objects.get()
    assert (item.source, item.external_id, item.prompt, item.meta) == ("s", "p1", "Is it?", {"topic": "x"})
    assert (item.n_human, item.n_lm, item.wanted, item.open_slots) == (2, 2, 3, 1)
    assert list(Response.objects.values_list("index", "text", "model")) == [
        (0, "Yes.", "left"),
        (1, "No.", ""),
    ]
    people = Annotator.objects.order_by("name").values_list("name", "kind", "user", "n_judged", "meta")
    assert list(people) == [
        ("ann", "human", None, 1, {}),
        ("ben", "human", None, 1, {}),
        ("m1 · cot", "lm", None, 1, {"model": "m1", "strategy": "cot", "backend": "imported"}),
        ("m2", "lm", None, 1, {"model": "m2", "strategy": "", "backend": "imported"}),
    ]
    swapped = Judgment.objects.get(annotator__name="m1 · cot")
    assert (swapped.probability, swapped.order_consistent, swapped.origin) == (0.5, False, "import")
    assert swapped.comparisons.get().tie == "equal"
    assert list(LMCall.objects.filter(judgment=swapped).values_list("order", "label")) == [
        ("ab", "a"),
        ("ba", "b"),
    ]
    unparsed = Judgment.objects.get(annotator__name="m2")
    assert (unparsed.outcome, unparsed.answers, unparsed.comparisons.count()) == (
        "cannot_judge",
        {"cannot_judge": "unparsed"},
        0,
    )
    assert_counted_right(project)


def test_the_imported_schema_version_fits_what_the_file_holds(project, bring):
    bring(
        {"id": "1", "source": "r", "prompt": "p", "response": "x",
         "ratings": [{"rater": "u", "attribute": "Aspect coverage", "value": 4, "scale": [1, 5]},
                     {"rater": "u", "attribute": "mqm", "value": -1.5, "scale": [None, 0]}]},
        pair("2", human=[{"annotator": "u", "label": "b"}]),
    )  # fmt: skip
    ratings, pairs = TaskSchema.objects.filter(origin="imported").order_by("number")
    assert {q.name: (q.kind, q.label) for q in Definition.model_validate(ratings.definition).questions} == {
        "aspect_coverage": ("rating", "Aspect coverage"),
        "mqm": ("text", "mqm"),
        "reason": ("text", "Reason"),
    }
    assert {q.name: q.kind for q in Definition.model_validate(pairs.definition).questions} == {
        "overall": "comparison",
        "reason": "text",
    }
    assert list(Score.objects.order_by("attribute").values_list("attribute", "value", "scale_min", "scale_max")) == [
        ("Aspect coverage", 4.0, 1.0, 5.0),
        ("mqm", -1.5, None, 0.0),
    ]  # fmt: skip
    project.refresh_from_db()
    assert project.schema.origin == "designed"


def test_the_same_rows_again_change_nothing(project, bring):
    rows = [pair(str(n), a=f"Yes {n}.", human=[{"annotator": "ann", "label": "b"}]) for n in range(5)]
    bring(*rows)
    before = state(project)
    assert tally(bring(*rows)) == (0, 0, 5, 0, 0)
    assert state(project) == before


def test_a_known_item_takes_new_judgments_and_changed_details(project, bring):
    bring(pair(human=[{"annotator": "ann", "label": "a"}], meta={"topic": "x", "kept": 1}))
    report = bring(
        pair(human=[{"annotator": "ben", "label": "b"}], meta={"topic": "y"}, group="g", model_b="right")
    )
    assert tally(report) == (0, 1, 0, 0, 1)
    item = Item.objects.get()
    assert (item.meta, item.group, item.n_human) == ({"topic": "y", "kept": 1}, "g", 2)
    assert Response.objects.get(index=1).model == "right"
    assert_counted_right(project)


def test_the_same_pair_the_other_way_round_is_the_same_item(project, bring):
    """The bundled pairs and chosen/rejected files share ids; the chosen response is not always the first."""
    bring(pair(human=[{"annotator": "ann", "label": "b"}]))
    report = bring({"id": "p1", "source": "s", "prompt": "Is it?", "chosen": "No.", "rejected": "Yes."})
    assert tally(report) == (0, 0, 1, 0, 1)
    assert list(Response.objects.values_list("text", flat=True)) == ["Yes.", "No."]
    assert list(Comparison.objects.values_list("preference", flat=True)) == [1, 1]
    turned = pair(a="No.", b="Yes.", lm=[{"model": "m", "label": "a", "order": "ab"}])
    assert tally(bring(turned)) == (0, 0, 1, 0, 1)
    judgment = Judgment.objects.get(annotator__kind="lm")
    assert (judgment.probability, judgment.comparisons.get().preference) == (1.0, 1)
    assert list(judgment.calls.values_list("order", "label")) == [("ba", "b")]
    assert tally(bring(turned)) == (0, 0, 1, 0, 0)


def test_other_texts_replace_those_nobody_judged_and_are_refused_otherwise(project, bring):
    bring(pair("free"), pair("judged", human=[{"annotator": "ann", "label": "a"}]))
    report = bring(pair("free", a="Of course."), pair("judged", a="Of course."))
    assert tally(report) == (0, 1, 0, 1, 0)
    assert report.errors == [
        {
            "file": "rows.jsonl",
            "line": 2,
            "field": "id",
            "message": "'judged' exists with other texts and judgments",
        }
    ]
    texts = {i.external_id: [r.text for r in i.responses.all()] for i in Item.objects.all()}
    assert texts == {"free": ["Of course.", "No."], "judged": ["Yes.", "No."]}


def test_a_leased_item_keeps_its_texts(project, bring, annotator):
    bring(pair())
    assert queue.next_assignment(annotator) is not None
    assert tally(bring(pair(a="Of course."))) == (0, 0, 0, 1, 0)


def test_the_same_content_under_another_id_is_an_item_of_its_own(project, bring):
    assert tally(bring(pair("one"), pair("two"), pair("three", source="t"))) == (3, 0, 0, 0, 0)
    assert tally(bring(pair("four"))) == (1, 0, 0, 0, 0)
    first = Item.objects.get(external_id="one")
    assert first.duplicate_of is None
    copies = Item.objects.filter(duplicate_of=first).order_by("pk")
    assert [item.external_id for item in copies] == ["two", "three", "four"]


def test_without_an_id_the_content_is_the_identity(project, bring):
    assert tally(bring(pair(None), pair(None, human=[{"annotator": "ann", "label": "a"}]))) == (1, 0, 1, 0, 1)
    assert tally(bring(pair(None, human=[{"annotator": "ben", "label": "a"}]))) == (0, 0, 1, 0, 1)
    assert Item.objects.get().n_human == 2
    assert_counted_right(project)


def test_one_id_twice_in_a_file_is_one_item(project, bring):
    report = bring(
        pair(human=[{"annotator": "ann", "label": "a"}]),
        pair(human=[{"annotator": "ben", "label": "b"}], meta={"n": 2}),
        pair(a="Other."),
        pair("late", a="First."),
        pair("late", a="Second."),
    )
    assert tally(report) == (2, 2, 0, 1, 2)
    assert [error["line"] for error in report.errors] == [3]
    assert Item.objects.get(external_id="p1").n_human == 2
    assert Response.objects.get(item__external_id="late", index=0).text == "Second."
    assert_counted_right(project)


def judgment(preference, **fields):
    return {
        "annotator": "ann",
        "comparisons": [{"first": 0, "second": 1, "preference": preference, "scale_max": 3}],
        **fields,
    }


def full(*judgments, key="f1"):
    return {
        "id": key,
        "prompt": "p",
        "responses": [{"text": "x"}, {"text": "y"}],
        "judgments": list(judgments),
    }


ID = "00000000-0000-4000-8000-00000000000{}"


@pytest.mark.parametrize(
    "rows",
    [
        [full(judgment(1, id=ID.format(1)), judgment(-2, id=ID.format(2), supersedes=ID.format(1)))],
        [full(judgment(-2, id=ID.format(2), supersedes=ID.format(1)), judgment(1, id=ID.format(1)))],
        [full(judgment(1, id=ID.format(1))), full(judgment(-2, id=ID.format(2), supersedes=ID.format(1)))],
        [
            full(
                judgment(-2, created_at="2026-01-02T00:00:00Z"),
                judgment(1, created_at="2026-01-01T00:00:00Z"),
            )
        ],
    ],
    ids=["in order", "correction first", "two rows", "by time"],
)
def test_a_correction_stands_after_what_it_corrects(project, bring, rows):
    assert bring(*rows).judgments == 2
    assert tally(bring(*rows))[3:] == (0, 0)
    old, new = Judgment.objects.order_by("pk")
    assert (old.is_current, new.is_current, new.supersedes_id) == (False, True, old.pk)
    assert [c.preference for c in Comparison.objects.order_by("judgment_id")] == [1, -2]
    assert Item.objects.get().n_human == 1
    assert_counted_right(project)


def test_a_contradiction_without_times_keeps_the_first(project, bring):
    report = bring(full(judgment(1), judgment(-2)))
    assert tally(report) == (1, 0, 0, 1, 1)
    assert report.errors[0]["line"] == 1
    assert "ann" in report.errors[0]["message"]
    assert Comparison.objects.get().preference == 1
    assert bring(full(judgment(-2))).invalid == 1
    assert Judgment.objects.count() == 1


def test_judgments_of_another_project_come_in_under_ids_of_their_own(project, bring, alice):
    from annotations.projects import presets, setup

    other = setup.create_project(name="Other", owner=alice, definition=presets.PRESETS["strength7"])
    rows = [
        full(
            judgment(1, id=ID.format(1), schema_version="v3", guideline_version="2"),
            judgment(-2, id=ID.format(2), supersedes=ID.format(1)),
        )
    ]
    for into in (project, other, project, other):
        assert bring(*rows, into=into).invalid == 0
    assert Judgment.objects.count() == 4
    first, second = Judgment.objects.filter(project=other).order_by("pk")
    assert first.meta == {"schema_version": "v3", "guideline_version": "2", "source_id": ID.format(1)}
    assert (second.supersedes_id, second.is_current) == (first.pk, True)
    assert str(Judgment.objects.filter(project=project).first().uuid) == ID.format(1)


def test_a_correction_of_something_that_is_not_there_is_kept_with_its_trace(project, bring):
    assert bring(full(judgment(1, id=ID.format(2), supersedes=ID.format(1)))).judgments == 1
    stored = Judgment.objects.get()
    assert (stored.supersedes, stored.meta) == (None, {"supersedes": ID.format(1)})


def test_broken_rows_are_named_and_the_others_go_in(project, bring, tmp_path):
    report_path = tmp_path / "errors.jsonl"
    rating = {"id": "r", "prompt": "p", "response": "x"}
    report = bring(
        b"{not json",
        b'\xff{"id": "bytes"}',
        pair("nul", a="zero \x00"),
        pair("half", a="half \ud800"),
        pair("long", a="x" * 10_000_000),
        pair("id" * 200),
        {**rating, "ratings": [{"rater": "u", "attribute": "helpfulness", "value": 99, "scale": [0, 4]}]},
        {**rating, "id": "q", "ratings": [{"rater": "u", "attribute": "helpfulness", "value": 99}]},
        pair("mixed", human=[{"annotator": "ann", "label": "a"}, {"annotator": "ben", "label": "c"}]),
        pair("good", human=[{"annotator": "ann", "label": "b"}]),
        full(
            {**judgment(1), "comparisons": [{"aspect": "x" * 65, "preference": 1, "scale_max": 1}]}, key="a"
        ),
        full({**judgment(1), "reason": "x" * 100_001}, key="b"),
        report_path=str(report_path),
    )
    assert tally(report) == (6, 0, 0, 11, 2)
    assert [(e["line"], e["field"]) for e in report.errors] != []
    where = {e["line"]: e["field"] for e in report.errors}
    assert where == {
        1: "",
        2: "",
        3: "response_a",
        4: "response_a",
        5: "response_a",
        6: "id",
        7: "ratings[0].value",
        8: "judgments.helpfulness",
        9: "human[1].label",
        11: "judgments",
        12: "judgments.reason",
    }
    assert sorted(Item.objects.values_list("external_id", flat=True)) == ["a", "b", "good", "mixed", "q", "r"]
    written = [json.loads(line) for line in report_path.read_text().splitlines()]
    assert sorted(e["line"] for e in written) == sorted(e["line"] for e in report.errors)
    assert_counted_right(project)


def test_an_attribute_the_project_does_not_ask_comes_in_and_is_noted(project, bring):
    rating = {"rater": "u", "attribute": "kindness", "value": 2, "scale": [0, 4]}
    report = bring({"id": "r", "prompt": "p", "response": "x", "ratings": [rating]})
    assert tally(report) == (1, 0, 0, 0, 1)
    assert report.notes == ["kindness: this project does not ask about it; stored as it came"]


def test_errors_in_memory_are_capped_and_all_are_counted(project, bring):
    report = bring(*[b"{"] * (importing.ERRORS_KEPT + 5))
    assert (report.invalid, report.errors_total, len(report.errors)) == (1005, 1005, 1000)


def test_a_dry_run_says_the_same_and_writes_nothing(project, bring):
    bring(pair("old"))
    before = state(project)
    rows = [pair("old", meta={"n": 1}), pair("new", human=[{"annotator": "ann", "label": "a"}]), b"{"]
    dry = bring(*rows, dry_run=True)
    assert state(project) == before
    assert dry == bring(*rows)
    assert tally(dry) == (1, 1, 0, 1, 1)


def test_batches_do_not_change_what_comes_out(project, bring, monkeypatch):
    rows = [
        pair(str(n % 7), a=f"{n % 7}", human=[{"annotator": f"w{n}", "label": "ab"[n % 2]}])
        for n in range(20)
    ]
    bring(*rows)
    whole = state(project)
    Judgment.objects.all().delete()
    Item.objects.all().delete()
    Annotator.objects.all().delete()
    monkeypatch.setattr(importing, "BATCH_ITEMS", 3)
    bring(*rows)
    assert state(project) == whole


def test_the_same_id_in_two_sources_is_two_items(bring):
    rows = [pair("1", a="Yes."), pair("1", a="Yes!", source="t")]
    assert tally(bring(*rows)) == (2, 0, 0, 0, 0)
    assert tally(bring(*reversed(rows))) == (0, 0, 2, 0, 0)


def test_a_withdrawn_item_takes_no_judgments(project, bring, alice):
    from annotations.judging.withdraw import set_withdrawn

    bring(pair())
    set_withdrawn(item=Item.objects.get(), withdrawn=True, actor=alice)
    report = bring(pair(human=[{"annotator": "ann", "label": "a"}]))
    assert tally(report) == (0, 0, 1, 1, 0)
    assert_counted_right(project)


def test_an_imported_judgment_of_a_person_at_work_ends_their_lease(project, bring, annotator):
    bring(pair())
    lease = queue.next_assignment(annotator)
    report = bring(pair(human=[{"annotator": annotator.name, "label": "a"}]))
    assert tally(report) == (0, 0, 1, 0, 1)
    lease.refresh_from_db()
    item = Item.objects.get()
    assert (lease.state, item.n_human, item.n_leased, item.open_slots) == ("submitted", 1, 0, 0)
    assert Judgment.objects.get().presented_order == lease.presented_order
    assert_counted_right(project)


def test_judgments_of_a_file_ask_further_people_where_they_disagree(project, bring):
    rules.change(project=project, limits=rules.Limits(max_votes=4))
    split = [judgment(-1, annotator="x"), judgment(2, annotator="y")]
    agreed = [judgment(1, annotator="x"), judgment(2, annotator="y")]
    bring(full(*split, key="split"), full(*agreed, key="agreed"), wanted=2)
    wanted = dict(Item.objects.values_list("external_id", "wanted"))
    assert wanted == {"split": 3, "agreed": 2}
    bring(full(judgment(1, annotator="v"), judgment(-1, annotator="w"), key="split"))
    item = Item.objects.get(external_id="split")
    assert (item.n_human, item.wanted, item.open_slots) == (4, 3, 0)  # the cap of four is reached
    assert_counted_right(project)


def test_who_is_in_quarantine_stays_there_when_they_come_in_again(project, bring, alice):
    bring(full(judgment(1, annotator="x"), judgment(2, annotator="y"), key="first"))
    person = Annotator.objects.get(name="x")
    quarantine.quarantine(annotator=person, actor=alice)
    again = [judgment(n, annotator="x", created_at=f"2026-01-0{n}T00:00:00Z") for n in (2, 3)]
    bring(full(*again, judgment(1, annotator="y"), key="second"))
    mine = Judgment.objects.filter(annotator=person)
    assert set(mine.values_list("aside", "is_current")) == {("quarantine", False)}
    assert dict(Item.objects.values_list("external_id", "n_human")) == {"first": 1, "second": 1}
    assert (mine.count(), Annotator.objects.get(pk=person.pk).n_judged) == (3, 0)
    assert_counted_right(project)
    bring(full(*again, key="second"))
    assert mine.count() == 3
    assert quarantine.restore(annotator=person, actor=alice) == 2  # of the two about one item, the later
    assert sorted(mine.filter(is_current=True).values_list("comparisons__preference", flat=True)) == [1, 3]
    assert_counted_right(project)


def test_a_time_longer_than_the_column_holds_is_kept_in_meta(project, bring):
    assert bring(full(judgment(1, wall_ms=3_000_000_000, active_ms=5))).judgments == 1
    stored = Judgment.objects.get()
    assert (stored.wall_ms, stored.active_ms, stored.meta) == (None, 5, {"wall_ms": 3_000_000_000})


def test_several_files_are_named_apart(project, tmp_path):
    for name in ("one.jsonl", "two.jsonl"):
        (tmp_path / name).write_text(json.dumps(pair(name)) + "\n{\n")
    report = importing.import_records(
        project=project, records=readers.read_many([tmp_path / "one.jsonl", tmp_path / "two.jsonl"])
    )
    assert [(e["file"], e["line"]) for e in report.errors] == [("one.jsonl", 2), ("two.jsonl", 2)]
    assert tally(report) == (2, 0, 0, 2, 0)


def test_problems_alone_make_a_report(project):
    report = importing.import_records(
        project=project, records=[Problem(3, "x", "wrong")], origin_label="f.jsonl"
    )
    assert report.errors == [{"file": "f.jsonl", "line": 3, "field": "x", "message": "wrong"}]
