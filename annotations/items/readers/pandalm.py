"""PandaLM's test set and the result files that belong to it (WeOpenML/PandaLM, data/)."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from .checks import (
    Bad,
    identifier,
    name,
    optional_text,
    printable,
    responses_of,
    shown,
    text,
    whole,
    with_extras,
)
from .files import json_rows, records, stem
from .labels import labelled, model_judgment, numbered_label
from .records import MAX_NAME, CallRecord, JudgmentRecord, Problem, Record, UnknownFormat

ROW_KEYS = frozenset("idx motivation_app cmp_key instruction input response1 response2".split())
RESULT = "_result"


def is_testset(row: dict) -> bool:
    return row.keys() >= {"instruction", "response1", "response2"}


def is_results(row: dict) -> bool:
    return "idx" in row and "instruction" not in row and any(key.endswith(RESULT) for key in row)


def first_row(path) -> dict:
    """The first row, empty when the file has none that can be read."""
    try:
        _, row = next(json_rows(path), (0, None))
    except UnknownFormat:
        return {}
    return row if isinstance(row, dict) else {}


def testset_beside(path) -> Path:
    """The test set a result file belongs to, in its folder; raises UnknownFormat when it is not there."""
    path = Path(path)
    named = path.name[path.name.find("testset") :] if "testset" in path.name else "testset-v1.json"
    for candidate in (
        path.with_name(named),
        path.with_name(f"{named}.gz"),
        path.with_name("testset-v1.json"),
    ):
        if candidate != path and candidate.is_file():
            return candidate
    raise UnknownFormat(
        path,
        f"holds a model's verdicts of PandaLM by idx only; its items are in {named}, "
        "which must lie beside it or be given with it",
    )


def results_beside(path) -> list[Path]:
    """Result files of a test set that lie in its folder."""
    path = Path(path)
    found = sorted(path.parent.glob(f"*-{path.name.removesuffix('.gz')}*"))
    return [other for other in found if other != path and is_results(first_row(other))]


def read(path, mapping=None, results: Iterable[Path] | None = None) -> Iterator[Record | Problem]:
    """The test set's pairs, with the verdicts of result files.

    `results` are the files to join; by default those lying beside the test set. A result file
    given as `path` is read as its test set joined with this file alone.
    """
    if is_results(first_row(path)):
        path, results = testset_beside(path), [Path(path)]
    return joined(path, [Results(other) for other in (results_beside(path) if results is None else results)])


def joined(testset, verdicts: list["Results"]) -> Iterator[Record | Problem]:
    for found in verdicts:
        yield from found.problems

    def parse(row, line, problems):
        return parse_pair(row, line, problems, verdicts)

    yield from records(json_rows(testset), parse)
    for found in verdicts:
        yield from found.left_over(testset)


class Results:
    """One model's verdicts by idx, from a result file; held in memory, a few hundred bytes each."""

    def __init__(self, path: Path):
        self.path = path
        self.rows: dict[str, tuple[int, CallRecord]] = {}
        self.matched: set[str] = set()
        self.problems: list[Problem] = []
        prefix = stem(path).partition("-testset")
        self.model = prefix[0] if prefix[1] else ""
        for item in records(json_rows(path), self.collect):
            if isinstance(item, Problem):
                self.problems.append(Problem(item.line, item.field, f"{path.name}: {item.message}"))

    def collect(self, row: dict, line: int, problems: list[Problem]) -> None:
        idx = identifier(row.get("idx"), "idx")
        if idx is None:
            raise Bad("idx", "expected the idx of a pair in the test set")
        key = next((key for key in row if key.endswith(RESULT)), None)
        if key is None:
            raise Bad("", "expected a key ending in _result")
        side = key.removesuffix(RESULT)
        self.model = self.model or name(side, key[:40])
        known = frozenset(("idx", key, f"{side}_reason"))
        call = CallRecord(
            "ab",
            numbered_label(row[key], printable(key)),
            "" if row[key] is None else str(row[key]),
            optional_text(row.get(f"{side}_reason"), printable(f"{side}_reason")) or "",
            with_extras({}, row, known),
        )
        if idx in self.rows:
            raise Bad("idx", f"expected each pair once, found {shown(idx)} again")
        self.rows[idx] = (line, call)

    def judgments(self, idx: str) -> tuple[JudgmentRecord, ...]:
        if idx not in self.rows:
            return ()
        self.matched.add(idx)
        return (model_judgment(self.model, [self.rows[idx][1]]),)

    def left_over(self, testset) -> Iterator[Problem]:
        for idx, (line, _) in self.rows.items():
            if idx not in self.matched:
                message = f"{self.path.name}: expected a pair in {Path(testset).name}, found none with {idx}"
                yield Problem(line, "idx", message)


def parse_pair(row: dict, line: int, problems: list[Problem], verdicts: list[Results] = ()) -> Record:
    idx = identifier(row.get("idx"), "idx")
    people = [key for key in row if key.startswith("annotator")]
    unquoted: list[str] = []
    instruction = lenient_text(row, "instruction", unquoted)
    given = lenient_text(row, "input", unquoted) if row.get("input") is not None else ""
    prompt = f"{instruction}\n\n{given}" if given.strip() else instruction
    answers = [(key, lenient_text(row, key, unquoted)) for key in ("response1", "response2")]
    meta = {
        meta_key: text(row[key], key)
        for key, meta_key in (("motivation_app", "app"), ("cmp_key", "model_pair"))
        if row.get(key) is not None
    }
    if unquoted:
        meta["unquoted_text"] = unquoted
    models = tuple(meta.get("model_pair", "").split("_"))
    judgments = []
    for key in people:
        try:
            judgments.append(labelled(numbered_label(row[key], key), name(key, "annotator")))
        except Bad as bad:
            problems.append(Problem(line, printable(bad.field), bad.message))
    for found in verdicts:
        judgments += found.judgments(idx)
    return Record(
        line=line,
        external_id=None if idx is None else f"pandalm-{idx}",
        source="pandalm",
        prompt=text(prompt, "instruction"),
        group=prompt,
        responses=responses_of(answers, models if all(len(m) <= MAX_NAME for m in models) else ()),
        meta=with_extras(meta, row, ROW_KEYS | set(people)),
        judgments=tuple(judgments),
    )


def lenient_text(row: dict, key: str, unquoted: list[str]) -> str:
    """A text; the true, false and numbers that lost their quotes in this data are read as text."""
    value = row.get(key)
    if type(value) is bool:
        unquoted.append(key)
        return "true" if value else "false"
    if type(value) is int:
        unquoted.append(key)
        return str(whole(value, key))
    return text(value, key)
