"""Endpoints: the checked acts of site admins, who may use which, and trying one out."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Q

from annotations.projects.models import Project
from app.accounts import audit

from . import client, vault
from .models import Endpoint, EndpointModel, Pace

FIELDS = (
    "name",
    "base_url",
    "secret_env",
    "currency",
    "requests_per_minute",
    "concurrency",
    "timeout_seconds",
    "max_attempts",
    "is_shared",
    "is_enabled",
)
MOST_MODELS = 100
HIGHEST_PRICE = Decimal(1_000_000)


class BadEndpoint(ValueError):
    """The values do not make an endpoint; `field` says where."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Offer:
    """A model with its prices per million tokens."""

    name: str
    input_price: Decimal = Decimal(0)
    output_price: Decimal = Decimal(0)


def usable(project: Project):
    """The endpoints this project may use, by name."""
    allowed = Q(is_shared=True) | Q(projects=project)
    return Endpoint.objects.filter(allowed, is_enabled=True).distinct().order_by("name")


def may_use(project: Project, endpoint: Endpoint) -> bool:
    return usable(project).filter(pk=endpoint.pk).exists()


def parse_models(text: str) -> list[Offer]:
    """One model a line: its name, then its prices for a million input and output tokens (both 0 if left out).

    Raises BadEndpoint with the number of the line.
    """
    offers: list[Offer] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) not in (1, 3):
            raise BadEndpoint(
                "models",
                f"Line {number}: expected a name alone, or a name and two prices, found {len(words)} words.",
            )
        try:
            prices = [_price(word) for word in words[1:]] or [Decimal(0), Decimal(0)]
        except (InvalidOperation, ValueError):
            raise BadEndpoint(
                "models", f"Line {number}: {words[1]} and {words[2]}: expected prices like 0.15, at least 0."
            ) from None
        if len(words[0]) > 200:
            raise BadEndpoint("models", f"Line {number}: the name is longer than 200 characters.")
        offers.append(Offer(words[0], *prices))
    names = [offer.name for offer in offers]
    if not names:
        raise BadEndpoint("models", "Name at least one model.")
    if len(names) > MOST_MODELS:
        raise BadEndpoint("models", f"{len(names)} models: at most {MOST_MODELS}.")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadEndpoint("models", f"{twice} stands twice.")
    return offers


def _price(word: str) -> Decimal:
    price = Decimal(word)
    if not price.is_finite() or not 0 <= price <= HIGHEST_PRICE or -price.as_tuple().exponent > 4:
        raise ValueError(word)
    return price


def models_text(endpoint: Endpoint) -> str:
    """The offered models as `parse_models` reads them."""
    return "\n".join(
        f"{m.name} {m.input_price.normalize():f} {m.output_price.normalize():f}"
        for m in endpoint.models.filter(is_offered=True).order_by("name")
    )


