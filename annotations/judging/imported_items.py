"""One batch of rows of a file against the items that are stored: which are new, changed, the same, or wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection
from django.db.models import Q

from annotations.items.bulk_insert import insert, json_text, moment_form
from annotations.items.content import content_hash, group_of
from annotations.items.models import Item, Response
from annotations.items.readers import JudgmentRecord, Record
from annotations.projects import rules
from annotations.projects.models import Project

from . import identity_rules, locks
from .counters import Change
from .imported_judgments import in_order, permuted

KEYS_AT_ONCE = 500
MAX_SOURCE = 120
MAX_EXTERNAL_ID = 200
MAX_ASPECT = 64

ITEM = tuple(
    """id project_id source external_id content_hash duplicate_of_id prompt context group meta n_responses
    batch_id purpose withdrawn_at created_at route route_ref label_by_id label_fallback_id human_propensity is_audit priority wanted
    order_key n_human n_leased n_lm n_skipped n_flagged n_forward n_reversed open_slots experts_wanted n_expert expert_slots""".split()
)
RESPONSE = ("item_id", "index", "text", "model", "meta")


_MISSING = object()


@dataclass(slots=True)
class Row:
    """A record with what is found out of it before the database is asked.

    `hash` is its content's, `problem` (field, message) is set if the database has no room for it.
    """

    file: str
    record: Record
    hash: str
    size: int
    names_model: bool = False
    """Whether a response says which model wrote it."""
    problem: tuple[str, str] | None = None

    @classmethod
    def prepare(cls, file: str, record: Record) -> Row:
        texts = [response.text for response in record.responses]
        size = sum(map(len, texts)) + len(record.context or "")
        size += len(record.prompt) if type(record.prompt) is str else sum(len(str(m)) for m in record.prompt)
        digest = content_hash(record.prompt, record.context or "", texts)
        return cls(file, record, digest, size, identity_rules.names_model(texts), _too_long(record))


def _too_long(record: Record) -> tuple[str, str] | None:
    if len(record.source) > MAX_SOURCE:
        return "source", f"expected at most {MAX_SOURCE} characters, found {len(record.source)}"
    if record.external_id is not None and len(record.external_id) > MAX_EXTERNAL_ID:
        return "id", f"expected at most {MAX_EXTERNAL_ID} characters, found {len(record.external_id)}"
    return None


class Target:
    """The item a row is about: one that is stored (locked), or one this batch will make."""

    __slots__ = (
        "batch",
        "changed",
        "context",
        "counts",
        "duplicate_of",
        "external_id",
        "group",
        "hash",
        "human_propensity",
        "judged",
        "meta",
        "names_model",
        "order_key",
        "pk",
        "prompt",
        "responses",
        "source",
        "stored",
        "wanted",
        "withdrawn",
    )

    def __init__(self) -> None:
        self.pk: int | None = None
        self.stored = False
        self.judged = False
        self.withdrawn = False
        self.changed: set[str] = set()
        self.duplicate_of: Target | int | None = None
        self.human_propensity = 1.0
        self.names_model = False
        self.counts = Change()
        self.wanted = 0
        self.batch = None

    @classmethod
    def of_item(cls, item: Item, responses: list[tuple[str, str, dict]]) -> Target:
        target = cls()
        target.pk, target.stored = item.pk, True
        target.source, target.external_id, target.hash = item.source, item.external_id, item.content_hash
        target.prompt, target.context, target.group = item.prompt, item.context, item.group
        target.meta, target.responses = item.meta, responses
        target.judged = bool(item.n_human or item.n_lm or item.n_skipped or item.n_flagged or item.n_leased)
        target.withdrawn = item.withdrawn_at is not None
        target.human_propensity = item.human_propensity
        target.duplicate_of = item.duplicate_of_id
        return target

    @classmethod
    def of_row(cls, row: Row) -> Target:
        target = cls()
        record = row.record
        target.source, target.external_id, target.meta = record.source, record.external_id, record.meta
        target.set_content(row)
        target.changed.clear()
        return target

    @property
    def identity(self) -> str:
        """What the ids of its judgments are made from."""
        return f"{self.source}\n{self.external_id}" if self.external_id is not None else self.hash

    def set_content(self, row: Row) -> None:
        """Take over the row's texts; and with them its group."""
        record = row.record
        self.hash, self.prompt, self.context = row.hash, record.prompt, record.context or ""
        self.names_model = row.names_model
        self.responses = [(r.text, r.model, r.meta) for r in record.responses]
        self.group = group_of(record.group, record.prompt)
        self.changed.add("content")

    def places_of(self, row: Row) -> list[int] | None:
        """Where the row's responses stand here, if it is the same content in another order."""
        record = row.record
        if record.prompt != self.prompt or (record.context or "") != self.context:
            return None
        free = list(enumerate(response[0] for response in self.responses))
        if len(free) != len(record.responses):
            return None
        places = []
        for response in record.responses:
            place = next((entry for entry in free if entry[1] == response.text), None)
            if place is None:
                return None
            free.remove(place)
            places.append(place[0])
        return places

    def merge_details(self, row: Row, places: Sequence[int] | None) -> bool:
        """Take over what the row says beyond the texts: group, meta, who wrote a response; nothing is removed.

        Returns whether that changed anything.
        """
        record, changed = row.record, set()
        if record.group and (group := group_of(record.group, record.prompt)) != self.group:
            self.group = group
            changed.add("group")
        if any(self.meta.get(key, _MISSING) != value for key, value in record.meta.items()):
            self.meta = {**self.meta, **record.meta}
            changed.add("meta")
        for index, response in enumerate(record.responses):
            place = index if places is None else places[index]
            text, model, meta = self.responses[place]
            found = (text, response.model or model, {**meta, **response.meta} if response.meta else meta)
            if found != self.responses[place]:
                self.responses[place] = found
                changed.add("responses")
        self.changed |= changed
        return bool(changed)


