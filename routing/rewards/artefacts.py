"""Model files: arrays in an uncompressed `.npz` and a `model.json` that names their sha256. No pickle.

The same content gives the same bytes (zip entries carry a fixed time, JSON keys are sorted). Each file is
written beside its place, synced and renamed; `model.json` comes last, so a directory that has one is whole
or is found out by its checksums.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

WEIGHTS = "weights.npz"
HEADER = "model.json"


class ArtefactError(ValueError):
    """A model directory is missing, incomplete, altered or not of the expected kind."""


def write(
    directory: str | Path, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Write header and arrays; return {file name: {"sha256", "bytes"}} of both files.

    `header` holds plain JSON values; finite numbers only (ValueError otherwise, before anything is written).
    """
    directory = Path(directory)
    weights = npz_bytes(arrays)
    files = {WEIGHTS: _describe(weights)}
    text = json.dumps(
        {**header, "files": files},
        sort_keys=True,
        indent=1,
        ensure_ascii=False,
        allow_nan=False,
    )
    document = (text + "\n").encode("utf-8")
    directory.mkdir(parents=True, exist_ok=True)
    _replace(directory / WEIGHTS, weights)
    _replace(directory / HEADER, document)
    return {**files, HEADER: _describe(document)}


def read(directory: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return (header, arrays) after checking sizes and sha256; raise `ArtefactError` otherwise."""
    directory = Path(directory)
    try:
        header = json.loads((directory / HEADER).read_bytes())
        weights = (directory / WEIGHTS).read_bytes()
        expected = header["files"][WEIGHTS]
    except (
        OSError,
        UnicodeDecodeError,
        json.JSONDecodeError,
        KeyError,
        TypeError,
    ) as error:
        raise ArtefactError(f"{directory} holds no readable model: {error}") from error
    if expected != _describe(weights):
        raise ArtefactError(f"{directory / WEIGHTS} does not match the checksum in {HEADER}")
    try:
        with np.load(io.BytesIO(weights), allow_pickle=False) as stored:
            return header, {name: stored[name] for name in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{directory / WEIGHTS} is not a readable array file: {error}") from error


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return an `.npz` archive whose bytes depend on the arrays alone (names sorted, time fixed)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            archive.writestr(info, entry.getvalue())
    return buffer.getvalue()


def write_file(path: Path, content: bytes) -> dict[str, Any]:
    """Put one file in its place atomically; return {"sha256", "bytes"}."""
    _replace(path, content)
    return _describe(content)


def _describe(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _replace(path: Path, content: bytes) -> None:
    """Put `content` at `path`: write beside it, sync, rename, sync the directory."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
