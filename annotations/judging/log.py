"""The judgment log: a hash chain over a project's judgments, sealed in blocks behind the writers.

Every judgment is written with its own digest (`digest.py`), in its transaction. A chain whose next link needs the
link before would make all writers of a project wait for one another; so a sweep binds the digests of what has
settled, in the order of their ids, into blocks: hash = SHA-256(version, hash before, project, number, last id, and
(id, digest) of each judgment). Whoever kept the hash of a block can tell whether anything up to it was changed,
left out or put in since.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge

from django.db import IntegrityError, connection, transaction
from django.db.models import Max
from django.db.transaction import TransactionManagementError

from annotations.projects.models import Project

from . import digest
from .bulk_rows import COMPARISON, SCORE
from .models import Comparison, ErasedJudgment, Judgment, Score, Seal

BLOCK = 5_000  # judgments in a block
AT_ONCE = 500
NOTHING = bytes(32)
SETTLE_SECONDS = 5.0


# --- Sealing ------------------------------------------------------------------------------------------------
def seal_all() -> int:
    """Seal what has settled in every project; returns how many judgments. Call outside a transaction."""
    bound = settled()
    if bound is None:
        return 0
    done = 0
    ends = dict(Project.objects.annotate(end=Max("seals__last")).values_list("pk", "end"))
    for project_id, end in ends.items():
        if Judgment.objects.filter(project_id=project_id, pk__gt=end or 0, pk__lte=bound).exists():
            done += seal(project_id=project_id, bound=bound)
    return done


def seal(*, project_id: int, bound: int) -> int:
    """Bind the project's judgments up to the id `bound` that are in no block; returns how many.

    `bound` is what `settled` gave. Two sealers at once are harmless: the number of a block can be taken once.
    """
    done = 0
    completed = False
    while True:
        before = Seal.objects.filter(project=project_id).order_by("-number").first()
        after = before.last if before else 0
        if after >= bound:
            return done
        if not completed:  # once for all blocks: it reads everything up to the bound
            _complete(project_id, after, bound)
            completed = True
        entries = _entries(project_id, after, bound)[:BLOCK]
        if not entries:
            return done
        last = entries[-1][0] if len(entries) == BLOCK else bound
        number = before.number + 1 if before else 1
        made = chain(bytes(before.hash) if before else NOTHING, project_id, number, last, entries)
        try:
            with transaction.atomic():
                Seal.objects.create(
                    project_id=project_id, number=number, last=last, n=len(entries), hash=made
                )
        except IntegrityError:
            return done  # another sealer was here first
        done += len(entries)


def chain(
    before: bytes, project_id: int, number: int, last: int, entries: Sequence[tuple[int, bytes]]
) -> bytes:
    """The hash of a block, 32 bytes; `entries` are (judgment id, digest) in ascending order."""
    block = hashlib.sha256(b"plumbline-log-1")
    block.update(before)
    for number_ in (project_id, number, last, len(entries)):
        block.update(number_.to_bytes(8, "big"))
    for pk, said in entries:
        block.update(pk.to_bytes(8, "big") + said)
    return block.digest()


def settled() -> int | None:
    """The highest id up to which no judgment can still appear, or None where writers keep one open too long.

    Ids are given out before their transactions commit, so a lower one may appear after a higher one was seen.
    SQLite: a write transaction of our own shuts out every other. PostgreSQL: a writer has a transaction id before
    it takes a judgment's id (it locks or inserts items first). So we read how far ids were given out, then draw a
    transaction id ourselves, and wait until every older transaction has ended.
    """
    if connection.vendor != "postgresql":
        with transaction.atomic():
            return Judgment.objects.aggregate(last=Max("pk"))["last"] or 0
    if connection.in_atomic_block:
        raise TransactionManagementError("A transaction cannot wait for itself: seal outside of one.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence('judging_judgment', 'id')")
        cursor.execute(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {cursor.fetchone()[0]}")  # noqa: S608
        bound = cursor.fetchone()[0]
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        ours = cursor.fetchone()[0]
        until = time.monotonic() + SETTLE_SECONDS
        while True:
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
            if cursor.fetchone()[0] > ours:
                return bound
            if time.monotonic() > until:
                return None
            time.sleep(0.02)


def note_erased(judgment_ids: Sequence[int]) -> None:
    """Keep the digests of judgments that are about to be deleted with their person; in the deleting transaction."""
    rows = list(Judgment.objects.filter(pk__in=judgment_ids).values_list("pk", "project_id", "digest"))
    missing = [pk for pk, _, said in rows if said is None]
    fresh = dict(contents(missing)) if missing else {}
    ErasedJudgment.objects.bulk_create(
        ErasedJudgment(project_id=project, judgment=pk, digest=fresh[pk] if said is None else said)
        for pk, project, said in rows
    )


def _complete(project_id: int, after: int, bound: int) -> None:
    """Give judgments that are older than the log their digest, from what they say now."""
    bare = Judgment.objects.filter(project=project_id, pk__gt=after, pk__lte=bound, digest=None)
    while ids := list(bare.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]):
        with transaction.atomic():
            for pk, said in contents(ids):
                Judgment.objects.filter(pk=pk, digest=None).update(digest=said)


def _entries(project_id: int, after: int, upto: int) -> list[tuple[int, bytes]]:
    """(id, digest) of the judgments with these ids, the first BLOCK + of them, those that were erased among them."""
    where = {"project": project_id}
    kept = Judgment.objects.filter(pk__gt=after, pk__lte=upto, **where).order_by("pk")
    gone = ErasedJudgment.objects.filter(judgment__gt=after, judgment__lte=upto, **where).order_by("judgment")
    rows = merge(
        kept.values_list("pk", "digest")[: BLOCK + 1], gone.values_list("judgment", "digest")[: BLOCK + 1]
    )
    # Kept rows are read first: one that is erased meanwhile comes twice, never not at all.
    return list({pk: bytes(said or b"") for pk, said in rows}.items())


# --- Verifying ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the log that does not hold."""

    project: str
    seal: int | None
    """The block's number; None for judgments that are in no block yet."""
    judgment: str | None
    message: str


