"""Where Potato's study keeps what: the annotations, the data, the configuration; in a folder, or in a zip of one.

Read as Potato 2.12 writes it (`annotation_output/<user>/user_state.json`, `exports/…/annotations.jsonl`, `.csv`, `.tsv`), and
as Potato 1 did (`annotation_output/<user>/annotated_instances.jsonl`, merged also `.tsv` and `.csv`).
"""

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from . import bombs, parquet, tables
from .checks import Bad, entries, identifier, name, shown
from .files import complaint, decode_json, json_rows, open_bytes
from .records import Problem, UnknownFormat

STATE, OLD, FLAT = "user_state.json", "annotated_instances.", "annotations."
ROWS = (".jsonl", ".json", ".csv", ".tsv")
OWN = ("annotation_history.jsonl", "task_assignment.json", "user_config.json", "user_config.jsonl")
KNOWN = frozenset(
    """id instance_id user_id user displayed_text label_annotations span_annotations labels spans links events
    behavioral_data annotator_origin""".split()
)
MOST_MEMBERS = 50_000
LARGEST_CONFIG = 1 << 20
SPENT = re.compile(r"(\d+)d (\d+)h (\d+)m (\d+)s")


@dataclass(slots=True)
class Entry:
    """What one person said of one item."""

    user: str
    item: str
    labels: dict
    """{schema: {label: value}}"""
    spans: dict
    """{schema: [span]}"""
    place: str
    """The file, below the study's folder."""
    line: int
    created: datetime | None = None
    wall_ms: int | None = None
    data: dict = field(default_factory=dict)
    """Fields of the item that stand in the row itself."""


@dataclass(slots=True)
class Study:
    """The files of a study."""

    folder: Path
    outputs: list[Path]
    data: list[Path]
    config: dict

    def name_of(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def is_row(row: dict) -> bool:
    """A person's whole state, or what one person said of one item."""
    said = ("id" in row and "label_annotations" in row) or row.keys() >= {"instance_id", "user_id", "labels"}
    return said or row.keys() >= {"user_id", "instance_id_to_label_to_value"}


def is_output(path: PurePosixPath) -> bool:
    """Whether a file's name is one of those under which Potato keeps annotations."""
    return path.name == STATE or (path.name.startswith((OLD, FLAT)) and path.suffix in ROWS)


def is_study(folder: Path) -> bool:
    return bool(_outputs(folder))


def is_zip_of_study(path) -> bool:
    try:
        with zipfile.ZipFile(path) as packed:
            return any(is_output(PurePosixPath(one)) for one in packed.namelist()[:MOST_MEMBERS])
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return False


@contextmanager
def unpacked(path) -> Iterator[Path]:
    """The zip's data and configuration in a folder that lasts as long as the block. Raises UnknownFormat."""
    with TemporaryDirectory() as place:
        left = bombs.allowed(Path(path).stat().st_size)
        try:
            with zipfile.ZipFile(path) as packed:
                for info in packed.infolist()[:MOST_MEMBERS]:
                    inner = PurePosixPath(info.filename)
                    wanted = inner.name.endswith((*parquet.DATA, ".yaml", ".yml")) and not info.is_dir()
                    if not wanted or any(part.startswith((".", "__MACOSX")) for part in inner.parts):
                        continue
                    left -= info.file_size
                    if left < 0:
                        raise UnknownFormat(path, bombs.too_much(Path(path).stat().st_size))
                    if inner.is_absolute() or "\\" in info.filename:
                        raise UnknownFormat(
                            path, f"the zip holds a file outside of itself: {shown(info.filename)}"
                        )
                    target = Path(place, *inner.parts)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with packed.open(info) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file)
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError) as error:
            if isinstance(error, UnknownFormat):
                raise
            raise UnknownFormat(path, f"the zip is damaged or locked ({error})") from None
        yield Path(place)


def study_of(folder: Path) -> Study:
    """The study in a folder. Raises UnknownFormat where it has no annotations or no data."""
    outputs = _outputs(folder)
    if not outputs:
        raise UnknownFormat(folder, f"expected Potato's annotations: {STATE}, {OLD}jsonl or {FLAT}jsonl")
    config_path, config = _config(folder)
    data = _named_data(folder, config_path, config)
    if not data:
        data = [
            path
            for path in sorted(folder.rglob("*"))
            if path.is_file()
            and path.name.endswith(parquet.DATA)
            and path.name not in (*OWN, *parquet.NO_DATA)
            and not is_output(PurePosixPath(path.name))
            and not _inside(path, outputs, folder)
        ]
    return Study(folder, outputs, data, config)