@dataclass(slots=True)
class Batch:
    """One attempt at one batch; everything it finds out is dropped if its transaction fails."""

    project: Project
    rows: list[Row]
    counts: Counter = field(default_factory=Counter)
    problems: list[tuple[str, int, str, str]] = field(default_factory=list)
    judged: list[tuple[Target, Row, JudgmentRecord]] = field(default_factory=list)
    """The judgments of the rows that went in, in the stored order of responses."""
    fresh: list[Target] = field(default_factory=list)
    judgments: int = 0
    annotators: dict[tuple[str, str], int] = field(default_factory=dict)
    """{(kind, name): id} looked up or made."""
    schemas: dict[str, int] = field(default_factory=dict)
    """{source: id of the imported schema version}."""
    made_schemas: dict[str, int] = field(default_factory=dict)
    """{definition: id} looked up or made."""
    by_id: dict[tuple[str, str], Target | int] = field(default_factory=dict)
    by_hash: dict[str, Target | int] = field(default_factory=dict)
    """The first item with this content: what a copy under another id is a duplicate of."""
    nameless: dict[str, Target | int] = field(default_factory=dict)
    """The item without an id of its own that has this content."""
    targets: dict[int, Target] = field(default_factory=dict)

    def lock(self, annotator_ids: dict[tuple[str, str], int]) -> None:
        """Find the stored items these rows are about and lock them, after the people who judge here.

        Takes the locks of human annotators, then items, in primary-key order. Caller holds the import's lock.
        """
        self._find_by_id()
        self._find_by_hash()
        wanted = set()
        for row in self.rows:
            pk = self._match(row)
            if pk is not None:
                wanted.add(pk)
        if not wanted:
            return
        people = {pk for (kind, _), pk in annotator_ids.items() if kind == "human"}
        for chunk in _chunks(sorted(people)):
            locks.lock_annotators(chunk)
        for chunk in _chunks(sorted(wanted)):
            responses: dict[int, list] = {}
            items = locks.lock_items(chunk)
            for item_id, *response in Response.objects.filter(item_id__in=chunk).values_list(
                "item_id", "text", "model", "meta"
            ):
                responses.setdefault(item_id, []).append(tuple(response))
            for pk, item in items.items():
                self.targets[pk] = Target.of_item(item, responses.get(pk, []))

    def _find_by_id(self) -> None:
        """Look ids up with their source, as the index has them: without it every entry of the project would be read."""
        named = {
            (row.record.source, row.record.external_id)
            for row in self.rows
            if row.record.external_id is not None
        }
        table = connection.ops.quote_name(Item._meta.db_table)
        for chunk in _chunks(sorted(named)):
            asked = ", ".join(["(%s, %s)"] * len(chunk))
            # CROSS has SQLite begin with what is asked for; of a plain JOIN it may read the whole project.
            query = (
                f"WITH asked(source, external_id) AS (VALUES {asked}) "  # noqa: S608 - a name and placeholders
                f"SELECT item.id, item.source, item.external_id FROM asked CROSS JOIN {table} item "
                "WHERE item.project_id = %s AND item.source = asked.source AND item.external_id = asked.external_id"
            )
            with connection.cursor() as cursor:
                cursor.execute(query, [*(value for pair in chunk for value in pair), self.project.pk])
                self.by_id |= {(source, external_id): pk for pk, source, external_id in cursor}

    def _find_by_hash(self) -> None:
        asked_for = Q(duplicate_of__isnull=True) | Q(external_id__isnull=True)
        for chunk in _chunks(sorted({row.hash for row in self.rows})):
            rows = Item.objects.filter(asked_for, project=self.project, content_hash__in=chunk)
            rows = rows.order_by("content_hash", "pk")  # by the key alone SQLite would read the whole project
            for pk, digest, external_id, first in rows.values_list(
                "pk", "content_hash", "external_id", "duplicate_of_id"
            ):
                if first is None:
                    self.by_hash.setdefault(digest, pk)
                if external_id is None:
                    self.nameless[digest] = pk

    def _match(self, row: Row) -> Target | int | None:
        """The item with the row's identity: (source, id), else its content."""
        record = row.record
        if record.external_id is not None:
            return self.by_id.get((record.source, record.external_id))
        return self.nameless.get(row.hash) or self.by_hash.get(row.hash)

    def match(self) -> None:
        """Decide what each row is, in the file's order. Caller has called `lock`."""
        for row in self.rows:
            found = self._match(row)
            target = self.targets.get(found) if type(found) is int else found
            places, updated = None, False
            if target is None:
                self.counts["new"] += 1
                target = self._new(row)
            else:
                if target.hash != row.hash:
                    places = target.places_of(row)
                    if places is None and target.judged:
                        message = f"{row.record.external_id!r} exists with other texts and judgments"
                        self.problems.append((row.file, row.record.line, "id", message))
                        continue
                    if places is None:
                        self._replace(target, row)
                        updated = True
                updated = target.merge_details(row, places) or updated
                self.counts["updated" if updated else "duplicate"] += 1
            self._collect(target, row, places)

    def _new(self, row: Row) -> Target:
        target = Target.of_row(row)
        target.duplicate_of = self.by_hash.get(row.hash)
        self.by_hash.setdefault(row.hash, target)
        if target.external_id is None:
            self.nameless[row.hash] = target
        else:
            self.by_id[target.source, target.external_id] = target
        self.fresh.append(target)
        return target

    def _replace(self, target: Target, row: Row) -> None:
        """Give an item nobody judged other texts; copies of its old texts are no copies of it any more."""
        if self.by_hash.get(target.hash) in (target, target.pk):
            del self.by_hash[target.hash]
        for other in self.fresh:
            if other.duplicate_of is target:
                other.duplicate_of = None
        target.set_content(row)
        first = self.by_hash.setdefault(row.hash, target)
        target.duplicate_of = None if first is target else first

    def _collect(self, target: Target, row: Row, places: list[int] | None) -> None:
        for _, judgment in in_order(row.record.judgments):
            long = _long_name(judgment)
            if long:
                self.problems.append(
                    (row.file, row.record.line, "judgments", f"{judgment.annotator}: {long}")
                )
                continue
            target.judged = True
            self.judged.append((target, row, permuted(judgment, places) if places else judgment))

    def write(self, now: datetime) -> None:
        """Insert the new items with their counters, and update the changed ones. Caller has given each its key."""
        now_text = moment_form()(now)
        insert(Item, ITEM, (self._item_row(target, now_text) for target in self.fresh))
        rows = [row for target in self.fresh for row in _response_rows(target)]
        for target in self.targets.values():
            if target.changed:
                rows += self._update(target)
        insert(Response, RESPONSE, rows)
        mode = rules.of(self.project).page.identity
        if mode != "off":
            written = [*self.fresh, *(t for t in self.targets.values() if "content" in t.changed)]
            named = {t.pk: [text for text, _, _ in t.responses] for t in written if t.names_model}
            identity_rules.apply_rule(mode=mode, named=named)

    def _item_row(self, target: Target, now_text: str) -> tuple:
        counts = target.counts
        first = target.duplicate_of
        free = max(0, target.wanted - counts.humans)
        for_experts = min(target.batch.expert_slots, target.wanted) if target.batch else 0
        return (
            target.pk,
            self.project.pk,
            target.source,
            target.external_id,
            target.hash,
            first.pk if isinstance(first, Target) else first,
            json_text(target.prompt),
            target.context,
            target.group,
            json_text(target.meta),
            len(target.responses),
            target.batch.pk if target.batch else None,
            "data",
            None,
            now_text,
            "human",
            "",
            None,
            None,
            1.0,
            False,
            0,
            target.wanted,
            target.order_key,
            counts.humans,
            0,
            counts.models,
            counts.skipped,
            counts.flagged,
            0,
            0,
            max(0, free - for_experts),
            target.batch.expert_slots if target.batch else 0,
            0,
            min(for_experts, free),
        )

    def _update(self, target: Target) -> list[tuple]:
        """Update a stored item; returns the rows of its responses where those must be inserted again."""
        fields: dict = {"group": target.group, "meta": target.meta}
        if "content" in target.changed:
            first = target.duplicate_of
            fields |= {
                "prompt": target.prompt,
                "context": target.context,
                "content_hash": target.hash,
                "n_responses": len(target.responses),
                "duplicate_of_id": first.pk if isinstance(first, Target) else first,
            }
            _leave_copies(target.pk)
        Item.objects.filter(pk=target.pk).update(**fields)
        if not target.changed & {"content", "responses"}:
            return []
        Response.objects.filter(item_id=target.pk).delete()
        return _response_rows(target)


