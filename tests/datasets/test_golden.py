"""Every preset: judged items, exported to its own public schema, byte for byte, and imported again equal."""

from __future__ import annotations

import gzip
import json
import os
import re
import uuid
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from django.conf import settings
from django.db import connection

from annotations.datasets.export import write_export
from annotations.datasets.formats import FORMATS
from annotations.datasets.snapshots import freeze_now
from annotations.items import readers
from annotations.items.content import content_hash, order_key, prompt_text
from annotations.items.models import Item, Response
from annotations.judging.importing import import_records
from annotations.judging.models import Judgment
from annotations.judging.submit import submit
from annotations.projects import presets, schemas, setup
from annotations.projects.models import Annotator
from tests.datasets.conftest import WHEN
from tests.datasets.golden_answers import ANSWERS, LIFE, NAMES, RAG, RAG_CONTEXT, RHYME, SOUND

pytestmark = pytest.mark.django_db

GOLDEN = Path(__file__).parent / "golden"
DEMO = Path(settings.BASE_DIR) / "demo" / "data" / "1_pairs_human_lm.jsonl.gz"
PARTS = frozenset(("false_parts", "unsupported_parts"))
PRINTED = re.compile(rb'"item":(\d+)')


@dataclass(frozen=True)
class View:
    """What of a judgment a schema holds, and so must come back; None means everything."""

    aspects: frozenset[str] | None = None
    attributes: frozenset[str] | None = None
    answers: frozenset[str] | None = None
    reasons: bool = True
    strengths: bool = True
    people: bool = True
    outcomes: bool = True
    counted: bool = True
    """Every vote comes back, not only what they say together."""


@dataclass(frozen=True)
class Case:
    preset: str
    format: str
    view: View
    options: dict[str, str] = field(default_factory=dict)
    files: str = "**/*"
    """Which of the files are imported again."""
    lost: tuple[str, ...] = ()
    """Items that the schema has no row for; the report must count them."""


NOTHING = frozenset()
OVERALL = frozenset(("overall",))
FIVE = frozenset(("helpfulness", "correctness", "coherence", "complexity", "verbosity"))
STRENGTHS = View(OVERALL, NOTHING, NOTHING, people=False, outcomes=False)
WINNERS = View(OVERALL, NOTHING, NOTHING, False, False, False, False, False)
RAW_RANKS = View(NOTHING, frozenset(("rank",)), NOTHING, reasons=False)
CASES = [
    *(Case(preset, "native", View()) for preset in presets.PRESETS),
    Case("strength7", "helpsteer3", STRENGTHS),
    Case("strength7", "trl_preference", WINNERS),
    Case("preference_ratings", "helpsteer3", STRENGTHS),
    Case("helpsteer2", "helpsteer2", View(NOTHING, FIVE, NOTHING, people=False), files="disagreements/*"),
    Case(
        "helpsteer2_preference",
        "helpsteer2",
        View(OVERALL, FIVE, None, people=False),
        files="*/*.jsonl",
        lost=(RHYME,),
    ),
    Case("multipref5", "multipref", View(reasons=False), {"annotators": "name"}),
    Case("multipref5", "multipref_binarized", WINNERS),
    Case("llama2", "trl_preference", WINNERS),
    Case("llama2", "openrlhf", WINNERS),
    Case("llama2_safety", "trl_preference", WINNERS, {"aspect": "safety"}),
    Case("arena4", "lmarena", View(reasons=False), {"annotators": "name"}),
    Case(
        "thumbs",
        "trl_unpaired",
        View(NOTHING, frozenset(("thumb",)), NOTHING, False, people=False, counted=False),
    ),
    Case("ranking", "nemo_ranking", RAW_RANKS, {"method": "raw", "annotators": "name"}),
    Case("mm_rlhf", "nemo_ranking", RAW_RANKS, {"method": "raw", "annotators": "name"}),
    Case("rag", "helpsteer3", STRENGTHS),
    Case("rewrite", "helpsteer3", STRENGTHS),
]


@pytest.fixture
def judged(request, alice):
    """The preset's project with its items and answers, given through `submit`."""
    preset = request.param
    project = setup.create_project(
        name="Golden", slug="golden", owner=alice, definition=presets.PRESETS[preset], seed=7
    )
    items = {}
    for number, (name, who, answer) in enumerate(ANSWERS[preset], 1):
        if name not in items:
            items[name] = make_item(project, name)
        annotator, _ = Annotator.objects.get_or_create(
            project=project,
            kind="human",
            name=who,
            defaults={
                "pseudonym": uuid.uuid5(uuid.NAMESPACE_OID, who),
                "tags": ["expert"] if who == "Xia" else [],
            },
        )
        submit(
            annotator=annotator,
            item_id=items[name].pk,
            schema_id=project.schema_id,
            guideline_id=None,
            uuid=uuid.UUID(int=number),
            answer=answer,
            origin="api",
            created_at=WHEN,
        )
    return project


