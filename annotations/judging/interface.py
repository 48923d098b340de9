"""Which build of the judging page an answer was given on."""

from __future__ import annotations

import hashlib
from functools import cache

from django.conf import settings

PARTS = (
    ("templates/judging", "*.html"),
    ("static/js", "*.js"),
    ("static/js/judging", "*.js"),
    ("static/css", "*.css"),
)


@cache
def version() -> str:
    """12 hexadecimal digits that change with the page's templates, scripts and styles; computed once a process."""
    digest = hashlib.sha256()
    for folder, pattern in PARTS:
        for path in sorted((settings.BASE_DIR / folder).glob(pattern)):
            digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
