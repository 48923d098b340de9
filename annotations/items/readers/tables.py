"""Tables whose columns a person maps to roles: CSV and TSV, and rows of JSON, Parquet or Arrow with keys of their own.

The columns of JSON rows are the keys of the first 200, an object's keys as `outer.inner`. A prompt may be a list of
messages there, a response one message; metadata keeps its kind. What no column names stays out.

Roles: `id`, `prompt`, `context`, `group`, `source`, `response_1`…`response_8` (or `response_a`,
`response_b`), `model_1`…`model_8`, `chosen`, `rejected`, `label`, `annotator`, `reason`,
`rating:<attribute>` (of the only response) or `rating:<attribute>:<n>` (of response n), `meta`,
and `ignore`. Only `rating:` and `meta` may be given to several columns.
"""

import csv
import json
import re
from collections.abc import Iterator
from itertools import islice

from .checks import Bad, conversation, identifier, name, number, one_turn, plain, shown, text
from .files import BOM, DAMAGED, MOST_BLANK, damaged, head, json_rows, stem, text_chunks, too_blank
from .labels import NUMBERED, labelled
from .parquet import SIGNS
from .records import (
    MAX_LINE,
    MAX_NAME,
    MAX_RESPONSES,
    MAX_TEXT,
    JudgmentRecord,
    Problem,
    Record,
    ResponseRecord,
    ScoreRecord,
    UnknownFormat,
)
from .short import FILE_ANNOTATOR

HEADER_ROWS = 200  # rows of JSON whose keys are the columns
MAX_COLUMNS = 500
MAX_JUDGMENTS = 10_000  # of one item held together
DELIMITERS = (",", "\t", ";", "|")
ROLE = re.compile(
    r"id|prompt|context|group|source|response_[1-8ab]|model_[1-8ab]|chosen|rejected|label|annotator|reason"
    r"|rating:[^:]+(:[1-8])?|meta|ignore"
)
ALIASES = {"a": "1", "b": "2"}
LABELS = {**NUMBERED, "a": "a", "b": "b"}
NO_LABEL = ("null", "none", "garbage")
GUESSES = {
    "id": "id #id external_id item_id item idx",
    "prompt": "prompt instruction question input query",
    "context": "context document source_text",
    "group": "group",
    "source": "source dataset",
    "response_1": "response response_a response_1 response1 output output_1 answer_a answer_1 a1 completion_a",
    "response_2": "response_b response_2 response2 output_2 answer_b answer_2 a2 completion_b",
    "model_1": "model model_a model_1 system",
    "model_2": "model_b model_2",
    "chosen": "chosen",
    "rejected": "rejected",
    "label": "label winner preference preferred verdict choice",
    "annotator": "annotator annotator_id rater rater_id worker worker_id user",
    "reason": "reason justification rationale explanation comment",
}
RATINGS = "helpfulness correctness coherence complexity verbosity fluency relevance quality rating".split()

csv.field_size_limit(MAX_LINE)


def guess_mapping(header: list[str]) -> dict[str, str]:
    """A role for each column by its name; columns nobody recognises become `meta`."""
    mapping, taken = {}, set()
    words = {word: role for role, line in GUESSES.items() for word in line.split()}
    for place in range(3, MAX_RESPONSES + 1):
        words |= {f"response_{place}": f"response_{place}", f"model_{place}": f"model_{place}"}
    for column in header:
        plain = column.strip().lower().replace(" ", "_").replace("-", "_")
        role = words.get(plain, "meta")
        mapping[column] = "meta" if role in taken else role
        taken.add(role)
    if "response_2" not in taken and "chosen" not in taken:
        for column in header:
            plain = column.strip().lower().replace(" ", "_")
            if mapping[column] == "meta" and (plain in RATINGS or plain.startswith("rating_")):
                attribute = plain.removeprefix("rating_")[:MAX_NAME].replace(":", "_")
                mapping[column] = f"rating:{attribute}" if attribute else "meta"
    return mapping


def delimiter_of(path) -> str | None:
    """The character that splits the first line into most columns; None when nothing does."""
    first = head(path).removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n").split(b"\n", 1)[0]
    line = first.decode(errors="replace").rstrip("\r")
    best = max(DELIMITERS, key=lambda mark: columns_of(line, mark))
    return best if best in line else None


