"""API tokens: hashed by knox, named by us, expiring."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from knox.models import AuthToken

from . import audit
from .models import TokenLabel, User

MAX_TOKENS = 20


class TooManyTokens(ValueError):
    """The person has as many tokens as one may have."""


@transaction.atomic
def make_token(
    *, user: User, name: str, days: int, read_only: bool = False, project: str = ""
) -> tuple[AuthToken, str]:
    """Make a token that expires in `days`; returns it with the secret, which only its hash outlives.

    `read_only` and `project` (a slug) narrow what it may do; see `scopes.TokenScope`. Raises TooManyTokens beyond 20 per person.
    """
    if AuthToken.objects.filter(user=user).count() >= MAX_TOKENS:
        raise TooManyTokens(f"You have {MAX_TOKENS} tokens; revoke one first.")
    token, secret = AuthToken.objects.create(user=user, expiry=timedelta(days=days))
    TokenLabel.objects.create(token=token, name=name, read_only=read_only, project=project)
    audit.record(
        actor=user, action="token.made", target=name, days=days, read_only=read_only, project=project
    )
    return token, secret


@transaction.atomic
def revoke_token(*, user: User, token_key: str) -> bool:
    """Delete the person's token with this public key; False if they have none such."""
    token = AuthToken.objects.filter(user=user, token_key=token_key).first()
    if token is None:
        return False
    token.delete()
    audit.record(actor=user, action="token.revoked", target=token_key)
    return True
