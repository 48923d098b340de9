"""A snapshot holds everything up to one moment, the same bytes for the same data, or does not exist."""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import suppress

import pytest
from django.core.management import call_command
from django.db import connection

from annotations.datasets import rows, snapshots
from annotations.datasets.models import Snapshot
from annotations.datasets.snapshots import SnapshotDamaged, create_snapshot, folder_of, freeze_now, open_rows
from annotations.items import readers
from annotations.judging import withdraw
from annotations.judging.models import Judgment, Score
from annotations.projects.models import Annotator
from app.jobs import runner
from app.jobs.models import Job
from tests.datasets.conftest import prefer, tie

pytestmark = [pytest.mark.django_db, pytest.mark.smoke]

JUDGMENT_KEYS = """id annotator kind outcome comparisons scores answers reason probability order_consistent
    presented_order schema_version guideline_version supersedes propensity created_at active_ms wall_ms""".split()


def pruned(value):
    """Without what is null or empty, at every level the native form knows: what the reader leaves out too."""
    row = {key: part for key, part in value.items() if part is not None and (part or key not in LISTS)}
    for key in ("responses", "judgments", "calls"):
        if key in row:
            row[key] = [pruned(part) for part in row[key]] if key != "calls" else row[key]
    return row


LISTS = ("meta", "answers", "comparisons", "scores", "judgments", "source")


def test_every_kind_of_judgment_comes_back_from_the_reader_as_it_was_frozen(project, judged, tmp_path):
    snapshot = freeze_now(project=project)
    found = list(open_rows(snapshot))
    assert [row["id"] for row in found] == ["pair", "chat", "tied", None, "untouched"]
    for row in found:
        reserved = row.pop("plumbline")
        assert set(reserved) == {"item", "route", "is_audit", "human_propensity", "group", "split"}
        for judgment in row["judgments"]:
            assert [key for key in judgment if key != "calls"] == JUDGMENT_KEYS
    lossy = found[0]["judgments"][4]["calls"][1]
    assert lossy["prompt_hash"] == "ab" * 32
    counts = {key: lossy.pop(key) for key in rows.CALL_COUNTS}
    assert list(counts.values()) == ["ab" * 32, 120, 8, 350, 900]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, found)))
    back = [readers.to_native(record) for record in readers.read(path)]
    assert back == [pruned(row) for row in found]


def test_a_row_says_who_what_and_when(project, judged):
    pair = next(open_rows(freeze_now(project=project)))
    bea = str(Annotator.objects.get(name="Bea").pseudonym)
    first, correction, _, cannot, model = pair["judgments"]
    assert first == {
        "id": "00000000-0000-0000-0000-000000000001",
        "annotator": bea,
        "kind": "human",
        "outcome": "answered",
        "comparisons": [
            {"first": 0, "second": 1, "aspect": "overall", "preference": -2, "scale_max": 3, "tie": None}
        ],
        "scores": [
            {"response": 0, "attribute": "helpfulness", "value": 4, "scale": [0, 4]},
            {"response": 1, "attribute": "helpfulness", "value": 1, "scale": [0, 4]},
        ],
        "answers": {"confidence": "high"},
        "reason": "=It says “hello”.\nKinder.",
        "probability": None,
        "order_consistent": None,
        "presented_order": [1, 0],
        "schema_version": "v2",
        "guideline_version": "1",
        "supersedes": None,
        "propensity": 1.0,
        "created_at": "2026-03-01T09:30:00Z",
        "active_ms": 41_200,
        "wall_ms": 58_000,
    }
    assert (correction["supersedes"], correction["annotator"]) == (first["id"], bea)
    assert (model["annotator"], model["kind"], model["order_consistent"]) == ("judge-1", "lm", False)
    assert cannot["comparisons"][0]["tie"] == "equal_bad"


def test_unchanged_data_gives_the_same_bytes_and_a_new_judgment_others(project, judged, give):
    one, two = freeze_now(project=project), freeze_now(project=project)
    assert one.sha256 == two.sha256
    assert (one.number, two.number) == (1, 2)
    assert snapshots.rows_path(one).read_bytes() == snapshots.rows_path(two).read_bytes()
    give("Eli", judged[4], prefer(1))
    assert freeze_now(project=project).sha256 != one.sha256
    assert list(open_rows(one)) == list(open_rows(two))


def test_the_manifest_counts_what_the_rows_hold(project, judged):
    snapshot = freeze_now(project=project, note="First")
    manifest = json.loads((snapshots.folder_of(snapshot) / "manifest.json").read_text())
    assert manifest["sha256"] == snapshot.sha256
    assert (manifest["items"], manifest["judgments"], manifest["note"]) == (5, 12, "First")
    assert manifest["counts"] == snapshot.counts
    assert snapshot.counts["judgments_by_kind"] == {"human": 9, "lm": 2, "reward_model": 1}
    assert snapshot.counts["judgments_by_outcome"] == {"answered": 10, "cannot_judge": 1, "flagged": 1}
    assert snapshot.counts["annotators_by_kind"] == {"human": 3, "lm": 1, "reward_model": 1}
    assert sum(snapshot.counts["items_by_split"].values()) == 5
    assert snapshot.versions["guidelines"] == {"1": 9}
    assert snapshot.versions["schemas"]["v2"]["judgments"] == 12
    rows = b"".join(snapshots.open_lines(snapshot))
    assert b"Kinder." in rows
    assert b"Bea" not in rows


