"""Run the suite in parts, and say plainly which part ran, which did not, and why.

python tests/suite.py            the suite on SQLite, a smoke of PostgreSQL + Redis, of the browser and of kill -9
python tests/suite.py --all      everything on both databases, browser and fault tests
--require-all                    a part that could not run is a failure (CI sets REQUIRE_ALL=1)

What passed on a commit without changes is remembered: --all, right after the suite, runs what is left of its parts.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
POSTGRES = os.environ.get("TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
PASSED = ROOT / ".pytest_cache" / "passed.json"
QUICK = {
    "sqlite": "not slow and not browser and not faults and not postgres and not redis",
    "browser": "browser and smoke",
    "faults": "faults and smoke",
}
WHOLE = {
    "sqlite": "not browser and not faults and not postgres and not redis",
    "browser": "browser",
    "faults": "faults",
}


def answers(url: str, port: int) -> bool:
    """Whether something listens where the URL points."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or port), timeout=2):
            return True
    except OSError:
        return False


def run(name: str, *command: str, **environment: str) -> bool:
    print(f"\n=== {name}: {' '.join(command)}", flush=True)
    started = time.monotonic()
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **environment}
    code = subprocess.run(command, cwd=ROOT, env=env).returncode
    print(
        f"=== {name}: {'ok' if code == 0 else f'FAILED ({code})'} in {time.monotonic() - started:.0f} s",
        flush=True,
    )
    return code == 0


def commit() -> str | None:
    """The commit that these files are, None where they are changed or no commit is known."""
    try:
        said = [
            subprocess.run(
                ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
            ).stdout.strip()
            for words in (["status", "--porcelain"], ["rev-parse", "HEAD"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    return None if said[0] else said[1]


def passed() -> set[str]:
    """The quick parts that passed on this commit."""
    try:
        kept = json.loads(PASSED.read_text())
    except (OSError, ValueError):
        return set()
    return set(kept["parts"]) if kept["commit"] == commit() else set()


def selected(key: str, everything: bool) -> str:
    """The marker expression of a part: quick, or whole, or what is left of it after the quick part passed."""
    if not everything:
        return QUICK[key]
    return f"({WHOLE[key]}) and not ({QUICK[key]})" if key in passed() else WHOLE[key]


def part(key: str, name: str, everything: bool, workers: str) -> bool:
    """Run a part on SQLite, and remember a quick part that passed."""
    before, marks = commit(), selected(key, everything)
    if everything and marks != WHOLE[key]:
        print(f"\n=== {name}: the quick tests passed on this commit; here are the others.", flush=True)
    good = pytest(name, "-m", marks, workers=workers)
    if good and not everything and before is not None and before == commit():
        PASSED.parent.mkdir(exist_ok=True)
        PASSED.write_text(json.dumps({"commit": before, "parts": sorted({key} | passed())}))
    return good


def lint() -> bool:
    python = sys.executable
    tool = str(Path(python).parent)
    return all(
        [
            run("ruff check", f"{tool}/ruff", "check", "--quiet", "."),
            run("ruff format", f"{tool}/ruff", "format", "--check", "--quiet", "."),
            run("rooms import only from below", f"{tool}/lint-imports"),
            run("migrations are complete", python, "manage.py", "makemigrations", "--check", "--dry-run"),
        ]
    )


def pytest(name: str, *arguments: str, workers: str = "2", **environment: str) -> bool:
    spread = ["-n", workers, "--dist", "loadfile"] if workers != "0" else ["-p", "no:xdist"]
    return run(name, sys.executable, "-m", "pytest", "-q", *spread, *arguments, **environment)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--require-all", action="store_true", default=os.environ.get("REQUIRE_ALL") == "1")
    parser.add_argument("--only", choices=["lint", "sqlite", "services", "browser", "faults"])
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    services = answers(POSTGRES, 5432) and answers(REDIS, 6379)
    on_services = {"DATABASE_URL": POSTGRES, "REDIS_URL": REDIS}
    parts: list[tuple[str, str, bool, str, object]] = [
        ("lint", "lint, formats, import contracts, migrations", True, "", lint),
        (
            "sqlite",
            "suite on SQLite",
            True,
            "",
            lambda: part("sqlite", "suite on SQLite", options.all, "2"),
        ),
        (
            "services",
            "suite on PostgreSQL + Redis" if options.all else "smoke of PostgreSQL + Redis",
            services,
            f"no PostgreSQL at {POSTGRES} or no Redis at {REDIS}",
            lambda: (
                pytest(
                    "suite on PostgreSQL + Redis",
                    "-m",
                    "not browser and not faults and (not no_database or postgres or redis)",
                    workers="2",
                    **on_services,
                )
                if options.all
                else pytest(
                    "smoke of PostgreSQL + Redis",
                    "-m",
                    "(postgres or redis or smoke) and not slow and not browser and not faults",
                    workers="0",
                    **on_services,
                )
            ),
        ),
        (
            "browser",
            "pages in chromium",
            bool(chromium),
            "chromium is not installed (Debian: apt-get install chromium)",
            lambda: part("browser", "pages in chromium", options.all, "0"),
        ),
        (
            "faults",
            "kill -9 on SQLite",
            True,
            "",
            lambda: part("faults", "kill -9 on SQLite", options.all, "2"),
        ),
    ]
    if options.all:
        parts.append(
            (
                "faults",
                "kill -9 on PostgreSQL + Redis",
                services,
                "no PostgreSQL or no Redis",
                lambda: pytest(
                    "kill -9 on PostgreSQL + Redis",
                    "-m",
                    "faults and not no_database",
                    workers="2",
                    **on_services,
                ),
            )
        )
    started, failed, skipped, done = time.monotonic(), [], [], []
    for key, name, possible, why, action in parts:
        if options.only and key != options.only:
            continue
        if not possible:
            skipped.append(f"{name}: {why}")
        elif action():
            done.append(name)
        else:
            failed.append(name)
    print(f"\n=== {time.monotonic() - started:.0f} s in all.")
    for title, names in (("ran", done), ("NOT RUN", skipped), ("FAILED", failed)):
        for name in names:
            print(f"    {title}: {name}")
    return 1 if failed or (skipped and options.require_all) else 0


if __name__ == "__main__":
    sys.exit(main())
