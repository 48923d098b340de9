"""Celery entry points of what all pages share."""

from __future__ import annotations

from celery import shared_task

from . import idempotency


@shared_task(name="web.forget_answers")
def forget_answers() -> None:
    """Forget what was answered to requests with an `Idempotency-Key` more than a day ago."""
    idempotency.forget_old()
