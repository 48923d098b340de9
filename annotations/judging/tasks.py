"""Celery entry points of judging."""

from celery import shared_task

from . import queue


@shared_task(name="judging.expire_leases")
def expire_leases() -> None:
    """End leases that ran out and reopen their slots."""
    queue.expire_leases()
