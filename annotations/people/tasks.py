"""Celery entry points and job handlers of people."""

from __future__ import annotations

from celery import shared_task

from app.accounts.models import User
from app.jobs.runner import JobContext, JobFailed, handler

from . import alerts, erase, pay, tallies


@shared_task(name="people.settle_pay")
def settle_pay() -> None:
    """Reckon the work of people who are not at it now, and free what was held for them."""
    pay.settle_all()


@shared_task(name="people.forget")
def forget() -> None:
    """Forget people where a project's rules say that it is time."""
    erase.forget_due()


@shared_task(name="people.tally")
def tally() -> None:
    """Tally the judgments that came in, for the overview's pictures."""
    tallies.catch_up_all()


@shared_task(name="people.budget_alerts")
def budget_alerts() -> None:
    """Note the thresholds that budgets have passed, and tell their owners."""
    alerts.raise_all()


@handler("people.erase")
def erase_person(job: JobContext, *, user_id: int) -> dict:
    """Erase one person; done again after a crash, it goes on where it stopped."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        return {"done": "before"}
    try:
        return erase.erase(user=user).as_dict()
    except erase.CannotErase as error:
        raise JobFailed(str(error)) from None
