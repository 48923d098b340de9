"""Which audit events a person may read."""

from __future__ import annotations

from django.db.models import Q

from app.jobs.access import scopes_of

from .models import AuditEvent


def audit_events_for(user):
    """All events for site admins; their own and those of their projects for everybody else."""
    if user.is_staff:
        return AuditEvent.objects.all()
    return AuditEvent.objects.filter(Q(actor=user) | Q(scope__in=scopes_of(user)))
