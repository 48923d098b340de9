"""Frozen datasets: snapshots, and the files exported from them."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .connection import Plumbline

if TYPE_CHECKING:
    import datasets


class Damaged(OSError):
    """A downloaded file is not what the site wrote."""


class Snapshot:
    """An immutable dataset; `info` has its hash, counts and versions."""

    def __init__(self, site: Plumbline, slug: str, info: dict) -> None:
        self.site, self.slug, self.info = site, slug, info
        self.id: str = info["id"]
        self._path = f"projects/{slug}/snapshots/{self.id}"

    def __repr__(self) -> str:
        return f"Snapshot({self.id!r}, {self.info['n_items']} items, {self.info['n_judgments']} judgments)"

    def export(self, format: str, *, container: str | None = None, **options: Any) -> Export:
        """Write the snapshot in a format (`trl_preference`, `native`, …; docs/formats.md) and wait for it.

        The same export again is the one that stands. `options` are the format's own: `aspect`, `method`, …
        """
        body: dict[str, Any] = {"format": format, "options": options}
        if container:
            body["container"] = container
        made = self.site.post(f"{self._path}/exports", body)
        if "kind" in made:  # a job: it is being written
            self.site.wait(made)
        elif made["state"] == "building":
            self.site.wait(self.site.get(f"jobs/{made['job']}"))
        made = self.site.post(f"{self._path}/exports", body)
        return Export(self.site, self._path, made)


class Export:
    """Files of one format; `files` lists them with rows, split and SHA-256."""

    def __init__(self, site: Plumbline, path: str, info: dict) -> None:
        self.site, self.info = site, info
        self._path = f"{path}/exports/{info['id']}"
        self.files: list[dict] = info["files"]

    def __repr__(self) -> str:
        return f"Export({self.info['format']!r}, {self.info['rows']} rows in {len(self.files)} files)"

    def download(self, folder: str | Path) -> Path:
        """Fetch every file, checked against its SHA-256, and the manifest into the folder; what is there and right is kept."""
        folder = Path(folder)
        for file in self.files:
            target = folder / file["path"]
            if not (target.exists() and _sha256(target) == file["sha256"]):
                self.site.fetch(f"{self._path}/files/{file['path']}", target, file["bytes"])
                if _sha256(target) != file["sha256"]:
                    target.unlink()
                    raise Damaged(f"{file['path']} is not what the site wrote; fetch it again.")
        folder.mkdir(parents=True, exist_ok=True)
        manifest = self.site.request("GET", f"{self._path}/files/manifest.json")
        (folder / "manifest.json").write_bytes(manifest.content)
        return folder

    def push(self, repository: str, *, public: bool = False) -> dict:
        """Push the files to a dataset repository (`owner/name`) of the site's hub and wait; returns {url, commit, changed, …}.

        Private unless `public`, which is kept to owners and needs an export with a `licence`. The same export again makes
        no commit. Raises PlumblineError (409) where the site has no token, JobFailed where the hub refuses.
        """
        body = {"repository": repository, "public": public, "sure": public}
        return self.site.wait(self.site.post(f"{self._path}/pushes", body))["result"]

    def data_files(self) -> dict[str, list[str]]:
        """Paths of the data by split: what `datasets.load_dataset(data_files=…)` takes."""
        found: dict[str, list[str]] = {}
        for file in self.files:
            if file["split"]:
                found.setdefault(file["split"], []).append(file["path"])
        return found

    def to_pandas(self, split: str = "train", folder: str | Path | None = None) -> pd.DataFrame:
        """The rows of one split. Without a folder the files are gone afterwards."""
        names = self.data_files().get(split)
        if names is None:
            raise ValueError(f"No split {split!r}; there are {', '.join(self.data_files()) or 'none'}.")
        with tempfile.TemporaryDirectory() as temporary:
            root = self.download(folder or temporary)
            return pd.concat([_read(root / name) for name in names], ignore_index=True)

    def to_datasets(self, folder: str | Path) -> datasets.DatasetDict:
        """The splits as a Hugging Face DatasetDict; needs `pip install plumbline-client[datasets]`."""
        from datasets import load_dataset

        root = self.download(folder)
        files = {split: [str(root / name) for name in names] for split, names in self.data_files().items()}
        first = next(iter(files.values()))[0]
        return load_dataset("parquet" if first.endswith(".parquet") else "json", data_files=files)


def _read(path: Path) -> pd.DataFrame:
    if path.name.endswith(".parquet"):
        return pd.read_parquet(path)
    if path.name.endswith(".csv"):
        return pd.read_csv(path)
    return pd.read_json(path, lines=True, dtype=False, convert_dates=False)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else _slowly(file)
        )


def _slowly(file) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
