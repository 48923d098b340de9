"""Analysis pages at a million stored judgments: the jobs that compute the reports, and every page before and after.

    python -m bench.analysis_pages --judgments 1000000
    python -m bench.analysis_pages --database postgres://postgres@127.0.0.1:5432/postgres

The judgments are made inside a throw-away database: three people of a thousand on every pair of two of fifty models. A page is
timed as its view through Django's client: cold, in the first look after its job, and warm; without the reports it starts the job
and says so. Wall seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from bench.measure import machine, table

PEOPLE, MODELS, PER_ITEM = 1000, 50, 3
BAR = 1.0
WORDS = (
    "the quick answer to this question is that it depends on what you want to know and perhaps on who asks "
)


def fill(judgments: int) -> None:
    """Make the project `pages` with so many judgments, by multiplying one of each row inside the database."""
    from django.db import connection
    from django.utils import timezone

    from annotations.items.models import Item, Response
    from annotations.judging.models import Comparison, Judgment
    from annotations.projects import presets, setup
    from annotations.projects.models import Annotator, Membership
    from app.accounts.models import User

    owner = User.objects.create(username="owner", email="owner@example.org")
    project = setup.create_project(
        name="pages", slug="pages", owner=owner, definition=presets.PRESETS["arena4"], seed=3
    )
    Membership.objects.get_or_create(project=project, user=owner, defaults={"role": Membership.Role.OWNER})
    items = judgments // PER_ITEM
    each = items * PER_ITEM // PEOPLE
    Annotator.objects.bulk_create(
        Annotator(project=project, kind="human", name=f"person {i}", n_judged=each) for i in range(PEOPLE)
    )
    people = (
        Annotator.objects.filter(project=project, kind="human").order_by("pk").values_list("pk", flat=True)
    )
    first = people[0]
    item = Item.objects.create(
        project=project, prompt="Which is better?", content_hash="0" * 64, n_responses=2, order_key=1, wanted=PER_ITEM,
        n_human=PER_ITEM, source="bench", external_id="template",
    )  # fmt: skip
    response = Response.objects.create(item=item, index=0, text=WORDS, model="model")
    judgment = Judgment.objects.create(
        uuid=uuid.uuid4(), project=project, item=item, annotator_id=first, schema=project.schema, outcome="answered",
        origin="page", presented_order="01", created_at=timezone.now(), active_ms=20_000, digest=b"0" * 32,
    )  # fmt: skip
    comparison = Comparison.objects.create(
        judgment=judgment, first=0, second=1, aspect="overall", preference=-1, scale_max=1
    )
    postgres = connection.vendor == "postgresql"
    uid = "gen_random_uuid()" if postgres else "lower(hex(randomblob(16)))"
    luck = "random()" if postgres else "(abs(random()) / 9223372036854775807.0)"
    newline = "chr(10)" if postgres else "char(10)"
    text = (
        "substr(o.text || o.text || o.text, 1, CAST(60 + (n.k * 37) % 240 AS integer)) || "
        f"CASE WHEN n.k % 3 = 0 THEN {newline} || '- a list **with bold**' ELSE '' END"
    )
    of_item = "((n.k - 1) / 2)"
    model = f"CASE WHEN n.k % 2 = 1 THEN {of_item} % {MODELS} ELSE ({of_item} % {MODELS} + 1 + ({of_item} / {MODELS}) % {MODELS - 1}) % {MODELS} END"
    number = f"((n.k - 1) / {PER_ITEM})"
    better = (
        f"{number} % {MODELS} > ({number} % {MODELS} + 1 + ({number} / {MODELS}) % {MODELS - 1}) % {MODELS}"
    )
    sign = f"CASE WHEN {luck} < CASE WHEN {better} THEN 0.65 ELSE 0.35 END THEN -1 ELSE 1 END"
    ago = "(n.k % 864000) * interval '1 second'" if postgres else "'-' || (n.k % 864000) || ' seconds'"
    when = f"o.created_at - {ago}" if postgres else f"datetime(o.created_at, {ago})"
    _multiply(
        item,
        items,
        {"id": f"{item.pk} + n.k", "external_id": "'item ' || n.k", "order_key": "n.k * 4611686018427"},
    )
    _multiply(response, 2 * items, {
        "id": f"{response.pk} + n.k", "item_id": f"{item.pk + 1} + {of_item}", "index": "(n.k - 1) % 2",
        "text": text, "model": f"'model ' || ({model})",
    })  # fmt: skip
    _multiply(judgment, items * PER_ITEM, {
        "id": f"{judgment.pk} + n.k", "uuid": uid, "item_id": f"{item.pk + 1} + {number}",
        "annotator_id": f"{first} + (n.k * 7) % {PEOPLE}", "presented_order": "CASE WHEN n.k % 2 = 0 THEN '10' ELSE '01' END",
        "created_at": when, "active_ms": "5000 + n.k % 60000",
    })  # fmt: skip
    _multiply(comparison, items * PER_ITEM, {
        "id": f"{comparison.pk} + n.k", "judgment_id": f"{judgment.pk} + n.k", "preference": sign,
    })  # fmt: skip
    Comparison.objects.filter(pk=comparison.pk).delete()
    Judgment.objects.filter(pk=judgment.pk).delete()
    Item.objects.filter(pk=item.pk).update(n_human=0)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _multiply(row, n: int, changed: dict[str, str]) -> None:
    """Insert `n` copies of a row with these columns computed from n.k = 1 … n."""
    from django.db import connection

    quote = connection.ops.quote_name
    target = quote(row._meta.db_table)
    columns = [field.column for field in row._meta.concrete_fields]
    values = ", ".join(changed.get(name, f"o.{quote(name)}") for name in columns)
    numbers = f"WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < {n})"
    into = f"INSERT INTO {target} ({', '.join(map(quote, columns))})"
    select = f"SELECT {values} FROM n CROSS JOIN (SELECT * FROM {target} WHERE id = {row.pk}) o"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SET session_replication_role = replica"
            )  # rows point at each other by construction
            cursor.execute(f"{into} {numbers.replace('SELECT 1 ', 'SELECT 1::bigint ')} {select}")
        else:
            cursor.execute(f"{into} {numbers} {select}")


def measure() -> dict:
    """Seconds of every job and page."""
    from django.test import Client
    from django.urls import reverse

    from annotations.analysis import reports
    from annotations.projects.models import Project
    from app.accounts.models import User
    from app.jobs import runner

    runner.send = lambda job_id, queue: None
    project = Project.objects.get(slug="pages")
    client = Client()
    client.force_login(User.objects.get(username="owner"))
    client.get(reverse("projects:overview", args=["pages"]))  # imports

    def get(url: str) -> float:
        started = time.perf_counter()
        answer = client.get(url)
        assert answer.status_code == 200, (url, answer.status_code)
        _ = answer.content
        return time.perf_counter() - started

    found = {}
    for name in reports.NAMES:
        url = reverse(f"analysis:{name}", args=["pages"])
        before = get(url)
        started = time.perf_counter()
        reports.keep(project, name)
        job = time.perf_counter() - started
        cold = get(url)
        found[name] = {
            "without": before,
            "job": job,
            "cold": cold,
            "warm": sorted(get(url) for _ in range(5))[2],
        }
    url = (
        reverse("analysis:selection", args=["pages"])
        + "?of=responses&k=100&group=model&at_least=2&rule=borda"
    )
    cold = get(url)
    found["selection"] = {
        "without": None,
        "job": None,
        "cold": cold,
        "warm": sorted(get(url) for _ in range(3))[1],
    }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--judgments", type=int, default=1_000_000)
    parser.add_argument(
        "--database", default="sqlite", help="sqlite, or the URL of a server to make a database on"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        started = time.perf_counter()
        fill(options.judgments)
        print(f"filled in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        print(json.dumps(measure()))
        return
    with tempfile.TemporaryDirectory() as folder:
        name = f"pages_{uuid.uuid4().hex[:8]}"
        url = f"sqlite:///{folder}/pages.sqlite3"
        if options.database != "sqlite":
            url = options.database.rsplit("/", 1)[0] + f"/{name}"
            _server(options.database, f'CREATE DATABASE "{name}"')
        try:
            made = subprocess.run(
                [sys.executable, "-m", "bench.analysis_pages", "--inside", "--judgments", str(options.judgments)],
                env={**os.environ, "DATABASE_URL": url, "DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "app.settings",
                     "ALLOWED_HOSTS": "testserver,localhost", "DEBUG": "1"},
                cwd=Path(__file__).resolve().parent.parent, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
        finally:
            if options.database != "sqlite":
                _server(options.database, f'DROP DATABASE IF EXISTS "{name}"')
    found = json.loads(made.stdout.splitlines()[-1])
    print(f"{machine()}; {options.judgments:,} judgments, {options.database.split(':')[0]}, wall seconds")

    def say(value: float | None) -> str:
        return "" if value is None else f"{value:.2f}"

    rows = [
        [name, *(say(each[key]) for key in ("without", "job", "cold", "warm")), "met" if max(each["cold"], each["warm"]) <= BAR else "MISSED"]
        for name, each in found.items()
    ]  # fmt: skip
    print(table(["page", "before its job", "job", "first look", "again", f"≤ {BAR:.0f} s"], rows))


def _server(url: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(url.replace("postgres://", "postgresql://"), autocommit=True) as connection:
        connection.execute(statement)


if __name__ == "__main__":
    main()