def _inside(path: Path, outputs: list[Path], folder: Path) -> bool:
    """Whether the file lies in a folder in which Potato writes: a person's, or the one around the people's."""
    for output in outputs:
        own = [output.parent] if output.name == STATE or output.name.startswith(OLD) else []
        own += [output.parent.parent] if own else [output.parent]
        if any(place != folder and folder in place.parents and place in path.parents for place in own):
            return True
    return False


def _outputs(folder: Path) -> list[Path]:
    """The richest kind of output that is there, in order of the paths."""
    found = [
        path for path in sorted(folder.rglob("*")) if path.is_file() and is_output(PurePosixPath(path.name))
    ]
    states = [path for path in found if path.name == STATE]
    if states:
        return states
    for start in (OLD, FLAT):
        for suffix in ROWS:
            kind = [path for path in found if path.name == start + suffix[1:] and _is_table_or_rows(path)]
            if kind:
                return kind
    return []


def _is_table_or_rows(path: Path) -> bool:
    try:
        return any(isinstance(row, dict) and _known(row) for _, row in _first(rows_of(path)))
    except UnknownFormat:
        return False


def _known(row: dict) -> bool:
    return is_row(row) or ("instance_id" in row and ("user_id" in row or "user" in row))


def _first(rows: Iterator) -> list:
    return [one for one, _ in zip(rows, range(5), strict=False)]


def _config(folder: Path) -> tuple[Path | None, dict]:
    """The study's configuration, or nothing."""
    import yaml

    for path in sorted((*folder.rglob("*.yaml"), *folder.rglob("*.yml")), key=lambda path: len(path.parts)):
        if path.stat().st_size > LARGEST_CONFIG:
            continue
        try:
            told = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(told, dict) and isinstance(told.get("annotation_schemes"), list):
            return path, told
    return None, {}


def _named_data(folder: Path, config: Path | None, told: dict) -> list[Path]:
    """The data files that the configuration names and that are here."""
    named = told.get("data_files")
    if config is None or not isinstance(named, list):
        return []
    found = []
    for one in named:
        one = one.get("path") if isinstance(one, dict) else one
        path = (config.parent / one).resolve() if isinstance(one, str) and one else None
        if path is not None and folder.resolve() in path.parents and path.is_file():
            found.append(folder / path.relative_to(folder.resolve()))
    return found


def rows_of(path: Path) -> Iterator[tuple[int, object]]:
    """(line, row or Problem) of JSON, Parquet, Arrow, or a table with a header."""
    if not path.name.removesuffix(".gz").endswith((".csv", ".tsv")):
        yield from json_rows(path)
        return
    rows = tables.Table(path).rows()
    header = tables.header_of(rows, path)
    for line, row in rows:
        yield (
            line,
            row
            if isinstance(row, Problem)
            else {key: cell for key, cell in zip(header, row, strict=False) if cell != ""},
        )


def entries_of(study: Study) -> Iterator[Entry | Problem]:
    """What everybody said, file by file; problems name the file in `field`."""
    for path in study.outputs:
        place = study.name_of(path)
        if path.name == STATE:
            yield from _state(path, place)
        else:
            for line, row in rows_of(path):
                try:
                    if type(row) is not dict:
                        raise Bad(
                            "",
                            row.message
                            if isinstance(row, Problem)
                            else f"expected a JSON object, found {shown(row)}",
                        )
                    yield entry_of(row, place, line, path.parent.name)
                except Bad as bad:
                    yield Problem(line, _at(place, bad.field), bad.message)


def _at(place: str, where: str) -> str:
    return f"{place}: {where}" if where else place


