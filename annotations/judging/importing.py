"""Records of files become Items and Judgments: streaming, in whole batches, the same file twice harmlessly."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from annotations.items import batches, pii
from annotations.items.bulk_insert import allocate, count_anew, json_text
from annotations.items.content import order_key
from annotations.items.models import Item, Response
from annotations.items.readers import SPANS, JudgmentRecord, Problem, Record
from annotations.projects import schemas
from annotations.projects.models import Project, TaskSchema

from . import bulk, extra_votes, locks
from .answers import Answer, FieldError
from .imported_annotators import Named, ids_of
from .imported_items import Batch, Row, Target
from .imported_judgments import answer_of, judgment_uuid, own_uuid
from .imported_schema import Shape
from .jobs import MAX_BATCH, MAX_WANTED, ImportOptions, ImportReport, start_import_job
from .models import Comparison, Judgment, Score
from .reading_ahead import Found, ReadAhead

__all__ = ["MAX_BATCH", "MAX_WANTED", "ImportOptions", "ImportReport", "import_records", "start_import_job"]

BATCH_ITEMS = 1000
BATCH_CHARACTERS = 16_000_000
ERRORS_KEPT = 1000
ERRORS_LISTED = 1_000_000
"""Lines of the report file."""
MOST_ERRORS = 1_000_000
"""After so many the file is not read further."""
BAD_ROWS_HELD = 100_000
PROGRESS_ROWS = 20_000
SOURCES_APART = 200
TRIES = 5
COUNTED_ANEW_FIRST, COUNTED_ANEW_TIMES = 4_000, 8
"""The database looks at its tables after so many new items, and each time after so many times as many."""
NOTES_KEPT = 50
HOLDS = "holds what looks like"


def import_records(
    *,
    project: Project,
    records: Iterable[Record | Problem | tuple[object, Record | Problem]],
    origin_label: str = "",
    options: ImportOptions | None = None,
    progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Bring records of `items.readers` into the project, and say what came of each row.

    Streams: about 1,000 items are held and written in one transaction, items with responses, judgments and
    counters, so after a kill each item is whole or absent and a rerun completes. Takes the records of `read` (then
    `origin_label` names the file in errors) or the (path, record) pairs of `read_many`. `progress` is called with
    the number of rows read after every batch and every 20,000 rows; what it raises ends the import between two batches. A dry run
    rolls every batch back, so an id that comes again over 1,000 rows later counts as new there.
    """
    return _Importer(project, origin_label, options or ImportOptions()).run(records, progress)


@contextmanager
def no_cycle_collector() -> Iterator[None]:
    """Keep the cycle collector off: a batch makes a million objects and hardly a cycle, and it looked at them all.

    What a batch leaves is freed by reference counting; the cycles of the whole import are collected at its end.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
            gc.collect()


def personal_data(record: Record) -> list[tuple[str, str]]:
    """(field, kind) of what looks like personal data in the record's texts and the reasons given for judgments."""
    texts = list(pii.texts_of(record.prompt, record.context, [one.text for one in record.responses]))
    texts += [(f"judgments[{n}].reason", judgment.reason) for n, judgment in enumerate(record.judgments)]
    return [(where, kind) for where, text in texts for kind in sorted(pii.kinds_in(text))]


