"""Simulated participants: browsers that come from a panel and judge through the pages."""

from __future__ import annotations

import re
import uuid

from django.test import Client
from django.urls import reverse

from annotations.projects import rules

PID = "5f00000000000000000000{:02d}"


def open_study(project, **changes):
    """Let Prolific in: three items a place, a code for each end."""
    entry = {
        "mode": "prolific",
        "items_per_place": 3,
        "completion_code": "DONE123",
        "screenout_code": "OUT456",
        "late_code": "LATE789",
        **changes,
    }
    rules.change(project=project, entry=rules.Entry(**entry))


class Browser:
    """One browser of participant `n`."""

    def __init__(self, project, n: int):
        self.client = Client()
        self.slug = project.slug
        self.ids = {"PROLIFIC_PID": PID.format(n), "STUDY_ID": "study1", "SESSION_ID": f"session-{n}"}

    @property
    def address(self):
        return reverse("people:join_prolific", args=[self.slug])

    def look(self, **changes):
        return self.client.get(self.address, {**self.ids, **changes})

    def enter(self, **changes):
        return self.client.post(self.address, {**self.ids, **changes})

    def next(self):
        return self.client.get(reverse("work:judge", args=[self.slug]))


def answer_next(browser: Browser, *, outcome: str = "answered", active_ms: int = 30_000):
    """Judge the next item through the page; returns the response, or None where there was no item."""
    html = browser.next().content.decode()
    assignment = re.search(r'name="assignment" value="(\d+)"', html)
    if assignment is None:
        return None
    data = {
        "uuid": str(uuid.uuid4()),
        "assignment": assignment[1],
        "schema": re.search(r'name="schema" value="(\d+)"', html)[1],
        "outcome": outcome,
        "active_ms": str(active_ms),
        "wall_ms": str(active_ms),
    }
    for name, value in re.findall(r'<input[^>]*type="radio"[^>]*name="([^"]+)"[^>]*value="([^"]+)"', html):
        if not name.startswith(("note", "reason", "outcome")):
            data.setdefault(name, value)
    if outcome != "answered":
        data["outcome"] = re.search(rf'name="outcome" value="({outcome}:[^"]+)"', html)[1]
    return browser.client.post(reverse("work:submit", args=[browser.slug]), data)
