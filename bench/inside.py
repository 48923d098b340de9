"""One import or export in a process of its own, measured from within.

python -m bench.inside NAME '{"…": …}'        prints one JSON object
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import django


class Clock:
    """Wall and CPU seconds of a block, and by how much it raised the process's highest memory use."""

    def __enter__(self) -> Clock:
        self._memory = _peak_mb()
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        self.peak = _peak_mb()

    def facts(self, **more: object) -> dict:
        return {"wall": self.wall, "cpu": self.cpu, "start_mb": self._memory, "peak_mb": self.peak, **more}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def parse(*, file: str) -> dict:
    """The floor: read the file line by line and parse its JSON."""
    rows = 0
    with Clock() as clock, open(file, encoding="utf-8") as lines:
        for line in lines:
            json.loads(line)
            rows += 1
    return clock.facts(rows=rows)


def import_file(*, slug: str, file: str) -> dict:
    """Import a native file into a new project."""
    from annotations.items import readers
    from annotations.judging.importing import import_records
    from annotations.projects import presets, setup

    project = setup.create_project(
        name=slug, slug=slug, owner=None, definition=presets.PRESETS["arena4"], seed=3
    )
    with Clock() as clock:
        report = import_records(project=project, records=readers.read(file, "native"), origin_label=file)
    if report.errors_total:
        raise SystemExit(f"{report.errors_total} errors, first {report.errors[0]}")
    return clock.facts(rows=report.new, judgments=report.judgments)


def freeze(*, slug: str) -> dict:
    """Freeze the project: the pass through the database."""
    from annotations.datasets.snapshots import freeze_now
    from annotations.projects.models import Project

    project = Project.objects.get(slug=slug)
    with Clock() as clock:
        snapshot = freeze_now(project=project)
    return clock.facts(rows=snapshot.n_items, judgments=snapshot.n_judgments)


def export(*, slug: str, format: str, container: str, out: str) -> dict:
    """Write the project's latest snapshot in one format."""
    from annotations.datasets.export import write_export
    from annotations.datasets.models import Snapshot

    snapshot = Snapshot.objects.filter(project__slug=slug, state="ready").order_by("-number").first()
    with Clock() as clock:
        manifest = write_export(
            snapshot=snapshot, format=format, container=container, folder=Path(out), replace=True
        )
    return clock.facts(rows=manifest["rows"], items=snapshot.n_items, judgments=snapshot.n_judgments)


def pandas_read(*, files: list[str]) -> dict:
    """pandas' own reader of the same files."""
    import pandas as pd

    with Clock() as clock:
        rows = sum(len(_frame(pd, file)) for file in files)
    return clock.facts(rows=rows)


def pandas_write(*, files: list[str], out: str) -> dict:
    """pandas' own writer of the same rows; reading them first is not timed, but its memory is counted."""
    import pandas as pd

    idle = _peak_mb()
    frame = pd.concat([_frame(pd, file) for file in files])
    with Clock() as clock:
        if files[0].endswith(".parquet"):
            frame.to_parquet(out, compression="zstd", index=False)
        else:
            frame.to_json(out, orient="records", lines=True, force_ascii=False)
    return clock.facts(rows=len(frame)) | {"start_mb": idle}


def _frame(pandas, file: str):
    return pandas.read_parquet(file) if file.endswith(".parquet") else pandas.read_json(file, lines=True)


def main() -> None:
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    django.setup()
    print(json.dumps(globals()[name](**arguments)))


if __name__ == "__main__":
    main()
