"""The throw-away site of the fault tests: on SQLite, or on the services that the suite was pointed at."""

from __future__ import annotations

import os

import pytest

from tests.faults import harness

PEOPLE = [f"person-{n}" for n in range(8)]


def services() -> dict[str, str]:
    """Where the site's database and broker are, as `tests/suite.py` says; empty on SQLite."""
    database = os.environ.get("DATABASE_URL", "")
    if not database.startswith("postgres"):
        return {}
    return {"database": database, "redis": os.environ.get("REDIS_URL", "")}


@pytest.fixture(scope="module")
def site():
    """One site for the module; each test has a project of its own in it."""
    with harness.site(**services()) as made:
        yield made


@pytest.fixture(scope="module")
def sessions(site):
    """{name: session key} of the people of `PEOPLE`."""
    return site.inside("sessions", people=PEOPLE)
