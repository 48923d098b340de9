"""Linear models of data from several sources: one for each source with enough pairs, one for the rest.

Sources judge by different standards: in the bundled data the longer response wins in .74 of the pairs of one
and in .27 of another, so one set of weights for both is worse than the length of the text for either. Each
source chooses its own penalties; a text of an unknown source is scored by the model of all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from routing.rewards import artefacts, linear
from routing.rewards.data import Pairs, Ratings
from routing.rewards.lists import Lists

FORMAT = "plumbline-sourced"
MIN_PAIRS = 100
MIN_GROUPS = 5


@dataclass(frozen=True)
class SourcedModel:
    """A linear model for all texts, and one for each source that has its own.

    Attributes:
        shared: scores texts of a source without a model of its own; None while cross-fitting does not need it.
        own: {source: its model}.
        info: how they were fitted; plain JSON values.
    """

    shared: linear.LinearModel
    own: dict[str, linear.LinearModel]
    info: dict[str, Any]

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], sources: Sequence[str] | None = None
    ) -> np.ndarray:
        """Return a reward per response, float64 (n,); compare only responses scored for the same source."""
        if len(prompts) != len(responses):
            raise ValueError(f"{len(prompts)} prompts but {len(responses)} responses")
        sources = [""] * len(responses) if sources is None else list(sources)
        scores = np.empty(len(responses))
        of = np.array([source if source in self.own else "" for source in sources], dtype=object)
        for name in sorted(set(of)):
            rows = np.flatnonzero(of == name)
            model = self.own.get(name, self.shared)
            scores[rows] = model.score([prompts[i] for i in rows], [responses[i] for i in rows])
        return scores

    def probability(
        self,
        prompts: Sequence[str],
        first: Sequence[str],
        second: Sequence[str],
        sources: Sequence[str] | None = None,
    ) -> np.ndarray:
        """Return P(second better than first), float64 (n,)."""
        return expit(self.score(prompts, second, sources) - self.score(prompts, first, sources))

    def save(self, directory: str | Path) -> dict[str, Any]:
        """Write `weights.npz` and `model.json` atomically; return the manifest (see `artefacts.write`)."""
        names = sorted(self.own)
        headers, arrays = [], {}
        for number, model in enumerate([self.shared, *(self.own[name] for name in names)]):
            header, own = model.parts()
            headers.append(header)
            arrays |= {f"{number}.{key}": value for key, value in own.items()}
        header = {"format": FORMAT, "version": 1, "sources": names, "models": headers, "info": self.info}
        return artefacts.write(directory, header, arrays)


def load(directory: str | Path) -> SourcedModel:
    """Read a saved model; raise `artefacts.ArtefactError` when files are missing, altered or foreign."""
    header, arrays = artefacts.read(directory)
    if header.get("format") != FORMAT or header.get("version") != 1:
        raise artefacts.ArtefactError(f"{directory} does not hold linear models by source, version 1")
    models = []
    for number, part in enumerate(header["models"]):
        prefix = f"{number}."
        own = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
        models.append(linear.from_parts(part, own, directory))
    if len(models) != len(header["sources"]) + 1:
        raise artefacts.ArtefactError(f"{directory} names other sources than it has models of")
    return SourcedModel(models[0], dict(zip(header["sources"], models[1:], strict=True)), header["info"])


def own_sources(pairs: Pairs) -> list[str]:
    """The sources that get a model of their own: none if there is but one, else all with enough pairs."""
    names = set(pairs.dataset)
    if len(names) < 2:
        return []
    decided = Counter(name for name, ok in zip(pairs.dataset, pairs.decided, strict=True) if ok)
    groups = Counter(name for name, _ in set(zip(pairs.dataset, pairs.group, strict=True)))
    return sorted(n for n in names if n and decided[n] >= MIN_PAIRS and groups[n] >= MIN_GROUPS)


def fit(
    pairs: Pairs,
    ratings: Ratings | None = None,
    lists: Lists | None = None,
    *,
    progress: Callable[[dict[str, Any]], None] | None = None,
    **how: Any,
) -> linear.LinearModel | SourcedModel:
    """Train as `linear.fit` does; on rows of several sources, also one model for each with enough pairs."""
    names = own_sources(pairs)
    if not names:
        return linear.fit(pairs, ratings, lists, progress=progress, **how)

    def told(number: int, words: str) -> Callable[[dict[str, Any]], None] | None:
        if progress is None:
            return None
        steps = len(names) + 1
        return lambda event: progress(
            {
                **event,
                "message": f"{words}: {event['message']}",
                "fraction": (number + event["fraction"]) / steps,
            }
        )

    shared = linear.fit(pairs, ratings, lists, progress=told(0, "all sources"), **how)
    own = {}
    for number, name in enumerate(names, 1):
        mine = [
            None if table is None else table.take([source == name for source in table.dataset])
            for table in (pairs, ratings, lists)
        ]
        own[name] = linear.fit(*mine, progress=told(number, name), **how)
    info = {**shared.info, "own": {name: model.info for name, model in own.items()}}
    return SourcedModel(shared, own, info)