def _state(path: Path, place: str) -> Iterator[Entry | Problem]:
    try:
        with open_bytes(path) as file:
            state = decode_json(file.read().decode("utf-8-sig"))
    except (ValueError, RecursionError, OSError, EOFError) as error:
        yield Problem(1, place, f"expected JSON: {complaint(error)}")
        return
    try:
        if type(state) is not dict:
            raise Bad("", f"expected a JSON object, found {shown(state)}")
        user = name(state.get("user_id"), "user_id")
        said = _object(state.get("instance_id_to_label_to_value"), "instance_id_to_label_to_value")
        marked = _object(state.get("instance_id_to_span_to_value"), "instance_id_to_span_to_value")
        times = _object(state.get("instance_id_to_behavioral_data"), "instance_id_to_behavioral_data")
    except Bad as bad:
        yield Problem(1, _at(place, bad.field), bad.message)
        return
    for line, item in enumerate(dict.fromkeys((*said, *marked)), 1):
        try:
            labels: dict = {}
            spans: dict = {}
            for index, pair in enumerate(entries(said.get(item), "labels")):
                schema, label, value = _pair(pair, f"instance_id_to_label_to_value.{item}[{index}]")
                labels.setdefault(schema, {})[label] = value
            for index, pair in enumerate(entries(marked.get(item), "spans")):
                schema, _, _ = _pair(pair, f"instance_id_to_span_to_value.{item}[{index}]")
                spans.setdefault(schema, []).append(pair[0])
            if labels or spans:
                yield Entry(user, item, labels, spans, place, line, *_time(times.get(item)))
        except Bad as bad:
            yield Problem(line, _at(place, bad.field), bad.message)


def _pair(pair: object, where: str) -> tuple[str, str, object]:
    """[{schema, name}, value] as Potato writes a label or a span."""
    if not (type(pair) is list and len(pair) == 2 and type(pair[0]) is dict):
        raise Bad(where, f"expected [{{schema, name}}, value], found {shown(pair)}")
    return name(pair[0].get("schema"), f"{where}.schema"), name(pair[0].get("name"), f"{where}.name"), pair[1]


def entry_of(row: dict, place: str, line: int, folder: str) -> Entry:
    """What one row of an export, or of Potato 1's files, says. Raises Bad."""
    item = identifier(row.get("instance_id", row.get("id")), "instance_id")
    if item is None:
        raise Bad("instance_id", "expected the item's id")
    user = name(row.get("user_id") or row.get("user") or folder, "user_id")
    if "labels" not in row and "label_annotations" not in row:
        labels, spans = _columns(row)
        known = {key for key in row if key in KNOWN or ":::" in key or "." in key}
    else:
        known = set(KNOWN)
        labels = _object(row.get("labels", row.get("label_annotations")), "labels")
        labels = {
            schema: value if type(value) is dict else {schema: value}
            for schema, value in labels.items()
            if value
        }
        spans = row.get("spans", row.get("span_annotations")) or {}
        if type(spans) is list:
            spans = {"spans": spans} if spans else {}
        spans = {schema: found for schema, found in _object(spans, "spans").items() if found}
    data = {key: value for key, value in row.items() if key not in known}
    return Entry(user, item, labels, spans, place, line, *_time(row.get("behavioral_data")), data)


def _columns(row: dict) -> tuple[dict, dict]:
    """({schema: {label: value}}, {schema: spans}) of a table's row: `schema.label`, in Potato 1 `schema:::label`."""
    labels: dict = {}
    spans: dict = {}
    for column, value in row.items():
        schema, between, label = column.partition(":::")
        if not between:
            schema, between, label = column.partition(".")
        if not between or column in KNOWN:
            continue
        if label == "_spans" or schema in ("span_annotations", "spans"):
            try:
                spans[schema] = json.loads(value)
            except ValueError:
                spans[schema] = value
        else:
            labels.setdefault(schema, {})[label] = value
    return labels, spans


def _object(value: object, where: str) -> dict:
    if value is None:
        return {}
    if type(value) is not dict:
        raise Bad(where, f"expected an object, found {shown(value)}")
    return value


def _time(told: object) -> tuple[datetime | None, int | None]:
    """(when it ended, milliseconds spent) of Potato's behavioural data; nothing where it does not say."""
    if type(told) is not dict:
        return None, None
    ended, spent = told.get("session_end"), told.get("total_time_ms")
    when = None
    if type(ended) in (int, float) and 1e9 < ended < 1e10:
        when = datetime.fromtimestamp(ended, UTC)
    if type(spent) in (int, float) and 0 < spent < 1e11:
        return when, round(spent)
    old = SPENT.search(told["time_string"]) if type(told.get("time_string")) is str else None
    if old:
        days, hours, minutes, seconds = (int(part) for part in old.groups())
        return when, 1000 * (seconds + 60 * (minutes + 60 * (hours + 24 * min(days, 3000))))
    return when, None
