"""A folder onto a Hugging Face hub as one commit of a dataset repository, with the site's token; nothing of it knows the database.

`huggingface_hub` is optional and imported at first use. It runs in a thread, so that the caller can go on reporting, and
stop it: between steps, and within a file at its next read.
"""

from __future__ import annotations

import io
import json
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings

from .files import sha256_of

MANIFEST = "manifest.json"
KEPT = {".gitattributes", MANIFEST}  # what may stand in a repository of ours besides an export's files
WAITS = (1.0, 4.0, 10.0)
"""Seconds before each further try of a step that the hub did not take."""
BUSY = {429, 500, 502, 503, 504}
LOOK_EVERY = 0.5
MEGABYTE = 1_000_000

Report = Callable[[int, int, str], None]


class NotSetUp(Exception):
    """This site cannot push: no token is set, or `huggingface_hub` is not installed; the text says which."""


class HubRefused(Exception):
    """The hub, or what stands on it, does not allow the push; the text says why and never holds the token."""


class _Stopped(Exception):
    """The caller stopped the upload."""


@dataclass(frozen=True)
class Pushed:
    """What stands on the hub after a push."""

    url: str
    commit: str
    files: int
    changed: bool
    """False where the same bytes stood there already, and no commit was made."""
    public: bool


def check_set_up() -> None:
    """Raises NotSetUp where this site cannot push."""
    if not settings.HF_TOKEN:
        raise NotSetUp(
            "No token for a hub is set on this site. Whoever runs it sets HF_TOKEN, or HF_TOKEN_FILE, in its environment."
        )
    if find_spec("huggingface_hub") is None:
        raise NotSetUp(
            "The package huggingface_hub is not installed on this site. It comes with requirements-train.txt."
        )


def push_folder(*, folder: Path, repository: str, public: bool, report: Report | None = None) -> Pushed:
    """Make `owner/name` on the hub hold exactly this export's files, and be public or private.

    A new repository is private until its files are there. Files that stand there already are not sent again, and the
    same export a second time makes no commit. `report(done, total, words)` is called twice a second from the calling
    thread; what it raises stops the upload and goes on up. Raises NotSetUp, HubRefused, OSError.
    """
    check_set_up()
    upload = _Upload(folder, repository, public)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(upload.run)
        try:
            while not wait([running], LOOK_EVERY).done:
                if report:
                    report(*upload.progress())
            if report:
                report(*upload.progress())
        except BaseException:
            upload.stop.set()
            raise
        return running.result()