def check_address(base_url: str) -> str:
    """The address without a trailing slash. Raises BadEndpoint unless it is http(s) to a host that may be called.

    Private and loopback addresses are allowed: servers on the own machine or network are the point. Link-local ones
    are not: there the clouds serve credentials.
    """
    try:
        parts = urlsplit(base_url.strip())
        port = parts.port
    except ValueError:
        raise BadEndpoint("base_url", "This is no address.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadEndpoint("base_url", "Expected http:// or https:// and a host.")
    if parts.username or parts.password:
        raise BadEndpoint("base_url", "A key does not belong into the address; enter it below.")
    if parts.query or parts.fragment or re.search(r"[\s\x00-\x1f\x7f]", base_url.strip()):
        raise BadEndpoint("base_url", "Expected an address without ? or #, ending in /v1 for most servers.")
    for address in _addresses(parts.hostname, port or (443 if parts.scheme == "https" else 80)):
        if address.is_link_local or address.is_multicast or address.is_unspecified:
            raise BadEndpoint("base_url", f"{parts.hostname} is {address}, which no model is served at.")
    return base_url.strip().rstrip("/")


def _addresses(host: str, port: int) -> list:
    """What the host is; empty where its name is not known (yet)."""
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [ipaddress.ip_address(entry[4][0].split("%")[0]) for entry in found]


def save_endpoint(
    *,
    values: dict,
    models: Sequence[Offer],
    secret: str | None,
    actor,
    endpoint: Endpoint | None = None,
    projects: Sequence[Project] = (),
) -> Endpoint:
    """Make or change an endpoint with its models; `secret` None keeps the stored key, "" removes it. Logged, without it.

    A stored key goes to the address it was entered for: with another scheme, host or port it has to be entered again.
    Models that are not named any more are no longer offered; annotators that use them stay. Raises BadEndpoint.
    """
    values = {name: values[name] for name in FIELDS}
    values["base_url"] = check_address(values["base_url"])
    if values["secret_env"] and not vault.allowed_env(values["secret_env"]):
        raise BadEndpoint("secret_env", "Expected a name that begins with LM_ or ends with _API_KEY.")
    if secret and values["secret_env"]:
        raise BadEndpoint("secret", "Give the key or the name of a variable, not both.")
    if secret is not None and (
        len(secret) > 2000 or not secret.isascii() or any(c.isspace() for c in secret)
    ):
        raise BadEndpoint("secret", "A key is at most 2,000 plain characters without spaces.")
    with transaction.atomic():
        if endpoint is not None:
            endpoint = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
            moved = _origin(endpoint.base_url) != _origin(values["base_url"])
            if moved and endpoint.secret_box and secret is None and not values["secret_env"]:
                raise BadEndpoint("secret", "The address is another one: enter the key again.")
        before = {name: getattr(endpoint, name) for name in FIELDS} if endpoint else {}
        row = endpoint or Endpoint(created_by=actor)
        for name, value in values.items():
            setattr(row, name, value)
        if secret is not None or values["secret_env"]:
            row.secret_box = vault.sealed(secret) if secret else ""
        if Endpoint.objects.filter(name=row.name).exclude(pk=row.pk).exists():
            raise BadEndpoint("name", "Another endpoint has this name.")
        row.save()
        Pace.objects.get_or_create(endpoint=row)
        row.projects.set(projects)
        _save_models(row, models)
        audit.record(
            actor=actor,
            action="endpoint.changed" if before else "endpoint.added",
            target=row.name,
            address=row.base_url,
            changed=", ".join(sorted(n for n in before if before[n] != values[n])),
            key="changed" if secret is not None else "kept",
            models=", ".join(offer.name for offer in models)[:1000],
        )
    return row


def _origin(url: str) -> tuple:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _save_models(endpoint: Endpoint, models: Sequence[Offer]) -> None:
    names = [offer.name for offer in models]
    endpoint.models.exclude(name__in=names).update(is_offered=False)
    for offer in models:
        EndpointModel.objects.update_or_create(
            endpoint=endpoint,
            name=offer.name,
            defaults={
                "input_price": offer.input_price,
                "output_price": offer.output_price,
                "is_offered": True,
            },
        )


def target_of(endpoint: Endpoint, model: str) -> client.Target:
    """Where a call to this model goes, with the key. Raises vault.NoSecret, BadEndpoint."""
    return client.Target(
        base_url=check_address(endpoint.base_url),
        model=model,
        secret=vault.secret_of(endpoint),
        timeout=float(endpoint.timeout_seconds),
    )


@dataclass(frozen=True)
class Trial:
    """What trying an endpoint found, in words that may be shown."""

    ok: bool
    words: str
    models: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def try_endpoint(endpoint: Endpoint) -> Trial:
    """Ask the server which models it has: checks address and key, and costs nothing. Never raises."""
    try:
        names = client.model_names(target_of(endpoint, ""))
    except (vault.NoSecret, BadEndpoint, client.CallFailed) as error:
        return Trial(False, str(error))
    offered = endpoint.models.filter(is_offered=True).order_by("name").values_list("name", flat=True)
    missing = tuple(name for name in offered if name not in names)
    if missing:
        return Trial(
            False,
            f"The server answers and lists {len(names)} models, but not {', '.join(missing)}.",
            tuple(names),
            missing,
        )
    return Trial(
        True, f"The server answers and lists {len(names)} models, all offered ones among them.", tuple(names)
    )
