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
