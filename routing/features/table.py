"""The feature table: one columnar row per content hash, kept in Parquet parts; nothing is computed twice. Pure.

A row is a pair's statistics (`pairs`), signed ones as second - first, and whether a response speaks to the judge. Rows are
keyed by the sha256 of prompt and responses, so copies share a row and a changed text gets a new one. Parts are written beside
their place and renamed; a table of another `VERSION` is another folder. A million rows take about 130 MB in memory.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import pairs

VERSION = "pairs-1"
COLUMNS = (*pairs.NAMES, *(f"signed_{name}" for name in pairs.SIGNED), "injected")
MAX_PARTS = 16
_KEY = "S32"


def keys(hashes: Sequence[str]) -> np.ndarray:
    """Hex sha256 as an array of 32 bytes each. Raises ValueError for anything else."""
    digests = [bytes.fromhex(value) for value in hashes]
    if any(len(digest) != 32 for digest in digests):
        raise ValueError("content hashes: expected sha256 in hexadecimal")
    return np.array(digests, dtype=_KEY) if digests else np.zeros(0, dtype=_KEY)


def compute(
    prompts: Sequence[str], first: Sequence[str], second: Sequence[str], injected: Sequence[bool]
) -> np.ndarray:
    """Rows of n pairs, float32[n, len(COLUMNS)]."""
    plain, signed = pairs.pair_statistics(prompts, first, second)
    return np.column_stack([plain, signed, np.asarray(injected, dtype=np.float32)])


def split(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(statistics, signed differences, injected bool[n]) of rows."""
    plain = len(pairs.NAMES)
    return rows[:, :plain], rows[:, plain:-1], rows[:, -1] > 0


@dataclass
class FeatureTable:
    """A table on disk: `load` reads it, `missing` and `rows` ask it, `add` extends it in memory, `save` writes what is new."""

    folder: Path
    index: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=_KEY))
    values: np.ndarray = field(default_factory=lambda: np.zeros((0, len(COLUMNS)), dtype=np.float32))
    _fresh: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    @classmethod
    def load(cls, root: str | Path) -> FeatureTable:
        """The table below `root`, empty if there is none. A part that cannot be read is left out, and computed again."""
        import pyarrow as pa  # heavy, and only plans need it
        import pyarrow.parquet as pq

        table = cls(Path(root) / VERSION)
        found = []
        for path in sorted(table.folder.glob("*.parquet")) if table.folder.is_dir() else ():
            try:
                part = pq.read_table(path, columns=["content", *COLUMNS])
            except (OSError, KeyError, pa.ArrowException):
                continue
            content = pa.concat_arrays(part["content"].chunks) if len(part) else None
            if content is None or content.type != pa.binary(32):
                continue
            digests = np.frombuffer(content.buffers()[1], dtype=_KEY)[content.offset :][: len(content)]
            values = np.column_stack([part[name].to_numpy() for name in COLUMNS]).astype(np.float32)
            found.append((digests, values))
        table._merge(found)
        return table

    def __len__(self) -> int:
        return len(self.index)

    def missing(self, wanted: np.ndarray) -> np.ndarray:
        """Positions of the wanted keys that the table does not hold, the first of each key only."""
        _, first = np.unique(wanted, return_index=True)
        first = np.sort(first)
        return first[~self._has(wanted[first])[0]]

    def rows(self, wanted: np.ndarray) -> np.ndarray:
        """float32[n, len(COLUMNS)] of the wanted keys. Raises KeyError if one is missing."""
        has, place = self._has(wanted)
        if not has.all():
            raise KeyError(f"{int((~has).sum())} of {len(wanted)} contents are not in the table")
        return self.values[place]

    def read_through(
        self,
        hashes: Sequence[str],
        texts: Callable[[np.ndarray], tuple[Sequence, Sequence, Sequence, Sequence]],
    ) -> np.ndarray:
        """Rows of these contents; `texts(positions)` gives (prompts, first, second, injected) of what is missing only.

        What is computed is in the table after `save`, so that a long reading sorts the table once.
        """
        wanted = keys(hashes)
        has, place = self._has(wanted)
        result = np.empty((len(wanted), len(COLUMNS)), dtype=np.float32)
        result[has] = self.values[place[has]]
        if not has.all():
            new, first, again = np.unique(wanted[~has], return_index=True, return_inverse=True)
            values = compute(*texts(np.flatnonzero(~has)[first]))
            self._fresh.append((new, values))
            result[~has] = values[again]
        return result

    def add(self, new: np.ndarray, values: np.ndarray) -> None:
        """Add rows of keys that are missing; they are on disk after `save`."""
        self._fresh.append((new, values))
        self._merge([(new, values)])

    def save(self) -> None:
        """Write what was added as one part; many parts become one. Other processes may save at the same time."""
        if not self._fresh:
            return
        index, values = (np.concatenate(columns) for columns in zip(*self._fresh, strict=True))
        index, first = np.unique(index, return_index=True)
        values = values[first]
        self._merge([(index, values)])
        self._fresh.clear()
        parts = list(self.folder.glob("*.parquet")) if self.folder.is_dir() else []
        if len(parts) < MAX_PARTS:
            self._write(index, values)
        else:
            self._write(self.index, self.values)
            for path in parts:
                path.unlink(missing_ok=True)

    def _has(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        place = np.searchsorted(self.index, wanted)
        inside = np.minimum(place, max(len(self.index) - 1, 0))
        return (
            self.index[inside] == wanted if len(self.index) else np.zeros(len(wanted), dtype=bool)
        ), inside

    def _merge(self, more: list[tuple[np.ndarray, np.ndarray]]) -> None:
        if not more:
            return
        index = np.concatenate([self.index, *(part for part, _ in more)])
        values = np.concatenate([self.values, *(part for _, part in more)])
        self.index, first = np.unique(index, return_index=True)
        self.values = values[first]

    def _write(self, index: np.ndarray, values: np.ndarray) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.folder.mkdir(parents=True, exist_ok=True)
        digests = np.frombuffer(index.astype(_KEY).tobytes(), dtype=np.uint8).reshape(-1, 32)
        content = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(32), len(index), [None, pa.py_buffer(digests.tobytes())]
        )
        table = pa.table(
            {"content": content, **{name: values[:, k] for k, name in enumerate(COLUMNS)}},
        )
        name = uuid.uuid4().hex
        partial = self.folder / f".{name}.part"
        pq.write_table(table, partial, compression="zstd")
        os.replace(partial, self.folder / f"{name}.parquet")
