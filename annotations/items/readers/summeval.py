"""SummEval-OP's detailed file: product reviews, summaries, three raters (MIT)."""

from collections.abc import Iterator
from hashlib import sha256

from .checks import Bad, entries, number, text, with_extras
from .files import json_rows
from .records import JudgmentRecord, Problem, Record, ResponseRecord, ScoreRecord

ATTRIBUTES = {
    "fl": "fluency",
    "co": "coherence",
    "re": "relevance",
    "fa": "faithfulness",
    "ac": "aspect_coverage",
    "sc": "sentiment_consistency",
    "sp": "specificity",
}
SCALE = (1, 5)
KEYS = frozenset(("reviews", "summaries", *ATTRIBUTES))


def is_row(row: dict) -> bool:
    return row.keys() >= {"reviews", "summaries"}


def read(path, mapping=None) -> Iterator[Record | Problem]:
    """One item for each summary; its id is made of the reviews' hash and the summary's place."""
    for line, row in json_rows(path):
        if type(row) is not dict:
            yield row if isinstance(row, Problem) else Problem(line, "", "expected a JSON object")
            continue
        try:
            reviews = [text(one, "reviews") for one in entries(row.get("reviews"), "reviews")]
            prompt = text("\n- ".join(["Summarize these product reviews.", *reviews]), "reviews")
            product = f"product-{sha256(prompt.encode()).hexdigest()[:12]}"
            summaries = entries(row.get("summaries"), "summaries")
            meta = with_extras({}, row, KEYS)
        except Bad as bad:
            yield Problem(line, bad.field, bad.message)
            continue
        for index, summary in enumerate(summaries):
            problems: list[Problem] = []
            try:
                yield Record(
                    line=line,
                    external_id=f"{product}-{index}",
                    source="summeval_op",
                    prompt=prompt,
                    group=product,
                    responses=(ResponseRecord(text(summary, f"summaries[{index}]"), f"s{index}"),),
                    meta=meta,
                    judgments=judgments_of(row, index, line, problems),
                )
            except Bad as bad:
                yield Problem(line, bad.field, bad.message)
            yield from problems


def judgments_of(row: dict, index: int, line: int, problems: list[Problem]) -> tuple[JudgmentRecord, ...]:
    """One judgment a rater; a bad value drops that rater's judgment of this summary."""
    raters: dict[int, list[ScoreRecord]] = {}
    spoilt = set()
    for key, attribute in ATTRIBUTES.items():
        try:
            columns = entries(row.get(key), key)
            values = entries(columns[index], f"{key}[{index}]") if columns else []
        except IndexError:
            problems.append(Problem(line, key, f"expected ratings of summary {index}, found {len(columns)}"))
            continue
        except Bad as bad:
            problems.append(Problem(line, bad.field, bad.message))
            continue
        for rater, value in enumerate(values, 1):
            try:
                value = number(value, f"{key}[{index}][{rater - 1}]", *SCALE)
                raters.setdefault(rater, []).append(ScoreRecord(0, attribute, value, *SCALE))
            except Bad as bad:
                spoilt.add(rater)
                problems.append(Problem(line, bad.field, bad.message))
    return tuple(
        JudgmentRecord(f"r{rater}", scores=tuple(scores))
        for rater, scores in sorted(raters.items())
        if rater not in spoilt
    )