def _leave_copies(item_id: int) -> None:
    """The copies of an item that gets other texts become copies of the first among them."""
    copies = list(Item.objects.filter(duplicate_of_id=item_id).order_by("pk").values_list("pk", flat=True))
    if copies:
        Item.objects.filter(pk=copies[0]).update(duplicate_of_id=None)
        for chunk in _chunks(copies[1:]):
            Item.objects.filter(pk__in=chunk).update(duplicate_of_id=copies[0])


def _response_rows(target: Target) -> list[tuple]:
    return [
        (target.pk, index, text, model, json_text(meta))
        for index, (text, model, meta) in enumerate(target.responses)
    ]


def _long_name(judgment: JudgmentRecord) -> str | None:
    for c in judgment.comparisons:
        if len(c.aspect) > MAX_ASPECT:
            return _too_long_name(c.aspect)
    for s in judgment.scores:
        if len(s.attribute) > MAX_ASPECT:
            return _too_long_name(s.attribute)
    return None


def _too_long_name(name: str) -> str:
    return f"expected a name of at most {MAX_ASPECT} characters, found {name[:40]!r}… ({len(name)})"


def _chunks(values: Sequence) -> Iterable[Sequence]:
    return (values[start : start + KEYS_AT_ONCE] for start in range(0, len(values), KEYS_AT_ONCE))
