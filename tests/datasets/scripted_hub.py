"""A hub on this machine: the endpoints that `huggingface_hub` uses to make a dataset repository and commit to it.

`Hub.fail` is a list of (part of a path, status, times): such requests are refused so often first. Everything asked is kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Repo:
    private: bool
    commits: list[str] = field(default_factory=lambda: ["0" * 40])
    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b"*.parquet lfs\n"})

    def oid(self, path: str) -> str | None:
        if path not in self.files:
            return None
        data = self.files[path]
        if big(path):
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Hub:
    token: str
    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    fail: list[list] = field(default_factory=list)
    when_stored: threading.Event = field(default_factory=threading.Event)
    """Set when a file begins to arrive."""
    go_on: threading.Event | None = None
    """Files are taken once this is set."""

    def count(self, part: str) -> int:
        return sum(part in f"{method} {path}" for method, path, _ in self.asked)


def big(path: str) -> bool:
    return path.endswith((".parquet", ".gz"))


@contextmanager
def serving(token: str) -> Iterator[Hub]:
    hub = Hub(token)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def answer(self, status, body=None, headers=None):
            data = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                data = b""
                while size := int(self.rfile.readline(), 16):
                    data += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return data
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def handle_any(self):
            path, auth = unquote(urlsplit(self.path).path), self.headers.get("Authorization")
            hub.asked.append((self.command, path, auth))
            if path.startswith("/store/"):
                hub.when_stored.set()
                if hub.go_on is not None:
                    hub.go_on.wait(30)
            data = self.body()
            for rule in hub.fail:
                if rule[0] in path and rule[2] > 0:
                    rule[2] -= 1
                    return self.answer(rule[1], {"error": f"refused, you sent {auth}"})
            if path.startswith("/store/"):
                hub.stored[path.removeprefix("/store/")] = data
                return self.answer(200)
            if auth != f"Bearer {hub.token}":
                words = "Invalid credentials in Authorization header"
                return self.answer(401, {"error": words}, {"X-Error-Message": words})
            if path == "/api/repos/create":
                asked = json.loads(data)
                name = f"{asked['organization']}/{asked['name']}"
                hub.repos[name] = Repo(private=asked.get("visibility") == "private")
                return self.answer(200, {"url": f"{hub.url}/datasets/{name}"})
            if path == "/api/validate-yaml":
                return self.answer(200, {"errors": [], "warnings": []})
            return self.in_repo(path, data)

        def in_repo(self, path, data):
            parts = path.removeprefix("/api").removeprefix("/datasets/").split("/")
            name, rest = f"{parts[0]}/{parts[1].removesuffix('.git')}", "/".join(parts[2:])
            repo = hub.repos.get(name)
            if repo is None:
                return self.answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            if rest == "":
                return self.answer(
                    200,
                    {
                        "id": name,
                        "sha": repo.commits[-1],
                        "private": repo.private,
                        "siblings": [{"rfilename": file} for file in sorted(repo.files)],
                        "tags": [],
                    },
                )
            if rest == "revision/main":
                return self.answer(
                    200, {"id": name, "sha": repo.commits[-1], "private": repo.private, "tags": []}
                )
            if rest == "settings":
                repo.private = json.loads(data)["visibility"] == "private"
                return self.answer(200)
            if rest.startswith("preupload/"):
                files = [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if big(file["path"]) else "regular",
                        "shouldIgnore": False,
                        "oid": repo.oid(file["path"]),
                    }
                    for file in json.loads(data)["files"]
                ]
                return self.answer(200, {"files": files})
            if rest == "info/lfs/objects/batch":
                objects = [
                    {"oid": one["oid"], "size": one["size"]}
                    | (
                        {}
                        if one["oid"] in hub.stored
                        else {"actions": {"upload": {"href": f"{hub.url}/store/{one['oid']}"}}}
                    )
                    for one in json.loads(data)["objects"]
                ]
                return self.answer(200, {"transfer": "basic", "objects": objects})
            if rest.startswith("commit/"):
                for line in map(json.loads, data.splitlines()):
                    value = line["value"]
                    if line["key"] == "file":
                        repo.files[value["path"]] = base64.b64decode(value["content"])
                    elif line["key"] == "lfsFile":
                        repo.files[value["path"]] = hub.stored[value["oid"]]
                    elif line["key"] == "deletedFile":
                        del repo.files[value["path"]]
                repo.commits.append(hashlib.sha1(data + repo.commits[-1].encode()).hexdigest())
                url = f"{hub.url}/datasets/{name}/commit/{repo.commits[-1]}"
                return self.answer(200, {"commitUrl": url, "commitOid": repo.commits[-1]})
            if rest.startswith("resolve/"):
                file = rest.split("/", 2)[2]
                found = repo.files[file]
                return self.answer(
                    200,
                    found,
                    {"ETag": f'"{repo.oid(file)}"', "X-Repo-Commit": repo.commits[-1]},
                )
            return self.answer(404, {"error": f"no such endpoint: {path}"})

        do_GET = do_POST = do_PUT = do_HEAD = handle_any  # noqa: N815 - as the library names them

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass  # whoever stops an upload closes the connection

    server = Server(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
