"""The judgment log: equal digests from memory and from the database, and every kind of tampering is found."""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import suppress

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations.judging import log
from annotations.judging.answers import Answer, ComparisonAnswer, InvalidAnswer
from annotations.judging.models import Comparison, ErasedJudgment, Judgment, Score, Seal
from annotations.judging.submit import Conflict, submit
from tests.judging.test_import_bulk import entry, given_judgments, rolled_back, world, write

numbers = (
    st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1e22, -0.0, 1e300, 10**400, 0.1 + 0.2, 2.0**53, 5e-324])
)
names = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=6)
jsons = st.recursive(
    st.none() | st.booleans() | numbers | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def answer(preference=-2, **fields) -> Answer:
    return Answer(comparisons=(ComparisonAnswer(0, 1, "overall", preference, 3),), **fields)


def seal(project) -> int:
    """As the sweep does, inside the test's transaction."""
    bound = Judgment.objects.order_by("pk").values_list("pk", flat=True).last() or 0
    return log.seal(project_id=project.pk, bound=bound)


def messages(project, **options) -> list[tuple]:
    return [(p.seal, p.judgment, p.message) for p in log.verify(project=project, **options).problems]


CHANGED = "the judgment is not what was stored"
REWRITTEN = "the digests in it, or the block before, are not those that were sealed"


@pytest.fixture
def logged(db, monkeypatch):
    """A project with three blocks of two judgments, and one judgment that is not sealed."""
    monkeypatch.setattr(log, "BLOCK", 2)
    project, annotators, items = world()
    cells = [(a, i) for i in range(3) for a in range(2)] + [(2, 0)]
    for n, (a, i) in enumerate(cells):
        if n == 6:
            assert seal(project) == 6
        write(project, [entry(project, annotators[a], items[i], answer(), uuid.UUID(int=n + 1))])
    return project


def test_old_judgments_are_looked_for_once_however_many_blocks_are_sealed(logged):
    Seal.objects.all().delete()
    with CaptureQueriesContext(connection) as asked:
        assert seal(logged) == 7
    assert Seal.objects.count() == 4
    assert sum('"digest" IS NULL' in query["sql"] for query in asked) == 1


@pytest.mark.django_db
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    judgments=given_judgments,
    metas=st.lists(st.dictionaries(names, jsons, max_size=3), min_size=8, max_size=8),
)
def test_the_digest_written_with_a_judgment_is_that_of_the_stored_rows(judgments, metas):
    def both_paths() -> list:
        project, annotators, items = world()
        for n, (((i, a), given_, propensity, key), meta) in enumerate(zip(judgments, metas, strict=False)):
            fields = {name: getattr(given_, name) for name in given_.__slots__}
            one = Answer(**{**fields, "meta": meta})
            if n % 2:
                write(project, [entry(project, annotators[a], items[i], one, key, propensity=propensity)])
            else:
                with suppress(InvalidAnswer, Conflict):
                    submit(
                        annotator=annotators[a], item_id=items[i].pk, schema_id=project.schema_id, uuid=key,
                        answer=one, origin="page", propensity=propensity,
                    )  # fmt: skip
        stored = dict(Judgment.objects.values_list("pk", "digest"))
        assert {pk: bytes(said) for pk, said in stored.items()} == dict(log.contents(list(stored)))
        seal(project)
        return messages(project)

    assert rolled_back(both_paths) == []


def test_blocks_follow_one_another_and_a_known_hash_is_found(logged):
    report = log.verify(project=logged)
    assert (report.seals, report.judgments, report.unsealed, report.problems) == (3, 6, 1, [])
    first = bytes(Seal.objects.get(number=1).hash).hex()
    assert seal(logged) == 1
    assert log.verify(project=logged, expect=first).known
    assert not log.verify(project=logged, expect="00" * 32).known
    assert seal(logged) == 0


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (lambda: Judgment.objects.filter(pk=of(3)).update(reason="x"), [(2, str(uuid.UUID(int=3)), CHANGED)]),
        (
            lambda: Comparison.objects.filter(judgment=of(2)).update(preference=1),
            [(1, str(uuid.UUID(int=2)), CHANGED)],
        ),
        (
            lambda: Score.objects.create(judgment_id=of(1), response=0, attribute="q", value=1),
            [(1, str(uuid.UUID(int=1)), CHANGED)],
        ),
        (lambda: Judgment.objects.filter(pk=of(4)).delete(), [(2, None, "1 of 2 judgments are missing")]),
        (
            lambda: Judgment.objects.filter(pk=of(7)).update(reason="late"),
            [(None, str(uuid.UUID(int=7)), CHANGED)],
        ),
        (lambda: rewrite(of(3)), [(2, None, REWRITTEN)]),
        (
            lambda: Seal.objects.filter(number=2).update(hash=bytes(32)),
            [(2, None, REWRITTEN), (3, None, REWRITTEN)],
        ),
    ],
    ids=["content", "comparison", "score", "deleted", "not sealed", "digest rewritten", "seal rewritten"],
)
def test_tampering_is_found_and_named(logged, tamper, found):
    tamper()
    assert messages(logged) == found


