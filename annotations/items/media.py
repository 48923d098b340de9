"""Uploaded images of a project: checked by their content, written anew without what cameras put in, and served.

Only PNG, JPEG, WebP and GIF come in. Each is decoded and encoded again, so what is served holds no more than pixels:
no EXIF, no place where it was taken, nothing hidden behind the image.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from PIL import Image, ImageOps, UnidentifiedImageError

from annotations.projects.models import Project
from app.web.rendering import MEDIA_NAME, with_media

from .models import MediaFile

MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 40_000_000  # of all frames together
MAX_FILES = 5_000  # in one project
FORMATS = {"PNG": ("image/png", ".png"), "JPEG": ("image/jpeg", ".jpg"), "WEBP": ("image/webp", ".webp"),
           "GIF": ("image/gif", ".gif")}  # fmt: skip
_NAME = re.compile(MEDIA_NAME)


class UnusableMedia(ValueError):
    """The upload cannot be kept; the message says why and what to do."""


def path_of(media: MediaFile) -> Path:
    """Where the file lies. Content-addressed: the same image under two names is one file."""
    suffix = next(end for kind, end in FORMATS.values() if kind == media.content_type)
    return Path(settings.MEDIA_ROOT) / "items" / str(media.project_id) / f"{media.sha256}{suffix}"


def remove_files(project: Project) -> None:
    """Remove every image of the project from the disk."""
    shutil.rmtree(Path(settings.MEDIA_ROOT) / "items" / str(project.pk), ignore_errors=True)


def wished_name(filename: str) -> str:
    """A file's name as it may be used in a text: small letters, digits, `.`, `_` and `-`."""
    return re.sub(r"[^a-z0-9._-]+", "-", Path(filename).name.lower()).strip("-._")[:100]


def base_of(slug: str) -> str:
    """The address that the names of a project's images are added to."""
    return reverse("items:media_file", args=[slug, "x"])[:-1]


def shown(slug: str, rendered: list[SafeString]) -> list[SafeString]:
    """Rendered texts of a project with its own images in them, for members to look at."""
    return [with_media(html, base_of(slug)) if "img-media" in html else html for html in rendered]


def add_media(*, project: Project, name: str, file: BinaryIO, actor) -> MediaFile:
    """Keep an uploaded image under this name. Raises UnusableMedia; then nothing is kept.

    The same image under the same name again returns the row that is there.
    """
    if not _NAME.fullmatch(name):
        raise UnusableMedia("name: use small letters, digits, dots, dashes and underscores, at most 100")
    if MediaFile.objects.filter(project=project).count() >= MAX_FILES:
        raise UnusableMedia(f"a project holds at most {MAX_FILES:,} images")
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UnusableMedia(f"larger than {MAX_BYTES // 1024 // 1024} MB; make the image smaller")
    content, kind, (width, height) = _clean(data)
    digest = hashlib.sha256(content).hexdigest()
    media = MediaFile(
        project=project,
        name=name,
        sha256=digest,
        content_type=kind,
        size=len(content),
        width=width,
        height=height,
        uploaded_by=actor,
    )
    _write(path_of(media), content)
    try:
        with transaction.atomic():
            media.save(force_insert=True)
    except IntegrityError:
        there = MediaFile.objects.filter(project=project, name=name).first()
        if there is not None and there.sha256 == digest and there.removed_at is None:
            return there
        raise UnusableMedia(f"{name}: this name stands for another image; choose another name") from None
    return media


def remove_media(*, media: MediaFile) -> None:
    """Delete the file; texts show its description from now on. The name is never used again."""
    path = path_of(media)
    MediaFile.objects.filter(pk=media.pk, removed_at=None).update(removed_at=timezone.now())
    shared = MediaFile.objects.filter(project=media.project_id, sha256=media.sha256, removed_at=None).exists()
    if not shared:
        path.unlink(missing_ok=True)


def _clean(data: bytes) -> tuple[bytes, str, tuple[int, int]]:
    """The image encoded anew, its content type, and its width and height."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=list(FORMATS))
            frames = getattr(image, "n_frames", 1)
            if image.width * image.height * frames > MAX_PIXELS:
                raise UnusableMedia(
                    f"{image.width} × {image.height} × {frames} frames is too much; at most 40 megapixels"
                )
            name, out = image.format, io.BytesIO()
            if frames > 1:
                image.save(out, name, save_all=True)
            else:
                upright = ImageOps.exif_transpose(image)
                if name == "JPEG" and upright.mode not in {"RGB", "L", "CMYK"}:
                    upright = upright.convert("RGB")
                bare = upright.copy()
                bare.info = {key: value for key, value in upright.info.items() if key == "transparency"}
                options = {"quality": 92, "subsampling": 0} if name == "JPEG" else {}
                options = {"quality": 92, "method": 2} if name == "WEBP" else options
                bare.save(out, name, **options)
            size = (image.width, image.height) if frames > 1 else (upright.width, upright.height)
    except UnusableMedia:
        raise
    except UnidentifiedImageError:
        raise UnusableMedia("not a PNG, JPEG, WebP or GIF image; other formats are not taken") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnusableMedia("the image is damaged or too large to be opened") from None
    return out.getvalue(), FORMATS[name][0], size


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as made:
        made.write(content)
        made.flush()
        os.fsync(made.fileno())
    os.replace(made.name, path)
