"""Everybody's votes as columns of whole numbers: what all statistics read. Pure: no Django.

`stored.read` fills them from the database, `files.read` from a file; nothing else turns judgments into arrays. Ten
million comparisons take about 350 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

FIRST, TIE, SECOND = -1, 0, 1
KINDS = ("human", "lm", "reward_model", "baseline")
HUMAN, LM, REWARD_MODEL, BASELINE = range(4)

COMPARISON = np.dtype(
    [
        ("item", "i4"),
        ("annotator", "i4"),
        ("aspect", "i2"),
        ("first", "i1"),
        ("second", "i1"),
        ("verdict", "i1"),  # -1 first better, 0 tie, 1 second better
        ("strength", "i1"),  # signed preference on its scale, 0 for a tie
        ("scale", "i1"),  # the scale's maximum, 0 for a tie
        ("shown", "i1"),  # 1 first response stood left, -1 right, 0 not known
        ("consistent", "i1"),  # both orders of a model agree: 1, 0, -1 not known
        ("probability", "f4"),  # P(second better), NaN where not given
        ("at", "i8"),  # seconds since 1970, 0 where not known
        ("seconds", "f4"),  # active time, NaN where not known
        ("propensity", "f4"),  # with which the item went to this kind of annotator
    ]
)
SCORE = np.dtype(
    [
        ("item", "i4"),
        ("annotator", "i4"),
        ("attribute", "i2"),
        ("response", "i1"),
        ("value", "f4"),
        ("at", "i8"),
        ("propensity", "f4"),
    ]
)


class Columns:
    """Equally long arrays by name; `columns[mask]` selects rows, `columns.item` is one column."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self._arrays = arrays

    def __getattr__(self, name: str) -> np.ndarray:
        try:
            return self.__dict__["_arrays"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __len__(self) -> int:
        return len(next(iter(self._arrays.values())))

    def __getitem__(self, rows) -> Columns:
        return Columns({name: array[rows] for name, array in self._arrays.items()})

    def items(self) -> Iterable[tuple[str, np.ndarray]]:
        """(name, array) of each column."""
        return self._arrays.items()

    @classmethod
    def empty(cls, dtype: np.dtype) -> Columns:
        return cls({name: np.empty(0, dtype[name]) for name in dtype.names})


@dataclass(frozen=True)
class Items:
    """The items votes speak of, by code.

    ids: external or database ids; source, batch: codes of `Votes.sources` and `Votes.batches`; offset: where an item's
    responses begin, int64[n + 1]; model: who wrote each response, a code of `Votes.models`, -1 where not known.
    """

    ids: np.ndarray | Sequence
    source: np.ndarray
    batch: np.ndarray
    offset: np.ndarray
    model: np.ndarray

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class Votes:
    """Current votes on a set of items. Annotators that are people, models and reward models stand in one list."""

    items: Items
    comparisons: Columns
    scores: Columns
    annotators: tuple[str, ...]
    kinds: np.ndarray
    """int8 per annotator, an index of KINDS."""
    aspects: tuple[str, ...]
    attributes: tuple[str, ...]
    models: tuple[str, ...]
    sources: tuple[str, ...]
    batches: tuple[str, ...] = ("",)
    styles: np.ndarray | None = None
    """float32[responses, len(style.NAMES)], see `style.counts`; None where texts were not read."""
    ids: tuple[int, ...] = ()
    """Database ids of the annotators."""
    version: str = ""
    unjudged: int = 0
    """Judgments without a verdict (cannot judge), left out of everything here."""

    def of_source(self, code: int) -> Votes:
        """The votes on the items of one source; items keep their codes."""
        if len(self.sources) == 1:
            return self
        return replace(
            self,
            comparisons=self.comparisons[self.items.source[self.comparisons.item] == code],
            scores=self.scores[self.items.source[self.scores.item] == code],
            sources=(self.sources[code],),
        )

    def by_source(self) -> Iterator[tuple[str, Votes]]:
        """(name, votes) per source that has votes, in the order they came."""
        for code, name in enumerate(self.sources):
            part = self.of_source(code)
            if len(part.comparisons) or len(part.scores):
                yield name, part

    def responses(self, item: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Rows of the response table (`Items.model`, `styles`) of these items' responses."""
        return self.items.offset[item] + index


@dataclass
class Names:
    """Texts to codes in the order they first came."""

    codes: dict[str, int] = field(default_factory=dict)

    def code(self, name: str) -> int:
        return self.codes.setdefault(name, len(self.codes))

    def all(self) -> tuple[str, ...]:
        return tuple(self.codes)


FLUSH = 50_000


class Builder:
    """Collects items and votes row by row in bounded memory and makes `Votes` of them."""

    def __init__(self) -> None:
        self.aspects, self.attributes, self.models = Names(), Names(), Names()
        self.sources, self.batches = Names(), Names()
        self.annotators: dict[tuple[str, str], int] = {}
        self.ids: list = []
        self.unjudged = 0
        self.style_parts: list[np.ndarray] = []
        self._source: list[int] = []
        self._batch: list[int] = []
        self._width: list[int] = []
        self._model: list[int] = []
        self.comparisons, self.scores = _Table(COMPARISON), _Table(SCORE)

    def annotator(self, name: str, kind: str) -> int:
        """The code of an annotator."""
        return self.annotators.setdefault((name, kind), len(self.annotators))

    def item(self, key, *, source: str, models: Sequence[str], batch: str = "") -> int:
        """Add an item with the models that wrote its responses ("" where not known); returns its code."""
        self.ids.append(key)
        self._source.append(self.sources.code(source))
        self._batch.append(self.batches.code(batch))
        self._width.append(len(models))
        self._model.extend(self.models.code(name) if name else -1 for name in models)
        return len(self.ids) - 1

    def build(self, *, version: str = "", ids: Sequence[int] = ()) -> Votes:
        """The votes; aspects of no vote and the like are kept as they came."""
        names = tuple(name for name, _ in self.annotators)
        kinds = np.array([KINDS.index(kind) for _, kind in self.annotators], dtype=np.int8)
        items = Items(
            ids=self.ids,
            source=np.array(self._source, dtype=np.int32),
            batch=np.array(self._batch, dtype=np.int32),
            offset=np.concatenate([[0], np.cumsum(self._width, dtype=np.int64)]).astype(np.int64),
            model=np.array(self._model, dtype=np.int32),
        )
        return Votes(
            items=items,
            comparisons=self.comparisons.columns(),
            scores=self.scores.columns(),
            annotators=names,
            kinds=kinds,
            aspects=self.aspects.all(),
            attributes=self.attributes.all(),
            models=self.models.all(),
            sources=self.sources.all() or ("",),
            batches=self.batches.all() or ("",),
            styles=np.concatenate(self.style_parts) if self.style_parts else None,
            ids=tuple(ids),
            version=version,
            unjudged=self.unjudged,
        )


class _Table:
    """Rows of one dtype, packed every FLUSH rows."""

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype
        self.rows: list[tuple] = []
        self.parts: list[np.ndarray] = []

    def add(self, row: tuple) -> None:
        self.rows.append(row)
        if len(self.rows) >= FLUSH:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            self.parts.append(np.array(self.rows, dtype=self.dtype))
            self.rows = []

    def columns(self) -> Columns:
        self.flush()
        if not self.parts:
            return Columns.empty(self.dtype)
        arrays = {name: np.concatenate([part[name] for part in self.parts]) for name in self.dtype.names}
        self.parts = []
        return Columns(arrays)