def columns_of(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=delimiter), ()))
    except csv.Error:
        return 0


class Table:
    """Rows of one delimited file with the line on which each begins."""

    def __init__(self, path):
        self.path = path
        self.line = 1
        self.begun = 1
        self.held = 0
        self.delimiter = delimiter_of(path) or ("\t" if str(path).endswith((".tsv", ".tsv.gz")) else ",")

    def text_lines(self) -> Iterator[str]:
        """Lines for the csv module, which may join several into one row."""
        parts: list[str] = []
        for chunk in text_chunks(self.path):
            *whole, rest = chunk.split("\n")
            for piece in whole:
                parts.append(piece)
                yield self.counted("".join(parts) + "\n")
                parts = []
            parts.append(rest)
            if sum(map(len, parts)) > MAX_LINE:
                raise EOFError(f"expected a line of at most {MAX_LINE >> 20} MB")
        if any(parts):
            yield self.counted("".join(parts))

    def counted(self, line: str) -> str:
        self.line += 1
        self.held += len(line)
        if self.held > MAX_LINE:
            raise EOFError(f"expected a row of at most {MAX_LINE >> 20} MB; is a quote left open?")
        return line

    def rows(self) -> Iterator[tuple[int, list[str] | Problem]]:
        reader = csv.reader(self.text_lines(), delimiter=self.delimiter)
        blank = 0
        while True:
            self.begun, self.held = self.line, 0
            try:
                row = next(reader, None)
            except csv.Error as error:
                yield self.begun, Problem(self.begun, "", f"expected a table row: {error}")
                continue
            except DAMAGED as error:
                yield self.begun, damaged(self.begun, error)
                return
            if row is None:
                return
            if row and any(row):
                yield self.begun, row
                continue
            blank += 1
            if blank > MOST_BLANK:
                yield self.begun, too_blank(self.begun)
                return


def header_of(rows: Iterator[tuple[int, list[str] | Problem]], path) -> list[str]:
    _, header = next(rows, (0, None))
    if not isinstance(header, list):
        raise UnknownFormat(path, "expected a header row with the columns' names")
    try:
        header = [text(column, "header", MAX_NAME).strip() for column in header]
    except Bad as bad:
        raise UnknownFormat(path, f"the header row {bad.message}") from None
    twice = {column for column in header if header.count(column) > 1} if len(header) < 1000 else set()
    if twice:
        raise UnknownFormat(path, f"expected each column once, found {shown(min(twice))} twice")
    return header


