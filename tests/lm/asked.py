"""Fixtures of annotators that ask a real server over loopback."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.lm.scripted import MODELS, serving

KEY = "sk-plumbline-test-0123456789abcdef"
PRICE_IN, PRICE_OUT = Decimal("2"), Decimal("8")


@pytest.fixture(scope="session")
def scripted_server():
    with serving() as server:
        yield server


@pytest.fixture
def scripted(scripted_server):
    """The scripted server, with an empty memory."""
    with scripted_server.lock:
        scripted_server.requests.clear()
        scripted_server.seen.clear()
        scripted_server.asked.clear()
        scripted_server.aliases.clear()
        scripted_server.most_under_way = 0
    return scripted_server


@pytest.fixture
def endpoint(admin, scripted):
    """An endpoint at the scripted server, with a stored key, offering every behaviour at 2 and 8 a million."""
    from annotations.lm import endpoints

    values = {
        "name": "Scripted",
        "base_url": scripted.url,
        "secret_env": "",
        "currency": "EUR",
        "requests_per_minute": None,
        "concurrency": 8,
        "timeout_seconds": 10,
        "max_attempts": 4,
        "is_shared": True,
        "is_enabled": True,
    }
    offers = [endpoints.Offer(name, PRICE_IN, PRICE_OUT) for name in MODELS]
    return endpoints.save_endpoint(values=values, models=offers, secret=KEY, actor=admin)


@pytest.fixture
def funded(project):
    """`funded(cap)` gives the project an account with this cap."""
    from app.ledger.models import Account

    def fund(cap="1000"):
        account = Account.objects.create(name="Pairs", cap_micros=int(Decimal(cap) * 1_000_000))
        project.account_id = account.pk
        project.save(update_fields=["account_id"])
        return account

    return fund


@pytest.fixture
def lm_annotator(project, endpoint, funded):
    """`lm_annotator("obedient", samples=2)` makes an annotator of the project that asks this model."""
    from annotations.lm import configure, prompts
    from annotations.lm.models import EndpointModel

    if project.account_id is None:
        funded()

    def make(model="obedient", *, instructions="Judge fairly.", name="", **parameters):
        found = EndpointModel.objects.filter(endpoint=endpoint, name=model).first()
        if found is None:
            found = EndpointModel.objects.create(
                endpoint=endpoint, name=model, input_price=PRICE_IN, output_price=PRICE_OUT
            )
        prompt = prompts.add_prompt(project=project, name="Pairs", instructions=instructions)
        project.refresh_from_db()
        return configure.add_annotator(
            project=project,
            model=found,
            prompt=prompt,
            name=name,
            parameters=configure.Parameters(**parameters),
        )

    return make


@pytest.fixture
def asker():
    """Run an annotator to the end in this process, as the command does."""
    from annotations.lm import runs

    def run(detail, **arguments):
        return runs.run(detail=runs.find(detail.pk), owner=arguments.pop("owner", "test:1"), **arguments)

    return run
