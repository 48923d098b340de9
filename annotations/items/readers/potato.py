"""Potato's studies: what people said in its output, joined with the items of its data file.

What kind of question a scheme asks is read from the study's configuration where it is there, else from its answers. Verdicts on
two responses become comparisons, likert scales and sliders whose names end in a response's number (or of items with one response)
ratings; all else is kept in `answers` under the scheme's name, marked spans under `spans`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from . import potato_files
from .checks import Bad, identifier, name, number, plain, printable, shown
from .potato_files import Entry, Study
from .records import SPANS, ComparisonRecord, JudgmentRecord, Problem, Record, UnknownFormat
from .tools import PROMPTS, Said, Task, rated_side, side_of

DEFAULT_STRENGTH = 3
"""Potato's own scale of a pairwise slider goes from -3, the first is better, to 3."""
MAIN = frozenset(("overall", "preference", "better", "overall_preference"))
NUMBERED = re.compile(r"(?:scale_)?(\d+)")
KINDS = {
    "pairwise": "pairwise", "radio": "radio", "select": "radio", "likert": "rating", "slider": "rating",
    "number": "rating", "multiselect": "multiselect", "text": "text", "textbox": "text",
}  # fmt: skip
PATTERNS = ("*.zip",)
ALONE = "this file names items by their id alone; give a folder or a zip with Potato's data file and its annotations"


def read(path, mapping=None) -> Iterator[Record | Problem]:
    """The study's items with their judgments. `mapping` {field of the data: role} for fields of unusual names.

    A folder, a zip of one, or one file of annotations whose rows hold the item's fields. Raises UnknownFormat at once.
    """
    rows = _read(Path(path), mapping)
    first = list(islice(rows, 1))
    return chain(first, rows)


def _read(path: Path, mapping: dict | None) -> Iterator[Record | Problem]:
    if path.is_dir():
        yield from _items(potato_files.study_of(path), mapping or {}, path)
    elif potato_files.is_zip_of_study(path):
        with potato_files.unpacked(path) as folder:
            yield from _items(potato_files.study_of(folder), mapping or {}, path)
    else:
        yield from _items(Study(path.parent, [path], [], {}), mapping or {}, path)


def _items(study: Study, mapping: dict, path: Path) -> Iterator[Record | Problem]:
    said: dict[str, dict[str, Entry]] = {}
    problems = []
    for found in potato_files.entries_of(study):
        if isinstance(found, Problem):
            problems.append(found)
        elif found.user in said.setdefault(found.item, {}):
            problems.append(
                _of(found, "", f"{printable(found.user)} has annotated this item in another file already")
            )
        else:
            said[found.item][found.user] = found
    if not study.data and not any(entry.data for people in said.values() for entry in people.values()):
        raise UnknownFormat(path, ALONE)
    plan = Plan.of(study.config, [entry for people in said.values() for entry in people.values()], mapping)
    seen: set[str] = set()
    for place, line, row in _rows(study, said):
        if isinstance(row, Problem):
            yield replace(row, field=_field(place, row.field))
            continue
        try:
            record, wrong, item = _record(row, line, plan, said)
        except Bad as bad:
            yield Problem(line, _field(place, bad.field), bad.message)
            seen |= {str(row.get(plan.id_key))} if type(row) is dict else set()
            continue
        if item in seen:
            yield Problem(
                line, _field(place, plan.id_key), f"expected each id once, found {shown(item)} again"
            )
            continue
        seen.add(item)
        yield record
        yield from wrong
    yield from problems
    for item, people in said.items():
        if item not in seen:
            for entry in people.values():
                yield _of(entry, "", f"no data file has the item {shown(item)}")


def _rows(study: Study, said: dict) -> Iterator[tuple[str, int, object]]:
    """(file, line, row) of the data; of the annotations' own fields where no data file is there."""
    for path in study.data:
        for line, row in potato_files.rows_of(path):
            yield study.name_of(path), line, row
    if study.data:
        return
    for item, people in said.items():
        entry = next(iter(people.values()))
        if entry.data:
            yield entry.place, entry.line, {"id": item, **entry.data}


