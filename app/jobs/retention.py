"""How long what jobs logged is kept: progress, log and lists of bad rows may hold texts of items."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from .models import Job

FINISHED = (Job.State.SUCCEEDED, Job.State.FAILED, Job.State.CANCELLED)
AT_ONCE = 500


def forget_logs(now: datetime | None = None) -> int:
    """Empty the log and events of jobs that finished JOB_LOG_KEEP_DAYS ago; returns of how many. Results stay."""
    if not settings.JOB_LOG_KEEP_DAYS:
        return 0
    oldest = (now or timezone.now()) - timedelta(days=settings.JOB_LOG_KEEP_DAYS)
    old = Job.objects.filter(state__in=FINISHED, finished_at__lt=oldest).exclude(Q(log="") & Q(events=[]))
    done = 0
    while ids := list(old.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]):
        done += Job.objects.filter(pk__in=ids).update(log="", events=[])
    return done
