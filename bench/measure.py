"""What a measurement needs: CPU and memory of processes from /proc, medians, tables."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import psycopg

from tests.faults.harness import Site, group_of

TICKS = os.sysconf("SC_CLK_TCK")
SQLITE = "sqlite"


def cpu_seconds(pids: Iterable[int]) -> dict[int, float]:
    """{pid: user + system seconds so far, with those of children that ended}."""
    found = {}
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[pid] = sum(int(field) for field in fields[11:15]) / TICKS
    return found


def spent(before: dict[int, float], after: dict[int, float]) -> float:
    """Seconds between two readings; a process that is new counts whole, one that is gone up to its last reading."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def peak_mb(pids: Iterable[int]) -> float:
    """The sum of the processes' highest resident sizes, in MB (10^6 bytes); shared pages count in each."""
    kilobytes = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                kilobytes += int(line.split()[1])
    return kilobytes * 1024 / 1e6


def database_pids(site: Site) -> list[int]:
    """The PostgreSQL backends that serve this site; none on SQLite, whose work is done in the web processes."""
    if not site.is_postgres:
        return []
    with psycopg.connect(site.url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    return [pid for (pid,) in rows if Path(f"/proc/{pid}").exists()]


class Meter:
    """CPU of a process group and of the database's backends, from `start` to `stop`."""

    def __init__(self, site: Site, group: int):
        self.site, self.group = site, group

    def start(self) -> None:
        self._web = cpu_seconds(group_of(self.group))
        self._database = cpu_seconds(database_pids(self.site))

    def stop(self) -> tuple[float, float]:
        """(seconds of the group, seconds of the database's own processes)."""
        web = spent(self._web, cpu_seconds(group_of(self.group)))
        return web, spent(self._database, cpu_seconds(database_pids(self.site)))


def quantile(values: Sequence[float], q: float) -> float:
    """The value below which a share q of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table with aligned columns, the first to the left, the others to the right."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]

    def line(row: list[str]) -> str:
        parts = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        return "| " + " | ".join(parts) + " |"

    rule = (
        "|" + "|".join("-" * (width + 1) + ("-" if n == 0 else ":") for n, width in enumerate(widths)) + "|"
    )
    return "\n".join([line(cells[0]), rule, *(line(row) for row in cells[1:])])


def machine() -> str:
    """What it ran on, in a line."""
    load = ", ".join(f"{part:.1f}" for part in os.getloadavg())
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, load {load}"
