"""Files with human and LM labels as cases to replay: one case per source and LM annotator. Pure: no Django, no database.

Of an item's people the first in the file is *the person*, whose label stands where an item is sent to people; the
consensus is the majority of the others, or the person's own label where nobody else judged. Items whose others have no
majority, or that the person did not judge, are left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from annotations.analysis.majority import NONE
from routing.features import pairs, tags
from routing.features.encoders import HashingEncoder, cosine
from routing.features.signals import signals
from routing.features.text import hashed_ngrams, style_features
from routing.plans.policies import Pool
from routing.predict.human_error import against_others
from routing.rewards.data import group_items, prompt_text

MAX_LEVELS = 30  # a metadata column with more values than that is no tag
MIN_LEVEL = 5  # items a value needs to be a tag
PHI = 40  # dimensions that influence and mixes work in
STYLE_PENALTY, NGRAM_PENALTY = (
    3.0,
    0.3,
)  # of the downstream reward model, those its cross-validation mostly picks


@dataclass(frozen=True)
class Case:
    """One source judged by one LM annotator.

    Attributes:
        source, annotator: names. pool: what may be known of each of the n items, labels left out.
        error: float[n], 1 where the model's label differs from the consensus (no verdict counts as wrong).
        person_wrong: float[n], 1 where the person's label does. truth, person: int8[n], consensus and person's label.
        differs: float[n, k], each person against the majority of the others, NaN where unknown.
        kernel: float[n, n], inner products of Δφ of the linear reward model, scaled by its penalties.
        left_out: items of the source without a consensus or a person's label.
    """

    source: str
    annotator: str
    pool: Pool
    error: np.ndarray
    person_wrong: np.ndarray
    truth: np.ndarray
    person: np.ndarray
    differs: np.ndarray
    kernel: np.ndarray
    left_out: int

    def __len__(self) -> int:
        return len(self.error)


@dataclass(frozen=True)
class _Verdict:
    side: int
    probability: float
    consistent: int


def cases(
    items: Iterable[Mapping],
    *,
    annotators: Sequence[str] | None = None,
    aspect: str = "overall",
    metadata: bool = True,
) -> list[Case]:
    """Cases of native items (`readers.to_native`), sources in order of appearance, annotators by name.

    Items need two responses with an `aspect` comparison by a person and by an LM; others are passed over. `metadata`:
    whether columns of the items' meta data become tags. Raises ValueError if no case is left, or naming an annotator
    that judged nothing.
    """
    by_source: dict[str, list[Mapping]] = {}
    for item in items:
        if (
            len(item.get("responses") or []) == 2
            and _judged(item, aspect, "human")
            and _judged(item, aspect, "lm")
        ):
            by_source.setdefault(str(item.get("source") or ""), []).append(item)
    found, known = [], set()
    for source, rows in by_source.items():
        names = sorted({j["annotator"] for row in rows for j in _judged(row, aspect, "lm")})
        known.update(names)
        wanted = names if annotators is None else [name for name in names if name in annotators]
        if wanted:
            found += _cases_of(source, rows, names, wanted, aspect, metadata)
    missing = [name for name in annotators or () if name not in known]
    if missing:
        raise ValueError(
            f"{', '.join(missing)}: no such LM annotator in the file. There are: {', '.join(sorted(known)) or 'none'}."
        )
    if not found:
        raise ValueError("no pair in the file has both a person's and a language model's label")
    return found


def _judged(item: Mapping, aspect: str, kind: str) -> list[Mapping]:
    """Judgments of this kind that compare the two responses in `aspect`, or say that they cannot."""
    return [
        judgment
        for judgment in item.get("judgments") or []
        if judgment.get("kind", "human") == kind
        and (
            judgment.get("outcome") == "cannot_judge"
            or any(row.get("aspect", "overall") == aspect for row in judgment.get("comparisons") or [])
        )
    ]


def _verdict(judgment: Mapping, aspect: str) -> _Verdict:
    probability = judgment.get("probability")
    consistent = judgment.get("order_consistent")
    side = NONE
    for row in judgment.get("comparisons") or []:
        if row.get("aspect", "overall") == aspect:
            sign = 0 if row.get("tie") else int(np.sign(row["preference"]))
            side = sign if row["first"] < row["second"] else -sign
    if side == NONE:
        probability = None
    return _Verdict(
        side,
        np.nan if probability is None else float(probability),
        -1 if consistent is None else int(consistent),
    )


def _cases_of(
    source: str, rows: list[Mapping], names: list[str], wanted: list[str], aspect: str, metadata: bool
) -> list[Case]:
    n = len(rows)
    verdicts = np.full((n, len(names)), NONE, dtype=np.int8)
    probability = np.full((n, len(names)), np.nan)
    consistent = np.full((n, len(names)), -1, dtype=np.int8)
    place = {name: k for k, name in enumerate(names)}
    people = [[_verdict(j, aspect).side for j in _judged(row, aspect, "human")] for row in rows]
    labels = np.full((n, max(map(len, people))), NONE, dtype=np.int8)
    for i, row in enumerate(rows):
        labels[i, : len(people[i])] = people[i]
        for judgment in _judged(row, aspect, "lm"):
            k, given = place[judgment["annotator"]], _verdict(judgment, aspect)
            verdicts[i, k], probability[i, k], consistent[i, k] = (
                given.side,
                given.probability,
                given.consistent,
            )
    person, truth = labels[:, 0], consensus(labels)
    use = np.flatnonzero((person != NONE) & (truth != NONE))
    if not len(use):
        return []
    texts = [
        [prompt_text(rows[i]) for i in use],
        *([str(rows[i]["responses"][side]["text"]) for i in use] for side in (0, 1)),
    ]
    _, group = np.unique(group_items([rows[i] for i in use]), return_inverse=True)
    plain, signed = pairs.pair_statistics(*texts)
    columns, column_names = _tags(texts, [rows[i].get("meta") or {} for i in use] if metadata else [])
    style, ngrams = _differences(texts)
    kernel = style @ style.T / STYLE_PENALTY + (ngrams @ ngrams.T).toarray() / NGRAM_PENALTY
    phi = _low_dimensional(kernel)
    differs = against_others(labels[use])
    result = []
    for name in wanted:
        found = signals(verdicts[use], probability[use], consistent[use], place[name])
        if (found.verdict == NONE).all():
            continue
        others = [k for k in range(len(names)) if k != place[name]]
        pool = Pool(
            signals=found,
            group=group,
            text=plain,
            text_names=pairs.NAMES,
            toward=np.column_stack(
                [pairs.toward(signed, found.verdict), _agreements(verdicts[use], found.verdict, others)]
            ),
            toward_names=(*(f"chose_{n}" for n in pairs.SIGNED), *(f"with_{names[k]}" for k in others)),
            tags=columns,
            tag_names=column_names,
            length=plain[:, pairs.NAMES.index("longer_log_words")],
            phi=phi,
        )
        result.append(
            Case(
                source=source,
                annotator=name,
                pool=pool,
                error=(found.verdict != truth[use]).astype(float),
                person_wrong=(person[use] != truth[use]).astype(float),
                truth=truth[use],
                person=person[use],
                differs=differs,
                kernel=kernel,
                left_out=n - len(use),
            )
        )
    return result


def consensus(labels: np.ndarray) -> np.ndarray:
    """Majority (more than half) of the people beside the first, int8[n]; the first's own label where they are alone.

    labels int8[n, k], `NONE` where a person gave none; `NONE` where there is no majority.
    """
    rest = labels[:, 1:]
    votes = np.stack([(rest == v).sum(axis=1) for v in (-1, 0, 1)], axis=1)
    total = votes.sum(axis=1)
    clear = votes.max(axis=1) * 2 > total
    result = np.where(clear, votes.argmax(axis=1) - 1, NONE)
    return np.where(total == 0, labels[:, 0], result).astype(np.int8)


def _agreements(verdicts: np.ndarray, mine: np.ndarray, others: list[int]) -> np.ndarray:
    """+1 where another model gives the same verdict, -1 where it gives another, 0 without one: float[n, m - 1]."""
    theirs = verdicts[:, others]
    return np.where(theirs == NONE, 0.0, np.where(theirs == mine[:, None], 1.0, -1.0))


def _tags(texts: list[list[str]], meta: list[Mapping]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Textual tags that need no model, tags that the metadata name, and low-cardinality metadata columns."""
    encoder = HashingEncoder()
    similar = cosine(encoder.encode(texts[1]), encoder.encode(texts[2]))
    textual = tags.textual(tags.text_scores(*texts, cosine=similar), len(texts[0]))
    blocks, names = [textual], list(tags.TEXTUAL_NAMES)
    if meta:
        blocks.append(tags.descriptive([{d: m[d] for d in tags.DIMENSIONS if d in m} for m in meta]))
        names += tags.DESCRIPTIVE_NAMES
        for key in sorted(
            {key for m in meta for key, value in m.items() if isinstance(value, str)} - set(tags.DIMENSIONS)
        ):
            values = [m.get(key) for m in meta]
            levels = Counter(value for value in values if isinstance(value, str))
            if len(levels) <= MAX_LEVELS:
                for level in sorted(level for level, count in levels.items() if count >= MIN_LEVEL):
                    blocks.append(np.array([[value == level] for value in values]))
                    names.append(f"{key}={level}")
    columns = np.column_stack(blocks).astype(float)
    keep = columns.any(axis=0) & ~columns.all(axis=0)
    return columns[:, keep], tuple(name for name, use in zip(names, keep, strict=True) if use)


def _differences(texts: list[list[str]]):
    """φ(second) - φ(first) of the linear reward model: standardised style float[n, 8], hashed n-grams csr."""
    style = [style_features(side) for side in texts[1:]]
    scale = np.vstack(style).std(axis=0)
    return (style[1] - style[0]) / np.where(scale > 1e-9, scale, 1.0), hashed_ngrams(
        texts[2]
    ) - hashed_ngrams(texts[1])


def _low_dimensional(kernel: np.ndarray) -> np.ndarray:
    """The leading principal coordinates of the kernel, float[n, ≤ PHI], mean square 1 a row."""
    values, vectors = np.linalg.eigh(kernel)
    top = slice(max(0, len(values) - PHI), None)
    phi = vectors[:, top] * np.sqrt(np.maximum(values[top], 0.0))
    return phi / (np.sqrt((phi**2).sum(axis=1).mean()) or 1.0)