def _record(row: object, line: int, plan: "Plan", said: dict) -> tuple[Record, list[Problem], str]:
    if type(row) is not dict:
        raise Bad("", f"expected a JSON object, found {shown(row)}")
    item = identifier(row.get(plan.id_key), plan.id_key)
    if item is None:
        raise Bad(plan.id_key, "expected the item's id")
    task = Task(plan.fields(row))
    judgments, problems = [], []
    for entry in said.get(item, {}).values():
        try:
            judgments.append(plan.judgment(entry, task))
        except Bad as bad:
            problems.append(Problem(line, _field(entry.place, bad.within(item).field), bad.message))
    rest = dict(task.rest)
    group, context = rest.pop("group", None), rest.pop("context", None)
    kept = {key: one for key, one in (("group", group), ("context", context)) if type(one) is not str}
    return (
        Record(
            line=line,
            external_id=item,
            source="potato",
            prompt=task.prompt,
            responses=task.responses,
            context=context if type(context) is str else None,
            group=group if type(group) is str else None,
            meta=plain({**rest, **{key: one for key, one in kept.items() if one is not None}}, "data"),
            judgments=tuple(judgments),
        ),
        problems,
        item,
    )


def _of(entry: Entry, where: str, message: str) -> Problem:
    return Problem(entry.line, _field(entry.place, where), message)


def _field(place: str, where: str) -> str:
    return f"{place}: {where}" if where else place


@dataclass(slots=True)
class Plan:
    """What the schemes ask, and where the data keep what."""

    id_key: str = "id"
    text_key: str = "text"
    mapping: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    """Scheme → pairwise, radio, rating, multiselect, text, or what Potato calls it."""
    scales: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    aspects: dict[str, str] = field(default_factory=dict)
    """Pairwise scheme → the aspect it compares."""

    @classmethod
    def of(cls, config: dict, entries: list[Entry], mapping: dict[str, str]) -> "Plan":
        """From the configuration, and for schemes that it does not name from what was answered."""
        keys = config.get("item_properties")
        keys = keys if isinstance(keys, dict) else {}
        plan = cls(str(keys.get("id_key") or "id"), str(keys.get("text_key") or "text"), mapping)
        for column, role in mapping.items():
            if role == "id":
                plan.id_key = column
        for scheme in config.get("annotation_schemes") or ():
            if not isinstance(scheme, dict) or not isinstance(scheme.get("name"), str):
                continue
            kind = str(scheme.get("annotation_type"))
            plan.kinds[scheme["name"]] = KINDS.get(kind, kind)
            plan.scales[scheme["name"]] = _scale(scheme)
        for schema, answers in _by_schema(entries).items():
            plan.kinds.setdefault(schema, _kind(answers))
        pairwise = [schema for schema, kind in plan.kinds.items() if kind == "pairwise"]
        main = pairwise if len(pairwise) == 1 else [one for one in pairwise if one.lower() in MAIN][:1]
        plan.aspects = {schema: "overall" if schema in main else schema for schema in pairwise}
        return plan

    def fields(self, row: dict) -> dict:
        """The item's fields under the names by which prompts and responses are known. Raises Bad."""
        fields = {
            {"chosen": "response_1", "rejected": "response_2"}.get(role, role)
            if role != "meta"
            else key: value
            for key, value in row.items()
            if key != self.id_key and (role := self.mapping.get(key, "meta")) != "ignore"
        }
        words = fields.get(self.text_key)
        if type(words) is dict:
            words = list(words.values())
        if type(words) is list and words and all(type(one) is str for one in words):
            del fields[self.text_key]
            return fields | {f"response_{place}": one for place, one in enumerate(words, 1)}
        asked = any(fields.get(key) not in (None, "") for key in PROMPTS)
        if type(words) is str and not asked:
            return {"prompt" if key == self.text_key else key: value for key, value in fields.items()}
        if type(words) is str and not any(side_of(key) is not None for key in fields):
            return {"response" if key == self.text_key else key: value for key, value in fields.items()}
        return fields

    def judgment(self, entry: Entry, task: Task) -> JudgmentRecord:
        """One person's answers to one item. Raises Bad naming the scheme."""
        said = Said(task)
        compared: dict[str, ComparisonRecord] = {}
        for schema, labels in entry.labels.items():
            schema = name(schema, "schema")
            kind = self.kinds.get(schema, "")
            try:
                if kind == "pairwise":
                    self._compare(schema, labels, said, compared)
                elif kind == "rating":
                    self._rate(schema, labels, said)
                elif kind == "radio" and len(labels) == 1:
                    self._choose(schema, next(iter(labels)), said, compared)
                elif kind in ("radio", "multiselect"):
                    said.keep(schema, list(labels))
                elif kind == "text":
                    for label, value in labels.items():
                        said.write(schema if len(labels) == 1 else f"{schema}.{label}", value)
                else:
                    said.keep(schema, labels)
            except Bad as bad:
                raise bad.within(printable(schema)) from None
        if entry.spans:
            said.keep(SPANS, entry.spans)
        who = name(entry.user, "user_id")
        judgment = said.judgment(who, created_at=entry.created, wall_ms=entry.wall_ms)
        return replace(judgment, comparisons=tuple(compared.values()))

    def _compare(self, schema: str, labels: dict, said: Said, compared: dict) -> None:
        if len(said.task.keys) != 2:
            said.keep(schema, labels)
            return
        for label, value in labels.items():
            aspect = self.aspects[schema]
            if label == "scale_value":
                compared[aspect] = self._strength(schema, number(_numeric(value), label), said, aspect)
            elif label == "justification":
                said.write("reason" if not said.reason else f"{schema}.{label}", value)
            elif label != "selection" and value not in ("A", "B", "tie"):
                said.keep(f"{schema}.{label}", value)
            else:
                side = said.task.verdict(value) if type(value) is str else None
                if side is None:
                    raise Bad(label, f"expected A, B or tie, found {shown(value)}")
                aspect = aspect if label == "selection" else name(label, label)
                compared[aspect] = _verdict(aspect, side)

    def _strength(self, schema: str, value: float, said: Said, aspect: str) -> ComparisonRecord:
        low, high = self.scales.get(schema, (None, None))
        most = max(abs(low or 0), abs(high or 0)) or DEFAULT_STRENGTH
        if value == 0:
            return _verdict(aspect, "tie")
        if most <= 3 and float(value).is_integer() and float(most).is_integer() and abs(value) <= most:
            return ComparisonRecord(0, 1, aspect, int(value), int(most), None)
        said.keep(f"{schema}.scale_value", value)
        return _verdict(aspect, "a" if value < 0 else "b")

    def _choose(self, schema: str, value: str, said: Said, compared: dict) -> None:
        """A choice of one: a verdict where it names a side and no pairwise scheme asks for one."""
        asked = self.aspects or "overall" in compared
        side = None if asked else said.task.verdict(value.replace(" ", "_")) or said.task.verdict(value)
        if side is None:
            said.keep(schema, value)
        else:
            compared["overall"] = _verdict("overall", side)

    def _rate(self, schema: str, labels: dict, said: Said) -> None:
        label, value = next(iter(labels.items()))
        if len(labels) > 1:
            said.keep(schema, labels)
            return
        found = NUMBERED.fullmatch(label)
        given = number(int(found.group(1)) if found else _numeric(value), label)
        attribute, given, place = rated_side(schema, len(said.task.keys), given)
        low, high = self.scales.get(schema, (None, None))
        said.rate(attribute, given, place)
        for key, score in said.scores.items():
            if score.attribute == attribute and (low is not None or high is not None):
                said.scores[key] = replace(score, scale_min=low, scale_max=high)


