"""Quarantine while a file that brings the person's judgments is being imported, and while they submit."""

from __future__ import annotations

import json
import threading
import time

import pytest

from annotations.items import readers
from annotations.judging import importing, log, quarantine, queue
from annotations.judging.models import Judgment
from annotations.judging.verify import verify_counts
from tests.concurrency.test_queue import (  # noqa: F401
    assert_counters_are_true,
    at_once,
    given,
    people,
    raised,
    write,
)

pytestmark = pytest.mark.django_db(transaction=True)
ROWS, AT_ONCE = 240, 10
UNTIL = 60


@pytest.fixture
def file(tmp_path):
    """Pairs that the suspect and somebody else judged, some of them items that are here already."""
    path = tmp_path / "judged.jsonl"
    with path.open("w", encoding="utf-8") as lines:
        for n in range(ROWS):
            row = {"id": f"row-{n}", "prompt": f"Asked {n}", "response_a": "Yes.", "response_b": "No."}
            row["human"] = [{"annotator": "person-0", "label": "a"}, {"annotator": "else", "label": "b"}]
            lines.write(json.dumps(row) + "\n")
    return path


@pytest.mark.parametrize("pause", [0.0, 0.02, 0.1])
def test_nothing_of_a_quarantined_person_slips_through_an_import_or_a_submit_at_the_same_moment(
    project,
    make_item,
    people,  # noqa: F811
    alice,
    file,
    monkeypatch,
    pause,
):
    """The act begins when a third of the file is in, and has ended before the last third: batches of the file fall
    before it, into it, and after it. Meanwhile the suspect and another person judge on."""
    monkeypatch.setattr(importing, "BATCH_ITEMS", AT_ONCE)
    monkeypatch.setattr(quarantine, "AT_ONCE", 7)  # many small transactions, so that much falls between them
    for n in range(60):
        make_item(prompt=f"Work {n}", wanted=2)
    suspect, other = people(2)
    for _ in range(5):
        write(suspect, queue.next_assignment(suspect))
    under_way, decided = threading.Event(), threading.Event()

    def bring_in():
        def progress(seen):
            if seen >= ROWS // 3:
                under_way.set()
            if seen >= 2 * ROWS // 3:
                assert decided.wait(UNTIL)

        return importing.import_records(
            project=project, records=readers.read(file), options=importing.ImportOptions(), progress=progress
        )

    def keep_out():
        assert under_way.wait(UNTIL)
        time.sleep(pause)
        moved = quarantine.quarantine(annotator=suspect, actor=alice, reason="at random")
        decided.set()
        return moved

    def judge(person):
        """Until the act is done; then one more, held since before it."""
        sent = 0
        while True:
            over = decided.is_set()
            assignment = queue.next_assignment(person)
            if assignment is None:
                if over:
                    return sent
                time.sleep(0.005)
                continue
            write(person, assignment, given(("answered", "cannot_judge", "skipped", "flagged")[sent % 4]))
            sent += 1
            if over and sent >= 12:
                return sent

    report, moved, by_suspect, by_other = found = at_once(
        [bring_in, keep_out, lambda: judge(suspect), lambda: judge(other)]
    )

    assert raised(found) == []
    assert (report.new, report.invalid, report.judgments) == (ROWS, 0, 2 * ROWS)
    mine = Judgment.objects.filter(annotator=suspect)
    assert mine.count() == ROWS + 5 + by_suspect
    assert not mine.exclude(aside="quarantine", is_current=False).exists()
    assert ROWS // 3 <= moved < mine.count()  # some fell before the act, some after it
    others = Judgment.objects.exclude(annotator=suspect)
    assert others.count() == ROWS + by_other
    assert not others.exclude(aside="", is_current=True).exists()
    assert_counters_are_true(project)
    assert list(verify_counts(project=project)) == []
    assert log.seal(project_id=project.pk, bound=Judgment.objects.latest("pk").pk) == Judgment.objects.count()
    assert log.verify(project=project).problems == []

    quarantine.restore(annotator=suspect, actor=alice)
    assert mine.filter(is_current=True, aside="").count() == mine.count()
    assert list(verify_counts(project=project)) == []
