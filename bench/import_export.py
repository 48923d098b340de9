"""Import and export: rows and judgments a second, and peak memory at 1 × and 5 × the rows.

    python -m bench.import_export --rows 10000
    python -m bench.import_export --database sqlite postgres://postgres@127.0.0.1:5432/postgres

The rows are UKP argument pairs with five people each, where ../shared/data has them, else the demo's pairs with
three people each; beyond what the file has, the same rows again under other ids (a content match under another
id stays an item of its own). Every measurement runs in a process of its own. The floor beside it: reading the
same file and parsing its JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from bench.measure import SQLITE, machine, table
from tests.faults import harness

FIVE_WORKERS = harness.ROOT.parent / "shared" / "data" / "1b_pairs_five_workers.jsonl.gz"
BAR_PAIRS, BAR_JUDGMENTS, BAR_EXPORT = 5_000, 10_000, 20_000
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
            made = [site.inside(name, module="bench.inside", **arguments) for _ in range(repeats)]
            return sorted(made, key=lambda facts: facts["wall"])[len(made) // 2]

        for what in ("pairs", "judged"):
            file = site.folder / f"{what}-one.jsonl"
            found[f"parse {what}"] = best("parse", file=str(file))
            made = [
                site.inside("import_file", module="bench.inside", slug=f"{what}-{n}", file=str(file))
                for n in range(runs)
            ]
            found[f"import {what}"] = sorted(made, key=lambda facts: facts["wall"])[runs // 2]
            five = str(site.folder / f"{what}-five.jsonl")
            found[f"import {what}"]["five"] = best("import_file", 1, slug=f"{what}-five", file=five)
        found["freeze"] = best("freeze", slug="judged-0")
        found["freeze"]["five"] = best("freeze", 1, slug="judged-five")
        for format, container in EXPORTS:
            out = str(site.folder / f"out-{format}-{container}")
            settings = {"format": format, "container": container, "out": out}
            name = f"export {format} {container}"
            found[name] = best("export", slug="judged-0", **settings)
            found[name]["five"] = best("export", 1, slug="judged-five", **settings)
    return found


def rate(facts: dict, unit: str) -> float:
    return facts[unit] / facts["wall"]


def lines_of(name: str, found: dict[str, dict]) -> tuple[list[list[str]], list[str]]:
    """Rows of the table, and the bars in words."""
    rows, bars = [], []
    for what, facts in found.items():
        five = facts.get("five")
        unit = "judgments" if what == "import judged" else "rows"
        # The floor parses the same lines; an export starts from the same items.
        floor = found["parse pairs" if what == "import pairs" else "parse judged"]
        ratio = (facts["cpu"] / facts.get("items", facts["rows"])) / (floor["cpu"] / floor["rows"])
        rows.append(
            [
                f"{name}: {what}",
                f"{facts[unit]:,} {unit}",
                f"{rate(facts, unit):,.0f}",
                f"{facts[unit] / facts['cpu']:,.0f}",
                "1" if what.startswith("parse") else f"{ratio:.1f}",
                f"{facts['peak_mb']:.0f}",
                f"{five['peak_mb']:.0f}" if five else "",
                f"{rate(five, unit):,.0f}" if five else "",
            ]
        )
        bar = {"import pairs": BAR_PAIRS, "import judged": BAR_JUDGMENTS}.get(what)
        if what.startswith("export"):
            bar = BAR_EXPORT
        if bar:
            met = "met" if rate(facts, unit) >= bar else "MISSED"
            bars.append(f"{name}: {what}: {rate(facts, unit):,.0f} {unit}/s; bar ≥ {bar:,} {met}")
        if five:
            grew = five["peak_mb"] / facts["peak_mb"]
            bars.append(
                f"{name}: {what}: memory at 5 × the rows {grew:.2f} ×; bar ≤ {GROWTH} {'met' if grew <= GROWTH else 'MISSED'}"
            )
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
    head = ["", "amount", "per s", "per CPU s", "CPU × parsing", "peak MB", "peak MB at 5 ×", "per s at 5 ×"]
    print("\n" + table(head, rows))


if __name__ == "__main__":
    main()