class Plan:
    """A mapping turned round: which columns make which part of an item."""

    def __init__(self, header: list[str], mapping: dict[str, str] | None, path):
        mapping = guess_mapping(header) if mapping is None else mapping
        self.width = len(header)
        self.one: dict[str, int] = {}
        self.meta: list[tuple[str, int]] = []
        self.ratings: list[tuple[str, int, int]] = []
        for column, role in mapping.items():
            if column not in header:
                raise UnknownFormat(path, f"the mapping names a column {shown(column)} that is not there")
            if not isinstance(role, str) or not ROLE.fullmatch(role or "ignore"):
                raise UnknownFormat(path, f"expected a role for column {shown(column)}, found {shown(role)}")
            self.place(role, column, header.index(column), path)
        if "chosen" in self.one or "rejected" in self.one:
            places = ["chosen", "rejected"]
        else:
            places = [f"response_{place}" for place in range(1, MAX_RESPONSES + 1)]
            places = places[: sum(place in self.one for place in places) or 1]
        missing = [role for role in places if role not in self.one]
        if "prompt" not in self.one and "context" not in self.one:
            missing.insert(0, "prompt")
        if missing:
            raise UnknownFormat(path, f"no column is mapped to {' or to '.join(missing)}")
        self.responses = places
        if "label" in self.one and len(places) != 2:
            raise UnknownFormat(path, "a label needs two responses, response_1 and response_2")
        if any(index >= len(places) for _, index, _ in self.ratings):
            raise UnknownFormat(path, "a rating names a response that no column is mapped to")
        if len(places) > 1 and any(index < 0 for _, index, _ in self.ratings):
            raise UnknownFormat(path, "with several responses a rating is mapped as rating:<attribute>:<n>")

    def place(self, role: str, column: str, at: int, path) -> None:
        if role in ("", "ignore"):
            return
        if role == "meta":
            self.meta.append((column, at))
        elif role.startswith("rating:"):
            _, attribute, *which = role.split(":")
            self.ratings.append((attribute, int(which[0]) - 1 if which else -1, at))
        else:
            if role[-2:] in ("_a", "_b"):
                role = role[:-1] + ALIASES[role[-1]]
            if role in self.one:
                raise UnknownFormat(path, f"two columns are mapped to {role}")
            self.one[role] = at

    def item(self, row: list[str], line: int, source: str) -> Record:
        if len(row) != self.width:
            raise Bad("", f"expected {self.width} columns, found {len(row)}")

        def cell(role: str, limit: int | None = None) -> str:
            return (
                text(cell_text(row[self.one[role]], role), role, limit or MAX_TEXT)
                if role in self.one
                else ""
            )

        said = row[self.one["prompt"]] if "prompt" in self.one else None
        is_chat = bool(messages(said))
        prompt = one_turn(conversation(said, "prompt")) if is_chat else cell("prompt")
        context = cell("context") or None
        if "prompt" not in self.one:
            prompt, context = context or "", None
        return Record(
            line=line,
            external_id=identifier(cell("id"), "id"),
            source=cell("source", MAX_NAME) or source,
            prompt=prompt,
            context=context,
            group=cell("group") or None,
            responses=tuple(
                ResponseRecord(cell(role), cell(f"model_{place}", MAX_NAME))
                for place, role in enumerate(self.responses, 1)
            ),
            meta={column: plain(row[at], column) for column, at in self.meta if row[at] not in ("", None)},
        )

    def judgment(self, row: list[str], place: int) -> JudgmentRecord | None:
        """The row's judgment, or None when its label and ratings are empty."""
        at = self.one
        reason = text(cell_text(row[at["reason"]], "reason"), "reason") if "reason" in at else ""
        given = cell_text(row[at["annotator"]], "annotator") if "annotator" in at else ""
        annotator = name(given, "annotator") if given else f"annotator {place}"
        if "chosen" in at:
            return labelled("a", annotator if given else FILE_ANNOTATOR, reason)
        scores = tuple(
            ScoreRecord(max(index, 0), attribute, cell_number(row[column], f"rating:{attribute}"))
            for attribute, index, column in self.ratings
            if cell_text(row[column], attribute).strip()
        )
        word = cell_text(row[at["label"]], "label").strip().lower() if "label" in at else ""
        if not word:
            return JudgmentRecord(annotator, scores=scores, reason=reason) if scores else None
        if word not in LABELS and word not in NO_LABEL:
            raise Bad("label", f"expected a, b, tie, 1, 2 or 0, found {shown(word)}")
        return labelled(LABELS.get(word), annotator, reason, scores=scores)


def messages(value: object) -> bool:
    """Whether the value is a list of chat messages."""
    return (
        isinstance(value, list) and bool(value) and all(type(one) is dict and "role" in one for one in value)
    )


