"""A project's votes, read from the database once per data version and kept as arrays on disk.

`votes_of` is the one way statistics touch the database: current answers on data items that are not withdrawn.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db.models import Q, Sum

from annotations.items.models import Item, Response
from annotations.judging.models import Comparison, Judgment, LMCall, Score
from annotations.projects.models import Annotator, Project

from . import style
from .votes import COMPARISON, KINDS, SCORE, Columns, Items, Names, Votes

FORMAT = 4  # raised when the arrays' meaning changes
CHUNK = 50_000
KEPT = 1  # versions a project keeps on disk
NAN = float("nan")
UNKNOWN = "unknown"


def version_of(project: Project) -> str:
    """Names the state of the project's votes: it changes with every judgment, quarantine, withdrawal and batch.

    Three small queries: judgments are append-only, their counts per annotator are kept by the write path, and whatever
    else changes what counts raises `queue_epoch`.
    """
    latest = Judgment.objects.filter(project=project).order_by("-id").values_list("id", flat=True).first()
    who = list(Annotator.objects.filter(project=project).order_by("pk").values_list("pk", "n_judged"))
    epoch = Project.objects.values_list("queue_epoch", flat=True).get(pk=project.pk)
    state = (FORMAT, project.pk, str(project.created_at), latest, who, epoch)
    return hashlib.sha256(repr(state).encode()).hexdigest()[:20]


def n_judged(project: Project) -> int:
    """About how many judgments count, from the kept counters."""
    return Annotator.objects.filter(project=project).aggregate(n=Sum("n_judged"))["n"] or 0


def votes_of(project: Project, tick: Callable[[int], None] = lambda n: None) -> Votes:
    """The project's votes in their current version, from disk where they were read before (memory-mapped)."""
    version = version_of(project)
    folder = _root(project) / version
    if not (folder / "meta.json").exists():
        _save(replace(read(project, tick), version=version), folder)
        _forget(project, keep=version)
    # Names are not kept on disk, so that nothing of an erased person stays there.
    names = names_of(project)
    votes = load(folder)
    return replace(votes, annotators=tuple(names.get(pk, UNKNOWN) for pk in votes.ids))


def names_of(project: Project) -> dict[int, str]:
    """Everybody's name by id, as it is now."""
    return dict(Annotator.objects.filter(project=project).values_list("pk", "name"))


def has(project: Project) -> bool:
    """Whether the current version is on disk."""
    return (_root(project) / version_of(project) / "meta.json").exists()


def with_styles(project: Project, votes: Votes, tick: Callable[[int], None] = lambda n: None) -> Votes:
    """The votes with the form of every response, read from the texts once and kept beside them."""
    path = _root(project) / votes.version / "styles.npy"
    if not path.exists():
        styles = _read_styles(votes, tick)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{os.getpid()}.npy")
        np.save(part, styles)
        os.replace(part, path)
    return replace(votes, styles=np.load(path, mmap_mode="r"))


def read(project: Project, tick: Callable[[int], None] = lambda n: None) -> Votes:
    """Read everything. Memory: the arrays, plus one chunk of rows."""
    annotators = [
        # A rule that judges without reading (the longer wins) is no model among models.
        (pk, name, "baseline" if isinstance(meta, dict) and meta.get("backend") == "baseline" else kind)
        for pk, name, kind, meta in Annotator.objects.filter(project=project)
        .order_by("pk")
        .values_list("pk", "name", "kind", "meta")
    ]
    who = np.array([pk for pk, _, _ in annotators], dtype=np.int64)
    items, sources, batches, models = _items(project)
    aspects, attributes = Names(), Names()
    parts = list(_comparisons(project, items.ids, who, aspects, tick))
    scores = list(_scores(project, items.ids, who, attributes, tick))
    unjudged = Judgment.objects.filter(
        project=project, is_current=True, outcome=Judgment.Outcome.CANNOT_JUDGE
    ).count()
    return Votes(
        items=items,
        comparisons=_together(parts, COMPARISON),
        scores=_together(scores, SCORE),
        annotators=tuple(name for _, name, _ in annotators),
        kinds=np.array([KINDS.index(kind) for _, _, kind in annotators], dtype=np.int8),
        aspects=aspects.all(),
        attributes=attributes.all(),
        models=models,
        sources=sources,
        batches=batches,
        ids=tuple(pk for pk, _, _ in annotators),
        unjudged=unjudged,
    )


def _together(parts: list[np.ndarray], dtype: np.dtype) -> Columns:
    if not parts:
        return Columns.empty(dtype)
    arrays = {}
    for name in dtype.names:
        arrays[name] = np.concatenate([part[name] for part in parts])
    return Columns(arrays)


