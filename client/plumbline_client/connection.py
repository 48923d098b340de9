"""One site: requests with a token, retries that cannot act twice, pages, jobs."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pandas as pd

if TYPE_CHECKING:
    from .project import Project

TRIES = 5
PAGE = 200
AGAIN = {429, 502, 503, 504}


class PlumblineError(Exception):
    """The site refused a request: `status`, `title`, `detail`, and `errors` [{field, message}]."""

    def __init__(self, status: int, title: str, detail: str = "", errors: list[dict] | None = None) -> None:
        self.status, self.title, self.detail, self.errors = status, title, detail, errors or []
        words = [f"{status} {title}", detail, *(f"{e['field']}: {e['message']}" for e in self.errors[:5])]
        super().__init__(". ".join(word.rstrip(".") for word in words if word))


class JobFailed(Exception):
    """Long work ended without success; `job` is its last state."""

    def __init__(self, job: dict) -> None:
        self.job = job
        super().__init__(f"{job['title']}: {job['state']}. {job['error']}".strip())


class Plumbline:
    """A Plumbline site, with a token from *My account → API tokens*.

    >>> site = Plumbline("https://plumbline.example.org", token="…")

    Without arguments `PLUMBLINE_URL` and `PLUMBLINE_TOKEN` are read. `progress` draws a bar on a terminal.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        progress: bool = True,
        timeout: float = 60.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        url, token = (
            url or os.environ.get("PLUMBLINE_URL", ""),
            token or os.environ.get("PLUMBLINE_TOKEN", ""),
        )
        if not url or not token:
            raise ValueError("Give the site's address and a token, or set PLUMBLINE_URL and PLUMBLINE_TOKEN.")
        self.url, self.progress = url.rstrip("/"), progress
        self._client = httpx2.Client(
            base_url=f"{self.url}/api/v1/",
            headers={"Authorization": f"Token {token}", "Accept": "application/json"},
            timeout=timeout,
            transport=transport,
        )

    def __enter__(self) -> Plumbline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    # --- What there is --------------------------------------------------------------------------------------
    def projects(self) -> pd.DataFrame:
        """Your projects, one a row."""
        return pd.DataFrame(self.rows("projects"))

    def project(self, slug: str) -> Project:
        """One project. Raises PlumblineError (404) if there is none for you."""
        from .project import Project

        return Project(self, self.get(f"projects/{slug}"))

    def create_project(
        self, name: str, *, preset: str | None = None, definition: dict | None = None, **settings: Any
    ) -> Project:
        """Make a project from a preset (`preference_ratings`, …) or a task definition; you own it.

        `settings`: slug, description, guidelines, overlap, currency, cap, human_cost, seed.
        """
        from .project import Project

        asked = {"preset": preset, "definition": definition}
        body = {"name": name, **settings, **{key: value for key, value in asked.items() if value is not None}}
        return Project(self, self.post("projects", body))

    # --- Requests -------------------------------------------------------------------------------------------
    def get(self, path: str, **query: Any) -> dict:
        """One resource."""
        return self.request("GET", path, params=query).json()

    def post(self, path: str, body: dict | None = None) -> dict:
        """Make something. A retry carries the same Idempotency-Key, so it never acts twice."""
        return self.request("POST", path, json=body if body is not None else {}).json()

    def patch(self, path: str, body: dict) -> dict:
        return self.request("PATCH", path, json=body).json()

    def rows(self, path: str, **query: Any) -> Iterator[dict]:
        """All rows of a list, page by page."""
        query = {key: value for key, value in query.items() if value is not None} | {"size": PAGE}
        while True:
            page = self.get(path, **query)
            yield from page["results"]
            if page["next"] is None:
                return
            query["cursor"] = page["next"]

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request, again where the site or the network stumbled. Raises PlumblineError."""
        headers = options.pop("headers", {})
        if method == "POST":
            headers = {"Idempotency-Key": str(uuid.uuid4()), **headers}
        files = options.get("files", {})
        for tried in range(1, TRIES + 1):
            for _, file, *_rest in files.values():
                file.seek(0)
            wait = min(2.0**tried / 4, 10.0)
            try:
                response = self._client.request(method, path, headers=headers, **options)
            except httpx2.TransportError:
                if tried == TRIES:
                    raise
            else:
                under_way = response.status_code == 409 and "under way" in response.text
                if tried == TRIES or not (response.status_code in AGAIN or under_way):
                    return _checked(response)
                wait = float(response.headers.get("Retry-After", wait))
            time.sleep(min(wait, 60.0))
        raise AssertionError("unreachable")

    def fetch(self, path: str, target: Path, size: int) -> Path:
        """Download a file, going on where an earlier try stopped; `target` appears when it is whole."""
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        for tried in range(1, TRIES + 1):
            have = partial.stat().st_size if partial.exists() else 0
            if have < size or not partial.exists():
                try:
                    headers = {"Range": f"bytes={have}-"} if have else {}
                    with self._client.stream("GET", path, headers=headers) as response:
                        if response.status_code not in (200, 206):
                            response.read()
                            _checked(response)
                        with partial.open("ab" if response.status_code == 206 else "wb") as file:
                            for chunk in response.iter_bytes():
                                file.write(chunk)
                except httpx2.TransportError:
                    if tried == TRIES:
                        raise
                    time.sleep(2.0**tried / 4)
                    continue
            if partial.stat().st_size == size:
                break
        return partial.replace(target)

    # --- Jobs -----------------------------------------------------------------------------------------------
    def wait(self, job: dict, *, timeout: float | None = None) -> dict:
        """Follow long work to its end and return it; its `result` says what came out.

        Raises JobFailed if it failed or was cancelled, TimeoutError after `timeout` seconds (it goes on then).
        """
        began, pause, bar = time.monotonic(), 0.2, _Bar(self.progress)
        while job["state"] in ("queued", "running"):
            bar.draw(job)
            if timeout is not None and time.monotonic() - began > timeout:
                raise TimeoutError(f"{job['title']} is still {job['state']}; it goes on.")
            time.sleep(pause)
            pause = min(pause * 1.3, 3.0)
            job = self.get(f"jobs/{job['id']}")
        bar.end(job)
        if job["state"] != "succeeded":
            raise JobFailed(job)
        return job


def _checked(response: httpx2.Response) -> httpx2.Response:
    if response.status_code < 400:
        return response
    try:
        said = response.json()
    except ValueError:
        said = {}
    if not isinstance(said, dict):
        said = {}
    title = said.get("title") or response.reason_phrase or "Refused"
    raise PlumblineError(response.status_code, title, said.get("detail", ""), said.get("errors"))


class _Bar:
    """A progress bar on a terminal's stderr; nothing elsewhere."""

    WIDTH = 24

    def __init__(self, wanted: bool) -> None:
        self.on = wanted and sys.stderr.isatty()
        self.drawn = 0

    def draw(self, job: dict) -> None:
        if not self.on:
            return
        share = job.get("fraction")
        filled = int(self.WIDTH * (share or 0))
        left = f", {job['eta_seconds']} s left" if job.get("eta_seconds") else ""
        line = f"{job['title']} [{'#' * filled}{'.' * (self.WIDTH - filled)}] {job['message'] or job['state']}{left}"
        sys.stderr.write(f"\r{line:<{self.drawn}}")
        sys.stderr.flush()
        self.drawn = len(line)

    def end(self, job: dict) -> None:
        if self.on:
            sys.stderr.write(f"\r{job['title']}: {job['state']}".ljust(self.drawn) + "\n")
