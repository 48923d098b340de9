"""Rewards of prompts and responses under a registered or saved model, in batches, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from scipy.special import expit

from annotations.items import readers

from . import artefacts, backends, registry
from .data import prompt_text
from .models import RewardModel

BATCH = 256
BATCH_CHARS = 4_000_000


@lru_cache(maxsize=4)
def _load(directory: Path, sha256: str) -> backends.Model:
    return backends.load(directory)


def load(model: RewardModel) -> backends.Model:
    """The scorer of a registered model, kept in memory while it is among the last four used.

    Raises `artefacts.ArtefactError` when its files are missing or not what was registered.
    """
    if broken := registry.damage(model):
        raise artefacts.ArtefactError(broken)
    return _load(registry.directory(model), model.files_sha256.get(artefacts.HEADER, ""))


def score_rows(
    scorer: backends.Model, rows: Iterable[tuple[str, Sequence[str], str]]
) -> Iterator[list[float]]:
    """Yield the rewards of each row's responses; `rows` are (prompt, responses, source), read a batch at a time.

    `source` is the item's, "" where it has none: a model of several sources scores each by its own standard.
    """
    rows = iter(rows)
    while batch := _batch(rows):
        prompts = [prompt for prompt, responses, _ in batch for _ in responses]
        texts = [text for _, responses, _ in batch for text in responses]
        sources = [source for _, responses, source in batch for _ in responses]
        rewards = iter(scorer.score(prompts, texts, sources).tolist())
        for _, responses, _ in batch:
            yield list(islice(rewards, len(responses)))


def probability(first: float, second: float) -> float:
    """P(second better) of two rewards."""
    return float(expit(second - first))


def score_file(
    scorer: backends.Model,
    path: str | Path,
    *,
    write: Callable[[dict[str, Any]], None],
    format: str | None = None,
    tick: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Score every row of a file in any readable format; `write` gets one JSON object a row, in order.

    {id, source, line, responses: [{text, score}], score (one response), probability (two: second better)}.
    Returns {rows, responses, pairs, errors: [{file, line, field, message}]}. Raises `readers.UnknownFormat`.
    """
    counts: dict[str, Any] = {"rows": 0, "responses": 0, "pairs": 0, "errors": []}
    records: list[readers.Record] = []

    def good() -> Iterator[tuple[str, list[str], str]]:
        for found in readers.read(path, format):
            if isinstance(found, readers.Problem):
                counts["errors"].append(
                    {
                        "file": Path(path).name,
                        "line": found.line,
                        "field": found.field,
                        "message": found.message,
                    }
                )
                continue
            records.append(found)
            native = {"prompt": found.prompt, "context": found.context}
            yield prompt_text(native), [response.text for response in found.responses], found.source or ""

    for rewards in score_rows(scorer, good()):
        record = records.pop(0)
        row: dict[str, Any] = {
            "id": record.external_id,
            "source": record.source,
            "line": record.line,
            "responses": [
                {"text": response.text, "score": reward}
                for response, reward in zip(record.responses, rewards, strict=True)
            ],
        }
        if len(rewards) == 1:
            row["score"] = rewards[0]
        if len(rewards) == 2:
            row["probability"] = probability(*rewards)
            counts["pairs"] += 1
        counts["rows"] += 1
        counts["responses"] += len(rewards)
        write(row)
        if tick is not None:
            tick(counts["rows"])
    return counts


def _batch(rows: Iterator[tuple[str, Sequence[str], str]]) -> list[tuple[str, Sequence[str], str]]:
    """The next rows: at most `BATCH`, fewer when their texts are long."""
    batch, size = [], 0
    for row in islice(rows, BATCH):
        batch.append(row)
        size += sum(map(len, row[1]))
        if size > BATCH_CHARS:
            break
    return batch
