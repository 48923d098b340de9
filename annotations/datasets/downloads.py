"""Sending a file of an export: whole or in ranges, to members or to the holder of a link that lasts a day."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from django.core import signing
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse

LINK_SECONDS = 24 * 3600
SALT = "datasets.download"
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
CHUNK = 1 << 16


class BadLink(ValueError):
    """A link that was not made here, or is older than a day; the text says which."""


def sign(export_id: int, name: str) -> str:
    """A token for one file of one export."""
    return signing.TimestampSigner(salt=SALT).sign_object([export_id, name], compress=True)


def unsign(token: str) -> tuple[int, str]:
    """(export id, file name) of a token. Raises BadLink."""
    try:
        export_id, name = signing.TimestampSigner(salt=SALT).unsign_object(token, max_age=LINK_SECONDS)
    except signing.SignatureExpired:
        raise BadLink("This link has expired: links last a day.")
    except (signing.BadSignature, ValueError, TypeError):
        raise BadLink("This link is not valid.")
    return export_id, name


def file_response(request: HttpRequest, path: Path, sha256: str) -> HttpResponse:
    """The file, or the part of it that `Range` asks for, so that a broken download goes on where it stopped.

    The ETag is the file's sha256. One range is served; several, or one that `If-Range` does not allow, get the
    whole file (RFC 9110, sections 13 and 14). Answers 416 for a range outside the file, 304 to a known ETag.
    """
    etag, size = f'"{sha256}"', path.stat().st_size
    if request.headers.get("If-None-Match", "") in (etag, "*"):
        return HttpResponse(status=304, headers={"ETag": etag})
    asked = RANGE.fullmatch(request.headers.get("Range", "").strip())
    if asked is None or asked.groups() == ("", "") or request.headers.get("If-Range", etag) != etag:
        response = FileResponse(path.open("rb"), as_attachment=True, filename=path.name)
    else:
        first, last = _bounds(*asked.groups(), size)
        if first >= size or first > last:
            return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
        response = StreamingHttpResponse(_part(path.open("rb"), first, last - first + 1), status=206)
        response["Content-Length"] = str(last - first + 1)
        response["Content-Range"] = f"bytes {first}-{last}/{size}"
        response["Content-Disposition"] = f'attachment; filename="{path.name}"'
    response["Content-Type"] = "application/octet-stream"
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    return response


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:  # the last n bytes
        return max(0, size - int(last)) if int(last) else size, size - 1
    return int(first), min(int(last), size - 1) if last else size - 1


def _part(file: BinaryIO, first: int, length: int) -> Iterator[bytes]:
    with file:
        file.seek(first)
        while length > 0 and (chunk := file.read(min(CHUNK, length))):
            length -= len(chunk)
            yield chunk
