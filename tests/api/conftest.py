"""Clients with real tokens, and the people of every role."""

from __future__ import annotations

import uuid

import pytest
from knox.models import AuthToken
from rest_framework.test import APIClient

from tests.conftest import make_user


def token_client(user) -> APIClient:
    """A client that signs in with an API token."""
    _, secret = AuthToken.objects.create(user=user)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {secret}")
    return client


@pytest.fixture
def alice_api(alice):
    return token_client(alice)


@pytest.fixture
def bob_api(bob):
    return token_client(bob)


@pytest.fixture
def charlie_api(charlie):
    return token_client(charlie)


@pytest.fixture
def researcher_api(project):
    return token_client(_member(project, "rita", "researcher"))


@pytest.fixture
def reviewer_api(project):
    return token_client(_member(project, "vera", "reviewer"))


def _member(project, name, role):
    from annotations.projects.models import Membership

    user = make_user(name)
    Membership.objects.create(project=project, user=user, role=role)
    return user


@pytest.fixture
def answer():
    """A good body for an item of the project fixture, in the order the responses were shown."""

    def make(assignment: str, preference: int = -2, **changes) -> dict:
        return {
            "id": str(uuid.uuid4()),
            "assignment": assignment,
            "comparisons": [{"aspect": "overall", "preference": preference}],
            "scores": [
                {"response": place, "attribute": attribute, "value": value}
                for attribute, values in (("helpfulness", (4, 1)), ("correctness", (3, 0)))
                for place, value in enumerate(values)
            ],
            "reason": "The first one is polite.",
            **changes,
        }

    return make
