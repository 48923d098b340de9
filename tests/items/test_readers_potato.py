"""Potato's studies: what Potato itself wrote, in every shape, gives what the people said."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from annotations.items import readers
from annotations.items.readers import Problem, Record, UnknownFormat
from annotations.judging.importing import import_records
from annotations.judging.models import Comparison, Judgment, Score

STUDY = Path(__file__).parent / "fixtures" / "potato"
VOTES = {
    "pandalm-4": {"ann": "b", "ben": "b", "cem": "b"},
    "pandalm-16": {"ann": "a", "ben": "a", "cem": "a"},
    "pandalm-17": {"ann": "a", "ben": "a", "cem": "a"},
    "pandalm-18": {"ann": "b", "ben": "b", "cem": "b"},
    "pandalm-19": {"ann": "b", "ben": "b", "cem": "b"},
    "pandalm-21": {"ann": "b", "ben": "b"},
}
SIDES = {-1: "a", 1: "b", None: "tie"}


def read(path, **how):
    found = list(readers.read_many([path], **how))
    entries = [entry for _, entry in found]
    return [one for one in entries if isinstance(one, Record)], [
        one for one in entries if isinstance(one, Problem)
    ]


def said(records):
    """{item: {person: what they said, without times}}"""
    return {
        record.external_id: {
            judgment.annotator: (judgment.comparisons, judgment.scores, judgment.answers, judgment.reason)
            for judgment in record.judgments
        }
        for record in records
    }


def overall(records):
    return {
        record.external_id: {
            judgment.annotator: next(
                SIDES[c.preference] for c in judgment.comparisons if c.aspect == "overall"
            )
            for judgment in record.judgments
        }
        for record in records
    }


@pytest.fixture
def study(tmp_path):
    return Path(shutil.copytree(STUDY, tmp_path / "study"))


def zipped(folder, target):
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, Path("study") / path.relative_to(folder))
    return target


def without_spans(told):
    """Exports write the words a span covers beside it."""
    for people in told.values():
        for _, _, answers, _ in people.values():
            for spans in answers.get("spans", {}).values():
                for span in spans:
                    span.pop("text", None)
    return told


def test_the_votes_of_people_come_back(study):
    records, problems = read(study)
    assert problems == []
    assert overall(records) == VOTES
    first = records[0]
    rows = [json.loads(line) for line in (study / "data/items.jsonl").read_text().splitlines()]
    assert [(r.line, r.external_id, r.prompt, [x.text for x in r.responses]) for r in records] == [
        (line, row["id"], row["prompt"], row["text"]) for line, row in enumerate(rows, 1)
    ]
    ann = first.judgments[0]
    assert [(c.aspect, c.preference, c.scale_max) for c in ann.comparisons] == [
        ("overall", 1, 1),
        ("strength", 1, 3),
    ]
    assert [(s.response, s.attribute, s.value, s.scale_min, s.scale_max) for s in ann.scores] == [
        (0, "fluency", 1, 1, 5)
    ]
    assert ann.reason == "“B” is nearer to what was asked."
    assert ann.answers["verdict"] == "Response B"
    assert [(s["name"], s["start"], s["end"]) for s in ann.answers["spans"]["marked"]] == [("insult", 0, 4)]
    assert (ann.wall_ms, ann.created_at.isoformat()[:16]) == (4355, "2026-11-28T03:23")
    assert records[3].judgments[0].answers["problems"] == ["wrong", "off topic"]


def test_every_output_says_the_same_with_or_without_the_configuration(study):
    states = said(read(study)[0])
    for who in ("ann", "ben", "cem"):
        shutil.rmtree(study / "annotation_output" / who)
    rows, problems = read(study)
    assert (without_spans(said(rows)), problems) == (without_spans(states), [])
    shutil.rmtree(study / "annotation_output/exports/jsonl")
    table, problems = read(study)
    assert (without_spans(said(table)), problems) == (without_spans(states), [])
    (study / "config.yaml").unlink()
    guessed, problems = read(study)
    assert problems == []
    assert overall(guessed) == VOTES


def test_potato_1_rows_are_read(tmp_path):
    (tmp_path / "items.json").write_text(
        '{"id": "q1", "text": "Say hello.", "response_a": "Hello.", "response_b": "Go."}\n'
    )
    folder = tmp_path / "annotation_output" / "dana@example.org"
    folder.mkdir(parents=True)
    row = {
        "id": "q1",
        "displayed_text": "Say hello. Hello. Go.",
        "label_annotations": {
            "better": {"Response A": "true"},
            "kindness_2": {"scale_3": "3"},
            "why": {"text_box": "Kinder."},
        },
        "span_annotations": [],
        "behavioral_data": {"time_string": "Time spent: 0d 0h 1m 5s "},
    }
    (folder / "annotated_instances.jsonl").write_text(json.dumps(row) + "\n")
    (record,), problems = read(tmp_path)
    assert problems == []
    (judgment,) = record.judgments
    assert (record.prompt, len(record.responses)) == ("Say hello.", 2)
    assert (judgment.annotator, judgment.wall_ms, judgment.reason) == ("dana@example.org", 65_000, "Kinder.")
    assert [(c.aspect, c.preference) for c in judgment.comparisons] == [("overall", -1)]
    assert [(s.response, s.attribute, s.value) for s in judgment.scores] == [(1, "kindness", 3)]


def test_what_is_wrong_is_named_by_file_line_and_field(study):
    state = study / "annotation_output/ann/user_state.json"
    told = json.loads(state.read_text())
    labels = told["instance_id_to_label_to_value"]
    labels["pandalm-16"][0][1] = "C"
    labels["gone"] = labels["pandalm-17"]
    labels["pandalm-18"] = ["x"]
    state.write_text(json.dumps(told))
    (study / "annotation_output/cem/user_state.json").write_text("{")
    with (study / "data/items.jsonl").open("a") as file:
        file.write('{"id": "lonely", "prompt": "Hm?"}\n')
    records, problems = read(study)
    where = "annotation_output/ann/user_state.json"
    assert {(p.line, p.field) for p in problems} == {
        (2, f"{where}: pandalm-16.preference.selection"),
        (4, f"{where}: instance_id_to_label_to_value.pandalm-18[0]"),
        (7, "data/items.jsonl: responses"),
        (7, where),
        (1, "annotation_output/cem/user_state.json"),
    }
    assert [len(r.judgments) for r in records] == [2, 1, 2, 1, 2, 2]


def test_annotations_without_texts_and_hostile_zips_are_refused(study, tmp_path):
    alone = study / "annotation_output/exports/jsonl/annotations.jsonl"
    assert readers.sniff(alone) == "potato"
    with pytest.raises(UnknownFormat, match="give a folder or a zip"):
        readers.read(alone)
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.writestr("../../out.jsonl", "{}")
        packed.writestr("a/user_state.json", "{}")
    with pytest.raises(UnknownFormat):
        readers.read(tmp_path / "evil.zip")
    assert not list(tmp_path.parent.glob("out.jsonl"))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a/user_state.json", b" " * (100 << 20))
    with pytest.raises(UnknownFormat, match="unpacks to more"):
        readers.read(tmp_path / "bomb.zip")
    with zipfile.ZipFile(tmp_path / "book.zip", "w") as packed:
        packed.writestr("xl/workbook.xml", "<x/>")
    with pytest.raises(UnknownFormat, match="zip or Excel"):
        readers.sniff(tmp_path / "book.zip")


def test_a_mapping_names_fields_of_unusual_names(study):
    data = study / "data/items.jsonl"
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    with data.open("w") as file:
        for row in rows:
            file.write(
                json.dumps(
                    {"id": row["id"], "ask": row["prompt"], "one": row["text"][0], "two": row["text"][1]}
                )
                + "\n"
            )
    records, problems = read(study, mapping={"ask": "prompt", "one": "response_1", "two": "response_2"})
    assert (problems, overall(records)) == ([], VOTES)


@pytest.mark.django_db
def test_a_zip_is_imported_and_spans_are_kept(study, tmp_path, project):
    packed = zipped(study, tmp_path / "study.zip")
    assert readers.sniff(packed) == "potato"
    assert len(readers.preview(packed)["rows"]) == 5
    for judgments in (17, 0):
        report = import_records(project=project, records=readers.read(packed), origin_label="study.zip")
        assert (report.judgments, report.errors) == (judgments, [])
    assert any(note.startswith("1 judgment has spans") for note in report.notes)
    assert Judgment.objects.filter(answers__has_key="spans").count() == 1
    assert Judgment.objects.filter(annotator__kind="human").count() == 17
    assert Comparison.objects.filter(aspect="overall").count() == 17
    assert Score.objects.filter(attribute="fluency").count() == 17


def test_the_page_takes_the_zip(study, tmp_path, alice_client, project):
    packed = zipped(study, tmp_path / "study.zip")
    with packed.open("rb") as file:
        sent = alice_client.post("/p/pairs/import/", {"file": file})
    assert sent.status_code == 302, sent.content.decode()[-3000:]
    page = alice_client.get(sent.url).content.decode()
    assert "Potato study" in page
    assert "pandalm-4" in page