class _Importer:
    """One import. What a batch learns (annotators, schema versions) is kept only once it is committed."""

    def __init__(self, project: Project, label: str, options: ImportOptions):
        self.project, self.label, self.options = project, label, options
        self.report = ImportReport(report_path=options.report_path)
        self.annotators: dict[tuple[str, str], int] = {}
        self.shapes: dict[str, Shape] = {}
        self.schemas: dict[str, int] = {}
        questions = schemas.load(project.schema_id)[1].questions if project.schema_id else ()
        self.asked = {question.name for question in questions}
        self.scales = {q.name: (q.min, q.max) for q in questions if q.kind == "rating"}
        self.bad_rows: set[tuple[str, int]] = set()
        self.report_file = None
        self.listed = 0
        self.with_spans = 0
        self.count_anew_at = COUNTED_ANEW_FIRST

    def run(self, records: Iterable, progress: Callable[[int], None] | None) -> ImportReport:
        path = self.options.report_path
        self.report_file = open(path, "w", encoding="utf-8") if path else None  # noqa: SIM115 - closed below
        try:
            with no_cycle_collector():
                self._read(records, progress)
        finally:
            if self.report_file is not None:
                self.report_file.close()
        self._note_unasked()
        return self.report

    def _prepared(self, records: Iterable) -> Iterator[Found]:
        """What can be done of each record without the database."""
        for found in records:
            file, found = found if type(found) is tuple else (self.label, found)
            file = file.name if isinstance(file, Path) else str(file)
            if isinstance(found, Problem):
                yield Found(file, found.line, found)
            else:
                personal = personal_data(found) if self.options.pii else []
                yield Found(file, found.line, Row.prepare(file, found), personal)

    def _read(self, records: Iterable, progress: Callable[[int], None] | None) -> None:
        rows: list[Row] = []
        size = seen = 0
        self.ahead = ReadAhead(self._prepared(records), BATCH_ITEMS, BATCH_CHARACTERS)
        for found in self.ahead:
            file, row = found.file, found.what
            if self.report.errors_total >= MOST_ERRORS:
                self.report.notes.append(
                    f"Reading stopped at {file}:{found.line} after {MOST_ERRORS:,} mistakes; nothing after it was read."
                )
                break
            seen += 1
            if progress is not None and seen % PROGRESS_ROWS == 0:
                progress(seen)  # also where no row is good, so that a cancel takes hold
            if len(self.bad_rows) >= BAD_ROWS_HELD:
                if rows:
                    self._write(rows)
                    rows, size = [], 0
                self.bad_rows &= {(file, found.line)}
            if isinstance(row, Problem):
                self._error(file, found.line, row.field, row.message)
                continue
            self._report_personal_data(found)
            if row.problem is not None:
                self._error(file, found.line, *row.problem)
                continue
            rows.append(row)
            size += row.size
            if len(rows) >= BATCH_ITEMS or size >= BATCH_CHARACTERS:
                self._write(rows)
                rows, size = [], 0
                if progress is not None:
                    progress(seen)
        if rows:
            self._write(rows)
        if progress is not None:
            progress(seen)

    def _error(self, file: str, line: int, where: str, message: str) -> None:
        error = {"file": file, "line": line, "field": where, "message": message}
        if (file, line) not in self.bad_rows:
            self.bad_rows.add((file, line))
            self.report.invalid += 1
        self.report.errors_total += 1
        if len(self.report.errors) < ERRORS_KEPT:
            self.report.errors.append(error)
        self._list(error)

    def _list(self, error: dict) -> None:
        """Write the error to the report file, if there is one, up to ERRORS_LISTED."""
        if self.report_file is None:
            return
        self.listed += 1
        if self.listed <= ERRORS_LISTED:
            self.report_file.write(json.dumps(error, ensure_ascii=False) + "\n")
        elif self.listed == ERRORS_LISTED + 1:
            self.report.notes.append(f"The list of what is wrong ends after {ERRORS_LISTED:,} lines.")

    def _report_personal_data(self, found: Found) -> None:
        for kind in sorted({kind for _, kind in found.personal}):
            self.report.pii[kind] = self.report.pii.get(kind, 0) + 1
        for where, kind in found.personal:
            self._list(
                {
                    "file": found.file,
                    "line": found.line,
                    "field": where,
                    "message": f"{HOLDS} {pii.KINDS[kind]}",
                }
            )

    def _write(self, rows: list[Row]) -> None:
        """Write one batch in one transaction, again if somebody else's work collided with it."""
        for row in rows:
            self._shape(row.record.source).add(len(row.record.responses), row.record.judgments)
            self.with_spans += sum(SPANS in judgment.answers for judgment in row.record.judgments)
        for attempt in range(1, TRIES + 1):
            try:
                outcome = self._attempt(rows)
                break
            except (IntegrityError, OperationalError):
                if attempt == TRIES:
                    raise
                time.sleep(0.05 * 2**attempt)
        if not self.options.dry_run:
            self.annotators |= outcome.annotators
            self.schemas |= outcome.made_schemas
        self.report.new += outcome.counts["new"]
        if self.report.new >= self.count_anew_at and not self.options.dry_run:
            count_anew(Item, Response, Judgment, Comparison, Score)
            self.count_anew_at *= COUNTED_ANEW_TIMES
        self.report.updated += outcome.counts["updated"]
        self.report.duplicate += outcome.counts["duplicate"]
        self.report.judgments += outcome.judgments
        for problem in outcome.problems:
            self._error(*problem)
        last = (rows[-1].file, rows[-1].record.line)
        self.bad_rows &= {last}  # a reader's complaints about the last row may still follow

    def _shape(self, source: str) -> Shape:
        if source not in self.shapes and len(self.shapes) >= SOURCES_APART:
            source = ""
        return self.shapes.setdefault(source, Shape())

    def _attempt(self, rows: list[Row]) -> Batch:
        """One transaction: lock, match rows with items, write judgments, then items with their counters."""
        now = timezone.now()
        with transaction.atomic():
            locks.lock_import(self.project.pk)
            batch = Batch(self.project, rows)
            names = {(j.kind, j.annotator) for row in rows for j in row.record.judgments}
            ids = self._annotator_ids(names, batch, now)
            batch.lock(ids)
            batch.match()
            for target, pk in zip(batch.fresh, allocate(Item, len(batch.fresh)), strict=True):
                target.pk = pk
            fresh = {target.pk for target in batch.fresh}
            checked = self._check(batch, ids, fresh)
            placed = self._placed(batch.fresh)
            for target in batch.fresh:
                target.counts = checked.items.get(target.pk, target.counts)
                target.batch = placed.get(self._batch_name(target))
                target.wanted = self._wanted(target)
                target.order_key = order_key(self.project.seed, target.identity)
            batch.write(now)
            batch.judgments = bulk.write_batch(
                project_id=self.project.pk, checked=checked, fresh=fresh, now=now
            )
            extra_votes.ask_further_of(checked.items, project=self.project)
            if self.options.dry_run:
                transaction.set_rollback(True)
            self.ahead.begin()
        return batch

    def _wanted(self, target: Target) -> int:
        wanted = self.options.wanted
        if wanted is None:
            wanted = batches.overlap_of(target.batch, self.project)
        return target.counts.humans + wanted if self.options.ask_again else wanted

    def _batch_name(self, target: Target) -> str:
        """The batch a new item goes into: the option's, else the one its row names; empty for none."""
        named = self.options.batch or target.meta.get("batch")
        name = str(named).strip() if isinstance(named, str | int) and not isinstance(named, bool) else ""
        return name if len(name) <= MAX_BATCH else ""

    def _placed(self, fresh: list[Target]) -> dict:
        """{name: batch} of the batches that new items go into, made where they are new."""
        names = {name for target in fresh if (name := self._batch_name(target))}
        if not names:
            return {}
        try:
            return batches.batches_by_name(project=self.project, names=names)
        except batches.InvalidBatch as error:
            note = f"batch: {error} The rows keep it as metadata only."
            if note not in self.report.notes:
                self.report.notes.append(note)
            return {}

    def _annotator_ids(self, names: set[Named], batch: Batch, now: datetime) -> dict[Named, int]:
        """Ids of the file's annotators; those that this batch looked up or made are in `batch.annotators`."""
        ids = {name: self.annotators[name] for name in names if name in self.annotators}
        batch.annotators = ids_of(names - ids.keys(), project=self.project, now=now)
        return ids | batch.annotators

    def _check(self, batch: Batch, ids: dict[tuple[str, str], int], fresh: set[int]) -> bulk.Checked:
        """Hold the batch's judgments against the rules; refusals become its problems."""
        own = self._own_uuids(batch)
        entries = []
        for target, row, judgment in batch.judged:
            annotator = ids[judgment.kind, judgment.annotator]
            if judgment.scores and (error := self._off_scale(judgment)):
                batch.problems.append(_problem(row, judgment, error))
                continue
            uuid, supersedes, answer, text = self._identified(target, judgment, own)
            propensity = judgment.propensity
            if propensity is None:
                propensity = target.human_propensity if judgment.kind == "human" else 1.0
            entries.append(
                bulk.Entry(
                    uuid,
                    target.pk,
                    annotator,
                    judgment.kind,
                    self._schema_id(row.record.source, batch),
                    answer,
                    propensity,
                    judgment.created_at,
                    supersedes,
                    given=judgment.id is not None,
                    tag=(row, judgment),
                    answers_text=text,
                )
            )
        targets = {target.pk: target for target, *_ in batch.judged}
        checked = bulk.check_batch(
            project_id=self.project.pk,
            entries=entries,
            n_responses={pk: len(target.responses) for pk, target in targets.items()},
            fresh=fresh,
            closed={pk for pk, target in targets.items() if target.withdrawn},
        )
        batch.problems += [_problem(*entry.tag, error) for entry, error in checked.refused]
        return checked

    def _own_uuids(self, batch: Batch) -> dict[str, str | None]:
        """What the file's judgment ids are here: themselves, or derived where another project's judgments have them.

        None for an id that names nothing stored and nothing in the batch.
        """
        given = {_hex(j.id) for *_, j in batch.judged if j.id}
        named = {_hex(j.supersedes) for *_, j in batch.judged if j.supersedes}
        if not given | named:
            return {}
        derived = {uuid: own_uuid(self.project.pk, uuid) for uuid in given | named}
        stored = bulk.stored_uuids([*derived, *derived.values()])
        own: dict[str, str | None] = {}
        for uuid, other in derived.items():
            elsewhere = uuid in stored and stored[uuid][0] != self.project.pk
            if other in stored or (elsewhere and uuid in given):
                own[uuid] = other
            else:
                own[uuid] = uuid if uuid in given or (uuid in stored and not elsewhere) else None
        return own

    def _identified(
        self, target: Target, judgment: JudgmentRecord, own: dict[str, str | None]
    ) -> tuple[str, str | None, Answer, str]:
        """(uuid, superseded uuid, answer, its answers as JSON); ids that cannot stand here are kept in `meta`."""
        text = json_text(judgment.answers)
        if judgment.id is None:
            uuid = judgment_uuid(self.project.pk, target.identity, judgment, text)
            answer = answer_of(judgment)
        else:
            uuid = own[_hex(judgment.id)]
            answer = answer_of(judgment, judgment.id if uuid != _hex(judgment.id) else None)
        supersedes = own[_hex(judgment.supersedes)] if judgment.supersedes else None
        if judgment.supersedes and supersedes is None:
            answer.meta["supersedes"] = judgment.supersedes
        return uuid, supersedes, answer, text

    def _off_scale(self, judgment: JudgmentRecord) -> FieldError | None:
        """A score that names no scale, of an attribute this project rates, outside this project's scale."""
        for score in judgment.scores:
            scale = self.scales.get(score.attribute)
            if scale is None or score.scale_min is not None or score.scale_max is not None:
                continue
            if not scale[0] <= score.value <= scale[1]:
                return FieldError(
                    score.attribute,
                    f"{score.value:g}: expected {scale[0]} to {scale[1]}, or the scale it was given on",
                )
        return None

    def _schema_id(self, source: str, batch: Batch) -> int:
        """The imported schema version that fits what this source's judgments hold so far."""
        if source not in self.shapes:
            source = ""
        if source not in batch.schemas:
            definition = self.shapes[source].imported_definition()
            key = schemas.canonical_json(definition)
            if key not in self.schemas:
                schema = schemas.add_schema(
                    project=self.project, definition=definition, origin=TaskSchema.Origin.IMPORTED
                )
                batch.made_schemas[key] = schema.pk
            batch.schemas[source] = self.schemas.get(key) or batch.made_schemas[key]
        return batch.schemas[source]

    def _note_unasked(self) -> None:
        """Say which aspects and attributes came in that the project itself does not ask about."""
        names = {name for shape in self.shapes.values() for name in (*shape.aspects, *shape.scales)}
        for name in sorted(names - self.asked)[:NOTES_KEPT] if self.asked else ():
            self.report.notes.append(f"{name}: this project does not ask about it; stored as it came")
        if self.with_spans:
            who = "1 judgment has" if self.with_spans == 1 else f"{self.with_spans:,} judgments have"
            self.report.notes.append(
                f"{who} spans that were marked elsewhere; they are kept in the answers under {SPANS!r}, not shown as marked parts"
            )


def _hex(uuid: str) -> str:
    return uuid.replace("-", "")


def _problem(row: Row, judgment: JudgmentRecord, error: FieldError) -> tuple[str, int, str, str]:
    where = f"judgments.{error.field}" if error.field else "judgments"
    return row.file, row.record.line, where, f"{judgment.annotator}: {error.message}"