@cache
def real_rows() -> dict[str, dict]:
    with gzip.open(DEMO, "rt", encoding="utf-8") as file:
        rows = {row["id"]: row for row in map(json.loads, file)}
    return rows


def make_item(project, name: str) -> Item:
    rows = real_rows()
    if name == LIFE:
        pairs = [rows["pandalm-632"], rows["pandalm-633"]]
        texts = [pairs[0]["response_a"], pairs[0]["response_b"], pairs[1]["response_b"]]
        models = [*pairs[0]["meta"]["model_pair"].split("_"), pairs[1]["meta"]["model_pair"].split("_")[1]]
        prompt = pairs[0]["prompt"]
    else:
        row = rows[SOUND if name == RAG else name]
        prompt, texts = row["prompt"], [row["response_a"], row["response_b"]]
        models = row["meta"]["model_pair"].split("_")
    context = RAG_CONTEXT if name == RAG else ""
    digest = content_hash(prompt, context, texts)
    item = Item.objects.create(
        project=project, source="pandalm", external_id=name, prompt=prompt, context=context, content_hash=digest,
        group=prompt, n_responses=len(texts), order_key=order_key(7, name), wanted=3, open_slots=3,
    )  # fmt: skip
    Response.objects.bulk_create(
        Response(item=item, index=i, text=text, model=model)
        for i, (text, model) in enumerate(zip(texts, models, strict=True))
    )
    return item


def facts(project, view: View, lost: tuple[str, ...] = ()) -> Counter:
    """What was said about which texts, as far as the view goes; sides by their texts, not by their places."""
    found: Counter = Counter()
    judgments = Judgment.objects.filter(project=project, is_current=True).select_related("item", "annotator")
    for judgment in judgments.exclude(item__external_id__in=lost):
        item = judgment.item
        texts = list(item.responses.order_by("index").values_list("text", flat=True))
        about = prompt_text(item.prompt)
        about = f"{item.context}\n\n{about}" if item.context else about
        who = judgment.annotator.name if view.people else ""
        said: list[tuple] = []
        if view.outcomes and judgment.outcome != "answered":
            said.append(("outcome", judgment.outcome, json.dumps(judgment.answers, sort_keys=True)))
        for row in judgment.comparisons.all():
            if view.aspects is not None and row.aspect not in view.aspects and view is not WINNERS:
                continue
            first, second = texts[row.first], texts[row.second]
            if row.tie:
                if view is not WINNERS:
                    said.append(("tie", row.aspect, row.tie, frozenset((first, second))))
                continue
            sides = (first, second) if row.preference < 0 else (second, first)
            strength = (row.aspect, abs(row.preference), row.scale_max) if view.strengths else ()
            said.append(("better", *sides, *strength))
        for row in judgment.scores.all():
            if view.attributes is None or row.attribute in view.attributes:
                said.append(("score", texts[row.response], row.attribute, row.value))
        if judgment.outcome == "answered":
            for key, value in judgment.answers.items():
                if key != "source_meta" and (view.answers is None or key in view.answers):
                    said.append(("answer", key, json.dumps(value, sort_keys=True, ensure_ascii=False)))
        if view.reasons and judgment.reason:
            said.append(("reason", judgment.reason))
        found.update((about, who, *one) for one in said)
    return found if view.counted else Counter(set(found))


def printed(content: bytes) -> bytes:
    """The bytes with the database's numbers of items replaced by their order."""
    numbers = sorted({int(number) for number in PRINTED.findall(content)})
    places = {str(number).encode(): str(place).encode() for place, number in enumerate(numbers, 1)}
    return PRINTED.sub(lambda found: b'"item":' + places[found.group(1)], content)


def compare(folder: Path, made: dict[str, bytes]) -> None:
    """Hold the files against the golden ones, or write these where that was asked for."""
    if os.environ.get("PLUMBLINE_WRITE_GOLDEN"):
        for name, content in made.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    known = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert made.keys() == known.keys()
    for name, content in made.items():
        same, golden = content.decode(), known[name].decode()
        if connection.vendor == "postgresql" and name.endswith(
            ".jsonl"
        ):  # its jsonb orders the keys of answers
            same, golden = (list(map(json.loads, text.splitlines())) for text in (same, golden))
        assert same == golden, f"{folder.name}/{name} is not the golden file"


