"""Who sees which of the site's links; rooms above say it, because only they know what a person may do."""

from __future__ import annotations

from collections.abc import Callable

from app.accounts.models import User

_checks: list[Callable[[User], bool]] = []


def register(check: Callable[[User], bool]) -> Callable[[User], bool]:
    """Let this check say whether a person only judges here. Registering twice changes nothing."""
    if check not in _checks:
        _checks.append(check)
    return check


def only_judges(user: User) -> bool:
    """Whether the links to projects and jobs would lead this person nowhere."""
    return user.is_guest or any(check(user) for check in _checks)
