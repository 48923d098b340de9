"""Celery entry points of webhooks."""

from __future__ import annotations

from celery import shared_task

from . import sending


@shared_task(name="webhooks.send", soft_time_limit=60)
def send(pk: int) -> None:
    """Send one message by id; does nothing if it is not due."""
    sending.send(pk)


@shared_task(name="webhooks.sweep")
def sweep() -> None:
    """Send what is due again."""
    sending.sweep()
