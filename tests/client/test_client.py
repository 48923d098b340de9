"""The client package against a live server: the guide's own code, and what it does when the network fails."""

from __future__ import annotations

import os
import re
import sys
import threading
from pathlib import Path

import httpx2
import pytest
from django.conf import settings
from django.db import connection

from app.accounts.tokens import make_token
from tests.conftest import make_user
from tests.datasets import scripted_hub

ROOT = Path(settings.BASE_DIR)
GUIDE = ROOT / "docs" / "client.md"
sys.path.insert(0, str(ROOT / "client"))

from plumbline_client import Plumbline, PlumblineError  # noqa: E402
from plumbline_client import connection as sending  # noqa: E402


@pytest.fixture
def worked(monkeypatch, transactional_db, live_server):
    """A live site whose jobs are run at once by a thread, as a worker would."""
    from app.jobs import runner

    threads: list[threading.Thread] = []

    def work(job_id) -> None:
        try:
            runner.run(job_id)
        finally:
            connection.close()

    def send(job_id, queue) -> None:
        threads.append(threading.Thread(target=work, args=[job_id]))
        threads[-1].start()

    monkeypatch.setattr(runner, "send", send)
    yield live_server
    for thread in threads:
        thread.join(30)


@pytest.mark.smoke
def test_the_guide_runs(worked, monkeypatch, tmp_path, capsys):
    alice = make_user("alice")
    monkeypatch.setenv("PLUMBLINE_URL", worked.url)
    monkeypatch.setenv("PLUMBLINE_TOKEN", make_token(user=alice, name="guide", days=1)[1])
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.S | re.M)
    assert len(blocks) > 10
    names: dict = {}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"docs/client.md, block {number}", "exec"), names)
    out = capsys.readouterr().out
    assert "60 items, 180 judgments" in out
    assert "404 Not Found" in out
    train = names["train"]
    assert {"prompt", "chosen", "rejected"} <= set(train.columns)
    assert 20 < len(train) < 60
    assert {"README.md", "manifest.json", "data"} <= set(os.listdir(names["folder"]))
    assert names["project"].info["status"] == "archived"
    assert len(names["comparisons"]) == 180
    assert names["share"]["ann"] == 1.0


class Stumbling(httpx2.BaseTransport):
    """Answers what the script says: an exception, or (status, headers, body); keeps what was asked."""

    def __init__(self, *script):
        self.script, self.asked = list(script), []

    def handle_request(self, request):
        self.asked.append(request)
        said = self.script.pop(0)
        if isinstance(said, Exception):
            raise said
        status, headers, body = said
        return httpx2.Response(status, headers=headers, content=body)


def site(*script):
    transport = Stumbling(*script)
    return Plumbline("http://x", "t", transport=transport, progress=False), transport


@pytest.fixture
def slept(monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(sending.time, "sleep", waits.append)
    return waits


def test_a_retry_carries_the_same_key_and_waits_as_told(slept):
    client, transport = site(
        httpx2.ConnectError("gone"), (503, {"Retry-After": "7"}, b""), (201, {}, b'{"id": 1}')
    )
    assert client.post("projects", {"name": "a"}) == {"id": 1}
    keys = {request.headers["Idempotency-Key"] for request in transport.asked}
    assert (len(transport.asked), len(keys), slept[-1]) == (3, 1, 7.0)


def test_what_is_refused_is_not_tried_again():
    body = b'{"title": "The request is not valid", "detail": "", "errors": [{"field": "name", "message": "Empty."}]}'
    client, transport = site((400, {}, body))
    with pytest.raises(PlumblineError, match=r"400 The request is not valid. name: Empty"):
        client.post("projects", {})
    assert len(transport.asked) == 1


def test_a_broken_download_goes_on_where_it_stopped(slept, tmp_path):
    class Cut(httpx2.SyncByteStream):
        def __iter__(self):
            yield b"hello "
            raise httpx2.ReadError("cut")

    client, transport = site((206, {}, b"world"))
    first = transport.handle_request
    asked = []

    def cut_once(request):
        asked.append(request.headers.get("Range"))
        if len(asked) == 1:
            return httpx2.Response(200, stream=Cut())
        return first(request)

    transport.handle_request = cut_once
    assert client.fetch("f", tmp_path / "a" / "f.txt", 11).read_text() == "hello world"
    assert asked == [None, "bytes=6-"]
    assert os.listdir(tmp_path / "a") == ["f.txt"]


def test_an_address_and_a_token_are_needed(monkeypatch):
    monkeypatch.delenv("PLUMBLINE_URL", raising=False)
    with pytest.raises(ValueError, match="PLUMBLINE_URL"):
        Plumbline(token="t")


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's own call
def test_an_export_is_pushed(worked, settings, project, make_item):
    make_item(external_id="q1")
    with scripted_hub.serving("hf_token") as hub:
        settings.HF_TOKEN, settings.HF_ENDPOINT = "hf_token", hub.url
        owner = Plumbline(
            worked.url, make_token(user=project.created_by, name="push", days=1)[1], progress=False
        )
        made = owner.project("pairs").snapshot().export("native", container="parquet", licence="cc0-1.0")
        first, second = made.push("lab/pairs"), made.push("lab/pairs", public=True)
        assert first["url"] == f"{hub.url}/datasets/lab/pairs"
        assert (first["changed"], second["changed"], hub.repos["lab/pairs"].private) == (True, False, False)
        with pytest.raises(sending.JobFailed, match="is public on the hub"):
            made.push("lab/pairs")
