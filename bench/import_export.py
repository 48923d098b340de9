"""Import and export: rows and judgments a second, and peak memory above the idle process at 1 × and 5 × the rows.

    python -m bench.import_export --rows 10000
    python -m bench.import_export --database sqlite postgres://postgres@127.0.0.1:5432/postgres
    python -m bench.import_export --rows 40000 --runs 1 --database postgres://…      1,000,000 judgments at 5 ×

The rows are UKP argument pairs with five people each, where ../shared/data has them, else the demo's pairs with
three people each; beyond what the file has, the same rows again under other ids (a content match under another
id stays an item of its own). Every measurement runs in a process of its own. Beside it, in the same run: reading the
same file and parsing its JSON, and pandas' own reader and writer of the same files at 1 × (it holds a file whole:
about 10 GB for a million judgments).
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.measure import SQLITE, machine, table
from tests.faults import harness

FIVE_WORKERS = harness.ROOT.parent / "shared" / "data" / "1b_pairs_five_workers.jsonl.gz"
BAR_PAIRS, BAR_JUDGMENTS, BAR_EXPORT = 5_000, 10_000, 30_000
BAR_MB = 150  # above the idle process
EXPORTS = (
    ("native", "jsonl"),
    ("native", "parquet"),
    ("trl_preference", "jsonl"),
    ("trl_preference", "parquet"),
    ("lmarena", "jsonl"),
    ("lmarena", "parquet"),
)
GROWTH = 1.15  # memory "does not grow" up to this ratio at five times the rows


def source() -> Path:
    return FIVE_WORKERS if FIVE_WORKERS.exists() else harness.PAIRS


def real_rows(n: int) -> Iterator[dict]:
    """`n` rows of the file with people's judgments, again under other ids once all are used."""
    with gzip.open(source(), "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    rows = [{key: row[key] for key in row if key != "lm"} for row in rows if row.get("human")]
    for number in range(n):
        copy, place = divmod(number, len(rows))
        yield {**rows[place], "id": f"{rows[place]['id']}#{copy}"} if copy else rows[place]


def write_rows(path: Path, n: int, *, judged: bool) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in real_rows(n):
            kept = row if judged else {key: value for key, value in row.items() if key != "human"}
            file.write(json.dumps(kept, ensure_ascii=False) + "\n")


def measure(rows: int, database: str, runs: int) -> dict[str, dict]:
    """{what: facts at 1 ×, with those at 5 × under "five"}; of `runs` runs the one with the middle time."""
    found: dict[str, dict] = {}
    with harness.site(database="" if database == SQLITE else database) as site:
        for size, factor in (("one", 1), ("five", 5)):
            for what, judged in (("pairs", False), ("judged", True)):
                write_rows(site.folder / f"{what}-{size}.jsonl", rows * factor, judged=judged)

        def best(name: str, repeats: int = runs, **arguments: object) -> dict:
            made = [
                site.inside(name, module="bench.inside", timeout=4 * 3600, **arguments)
                for _ in range(repeats)
            ]
            return sorted(made, key=lambda facts: facts["wall"])[len(made) // 2]

        def keep(what: str, one: dict, five: dict | None = None) -> None:
            found[what] = one | ({"five": five} if five else {})
            print(f"{what}: {rate(five or one, 'rows'):,.0f} rows/s", flush=True)

        for what in ("pairs", "judged"):
            one, five = (str(site.folder / f"{what}-{size}.jsonl") for size in ("one", "five"))
            keep(f"parse {what}", best("parse", file=one), best("parse", 1, file=five))
            keep(f"pandas reads {what}", best("pandas_read", 1, files=[one]))
            made = [best("import_file", 1, slug=f"{what}-{n}", file=one) for n in range(runs)]
            made.sort(key=lambda facts: facts["wall"])
            keep(f"import {what}", made[runs // 2], best("import_file", 1, slug=f"{what}-five", file=five))
        keep("freeze", best("freeze", slug="judged-0"), best("freeze", 1, slug="judged-five"))
        for format, container in EXPORTS:
            out, again = site.folder / f"out-{format}-{container}", site.folder / f"again.{container}"
            settings = {"format": format, "container": container, "out": str(out)}
            one = best("export", slug="judged-0", **settings)
            files = [str(path) for path in sorted(out.rglob(f"*.{container}"))]
            read = best("pandas_read", 1, files=files)
            write = best("pandas_write", 1, files=files, out=str(again))
            keep(f"export {format} {container}", one, best("export", 1, slug="judged-five", **settings))
            keep(f"pandas reads {format} {container}", read)
            keep(f"pandas writes {format} {container}", write)
            shutil.rmtree(out)
            again.unlink()
    return found


def rate(facts: dict, unit: str) -> float:
    return facts[unit] / facts["wall"]


def above_idle(facts: dict) -> float:
    return facts["peak_mb"] - facts["start_mb"]


def lines_of(name: str, found: dict[str, dict]) -> tuple[list[list[str]], list[str]]:
    """Rows of the table, and the bars in words; rates are those at five times the rows, pandas' at 1 ×."""
    rows, bars = [], []
    for what, one in found.items():
        five = one.get("five")
        most = five or one
        # The floor parses the same lines; an export starts from the same items.
        floor = found["parse pairs" if what.endswith("pairs") else "parse judged"]["five"]
        ratio = (most["cpu"] / most.get("items", most["rows"])) / (floor["cpu"] / floor["rows"])
        rows.append(
            [
                f"{name}: {what}",
                f"{most['rows']:,}",
                f"{rate(most, 'rows'):,.0f}",
                f"{most['rows'] / most['cpu']:,.0f}",
                f"{rate(most, 'judgments'):,.0f}" if most.get("judgments") else "",
                "" if what.startswith("pandas") else f"{ratio:.1f}",
                f"{above_idle(one):.0f}",
                f"{above_idle(five):.0f}" if five else "",
            ]
        )
        if not what.startswith(("import", "export")):
            continue
        unit = "judgments" if what == "import judged" else "rows"
        bar = {"import pairs": BAR_PAIRS, "import judged": BAR_JUDGMENTS}.get(what, BAR_EXPORT)
        grew = five["peak_mb"] / one["peak_mb"]
        for words, met in (
            (f"{rate(five, unit):,.0f} {unit}/s; bar ≥ {bar:,}", rate(five, unit) >= bar),
            (f"{above_idle(five):.0f} MB above idle; bar ≤ {BAR_MB}", above_idle(five) <= BAR_MB),
            (f"memory at 5 × the rows {grew:.2f} ×; bar ≤ {GROWTH}", grew <= GROWTH),
        ):
            bars.append(f"{name}: {what}: {words} {'met' if met else 'MISSED'}")
    return rows, bars


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3, help="of each at 1 ×; the middle one counts")
    parser.add_argument(
        "--database", nargs="+", default=[SQLITE], help="'sqlite', or URLs of PostgreSQL servers"
    )
    options = parser.parse_args()
    print(f"{machine()}; {options.rows:,} rows of {source().name}, {options.runs} runs, the middle one")
    rows, bars = [], []
    for database in options.database:
        name = "SQLite" if database == SQLITE else "PostgreSQL"
        some, words = lines_of(name, measure(options.rows, database, options.runs))
        rows += some
        bars += words
        print(*words, sep="\n", flush=True)
    head = [
        "",
        "rows",
        "per s",
        "per CPU s",
        "judgments/s",
        "CPU × parsing",
        "MB above idle at 1 ×",
        "at 5 ×",
    ]
    print(f"\n{table(head, rows)}\n{machine()}")


if __name__ == "__main__":
    main()
