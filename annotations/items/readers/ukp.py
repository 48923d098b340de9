"""UKPConvArg1's argument pairs: the tab-separated gold labels and the five workers' XML (CC-BY 4.0)."""

import re
from collections.abc import Iterator
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from .checks import Bad, identifier, moment, name, responses_of, shown, text
from .files import DAMAGED, complaint, damaged, lines, open_bytes, stem
from .labels import labelled
from .records import JudgmentRecord, Problem, Record
from .short import MILLISECOND

HEADER = ["#id", "label", "a1", "a2"]
LABELS = {"a1": "a", "a2": "b", "equal": "tie"}
SOURCE = "ukp_convarg"
BREAK = re.compile(r"<br\s*/?>")
PAIR = "annotatedArgumentPair"
MAX_PAIR = 8 * 1024 * 1024  # bytes of one pair's XML
MAX_DEPTH = 20


def label_of(value: str | None, field: str) -> str:
    if value not in LABELS:
        raise Bad(field, f"expected a1, a2 or equal, found {shown(value)}")
    return LABELS[value]


def read_csv(path, mapping=None) -> Iterator[Record | Problem]:
    """Tab-separated pairs with a gold label; the file's name says debate and stance."""
    debate, _, stance = (part.replace("-", " ") for part in stem(path).partition("_"))
    prompt = f"{debate} Argue for: {stance}" if stance else debate
    for line, raw in lines(path):
        try:
            if isinstance(raw, Problem):
                yield raw
                continue
            row = raw.decode().rstrip("\r").split("\t")
            if row == [""] or row == HEADER:
                continue
            if len(row) != 4:
                raise Bad("", f"expected {', '.join(HEADER)} between tabs, found {len(row)} columns")
            yield Record(
                line=line,
                external_id=identifier(row[0], "#id"),
                source=SOURCE,
                prompt=prompt,
                group=debate,
                responses=responses_of(
                    [(key, BREAK.sub("\n", row[at])) for key, at in (("a1", 2), ("a2", 3))]
                ),
                meta={"debate": debate, "stance": stance},
                judgments=(labelled(label_of(row[1], "label"), "gold"),),
            )
        except UnicodeDecodeError as error:
            yield Problem(line, "", complaint(error))
        except Bad as bad:
            yield Problem(line, bad.field, bad.message)


class Rationed:
    """A file that stops giving when one pair takes too many bytes."""

    def __init__(self, file: BinaryIO):
        self.file = file
        self.left = MAX_PAIR

    def read(self, size: int) -> bytes:
        if self.left <= 0:
            raise EOFError(f"expected a pair of at most {MAX_PAIR >> 20} MB")
        chunk = self.file.read1(size if size > 0 else self.left)
        self.left -= len(chunk)
        return chunk


def read_xml(path, mapping=None) -> Iterator[Record | Problem]:
    """Pairs with each worker's vote, reason and times; `line` is the pair's number."""
    number = 1
    with open_bytes(path) as file:
        source = Rationed(file)
        try:
            root, depth = None, 0
            for event, element in iterparse(source, events=("start", "end"), forbid_dtd=True):
                if root is None:
                    root = element
                depth += 1 if event == "start" else -1
                if depth > MAX_DEPTH:
                    raise ValueError(f"expected elements at most {MAX_DEPTH} deep")
                if event == "start" or element.tag != PAIR:
                    continue
                problems: list[Problem] = []
                try:
                    yield parse_pair(element, number, problems)
                except Bad as bad:
                    yield Problem(number, bad.field, bad.message)
                yield from problems
                root.clear()
                source.left = MAX_PAIR
                number += 1
        except (*DAMAGED, ParseError, DefusedXmlException, ValueError, LookupError) as error:
            yield damaged(number, error)


def inside(element: Element, path: str) -> str:
    return element.findtext(path, "") or ""


def parse_pair(pair: Element, number: int, problems: list[Problem]) -> Record:
    debate, stance = inside(pair, "debateMetaData/title"), inside(pair, "arg1/stance")
    meta = {
        "debate": debate,
        "stance": stance,
        "url": inside(pair, "debateMetaData/url"),
        "gold": inside(pair, "goldLabel") or None,
    }
    sides = {}
    for key in ("arg1", "arg2"):
        if pair.find(f"{key}/text") is None:
            raise Bad(f"{key}/text", "expected a text, found none")
        sides[key] = {child.tag: child.text or "" for child in pair.find(key) if child.tag != "text"}
    judgments = []
    for index, vote in enumerate(pair.iterfind("mTurkAssignments/mTurkAssignment")):
        try:
            judgments.append(parse_vote(vote))
        except Bad as bad:
            complaint_at = bad.within(f"mTurkAssignment[{index}]")
            problems.append(Problem(number, complaint_at.field, complaint_at.message))
    return Record(
        line=number,
        external_id=identifier(inside(pair, "id"), "id"),
        source=SOURCE,
        prompt=text(f"{debate} Argue for: {stance}", "debateMetaData/title"),
        group=debate.lower() or None,
        responses=responses_of(
            [(f"{key}/text", BREAK.sub("\n", inside(pair, f"{key}/text"))) for key in ("arg1", "arg2")]
        ),
        meta=meta | sides,
        judgments=tuple(judgments),
    )


def parse_vote(vote: Element) -> JudgmentRecord:
    fields = {child.tag: child.text or "" for child in vote}
    label = label_of(fields.pop("value", None), "value")
    annotator = name(fields.pop("turkID", None), "turkID")
    reason = text(fields.pop("reason", ""), "reason")
    accepted = moment(fields.pop("assignmentAcceptTime", None), "assignmentAcceptTime")
    submitted = moment(fields.pop("assignmentSubmitTime", None), "assignmentSubmitTime")
    wall_ms = None
    if accepted and submitted and submitted >= accepted:
        wall_ms = (submitted - accepted) // MILLISECOND
    return labelled(
        label,
        annotator,
        reason,
        created_at=submitted,
        wall_ms=wall_ms,
        answers={"source_meta": fields} if fields else {},
    )