def _verdict(aspect: str, side: str) -> ComparisonRecord:
    if side == "tie":
        return ComparisonRecord(0, 1, aspect, None, None, "equal")
    return ComparisonRecord(0, 1, aspect, -1 if side == "a" else 1, 1, None)


def _numeric(value: object) -> object:
    """A number that stands there as text, as browsers send it."""
    try:
        return float(value) if type(value) is str else value
    except ValueError:
        return value


def _scale(scheme: dict) -> tuple[float | None, float | None]:
    """The bounds that a scheme gives its numbers."""
    size = scheme.get("size")
    if scheme.get("annotation_type") == "likert" and type(size) is int:
        return 1, size
    told = scheme.get("scale") if isinstance(scheme.get("scale"), dict) else scheme
    low, high = (
        told.get(key, told.get(f"{key}_value"))
        if type(told.get(key, told.get(f"{key}_value"))) in (int, float)
        else None
        for key in ("min", "max")
    )
    return low, high


def _by_schema(entries: list[Entry]) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for entry in entries:
        for schema, labels in entry.labels.items():
            if type(labels) is dict:
                found.setdefault(schema, []).append(labels)
    return found


def _kind(answers: list[dict]) -> str:
    """What a scheme asks, from what was answered."""
    labels = {label for one in answers for label in one}
    if labels & {"selection", "scale_value"}:
        return "pairwise"
    if labels & {"text_box", "textbox"}:
        return "text"
    if labels == {"slider"} or all(NUMBERED.fullmatch(label) for label in labels):
        return "rating"
    if all(label != value and value in ("A", "B", "tie") for one in answers for label, value in one.items()):
        return "pairwise"
    return "multiselect" if any(len(one) > 1 for one in answers) else "radio"