def _items(project: Project) -> tuple[Items, tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    judged = Item.objects.filter(
        Q(n_human__gt=0) | Q(n_lm__gt=0),
        project=project,
        purpose=Item.Purpose.DATA,
        withdrawn_at__isnull=True,
    ).order_by("pk")
    sources, batches, models = Names(), Names(), Names()
    ids, source, batch, width = [], [], [], []
    rows = judged.values_list("pk", "source", "batch__name", "n_responses")
    for pk, name, batch_name, n in rows.iterator(chunk_size=CHUNK):
        ids.append(pk)
        source.append(sources.code(name))
        batch.append(batches.code(batch_name or ""))
        width.append(n)
    keys = np.array(ids, dtype=np.int64)
    offset = np.concatenate([[0], np.cumsum(np.array(width, dtype=np.int64))]).astype(np.int64)
    model = np.full(int(offset[-1]), -1, dtype=np.int32)
    named = Response.objects.filter(item__project=project).exclude(model="").order_by()
    for item, index, name in named.values_list("item_id", "index", "model").iterator(chunk_size=CHUNK):
        code = int(np.searchsorted(keys, item))
        if code < len(keys) and keys[code] == item:
            model[offset[code] + index] = models.code(name)
    items = Items(keys, np.array(source, dtype=np.int32), np.array(batch, dtype=np.int32), offset, model)
    return items, sources.all() or ("",), batches.all() or ("",), models.all()


def _chunks(rows) -> Iterator[list[tuple]]:
    source = rows.iterator(chunk_size=CHUNK)
    while some := [list(column) for column in zip(*islice(source, CHUNK), strict=True)]:
        yield some


def _comparisons(project, ids, who, aspects: Names, tick) -> Iterator[np.ndarray]:
    rows = Comparison.objects.filter(
        judgment__project=project, judgment__is_current=True, judgment__outcome=Judgment.Outcome.ANSWERED
    ).order_by("judgment_id", "pk")
    rows = rows.values_list(
        "judgment__item_id", "judgment__annotator_id", "aspect", "first", "second", "preference", "scale_max",
        "judgment__presented_order", "judgment__order_consistent", "judgment__probability",
        "judgment__created_at", "judgment__active_ms", "judgment__propensity",
    )  # fmt: skip
    shown: dict[tuple[str, int, int], int] = {}
    done = 0
    for (
        item,
        annotator,
        aspect,
        first,
        second,
        preference,
        scale,
        order,
        same,
        p,
        at,
        ms,
        propensity,
    ) in _chunks(rows):
        chunk = np.empty(len(item), COMPARISON)
        known = _codes(chunk, item, annotator, ids, who)
        chunk["aspect"] = [aspects.code(name) for name in aspect]
        chunk["first"], chunk["second"] = first, second
        chunk["strength"] = [value or 0 for value in preference]
        chunk["verdict"] = np.sign(chunk["strength"])
        chunk["scale"] = [value or 0 for value in scale]
        chunk["shown"] = [_shown(shown, key) for key in zip(order, first, second, strict=True)]
        chunk["consistent"] = [-1 if value is None else int(value) for value in same]
        chunk["probability"] = [NAN if value is None else value for value in p]
        chunk["at"] = [int(value.timestamp()) for value in at]
        chunk["seconds"] = [NAN if value is None else value / 1000 for value in ms]
        chunk["propensity"] = propensity
        done += len(item)
        tick(done)
        yield chunk[known]


def _shown(seen: dict, key: tuple[str, int, int]) -> int:
    """1 where the first response stood left of the second, -1 where right, 0 where not known."""
    found = seen.get(key)
    if found is None:
        order, a, b = key[0], order_place(key[0], key[1]), order_place(key[0], key[2])
        found = seen[key] = 0 if not order or a < 0 or b < 0 else 1 if a < b else -1
    return found


def order_place(order: str, index: int) -> int:
    """Where a response stood in `presented_order`, -1 where it did not."""
    return order.find(str(index))


def _scores(project, ids, who, attributes: Names, tick) -> Iterator[np.ndarray]:
    rows = Score.objects.filter(
        judgment__project=project, judgment__is_current=True, judgment__outcome=Judgment.Outcome.ANSWERED
    ).order_by("judgment_id", "pk")
    rows = rows.values_list(
        "judgment__item_id", "judgment__annotator_id", "attribute", "response", "value", "judgment__created_at",
        "judgment__propensity",
    )  # fmt: skip
    done = 0
    for item, annotator, attribute, response, value, at, propensity in _chunks(rows):
        chunk = np.empty(len(item), SCORE)
        known = _codes(chunk, item, annotator, ids, who)
        chunk["attribute"] = [attributes.code(name) for name in attribute]
        chunk["response"], chunk["value"], chunk["propensity"] = response, value, propensity
        chunk["at"] = [int(moment.timestamp()) for moment in at]
        done += len(item)
        tick(done)
        yield chunk[known]


def _codes(chunk: np.ndarray, item: list, annotator: list, ids: np.ndarray, who: np.ndarray) -> np.ndarray:
    """Fill in codes of items and annotators; returns which rows are of items that count."""
    chunk["annotator"] = np.searchsorted(who, annotator)
    given = np.array(item, dtype=np.int64)
    place = np.searchsorted(ids, given)
    known = place < len(ids)
    known[known] = ids[place[known]] == given[known]
    chunk["item"] = np.where(known, place, 0)
    return known


def _read_styles(votes: Votes, tick) -> np.ndarray:
    ids, offset = votes.items.ids, votes.items.offset
    found = np.zeros((int(offset[-1]), len(style.NAMES)), dtype=np.float32)
    for start in range(0, len(ids), 500):
        some = np.asarray(ids[start : start + 500])
        rows = Response.objects.filter(item_id__in=some.tolist()).values_list("item_id", "index", "text")
        item, index, text = zip(*rows, strict=True) if some.size else ((), (), ())
        place = offset[start + np.searchsorted(some, item)] + np.array(index)
        found[place] = style.counts(text)
        tick(start + len(some))
    return found


def contradictions(project: Project) -> dict[int, list[dict[str, str]]]:
    """{annotator id: [{"ab": label, "ba": label}]} of models' current judgments whose two orders contradict."""
    rows = (
        LMCall.objects.filter(
            judgment__project=project, judgment__order_consistent=False, judgment__is_current=True
        )
        .order_by("judgment_id")
        .values_list("judgment__annotator_id", "judgment_id", "order", "label")
    )
    calls: dict[int, dict[int, dict[str, str]]] = {}
    for annotator, judgment, order, label in rows.iterator(chunk_size=5000):
        calls.setdefault(annotator, {}).setdefault(judgment, {})[order] = label
    return {annotator: list(found.values()) for annotator, found in calls.items()}


# --- On disk ------------------------------------------------------------------------------------------------
def _root(project: Project) -> Path:
    return Path(settings.VOTES_DIR) / str(project.pk)


def remove_files(project: Project) -> None:
    """Remove the project's arrays from the disk."""
    shutil.rmtree(_root(project), ignore_errors=True)


def _save(votes: Votes, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
    try:
        for prefix, columns in (("c", votes.comparisons), ("s", votes.scores)):
            for name, array in columns.items():
                np.save(part / f"{prefix}-{name}.npy", array)
        for name in ("ids", "source", "batch", "offset", "model"):
            np.save(part / f"i-{name}.npy", getattr(votes.items, name))
        np.save(part / "kinds.npy", votes.kinds)
        words = ("aspects", "attributes", "models", "sources", "batches", "ids")
        meta = {name: list(getattr(votes, name)) for name in words}
        meta |= {"version": votes.version, "unjudged": votes.unjudged}
        (part / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
        os.replace(part, folder)
    except OSError:
        if not (folder / "meta.json").exists():  # another process was first, which is as good
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load(folder: Path) -> Votes:
    """Votes from a folder of `_save`, without names; arrays are memory-mapped and read-only."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))

    def columns(prefix: str, dtype: np.dtype) -> Columns:
        return Columns({name: _array(folder / f"{prefix}-{name}.npy") for name in dtype.names})

    items = Items(
        *(_array(folder / f"i-{name}.npy") for name in ("ids", "source", "batch", "offset", "model"))
    )
    words = ("aspects", "attributes", "models", "sources", "batches", "ids")
    return Votes(
        items=items,
        comparisons=columns("c", COMPARISON),
        scores=columns("s", SCORE),
        annotators=(),
        kinds=np.load(folder / "kinds.npy"),
        version=meta["version"],
        unjudged=meta["unjudged"],
        **{name: tuple(meta[name]) for name in words},
    )


def _array(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="r")


def _forget(project: Project, keep: str) -> None:
    """Remove all but the newest versions, and what deleted projects left; open files live until their reader ends."""
    folders = [path for path in _root(project).iterdir() if path.is_dir() and path.name != keep]
    for path in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
    kept = {path.name: path for path in Path(settings.VOTES_DIR).iterdir() if path.name.isdecimal()}
    there = set(Project.objects.filter(pk__in=[int(name) for name in kept]).values_list("pk", flat=True))
    for name, path in kept.items():
        if int(name) not in there:  # the project was deleted
            shutil.rmtree(path, ignore_errors=True)
