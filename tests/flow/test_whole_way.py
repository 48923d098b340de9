"""One judgment's whole way on real data: import, models, plan, people, training, export, and back in."""

from __future__ import annotations

import gzip
import io
import json
import uuid

import pytest
from django.core.management import call_command

from annotations.items.models import Item
from annotations.judging import queue
from annotations.judging.answers import Answer, ComparisonAnswer, ScoreAnswer
from annotations.judging.models import Judgment
from annotations.judging.submit import submit
from annotations.projects.access import annotator_for
from annotations.projects.models import Project
from app.accounts.models import User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.smoke]


def command(*arguments) -> dict:
    """The command's last line of stdout, as scripts read it."""
    out = io.StringIO()
    call_command(*map(str, arguments), "--json", stdout=out)
    return json.loads(out.getvalue().strip().splitlines()[-1])


def test_the_demo_and_a_judgment_from_import_to_export_and_back(tmp_path):
    first = command("demo")
    counts = (Item.objects.count(), Judgment.objects.count())
    assert first["items"] == 453 + 52 + 195
    assert Judgment.objects.filter(annotator__kind="human").count() == 453 * 3 + 195 * 3
    project = Project.objects.get(slug="demo")
    assert project.plans.get().state == "applied"
    assert project.reward_models.get().metrics["accuracy"]["n"] > 20
    assert command("demo") == first, "making the demo again changes nothing"
    assert (Item.objects.count(), Judgment.objects.count()) == counts

    ann = annotator_for(User.objects.get(username="ann"), "demo")
    given = []
    for _ in range(5):
        lease = queue.next_assignment(ann)
        assert lease.item.route in {"human", "both"}
        answer = Answer(
            comparisons=(ComparisonAnswer(0, 1, "overall", -2, 3),),
            scores=tuple(
                ScoreAnswer(r, a, 3 - r, 0, 4) for a in ("helpfulness", "correctness") for r in (0, 1)
            ),
            reason="The first does what was asked.",
        )
        stored = submit(
            annotator=ann,
            item_id=lease.item_id,
            schema_id=project.schema_id,
            uuid=uuid.uuid4(),
            answer=answer,
            origin="page",
            assignment_id=lease.pk,
        )
        given.append(str(stored.judgment.uuid))

    frozen = command("snapshot", "demo")
    native = command("export_dataset", frozen["snapshot"], "--format", "native", "--out", tmp_path / "native")
    trl = command(
        "export_dataset", frozen["snapshot"], "--format", "trl_preference", "--container", "parquet",
        "--out", tmp_path / "trl",
    )  # fmt: skip

    judgments = {}
    for file in (tmp_path / "native").rglob("*.jsonl*"):
        with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
            for line in lines:
                judgments.update({j["id"]: j for j in json.loads(line)["judgments"]})
    assert set(given) <= set(judgments)
    assert judgments[given[0]]["comparisons"][0]["preference"] == -2
    assert (native["rows"], native["sha256"]) == (505, frozen["sha256"])
    assert 300 < trl["rows"] <= 505

    files = [str(path) for path in sorted((tmp_path / "native").rglob("*.jsonl*"))]
    again = command("import_items", "copy", *files, "--create", "--no-render")
    assert (again["new"], again["invalid"], again["errors"]) == (505, 0, [])
    assert again["judgments"] == len(judgments)