def of(number: int) -> int:
    return Judgment.objects.get(uuid=uuid.UUID(int=number)).pk


def rewrite(pk: int) -> None:
    Judgment.objects.filter(pk=pk).update(reason="x")
    Judgment.objects.filter(pk=pk).update(digest=dict(log.contents([pk]))[pk])


def test_a_chain_written_anew_shows_only_against_a_hash_kept_elsewhere(logged):
    kept = log.head(logged)["hash"]
    rewrite(of(3))
    Seal.objects.all().delete()
    seal(logged)
    assert messages(logged) == []
    assert not log.verify(project=logged, expect=kept).known


def test_erased_judgments_keep_the_log_whole(logged):
    with transaction.atomic():
        log.note_erased([of(4), of(7)])
        Judgment.objects.filter(pk__in=[of(4), of(7)]).delete()
    report = log.verify(project=logged)
    assert (report.problems, report.erased, report.judgments) == ([], 1, 6)
    bound = ErasedJudgment.objects.order_by("judgment").last().judgment
    assert log.seal(project_id=logged.pk, bound=bound) == 1, "sealed by the digest it had"
    assert log.verify(project=logged).erased == ErasedJudgment.objects.count() == 2


def test_judgments_older_than_the_log_are_sealed_as_they_are(logged):
    Judgment.objects.filter(pk=of(7)).update(digest=None)
    assert messages(logged) == []
    seal(logged)
    Judgment.objects.filter(pk=of(7)).update(reason="x")
    assert messages(logged) == [(4, str(uuid.UUID(int=7)), CHANGED)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.smoke
def test_sealing_waits_for_writers_that_took_an_id_before(monkeypatch):
    """A writer holds a lower id open while a higher one is stored: nothing is sealed beyond the lower one."""
    # The wait is for every transaction of the server, those of another worker's long test among them.
    monkeypatch.setattr(log, "SETTLE_SECONDS", 600.0)
    project, annotators, items = world()
    opened, go_on, seen = threading.Event(), threading.Event(), []

    def slow() -> None:
        try:
            with transaction.atomic():
                write(project, [entry(project, annotators[0], items[0], answer(), uuid.UUID(int=1))])
                opened.set()
                go_on.wait(60)
        finally:
            connection.close()

    def sealer() -> None:
        try:
            seen.append(log.seal_all())
        finally:
            connection.close()

    writer, sweep = threading.Thread(target=slow), threading.Thread(target=sealer)
    writer.start()
    assert opened.wait(60)
    if connection.vendor == "postgresql":  # on SQLite nobody can write meanwhile
        write_now = entry(project, annotators[1], items[1], answer(), uuid.UUID(int=2))
        with transaction.atomic():
            write(project, [write_now])
    sweep.start()
    sweep.join(0.3)
    assert sweep.is_alive()
    assert not Seal.objects.exists()
    go_on.set()
    writer.join()
    sweep.join()
    stored = Judgment.objects.count()
    assert seen == [stored]
    assert log.verify(project=project).problems == []


def test_the_command_says_what_does_not_hold(logged, capsys):
    call_command("verify_log", "world", "--json")
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["problems"], told["projects"][0]["head"]) == (0, log.head(logged)["hash"])
    rewrite(of(3))
    with pytest.raises(SystemExit) as ended:
        call_command("verify_log")
    assert ended.value.code == 1
    assert REWRITTEN in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call_command("verify_log", "world", "--expect", "00" * 32)
    assert "no block has the expected hash" in capsys.readouterr().out
    for wrong in (["none"], ["--expect", "00"]):
        with pytest.raises(CommandError):
            call_command("verify_log", *wrong)
