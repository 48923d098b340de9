"""Who may sign up, and who may come in through an organisation's OpenID Connect server."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import render

INVITATION_SESSION_KEY = "invitation"


class AccountAdapter(DefaultAccountAdapter):
    """Everyone may sign up where `ALLOW_SIGNUP` says so, else only people with an invitation."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return settings.ALLOW_SIGNUP or INVITATION_SESSION_KEY in request.session


class OrganisationAdapter(DefaultSocialAccountAdapter):
    """With `OIDC_EMAIL_DOMAINS`, verified addresses of these domains come in, and no others.

    An account of ours is never found by its e-mail: allauth's `EMAIL_AUTHENTICATION` is off, so whoever has one
    connects it after signing in here. Otherwise an organisation's server that lets people write any address
    would hand over our accounts.
    """

    def pre_social_login(self, request: HttpRequest, sociallogin) -> None:
        for address in sociallogin.email_addresses:
            address.verified = address.verified is True  # some servers send "false"
        domains = settings.OIDC_EMAIL_DOMAINS
        if domains and not any(_belongs(address, domains) for address in sociallogin.email_addresses):
            context = {"domains": domains, "name": settings.OIDC_NAME}
            raise ImmediateHttpResponse(render(request, "socialaccount/refused.html", context, status=403))

    def is_open_for_signup(self, request: HttpRequest, sociallogin) -> bool:
        if settings.OIDC_EMAIL_DOMAINS:  # checked before
            return True
        return super().is_open_for_signup(request, sociallogin)


def _belongs(address, domains: list[str]) -> bool:
    return address.verified and address.email.rpartition("@")[2].lower() in domains
