"""What changed between two snapshots of one project: items, judgments, verdicts, and what they were made with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.jobs import runner
from app.jobs.models import Job

from . import aggregate, snapshots
from .models import Snapshot
from .rows import RESERVED

SHOWN = 200
REPORT_EVERY = 500
EMPTY = {"judgments": []}


class NotComparable(ValueError):
    """The two are of different projects."""


def diff(before: Snapshot, after: Snapshot, *, report: Callable[[int, int], None] | None = None) -> dict:
    """Compare two ready snapshots row by row, in one pass over both, in flat memory.

    Returns {from, to, items, judgments, verdicts, splits, query, versions, first}:

    - `items`: how many were `added`, `removed`, `changed` (anything in the row differs) and are the `same`
    - `judgments`: `added` and `removed` by id; `changed`: the same id says something else, which only erasure of a
      person and a review may bring about
    - `verdicts`: pairs judged in both whose majority in the aspect `overall` is another one (`changed`), of how many
    - `splits`: items that moved to another split, 0 by design
    - `first`: the first 200 items that differ, with what differs

    Raises NotComparable, snapshots.NotReady, snapshots.SnapshotDamaged.
    """
    if before.project_id != after.project_id:
        raise NotComparable(f"{before.public_id} and {after.public_id} are of different projects.")
    told = _Told()
    total = max(before.n_items, after.n_items)
    for n, (old, new) in enumerate(_pairs(before, after), 1):
        told.add(old, new)
        if report is not None and n % REPORT_EVERY == 0:
            report(n, max(n, total))
    return {
        "from": before.public_id,
        "to": after.public_id,
        "items": told.items,
        "judgments": told.judgments,
        "verdicts": told.verdicts,
        "splits": {"moved": told.moved},
        "query": _differing(before.query, after.query),
        "versions": {
            name: _differing(before.versions.get(name, {}), after.versions.get(name, {}))
            for name in sorted({*before.versions, *after.versions})
        },
        "first": told.first,
    }


def start(*, before: Snapshot, after: Snapshot, actor) -> Job:
    """Start the Job that compares them; its result is the difference. Raises NotComparable, snapshots.NotReady."""
    if before.project_id != after.project_id:
        raise NotComparable(f"{before.public_id} and {after.public_id} are of different projects.")
    for each in (before, after):
        if each.state != Snapshot.State.READY:
            raise snapshots.NotReady(f"{each.public_id} is {each.get_state_display().lower()}, not ready.")
    return runner.start(
        kind="datasets.diff",
        title=f"Compare snapshots {before.number} and {after.number}",
        args={"before_id": before.pk, "after_id": after.pk},
        scope=after.project.slug,
        actor=actor,
    )


def _pairs(before: Snapshot, after: Snapshot) -> Iterator[tuple[dict | None, dict | None]]:
    """Rows of both, side by side: snapshots are written in the order of the items' keys. Equal lines are one dict."""
    left, right = snapshots.open_lines(before), snapshots.open_lines(after)
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        if a == b:
            row = snapshots.parse_line(a)
            yield row, row
            a, b = next(left, None), next(right, None)
            continue
        old = snapshots.parse_line(a) if a is not None else None
        new = snapshots.parse_line(b) if b is not None else None
        old_key, new_key = _key(old), _key(new)
        if old_key <= new_key:
            a = next(left, None)
        if new_key <= old_key:
            b = next(right, None)
        yield (old if old_key <= new_key else None), (new if new_key <= old_key else None)


def _key(row: dict | None) -> float:
    return float("inf") if row is None else row[RESERVED]["item"]


class _Told:
    """The counts, as rows go by."""

    def __init__(self) -> None:
        self.items = dict.fromkeys(("added", "removed", "changed", "same"), 0)
        self.judgments = dict.fromkeys(("added", "removed", "changed"), 0)
        self.verdicts = {"changed": 0, "of": 0}
        self.moved = 0
        self.first: list[dict] = []

    def add(self, old: dict | None, new: dict | None) -> None:
        if old is new:
            self.items["same"] += 1
            self.verdicts["of"] += len(_verdicts(old))
            return
        what = "added" if old is None else "removed" if new is None else "changed"
        self.items[what] += 1
        was = {judgment["id"]: judgment for judgment in (old or EMPTY)["judgments"]}
        now = {judgment["id"]: judgment for judgment in (new or EMPTY)["judgments"]}
        change = {
            "added": len(now.keys() - was.keys()),
            "removed": len(was.keys() - now.keys()),
            "changed": sum(was[pk] != now[pk] for pk in was.keys() & now.keys()),
        }
        for name, n in change.items():
            self.judgments[name] += n
        flipped = []
        if old is not None and new is not None:
            then, since = _verdicts(old), _verdicts(new)
            both = then.keys() & since.keys()
            self.verdicts["of"] += len(both)
            flipped = [
                [*pair[:2], then[pair], since[pair]] for pair in sorted(both) if then[pair] != since[pair]
            ]
            self.verdicts["changed"] += len(flipped)
            self.moved += old[RESERVED]["split"] != new[RESERVED]["split"]
        if len(self.first) < SHOWN:
            row = new or old
            self.first.append(
                {
                    "item": row[RESERVED]["item"],
                    "id": row["id"],
                    "what": what,
                    "judgments": change,
                    "verdicts": flipped,
                }
            )


def _verdicts(row: dict) -> dict[tuple[int, int, str], str]:
    """(first, second, kind of annotator) → the majority's verdict in the aspect `overall`."""
    return {
        (*pair, kind): aggregate.aggregate(votes)[0]
        for pair, kind, _, votes in aggregate.votes_of(row)
        if votes
    }


def _differing(before: dict, after: dict) -> dict:
    """{key: [before, after]} of what is not equal."""
    keys = sorted({*before, *after})
    return {key: [before.get(key), after.get(key)] for key in keys if before.get(key) != after.get(key)}