def test_plans_are_named_and_people_who_routed_are_not(project, judged):
    pair, chat, *_ = judged
    type(pair).objects.filter(pk=pair.pk).update(route_ref="plan:7")
    type(pair).objects.filter(pk=chat.pk).update(route_ref="admin:alice")
    assert freeze_now(project=project).versions["plans"] == {"admin": 1, "plan:7": 1}


@pytest.mark.parametrize(
    ("query", "ids", "judgments"),
    [
        ({}, ["pair", "chat", "tied", None, "untouched"], 12),
        ({"only_judged": True}, ["pair", "chat", "tied", None], 12),
        ({"kinds": ["lm"], "only_judged": True}, ["pair", None], 2),
        ({"exclude_flagged": True}, ["pair", "chat", None, "untouched"], 10),
        ({"outcomes": ["cannot_judge"], "only_judged": True}, ["chat"], 1),
    ],
)
def test_filters_choose_items_and_judgments(project, judged, query, ids, judgments):
    snapshot = freeze_now(project=project, query=query)
    assert [row["id"] for row in open_rows(snapshot)] == ids
    assert (snapshot.n_items, snapshot.n_judgments) == (len(ids), judgments)
    assert {key: value for key, value in snapshot.query.items() if key != "cutoff"} == query


def test_a_range_of_items_is_both_ends_included(project, judged):
    query = {"first_item": judged[1].pk, "last_item": judged[2].pk}
    assert [row["id"] for row in open_rows(freeze_now(project=project, query=query))] == ["chat", "tied"]


@pytest.mark.parametrize("query", [{"colour": 1}, {"kinds": "human"}, {"outcomes": ["maybe"]}, {"only_judged": 1},
                                   {"first_item": "3"}])  # fmt: skip
def test_a_filter_nobody_knows_is_refused_by_name(project, query):
    with pytest.raises(rows.BadQuery, match=next(iter(query))):
        freeze_now(project=project, query=query)
    assert not Snapshot.objects.exists()


def test_dropping_a_correction_does_not_revive_what_it_corrected(project, give, make_item):
    item = make_item(external_id="x")
    first = give("Bea", item, prefer(-3))
    from annotations.judging.answers import Answer

    answer = Answer(outcome="cannot_judge", answers={"cannot_judge": "not_valid"})
    give("Bea", item, answer, supersedes=first.uuid)
    (row,) = open_rows(freeze_now(project=project, query={"outcomes": ["answered"]}))
    assert row["judgments"] == []


def test_withdrawn_items_stay_out_unless_asked_for(project, judged, alice):
    withdraw.set_withdrawn(item=judged[0], withdrawn=True, actor=alice)
    assert freeze_now(project=project).n_items == 4
    assert freeze_now(project=project, query={"withdrawn": True}).n_items == 5


def test_copies_of_an_item_fall_on_its_side_of_the_split(project, make_item):
    first = make_item("P", external_id="a")
    type(first).objects.filter(pk=first.pk).update(group="a group")
    copies = [make_item("P", external_id=f"b{n}", duplicate_of=first) for n in range(20)]
    for n, copy in enumerate(copies):
        type(first).objects.filter(pk=copy.pk).update(group=f"other {n}")
    found = [row["plumbline"] for row in open_rows(freeze_now(project=project))]
    assert {row["group"] for row in found} == {"a group"}
    assert len({row["split"] for row in found}) == 1


def test_many_batches_cost_a_few_queries_each(project, make_item, give, django_assert_max_num_queries):
    items = [make_item(f"P{n}", external_id=str(n)) for n in range(9)]
    for item in items:
        give("Bea", item, prefer(-1))
    query = rows.Query()
    with django_assert_max_num_queries(4 + 3 * 6 + 1):
        small = list(rows.item_rows(project, query, cutoff=10**9, reader=connection, batch=3))
    large = list(rows.item_rows(project, query, cutoff=10**9, reader=connection))
    assert small == large
    assert len(small) == 9


def test_the_job_writes_the_snapshot_and_a_second_run_changes_nothing(project, judged, alice):
    snapshot = create_snapshot(project=project, actor=alice, note="By job")
    assert snapshot.state == "building"
    job = runner.run(Job.objects.get(pk=snapshot.job_id).pk)
    snapshot.refresh_from_db()
    assert (job.state, snapshot.state, job.result["sha256"]) == ("succeeded", "ready", snapshot.sha256)
    written = snapshots.rows_path(snapshot).stat().st_mtime_ns
    assert snapshots.build(snapshot).sha256 == snapshot.sha256
    assert snapshots.rows_path(snapshot).stat().st_mtime_ns == written