def cell_text(value: object, field: str) -> str:
    """A cell as text; of JSON rows numbers, flags and lists as JSON writes them, a message by what it says."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    if messages(value) and field != "context":
        if len(value) > 1:
            raise Bad(field, f"expected text or one message, found a conversation of {len(value)}")
        return conversation(value, field)[0]["content"]
    return json.dumps(value, ensure_ascii=False)


def cell_number(cell: object, field: str) -> float:
    try:
        value = float(cell)
    except (ValueError, TypeError):
        raise Bad(field, f"expected a number, found {shown(cell)}") from None
    value = number(value, field)
    return int(value) if value.is_integer() else value


def read(path, mapping: dict[str, str] | None = None) -> Iterator[Record | Problem]:
    """Rows by a mapping {column: role}; neighbours with one id are judgments of one item.

    Raises UnknownFormat at once when the header or the mapping does not make items.
    """
    rows = Table(path).rows()
    plan = Plan(header_of(rows, path), mapping, path)
    return items(rows, plan, stem(path)[:MAX_NAME])


def flat(row: dict) -> dict[str, object]:
    """The row with the keys of an object in it as `outer.inner`, one level deep."""
    if not any(type(value) is dict for value in row.values()):
        return row
    found: dict[str, object] = {}
    for key, value in row.items():
        inner = {f"{key}.{name}": one for name, one in value.items()} if type(value) is dict else {key: value}
        if twice := found.keys() & inner.keys():
            raise Bad(min(twice), "expected each column once, found this one twice")
        found |= inner
    return found


def columns_of_rows(path) -> list[str]:
    """The keys of the first rows in the order of their coming. Raises UnknownFormat where there are none, or too many."""
    found: dict[str, None] = {}
    for _, row in islice(json_rows(path), HEADER_ROWS):
        if type(row) is dict:
            try:
                found |= dict.fromkeys(text(key, "", MAX_NAME) for key in flat(row))
            except Bad:
                continue  # the row is named when it is read
    if not found or len(found) > MAX_COLUMNS:
        raise UnknownFormat(path, f"expected rows of 1 to {MAX_COLUMNS} keys, found {len(found):,}")
    return list(found)


def object_rows(path, columns: list[str]) -> Iterator[tuple[int, list | Problem]]:
    """Rows of JSON, Parquet or Arrow as cells in the order of the columns."""
    for line, row in json_rows(path):
        if type(row) is not dict:
            message = f"expected a JSON object, found {shown(row)}"
            yield line, row if isinstance(row, Problem) else Problem(line, "", message)
            continue
        try:
            cells = flat(row)
        except Bad as bad:
            yield line, Problem(line, bad.field, bad.message)
            continue
        yield line, [cells.get(column) for column in columns]


def read_objects(path, mapping: dict[str, str] | None = None) -> Iterator[Record | Problem]:
    """The same as `read` for rows of JSON lines, a JSON list, Parquet or Arrow."""
    columns = columns_of_rows(path)
    plan = Plan(columns, mapping, path)
    return items(object_rows(path, columns), plan, stem(path)[:MAX_NAME])


def items(rows, plan: Plan, source: str) -> Iterator[Record | Problem]:
    held: Record | None = None
    judgments: list[JudgmentRecord] = []
    for line, row in rows:
        if isinstance(row, Problem):
            yield row
            continue
        try:
            found = plan.item(row, line, source)
            same = held is not None and found.external_id is not None and same_id(held, found)
            if same and (held.responses, held.prompt) != (found.responses, found.prompt):
                raise Bad(
                    "id", f"expected the texts of line {held.line}, which has the same id, found others"
                )
            if held and not (same and len(judgments) < MAX_JUDGMENTS):
                yield with_judgments(held, judgments)
                held = None
            if held is None:
                held, judgments = found, []
            judgment = plan.judgment(row, len(judgments) + 1)
            if judgment:
                judgments.append(judgment)
        except Bad as bad:
            yield Problem(line, bad.field, bad.message)
    if held:
        yield with_judgments(held, judgments)


def same_id(left: Record, right: Record) -> bool:
    return (left.source, left.external_id) == (right.source, right.external_id)


def with_judgments(record: Record, judgments: list[JudgmentRecord]) -> Record:
    fields = {name: getattr(record, name) for name in Record.__slots__}
    return Record(**{**fields, "judgments": tuple(judgments)})


def is_objects(path) -> bool:
    """Whether the file holds rows of JSON, Parquet or Arrow: those that may be mapped whatever their keys."""
    start = head(path, 4096)
    return start.startswith(SIGNS) or start.removeprefix(BOM).lstrip()[:1] in (b"{", b"[")


def preview(path, n: int = 5) -> tuple[list[str], list[list[str]]]:
    """The header and the first `n` whole rows, cells as text."""
    if is_objects(path):
        header = columns_of_rows(path)
        rows = object_rows(path, header)
        found = islice((row for _, row in islice(rows, HEADER_ROWS) if isinstance(row, list)), n)
        return header, [
            ["" if c is None else c if type(c) is str else json.dumps(c) for c in row] for row in found
        ]
    rows = Table(path).rows()
    header = header_of(rows, path)
    whole = (row for _, row in islice(rows, HEADER_ROWS) if isinstance(row, list))
    return header, list(islice(whole, n))
