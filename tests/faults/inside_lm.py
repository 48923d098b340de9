"""What a throw-away site does to have a model asked: python -m tests.faults.inside_lm NAME '{"…": …}'."""

from __future__ import annotations

import json
import sys
from decimal import Decimal

import django


def start_run(*, slug: str, url: str, model: str, cap: str, concurrency: int = 8) -> dict:
    """An endpoint at this address, an annotator of the project that asks it, and a run of it; the job's id."""
    from annotations.lm import configure, endpoints, prompts, runs
    from annotations.projects.models import Project
    from app.ledger.models import Account

    project = Project.objects.get(slug=slug)
    account = Account.objects.create(name="money", cap_micros=int(Decimal(cap) * 1_000_000))
    project.account_id = account.pk
    project.save(update_fields=["account_id"])
    values = {
        "name": slug,
        "base_url": url,
        "secret_env": "",
        "currency": "EUR",
        "requests_per_minute": None,
        "concurrency": concurrency,
        "timeout_seconds": 20,
        "max_attempts": 8,
        "is_shared": True,
        "is_enabled": True,
    }
    endpoint = endpoints.save_endpoint(
        values=values,
        models=[endpoints.Offer(model, Decimal(2), Decimal(8))],
        secret="sk-throw-away-0123456789",
        actor=None,
    )
    prompt = prompts.add_prompt(project=project, name="Pairs", instructions="Judge fairly.")
    detail = configure.add_annotator(
        project=project,
        model=endpoint.models.get(),
        prompt=prompt,
        parameters=configure.Parameters(max_tokens=100),
    )
    run = runs.start(detail=detail)
    return {"job": str(run.job_id), "annotator": detail.annotator_id, "account": str(account.pk)}


def main() -> None:
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    django.setup()
    print(json.dumps(globals()[name](**arguments)))


if __name__ == "__main__":
    main()
