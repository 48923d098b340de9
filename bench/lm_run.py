"""An LM run against the scripted server: calls a second, CPU per call of the run itself, and of a rerun from the cache.

    python -m bench.lm_run --items 500
    python -m bench.lm_run --database sqlite postgres://postgres@127.0.0.1:5432/postgres

The scripted server answers at once in a process of its own, so the figures are what the product adds to a call:
claim, reservation, request, reply, settlement, and a judgment for every two calls. Every item has texts of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

from bench.measure import SQLITE, machine, table
from tests.faults import harness


def inside(*, slug: str) -> dict:
    """In a process with the site's settings: run the project's annotator twice; seconds and CPU of both."""
    import time

    import openai  # noqa: F401 - takes seconds, once per process

    from annotations.judging.models import Judgment
    from annotations.lm import runs
    from annotations.lm.models import LMAnnotator

    detail = runs.find(LMAnnotator.objects.get(annotator__project__slug=slug).pk)
    found = {}
    for name in ("run", "rerun"):
        started, cpu = time.monotonic(), time.process_time()
        result = runs.run(detail=detail, owner=f"bench-{name}:1")
        found[name] = {
            "seconds": time.monotonic() - started,
            "cpu": time.process_time() - cpu,
            "calls": result["calls"],
            "cached": result["cached"],
            "judged": result["judged"],
        }
        if name == "run":  # the judgments go, the replies stay
            from django.db import connection

            with connection.cursor() as cursor:
                for table_name in ("judging_lmcall", "judging_comparison", "judging_judgment"):
                    cursor.execute(f"DELETE FROM {table_name}")
            assert not Judgment.objects.exists()
    return found


def measure(n: int, database: str) -> dict:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.lm.scripted", "--port", str(port := harness.free_port())],
        cwd=harness.ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        server.stdout.readline()
        where = {} if database == SQLITE else {"database": database}
        with harness.site(**where) as site:
            path = site.folder / "lm.jsonl"
            with path.open("w", encoding="utf-8") as file:
                for k in range(n):
                    pair = harness.real_pairs()[k % len(harness.real_pairs())]
                    row = {
                        "id": str(k),
                        "prompt": f"{pair['prompt']} ({k})",
                        "responses": [{"text": pair["response_a"]}, {"text": pair["response_b"]}],
                    }
                    file.write(json.dumps(row) + "\n")
            site.inside("add_project", slug="lm", file=str(path), people=[], overlap=0, render=False)
            site.inside(
                "start_run",
                module="tests.faults.inside_lm",
                slug="lm",
                url=f"http://127.0.0.1:{port}/v1",
                model="obedient",
                cap="1000",
                concurrency=8,
            )
            return site.inside("inside", module="bench.lm_run", slug="lm")
    finally:
        server.terminate()
        server.wait(10)


def main() -> None:
    if len(sys.argv) > 2 and sys.argv[1] == "inside":
        import django

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
        django.setup()
        print(json.dumps(inside(**json.loads(sys.argv[2]))))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument(
        "--database", nargs="+", default=[SQLITE], help="'sqlite', or URLs of PostgreSQL servers"
    )
    options = parser.parse_args()
    print(f"{machine()}; {options.items:,} items in both orders, 8 calls at once")
    rows = []
    for database in options.database:
        name = "SQLite" if database == SQLITE else "PostgreSQL"
        for what, facts in measure(options.items, database).items():
            replies = facts["calls"] + facts["cached"]
            rows.append(
                [
                    f"{name}: {'calls' if what == 'run' else 'from the cache'}",
                    f"{replies:,}",
                    f"{replies / facts['seconds']:.0f}",
                    f"{1000 * facts['cpu'] / replies:.1f}",
                ]
            )
    print("\n" + table(["", "replies", "per s", "CPU ms each"], rows))


if __name__ == "__main__":
    main()