def test_a_failed_snapshot_leaves_no_file_and_a_retry_completes_it(project, judged, alice, monkeypatch):
    snapshot = create_snapshot(project=project, actor=alice)
    real = rows.item_rows

    def breaks(*args, **kwargs):
        yield next(real(*args, **kwargs))
        raise OSError("No space left on device")

    monkeypatch.setattr(rows, "item_rows", breaks)
    job = runner.run(snapshot.job_id)
    snapshot.refresh_from_db()
    assert (job.state, snapshot.state) == ("failed", "failed")
    assert list(snapshots.folder_of(snapshot).parent.iterdir()) == []
    with pytest.raises(snapshots.NotReady):
        open_rows(snapshot)
    monkeypatch.setattr(rows, "item_rows", real)
    assert runner.run(runner.retry(job).pk).state == "succeeded"
    snapshot.refresh_from_db()
    assert (snapshot.state, snapshot.n_items) == ("ready", 5)


def test_leftovers_of_a_killed_writer_are_removed(project, judged, alice):
    snapshot = create_snapshot(project=project, actor=alice)
    left = snapshots.folder_of(snapshot).parent / f".{snapshot.public_id}.77-abcd.part"
    left.mkdir(parents=True)
    (left / "rows.jsonl.gz").write_bytes(b"half")
    assert runner.run(snapshot.job_id).state == "succeeded"
    assert [path.name for path in snapshots.folder_of(snapshot).parent.iterdir()] == [snapshot.public_id]


@pytest.mark.parametrize("harm", ["change", "cut", "append", "remove"])
def test_a_file_that_was_touched_is_noticed(project, judged, harm):
    import gzip

    snapshot = freeze_now(project=project)
    path = snapshots.rows_path(snapshot)
    content = path.read_bytes()
    if harm == "change":
        path.write_bytes(gzip.compress(gzip.decompress(content).replace(b"Hello.", b"Hullo.")))
    elif harm == "cut":
        path.write_bytes(content[:-20])
    elif harm == "append":
        path.write_bytes(content + gzip.compress(b'{"id": "more"}\n'))
    else:
        path.unlink()
    with pytest.raises(SnapshotDamaged, match=snapshot.public_id):
        list(open_rows(snapshot))


def test_no_damage_goes_unnoticed_at_any_byte(project, judged):
    snapshot = freeze_now(project=project)
    path = snapshots.rows_path(snapshot)
    content, frozen = path.read_bytes(), list(snapshots.open_lines(snapshot))
    for place in range(len(content)):
        for harmed in (
            content[:place],
            content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :],
            content[:place] + content[place + 1 :],
        ):
            path.write_bytes(harmed)
            with suppress(SnapshotDamaged):
                assert list(snapshots.open_lines(snapshot)) == frozen  # a changed time in the header, say


@pytest.mark.django_db(transaction=True)
def test_what_is_judged_while_a_snapshot_is_written_is_not_in_it(
    project, judged, give, make_item, monkeypatch
):
    quiet = freeze_now(project=project)
    real, done = rows._responses, []

    def judging_meanwhile(ids, reader):
        found = real(ids, reader)
        if not done:
            done.append(True)
            worker = threading.Thread(target=judge)
            worker.start()
            worker.join(20)
            assert not worker.is_alive(), "a writer waited for the snapshot"
        return found

    def judge():
        try:
            give("Eli", judged[4], tie())
            give("Eli", make_item("New", external_id="new"), prefer(3))
        finally:
            connection.close()

    monkeypatch.setattr(rows, "_responses", judging_meanwhile)
    meanwhile = freeze_now(project=project)
    monkeypatch.undo()
    assert Judgment.objects.filter(annotator__name="Eli").count() == 2
    assert (meanwhile.sha256, meanwhile.n_judgments) == (quiet.sha256, 12)
    assert freeze_now(project=project).n_judgments == 14


@pytest.mark.django_db(transaction=True)
def test_the_manifest_holds_the_logs_last_hash_which_later_finds_what_was_changed(project, judged, capsys):
    Score.objects.filter(judgment__uuid=uuid.UUID(int=9), response=2).update(value=1)  # as it was submitted
    snapshot = freeze_now(project=project)
    head = snapshot.versions["log"]
    assert (head["seals"], head["last"]) == (1, Judgment.objects.latest("pk").pk)
    assert json.loads((folder_of(snapshot) / "manifest.json").read_text())["versions"]["log"] == head
    call_command("verify_log", project.slug, expect=head["hash"])
    assert freeze_now(project=project).versions["log"] == head
    Judgment.objects.filter(uuid=uuid.UUID(int=3)).update(reason="Somebody wrote this later.")
    with pytest.raises(SystemExit):
        call_command("verify_log", project.slug, expect=head["hash"])