@dataclass(slots=True)
class Report:
    """The log of one project, as it was verified."""

    project: str
    seals: int = 0
    judgments: int = 0
    """Those in blocks; erased ones among them."""
    erased: int = 0
    unsealed: int = 0
    head: str = ""
    """Hash of the last block, in hex; empty where there is none."""
    problems: list[Problem] = field(default_factory=list)
    known: bool = True
    """Whether one of the blocks has the hash that was expected."""


def verify(*, project: Project, expect: str = "", progress: Callable[[int], None] | None = None) -> Report:
    """Hash every judgment and every block of the project again, and compare; memory stays flat.

    `expect` is the hash (hex) of a block that somebody kept elsewhere: only that shows a chain written anew.
    """
    report = Report(project.slug, known=not expect)
    after, before = 0, NOTHING
    for number, block in enumerate(Seal.objects.filter(project=project).order_by("number").iterator(), 1):
        if block.number != number:
            report.problems.append(Problem(project.slug, number, None, "this block is missing"))
        entries = []
        for pk, said, uuid, now in _checked(project, after, block.last):
            report.erased += now is None
            entries.append((pk, said))
            if now is not None and now != said:
                report.problems.append(
                    Problem(project.slug, block.number, uuid, "the judgment is not what was stored")
                )
        if chain(before, project.pk, block.number, block.last, entries) != bytes(block.hash):
            report.problems.append(Problem(project.slug, block.number, None, _why(block, entries)))
        report.seals, report.judgments = number, report.judgments + len(entries)
        after, before = block.last, bytes(block.hash)
        report.known = report.known or before.hex() == expect.lower()
        if progress is not None:
            progress(report.judgments)
    report.head = before.hex() if report.seals else ""
    end = Judgment.objects.filter(project=project).aggregate(last=Max("pk"))["last"] or 0
    for _, said, uuid, now in _stored(project, after, end):
        report.unsealed += 1
        if said and now != said:
            report.problems.append(Problem(project.slug, None, uuid, "the judgment is not what was stored"))
    return report


def _why(block: Seal, entries: list) -> str:
    if len(entries) != block.n:
        what = "missing" if len(entries) < block.n else "too many"
        return f"{abs(block.n - len(entries))} of {block.n} judgments are {what}"
    return "the digests in it, or the block before, are not those that were sealed"


def _checked(project: Project, after: int, upto: int) -> list[tuple[int, bytes, str | None, bytes | None]]:
    """(id, stored digest, uuid, digest of the content now) in ascending order; None for what was erased."""
    rows = {row[0]: row for row in _stored(project, after, upto)}  # before the erased: see `_entries`
    gone = ErasedJudgment.objects.filter(project=project, judgment__gt=after, judgment__lte=upto)
    for pk, said in gone.values_list("judgment", "digest"):
        rows.setdefault(pk, (pk, bytes(said), None, None))
    return [rows[pk] for pk in sorted(rows)]


def _stored(project: Project, after: int, upto: int) -> Iterator[tuple[int, bytes, str, bytes]]:
    rows = Judgment.objects.filter(project=project, pk__lte=upto).order_by("pk")
    while True:
        found = list(rows.filter(pk__gt=after).values_list("pk", "digest", "uuid")[:AT_ONCE])
        if not found:
            return
        now = dict(contents([pk for pk, _, _ in found]))
        for pk, said, uuid in found:
            yield pk, bytes(said or b""), str(uuid), now[pk]
        after = found[-1][0]


def contents(ids: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """(id, digest of what the judgment says now), from the database."""
    parts: dict[type, dict[int, list[tuple]]] = {}
    for model, columns in ((Comparison, COMPARISON), (Score, SCORE)):
        by = parts[model] = {}
        for pk, *row in model.objects.filter(judgment__in=ids).order_by("pk").values_list(*columns):
            by.setdefault(pk, []).append(tuple(row))
    for pk, *values in Judgment.objects.filter(pk__in=ids).order_by("pk").values_list("pk", *digest.FIELDS):
        yield pk, digest.digest(values, parts[Comparison].get(pk, ()), parts[Score].get(pk, ()))


def head(project: Project) -> dict:
    """The last block of the project's log: {"seals": n, "last": judgment id, "hash": hex, "at": when}; no block has hash ""."""
    last = Seal.objects.filter(project=project).order_by("-number").first()
    if last is None:
        return {"seals": 0, "last": 0, "hash": "", "at": None}
    return {"seals": last.number, "last": last.last, "hash": bytes(last.hash).hex(), "at": last.at}
