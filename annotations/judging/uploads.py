"""Files uploaded in the browser, and what a person has chosen for them so far, until the import starts."""

from __future__ import annotations

import shutil
import time
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.core.files.uploadedfile import UploadedFile
from django.utils.text import get_valid_filename

from annotations.items.readers import TABLES, UnknownFormat, sniff

SESSION_KEY = "import_drafts"
DRAFTS_KEPT = 10
FILES_KEPT_SECONDS = 30 * 86_400


@dataclass(slots=True)
class Draft:
    """Choices on the way to an import; lives in the session, its file under MEDIA_ROOT/uploads/<id>."""

    id: str
    slug: str = ""
    """The project it imports into; empty for a project that is still to be made."""
    name: str = ""
    description: str = ""
    file: str = ""
    bytes: int = 0
    format: str = ""
    mapping: dict = field(default_factory=dict)
    ask_again: bool = False
    """Whether people here judge items that the file brings human judgments of."""
    batch: str = ""
    """Name of the batch new items go into; empty: a row's own `batch` says."""
    task: dict = field(default_factory=dict)
    save_as: str = ""
    """The name under which the mapping is kept when the import starts; empty: it is not."""
    created: str = ""
    """Slug of the project this draft became, so that a second click does not make a second one."""

    @property
    def path(self) -> Path:
        return folder() / self.id / self.file

    @property
    def is_table(self) -> bool:
        return self.format in TABLES


class UnusableFile(ValueError):
    """The uploaded file cannot be imported; the text says why and what to do."""


def folder() -> Path:
    return Path(settings.MEDIA_ROOT) / "uploads"


def new_draft(slug: str = "") -> Draft:
    return Draft(id=str(uuid.uuid4()), slug=slug)


def load_draft(session: SessionBase, draft_id, slug: str = "") -> Draft | None:
    """The person's own draft with this id for this project, or None."""
    values = session.get(SESSION_KEY, {}).get(str(draft_id))
    draft = Draft(**values) if values else None
    return draft if draft is not None and draft.slug == slug else None


def save_draft(session: SessionBase, draft: Draft) -> None:
    """Keep the draft in the session; the ten latest are kept."""
    drafts = dict(session.get(SESSION_KEY, {}))
    drafts.pop(draft.id, None)
    drafts[draft.id] = asdict(draft)
    for old in list(drafts)[:-DRAFTS_KEPT]:
        del drafts[old]
    session[SESSION_KEY] = drafts


def store_file(draft: Draft, upload: UploadedFile) -> None:
    """Write the upload to the draft's folder and find its format.

    Raises UnusableFile if it is too large, empty, or no reader takes it; a file kept before stays then.
    """
    if upload.size > settings.UPLOAD_MAX_BYTES:
        raise UnusableFile(
            f"{upload.name} has {megabytes(upload.size)}; at most {megabytes(settings.UPLOAD_MAX_BYTES)} can be "
            "uploaded. Compress it with gzip, cut it in parts, or use the import_items command on the server."
        )
    name = get_valid_filename(upload.name)[-120:].lstrip(".") or "upload"
    _remove_old_files()
    place = folder() / str(uuid.uuid4())
    place.mkdir(parents=True)
    with open(place / name, "wb") as target:
        for chunk in upload.chunks():
            target.write(chunk)
    try:
        found = sniff(place / name)
    except UnknownFormat as error:
        shutil.rmtree(place, ignore_errors=True)
        raise UnusableFile(f"{upload.name}: {error.message}") from None
    final = folder() / draft.id
    shutil.rmtree(final, ignore_errors=True)
    place.rename(final)
    draft.file, draft.bytes, draft.format, draft.mapping = name, upload.size, found, {}


def megabytes(size: int) -> str:
    """A size in words: `3.1 MB`."""
    return f"{size / 1_000_000:,.1f} MB" if size >= 100_000 else f"{max(1, round(size / 1000)):,} kB"


def _remove_old_files() -> None:
    """Delete uploads that are a month old: abandoned ones, and those long imported."""
    if not folder().exists():
        return
    oldest = time.time() - FILES_KEPT_SECONDS
    for place in folder().iterdir():
        if place.stat().st_mtime < oldest:
            shutil.rmtree(place, ignore_errors=True)
