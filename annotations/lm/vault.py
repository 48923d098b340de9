"""Keys of endpoints: named in the environment, or encrypted with a key derived from SECRET_KEY.

A secret leaves this module only towards the client. `scrubbed` takes it out of any text that may be shown or logged.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from .models import Endpoint

_CONTEXT = b"plumbline: keys of LM endpoints"
_ENV_NAME = re.compile(r"(?:LM_[A-Z0-9_]{1,60}|[A-Z][A-Z0-9_]{0,60}_API_KEY)")
HIDDEN = "[key]"


class NoSecret(Exception):
    """The endpoint's key cannot be read; the text says why and never holds it."""


def allowed_env(name: str) -> bool:
    """Only variables meant for this: `LM_…` or `…_API_KEY`, so that no page can name SECRET_KEY or DATABASE_URL."""
    return bool(_ENV_NAME.fullmatch(name))


def _fernet() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(secret_key: str) -> bytes:
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=_CONTEXT)
    return base64.urlsafe_b64encode(hkdf.derive(secret_key.encode()))


def sealed(secret: str) -> str:
    """The secret encrypted, as it is stored."""
    return _fernet().encrypt(secret.encode()).decode()


def secret_of(endpoint: Endpoint) -> str:
    """The endpoint's key; empty where it needs none. Raises NoSecret."""
    if endpoint.secret_env:
        if not allowed_env(endpoint.secret_env):
            raise NoSecret(
                f"{endpoint.secret_env}: expected a name that begins with LM_ or ends with _API_KEY."
            )
        found = os.environ.get(endpoint.secret_env, "")
        if not found:
            raise NoSecret(f"The environment variable {endpoint.secret_env} is not set on this machine.")
        return found
    if endpoint.secret_box:
        try:
            return _fernet().decrypt(endpoint.secret_box.encode()).decode()
        except InvalidToken:
            raise NoSecret("The stored key was encrypted with another SECRET_KEY; enter it again.") from None
    return ""


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets, whole or in part of at least eight characters at either end."""
    for secret in secrets:
        if len(secret) < 4:
            continue
        text = text.replace(secret, HIDDEN)
        if len(secret) >= 12:
            text = text.replace(secret[:8], HIDDEN).replace(secret[-8:], HIDDEN)
    return text
