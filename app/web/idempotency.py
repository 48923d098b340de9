"""`Idempotency-Key`: a POST that was sent twice acts once, and the second sending gets the first one's answer.

After draft-ietf-httpapi-idempotency-key-header-07. A key belongs to one person and one request: with another path or
body it is refused (422), while the first sending is under way too (409). What was refused (4xx, 5xx) wrote nothing and
frees its key. A process that dies in between leaves its key taken: nobody knows whether it acted, so the answer is
a 409 that says so, until the key is forgotten after a day.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from .models import IdempotentAnswer
from .problems import Problem

KEPT = timedelta(days=1)
UNDER_WAY = timedelta(minutes=2)
LONGEST_KEY = 200
LARGEST_ANSWER = 256 * 1024
HEADERS = ("Location",)


class Replay(Exception):
    """Raised to answer with what was answered before; `response` is ready."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def begin(request: Request) -> IdempotentAnswer | None:
    """Claim the request's key; None where it has none. Raises Replay, or Problem where the key is taken."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise Problem(
            400, "The Idempotency-Key is not valid", f"1 to {LONGEST_KEY} printable ASCII characters."
        )
    mark = fingerprint(request)
    for _ in range(2):
        try:
            with transaction.atomic():
                return IdempotentAnswer.objects.create(user=request.user, key=key, fingerprint=mark)
        except IntegrityError:
            known = IdempotentAnswer.objects.filter(user=request.user, key=key).first()
        if known is None:
            continue  # it was refused and freed in this moment
        if known.created_at < timezone.now() - KEPT:
            known.delete()
            continue
        _answer_again(known, mark)
    raise Problem(
        409, "The request is under way", "Another request with this Idempotency-Key is being handled."
    )


def _answer_again(known: IdempotentAnswer, mark: str) -> None:
    if known.fingerprint != mark:
        raise Problem(
            422,
            "The Idempotency-Key belongs to another request",
            "Use a new key for another path or another body.",
        )
    if known.status is None:
        if known.created_at > timezone.now() - UNDER_WAY:
            raise Problem(409, "The request is under way", "Ask again in a few seconds.")
        raise Problem(
            409, "It is not known what became of the request",
            "The server stopped while it was handled. Look whether it took effect, then use a new key.",
        )  # fmt: skip
    data = json.loads(known.body) if known.body else None
    raise Replay(
        Response(data, status=known.status, headers={**known.headers, "Idempotent-Replayed": "true"})
    )


def finish(claim: IdempotentAnswer, response: HttpResponse) -> None:
    """Keep the answer for a day, or free the key where nothing was written. Call when the answer is rendered."""
    if response.status_code >= 400 or len(response.content) > LARGEST_ANSWER:
        claim.delete()
        return
    IdempotentAnswer.objects.filter(pk=claim.pk).update(
        status=response.status_code,
        body=response.content.decode(),
        headers={name: response[name] for name in HEADERS if name in response},
    )


def fingerprint(request: Request) -> str:
    """SHA-256 over path, query and body; of files their names and bytes."""
    said = hashlib.sha256(f"{request.get_full_path()}\n{request.content_type}\n".encode())
    if request.content_type.startswith("multipart/"):
        for name, values in sorted(request.data.lists()):
            for value in values:
                said.update(f"{name}\n".encode("utf-8", "surrogatepass"))
                if isinstance(value, UploadedFile):
                    said.update(f"{value.name}\n".encode("utf-8", "surrogatepass"))
                    for chunk in value.chunks():
                        said.update(chunk)
                    value.seek(0)
                else:
                    said.update(str(value).encode("utf-8", "surrogatepass"))
    else:
        said.update(request.body)
    return said.hexdigest()


def forget_old() -> int:
    """Delete keys that are older than a day; returns how many."""
    return IdempotentAnswer.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]