class _Upload:
    """One push: its steps, each tried again while the hub is busy."""

    def __init__(self, folder: Path, repository: str, public: bool) -> None:
        from huggingface_hub import HfApi

        self.folder, self.repository, self.public = folder, repository, public
        self.api = HfApi(
            endpoint=settings.HF_ENDPOINT,
            token=settings.HF_TOKEN,
            library_name="plumbline",
        )
        self.repo: dict[str, Any] = {"repo_id": repository, "repo_type": "dataset"}
        self.manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        self.paths = [entry["path"] for entry in self.manifest["files"]] + [MANIFEST]
        self.stop = threading.Event()
        self.sent = 0
        self.reading: _Watched | None = None

    def progress(self) -> tuple[int, int, str]:
        """(files done, files, what is being done)."""
        reading = self.reading
        if reading is None:
            return self.sent, len(self.paths), f"{self.sent} of {len(self.paths)} files ready"
        at, size = reading.seen / MEGABYTE, reading.size / MEGABYTE
        return self.sent, len(self.paths), f"{reading.path}: {at:.1f} of {size:.1f} MB read"

    def run(self) -> Pushed:
        for entry in self.manifest["files"]:
            if sha256_of(self.folder / entry["path"]) != entry["sha256"]:
                raise HubRefused(
                    f"{entry['path']} is not what was exported (sha256 differs). Export again, then push."
                )
        stands = self._prepared()
        opened = [_Watched(self.folder / path, path, self.stop) for path in self.paths]
        try:
            commit, changed = self._committed(opened, sorted(stands - set(self.paths) - KEPT))
        finally:
            for file in opened:
                file.close()
        if self.public:
            self._step(lambda: self.api.update_repo_settings(**self.repo, private=False))
        return Pushed(
            url=f"{settings.HF_ENDPOINT}/datasets/{self.repository}",
            commit=commit,
            files=len(self.paths),
            changed=changed,
            public=self.public,
        )

    def _prepared(self) -> set[str]:
        """Make the repository, or look at the one that stands; the files it holds."""
        from huggingface_hub.errors import RepositoryNotFoundError

        def look():
            try:
                return self.api.dataset_info(self.repository)
            except RepositoryNotFoundError:
                return None

        found = self._step(look)
        if found is None:
            self._step(lambda: self.api.create_repo(**self.repo, private=True, exist_ok=True))
            found = self._step(look)
        if found is None:
            raise HubRefused(f"The hub does not let this site's token make {self.repository}.")
        self.head = found.sha
        if not found.private and not self.public:
            raise HubRefused(
                f"{self.repository} is public on the hub. Push under another name, or say that it is to be public."
            )
        files = {sibling.rfilename for sibling in found.siblings or []}
        if files - {".gitattributes"}:
            self._check_ours(files)
        return files

    def _check_ours(self, files: set[str]) -> None:
        """Raises HubRefused where the repository holds anything but an export of the same project."""
        told = None
        if MANIFEST in files:
            with tempfile.TemporaryDirectory() as place:
                got = self._step(
                    lambda: self.api.hf_hub_download(**self.repo, filename=MANIFEST, local_dir=place)
                )
                try:
                    told = json.loads(Path(got).read_text(encoding="utf-8"))
                except ValueError:
                    told = None
        frozen = told.get("frozen") if isinstance(told, dict) and told.get("plumbline_export") == 1 else None
        project = frozen.get("project") if isinstance(frozen, dict) else None
        if project != self.manifest["frozen"]["project"]:
            raise HubRefused(
                f"{self.repository} holds something else on the hub, which a push would replace. "
                "Push under another name."
            )

    def _committed(self, opened: list[_Watched], gone: list[str]) -> tuple[str, bool]:
        """Send the files one by one, then bind them in one commit; (commit, whether anything was new)."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        message = f"Snapshot {self.manifest['snapshot']} as {self.manifest['format']}"

        def send():
            self.sent, adding = 0, []
            for file in opened:
                self.reading = file
                file.rewind()
                adding.append(CommitOperationAdd(path_in_repo=file.path, path_or_fileobj=file))
                self.api.preupload_lfs_files(
                    self.repository, adding[-1:], repo_type="dataset", num_threads=1, free_memory=False
                )
                self.sent += 1
            self.reading = None
            done = self.api.create_commit(
                **self.repo,
                operations=[*adding, *(CommitOperationDelete(path_in_repo=path) for path in gone)],
                commit_message=message,
                num_threads=1,
            )
            return done.oid

        commit = self._step(send)
        return commit, commit != self.head

    def _step(self, act: Callable[[], Any]) -> Any:
        """Do one thing on the hub, again while it is busy. Raises HubRefused, or _Stopped."""
        from httpx2 import HTTPError
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        for pause in (*WAITS, None):
            if self.stop.is_set():
                raise _Stopped
            try:
                return act()
            except OfflineModeIsEnabled:
                raise HubRefused("HF_HUB_OFFLINE is set on this site, so nothing may be sent.") from None
            except Exception as error:
                if self.stop.is_set():
                    raise _Stopped from None
                cause = _of_kind(error, (HfHubHTTPError, HTTPError))
                if cause is None:
                    if isinstance(error, ValueError | RuntimeError):
                        raise HubRefused(f"The hub: {_said(str(error))}") from None
                    raise
                status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else None
                if pause is None or not (status is None or status in BUSY):
                    raise HubRefused(self._words(cause, status)) from None
            self.stop.wait(pause)
        raise AssertionError("unreachable")

    def _words(self, error: Exception, status: int | None) -> str:
        if status is None:
            return f"The hub at {settings.HF_ENDPOINT} cannot be reached ({type(error).__name__}). Try again later."
        if status == 401:
            return "The hub refused this site's token. Whoever runs the site puts one in HF_TOKEN that may write."
        if status == 403:
            return f"This site's token may not write to {self.repository}."
        if status in BUSY:
            return f"The hub answered {status} {len(WAITS) + 1} times. Try again later."
        told = getattr(error, "server_message", None) or str(error)
        return f"The hub answered {status}: {_said(told)}"


class _Watched(io.BufferedReader):
    """A file that is read until somebody stops it."""

    def __init__(self, file: Path, path: str, stop: threading.Event) -> None:
        super().__init__(io.FileIO(file))
        self.path, self.size, self.seen, self._stop = path, file.stat().st_size, 0, stop

    def read(self, size: int | None = -1, /) -> bytes:
        if self._stop.is_set():
            raise _Stopped
        piece = super().read(size)
        self.seen = self.tell()
        return piece

    def rewind(self) -> None:
        self.seek(0)
        self.seen = 0


def _of_kind(error: BaseException | None, kinds: tuple[type[Exception], ...]) -> Any:
    """The error of one of these kinds that this one is, or comes of."""
    while error is not None and not isinstance(error, kinds):
        error = error.__cause__
    return error


def _said(text: str) -> str:
    """What the hub said, on one line, without the token."""
    return " ".join(text.replace(settings.HF_TOKEN, "…").split())[:300]