@pytest.mark.parametrize(
    ("judged", "case"),
    [pytest.param(c.preset, c, id=f"{c.preset}-{c.format}") for c in CASES],
    indirect=["judged"],
)
def test_a_preset_goes_out_as_the_golden_file_and_comes_back_equal(judged, case, tmp_path):
    out = tmp_path / "out"
    options = {"annotators": "name", **case.options} if case.format == "native" else case.options
    manifest = write_export(
        snapshot=freeze_now(project=judged),
        format=case.format,
        container="jsonl",
        options=options,
        folder=out,
    )
    data = [entry["path"] for entry in manifest["files"] if entry["split"]]
    assert data
    report = {key: manifest[key] for key in ("dropped", "left_out")}
    made = {name: printed((out / name).read_bytes()) for name in data}
    made["report.json"] = (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode()
    compare(GOLDEN / case.preset / case.format, made)

    again = setup.create_project(
        name="Again", slug="again", owner=None, definition=presets.PRESETS["strength7"]
    )
    files = sorted(path for path in out.glob(case.files) if str(path.relative_to(out)) in data)
    imported = import_records(project=again, records=readers.read_many(files))
    assert (imported.invalid, imported.errors) == (0, [])
    expected = facts(judged, case.view, case.lost)
    assert expected
    assert not case.lost or manifest["dropped"]
    assert facts(again, case.view) == expected


def test_every_preset_has_a_golden_file_and_its_answers_cover_every_item():
    assert {case.preset for case in CASES} == set(presets.PRESETS) == set(ANSWERS)
    assert {name for answers in ANSWERS.values() for name, *_ in answers} == {NAMES, SOUND, RHYME, LIFE, RAG}


@pytest.mark.parametrize("judged", ["rewrite"], indirect=True)
def test_rewrites_go_out_as_texts_to_learn_and_come_back_as_such(judged, tmp_path):
    manifest = write_export(
        snapshot=freeze_now(project=judged),
        format="prompt_completion",
        container="jsonl",
        folder=tmp_path / "x",
    )
    files = [tmp_path / "x" / entry["path"] for entry in manifest["files"] if entry["split"]]
    compare(
        GOLDEN / "rewrite" / "prompt_completion",
        {str(path.relative_to(tmp_path / "x")): path.read_bytes() for path in files},
    )
    texts = {
        answer["text"]
        for judgment in Judgment.objects.filter(project=judged)
        for answer in [judgment.answers["rewrite"]]
    }
    records = [found for _, found in readers.read_many(files)]
    assert {record.responses[0].text for record in records} == texts
    assert manifest["left_out"] == {"reasons in words": 1}


@pytest.mark.parametrize(
    ("judged", "format", "columns"),
    [
        (
            "helpsteer2_preference",
            "helpsteer2",
            "prompt response helpfulness correctness coherence complexity verbosity",
        ),
        (
            "multipref5",
            "multipref",
            "comparison_id prompt_id text model_a completion_a model_b completion_b source category subject_study "
            "highest_level_degree normal_worker_annotations expert_worker_annotations",
        ),
        (
            "strength7",
            "helpsteer3",
            "domain language context response1 response2 overall_preference individual_preference",
        ),
    ],
    indirect=["judged"],
)
def test_parquet_has_the_public_columns_and_comes_back_equal(judged, format, columns, tmp_path):
    out = tmp_path / "out"
    options = {"annotators": "name"} if "annotators" in FORMATS[format].options else {}
    manifest = write_export(
        snapshot=freeze_now(project=judged), format=format, container="parquet", options=options, folder=out
    )
    entries = [entry for entry in manifest["files"] if entry["split"]]
    first = next(entry for entry in entries if entry["config"] == "default")
    frame = pq.read_table(out / first["path"]).to_pandas()
    assert " ".join(frame.columns) == columns
    again = setup.create_project(
        name="Again", slug="again", owner=None, definition=presets.PRESETS["strength7"]
    )
    case = next(case for case in CASES if case.format == format and case.preset == judged_preset(judged))
    files = [out / entry["path"] for entry in entries]
    if format == "helpsteer2":
        files = [file for file in files if file.parent != out]
    imported = import_records(project=again, records=readers.read_many(files))
    assert imported.errors == []
    assert facts(again, case.view) == facts(judged, case.view, case.lost)


def judged_preset(project) -> str:
    definition = schemas.load(project.schema_id)[1]
    return next(name for name, preset in presets.PRESETS.items() if preset["title"] == definition.title)
