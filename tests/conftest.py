"""The same three people everywhere: Alice owns the project, Bob is a member, Charlie is an outsider."""

from __future__ import annotations

import os
import random
import secrets

import pytest
from django.contrib.auth.hashers import make_password
from hypothesis import HealthCheck, settings

from tests import sameness

PASSWORD = "correct horse battery"
IN_THIS_PROCESS = {"db", "transactional_db", "live_server"}
ON_A_DATABASE = IN_THIS_PROCESS | {"django_db_setup", "site"}
# The same examples in every run, and no word about how long a busy machine took for one. HYPOTHESIS_PROFILE=default
# looks for new ones.
settings.register_profile(
    "same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what touches no database, in processes of its own neither: it says the same on each, and runs on one."""
    texts = {path: path.read_text() for path in {item.path for item in items}}
    for item in items:
        if (
            item.get_closest_marker("django_db") is None
            and not ON_A_DATABASE & set(item.fixturenames)
            and "harness" not in texts[item.path]
        ):
            item.add_marker("no_database")


@pytest.fixture(autouse=True)
def _fast_and_apart(settings, tmp_path):
    """Cheap password hashes, plain static files, no remembered schemas, and a data folder of the test's own."""
    from annotations.judging import pools, questions
    from annotations.projects import schemas

    pools._pools.cache_clear()  # SQLite gives a rolled-back test's ids to the next one
    questions._blank.cache_clear()
    schemas._parsed.cache_clear()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.VOTES_DIR = tmp_path / "votes"
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": str(tmp_path)}
    }


@pytest.fixture(autouse=True)
def _the_same_again(request, monkeypatch):
    """A seed that nobody gave, a token, a uuid and the keys of new rows are the same in every run of the test."""
    name = request.node.nodeid
    monkeypatch.setattr(secrets, "randbits", sameness.chance(name).getrandbits)
    tokens = sameness.chance(name, "tokens").randbytes
    monkeypatch.setattr(os, "urandom", tokens)
    monkeypatch.setattr(random, "_urandom", tokens)
    if request.node.get_closest_marker("django_db") or IN_THIS_PROCESS & set(request.fixturenames):
        request.getfixturevalue("db")
        sameness.begin_keys(name)


@pytest.fixture(autouse=True)
def _quiet_broker(request, monkeypatch):
    """Jobs are written but not sent: a test runs them with `runner.run(job.pk)`, or asks for `real_broker`."""
    if "real_broker" in request.keywords:
        return
    from app.jobs import runner

    monkeypatch.setattr(runner, "send", lambda job_id, queue: None)


def make_user(username: str, **fields):
    from app.accounts.models import User

    return User.objects.create(
        username=username, email=f"{username}@example.org", password=make_password(PASSWORD), **fields
    )


@pytest.fixture
def alice(db):
    return make_user("alice")


@pytest.fixture
def bob(db):
    return make_user("bob")


@pytest.fixture
def charlie(db):
    return make_user("charlie")


@pytest.fixture
def admin(db):
    return make_user("root", is_staff=True, is_superuser=True)


@pytest.fixture
def project(alice, bob):
    """Alice's project asking a 7-point preference and two ratings; Bob annotates."""
    from annotations.projects import presets, schemas
    from annotations.projects.models import Membership, Project

    project = Project.objects.create(slug="pairs", name="Pairs", created_by=alice, seed=7)
    Membership.objects.create(project=project, user=alice, role=Membership.Role.OWNER)
    Membership.objects.create(project=project, user=bob, role=Membership.Role.ANNOTATOR)
    schema = schemas.add_schema(
        project=project, definition=presets.PRESETS["preference_ratings"], actor=alice
    )
    return schemas.use_schema(project=project, schema=schema)


@pytest.fixture
def make_item(project):
    """Create an item of the project with these response texts, open for `wanted` people."""
    from annotations.items.content import content_hash, order_key
    from annotations.items.models import Item, Response

    def make(prompt="Say hello.", responses=("Hello.", "Go away."), *, wanted=1, external_id=None, **fields):
        digest = content_hash(prompt, "", responses)
        item = Item.objects.create(
            project=project,
            external_id=external_id,
            prompt=prompt,
            content_hash=digest,
            group=prompt[:300] if isinstance(prompt, str) else "g",
            n_responses=len(responses),
            order_key=order_key(project.seed, external_id or digest),
            wanted=wanted,
            open_slots=wanted,
            **fields,
        )
        Response.objects.bulk_create(
            Response(item=item, index=i, text=text, model=f"model-{i}") for i, text in enumerate(responses)
        )
        return item

    return make


@pytest.fixture
def annotator(project, bob):
    """Bob's Annotator in the project."""
    from annotations.projects.access import annotator_for

    return annotator_for(bob, project.slug)


@pytest.fixture
def alice_client(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def bob_client(bob):
    from django.test import Client

    client = Client()
    client.force_login(bob)
    return client


@pytest.fixture
def charlie_client(charlie):
    from django.test import Client

    client = Client()
    client.force_login(charlie)
    return client
