"""Which training holds a device: a lease in the database with a fence number, kept alive by the training's beat.

A conditional UPDATE decides, so two workers cannot both take a device; a holder whose fence is no longer the
newest has lost it and must stop. On one machine a file lock, which the kernel frees at a process's death,
guards the device besides (`transformer.worker`).
"""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

from django.db.models import F, Q
from django.utils import timezone

from .models import DeviceLease

LEASE = timedelta(seconds=60)


class Lost(Exception):
    """Another training holds the device now."""


def of_this_machine(processes: int = 1) -> tuple[list[str], str]:
    """Return (lease names, torch device of the first process) of this machine's accelerators, else of its CPU.

    A worker is started with CUDA_VISIBLE_DEVICES for those it should use; without, the first ones are used. The names
    are in the order in which all take them, so that two trainings never wait for each other. Raises ValueError where
    there are fewer accelerators than processes.
    """
    host = socket.gethostname()[:80]
    cards = Path("/proc/driver/nvidia/gpus")
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    if cards.is_dir() and find_spec("torch") and visible[:1] != ["-1"]:
        used = (visible or list(map(str, range(len(list(cards.iterdir()))))))[:processes]
        if len(used) < processes:
            raise ValueError(f"option 'processes': {processes} need as many GPUs, and here are {len(used)}")
        return sorted(f"{host}:cuda:{name}" for name in used), "cuda:0"
    return [f"{host}:cpu"], "cpu"


def acquire(*, name: str, job_id) -> int | None:
    """Take the device for a job; returns the fence, or None while a living training holds it."""
    now = timezone.now()
    DeviceLease.objects.get_or_create(name=name)
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now) | Q(job_id=job_id)
    taken = (
        DeviceLease.objects.filter(name=name)
        .filter(free)
        .update(job_id=job_id, fence=F("fence") + 1, lease_until=now + LEASE)
    )
    if not taken:
        return None
    lease = DeviceLease.objects.get(name=name)
    return lease.fence if lease.job_id == job_id else None


def renew(*, name: str, fence: int) -> None:
    """Keep the device; raises Lost where another training took it."""
    kept = DeviceLease.objects.filter(name=name, fence=fence).update(lease_until=timezone.now() + LEASE)
    if not kept:
        raise Lost(name)


def release(*, name: str, fence: int) -> None:
    """Give the device back, if it still is ours."""
    DeviceLease.objects.filter(name=name, fence=fence).update(job_id=None, lease_until=None)


def holder(name: str):
    """The job that holds the device now, or None."""
    return (
        DeviceLease.objects.filter(name=name, lease_until__gte=timezone.now())
        .values_list("job_id", flat=True)
        .first()
    )
