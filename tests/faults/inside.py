"""What a throw-away site does to itself, each in a process of its own with the site's settings.

python -m tests.faults.inside NAME '{"…": …}'        prints one JSON object
"""

from __future__ import annotations

import json
import sys

import django


def blank() -> dict:
    """An empty database with every table, and the static files."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    return {}


def add_project(
    *, slug: str, file: str, people: list[str], overlap: int, owner: str = "", render: bool = True
) -> dict:
    """A project with the items of a native file, asked for a preference and two ratings; returns its id."""
    from annotations.items import readers
    from annotations.judging.importing import import_records
    from annotations.projects import presets, setup
    from annotations.projects.access import annotator_for
    from annotations.projects.models import Membership

    project = setup.create_project(
        name=slug,
        slug=slug,
        owner=_person(owner) if owner else None,
        definition=presets.PRESETS["preference_ratings"],
        overlap=overlap,
        seed=11,
    )
    report = import_records(project=project, records=readers.read(file, "native"), origin_label=file)
    if report.errors:
        raise SystemExit(f"the items did not go in: {report.errors[:3]}")
    for name in people:
        user = _person(name)
        Membership.objects.get_or_create(project=project, user=user, role=Membership.Role.ANNOTATOR)
        annotator_for(user, slug)
    rendered = _render(project) if render else 0
    _analyse()
    return {"project": project.pk, "items": report.new, "rendered": rendered}


def start_transformer(*, slug: str, options: dict) -> dict:
    """Start a transformer's training; returns its job's id."""
    from annotations.projects.models import Project
    from routing.rewards import jobs

    run = jobs.start_training(
        project=Project.objects.get(slug=slug),
        actor=None,
        options={"backend": "transformer", "options": options},
    )
    return {"job": str(run.job_id)}


def sessions(*, people: list[str]) -> dict:
    """A signed-in session for each person: {name: session key}."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    found = {}
    for name in people:
        user = _person(name)
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        found[name] = session.session_key
    return found


def grow(*, slug: str, to: int) -> dict:
    """Copy the project's items with their responses under other ids until there are `to`, inside the database.

    Texts are the same ones again (and so rendered already); ids and places in the queue are new. A million items
    take a minute, where the import takes several.
    """
    from django.db import connection

    from annotations.items.models import Item, Response
    from annotations.projects.models import Project

    project = Project.objects.get(slug=slug)
    first = Item.objects.filter(project=project).count()
    highest = Item.objects.order_by("-pk").values_list("pk", flat=True)[0]
    copies = max(0, -(-to // first) - 1)
    postgres = connection.vendor == "postgresql"
    key = "(random() * 4611686018427387903)::bigint" if postgres else "abs(random()) / 2"
    # a place is the copy's number times `first` plus the rank of the original
    place = f"{highest} + (n.k - 1) * {first} + o.rank"
    changed = {
        "id": place,
        "external_id": "o.external_id || '@' || n.k",
        "order_key": key,
    }
    columns = [field.column for field in Item._meta.concrete_fields]
    quote = connection.ops.quote_name
    numbers = f"WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < {copies})"
    ranked = f"(SELECT i.*, row_number() OVER (ORDER BY id) AS rank FROM items_item i WHERE project_id = {project.pk} AND id <= {highest}) o"
    item_values = ", ".join(changed.get(name, f"o.{quote(name)}") for name in columns)
    parts = [field.column for field in Response._meta.concrete_fields if not field.primary_key]
    part_values = ", ".join(place if name == "item_id" else f"r.{quote(name)}" for name in parts)
    limit = f"WHERE {place} <= {highest + to - first}"
    with connection.cursor() as cursor:
        if copies:
            cursor.execute(
                f"{numbers} INSERT INTO items_item ({', '.join(map(quote, columns))}) "
                f"SELECT {item_values} FROM n CROSS JOIN {ranked} {limit}"
                if postgres
                else f"INSERT INTO items_item ({', '.join(map(quote, columns))}) {numbers} "
                f"SELECT {item_values} FROM n CROSS JOIN {ranked} {limit}"
            )
            response = f"SELECT {part_values} FROM n CROSS JOIN {ranked} JOIN items_response r ON r.item_id = o.id {limit}"
            into = f"INSERT INTO items_response ({', '.join(map(quote, parts))})"
            cursor.execute(f"{numbers} {into} {response}" if postgres else f"{into} {numbers} {response}")
        if postgres:
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence('items_item', 'id'), (SELECT max(id) FROM items_item))"
            )
    _analyse()
    return {"items": Item.objects.filter(project=project).count()}


def tokens(*, people: list[str]) -> dict:
    """An API token for each person: {name: token}."""
    from app.accounts.tokens import make_token

    return {name: make_token(user=_person(name), name="campaign", days=1)[1] for name in people}


def passwords(*, people: list[str], password: str) -> dict:
    """The same password for all of them, hashed once."""
    from django.contrib.auth.hashers import make_password

    from app.accounts.models import User

    return {"changed": User.objects.filter(username__in=people).update(password=make_password(password))}


def _person(name: str):
    from app.accounts.models import User

    person, _ = User.objects.get_or_create(username=name, defaults={"email": f"{name}@example.org"})
    return person


def _render(project) -> int:
    """Fill the cache of rendered texts, as an import's own job does."""
    from annotations.items.models import Item, Response
    from app.web.rendering import message_text, prerender

    def texts():
        for prompt in Item.objects.filter(project=project).values_list("prompt", flat=True).iterator():
            yield from [prompt] if isinstance(prompt, str) else map(message_text, prompt)
        yield from Response.objects.filter(item__project=project).values_list("text", flat=True).iterator()

    return prerender(texts())


def _analyse() -> None:
    """Tell the planner what the tables hold now, as autovacuum does soon after an import."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def main() -> None:
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    django.setup()
    print(json.dumps(globals()[name](**arguments)))


if __name__ == "__main__":
    main()
