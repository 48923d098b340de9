"""Webhooks: what is told, signed, tried again, and never sent into our own network."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.db import transaction
from django.utils import timezone

from app.accounts import audit
from app.jobs import runner
from app.webhooks import acts, outbox, sending, transport
from app.webhooks.models import Delivery, Webhook

pytestmark = pytest.mark.django_db
PAGE = "/p/pairs/settings/webhooks/"


@pytest.fixture(autouse=True)
def _unsent(monkeypatch):
    """Messages stay until a test sends them."""
    monkeypatch.setattr(outbox, "_send", lambda pk: None)


@pytest.fixture
def receiver(settings):
    """A server of ours that answers what `script` says and keeps what came."""
    settings.WEBHOOK_ALLOW_PRIVATE = True
    came, script = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append((self.path, dict(self.headers), body))
            status = script.pop(0) if script else 204
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.came, server.script = came, script
    server.url = f"http://127.0.0.1:{server.server_port}/hook?x=1"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def hook(url="https://example.org/", **fields) -> Webhook:
    return Webhook.objects.create(scope="pairs", url=url, **fields)


def test_the_signature_is_that_of_the_standard():
    """The example of standardwebhooks.com's reference libraries."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = sending.sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_message_is_received_and_can_be_verified_with_the_secret(receiver, alice, project):
    told = hook(receiver.url)
    audit.record(actor=alice, action="project.renamed", scope="pairs", target="Größe", old="a")
    delivery = sending.send(Delivery.objects.get().pk)
    assert (delivery.state, delivery.status, delivery.attempts) == ("sent", 204, 1)
    [(path, headers, body)] = receiver.came
    said = json.loads(body)
    assert (path, said["type"], said["data"]["target"]) == ("/hook?x=1", "project.renamed", "Größe")
    assert said["data"] == {"project": "pairs", "by": "alice", "target": "Größe", "detail": {"old": "a"}}
    key = base64.b64decode(told.secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert sending.send(delivery.pk) is None, "a received message is not sent again by itself"
    outbox.resend(delivery)
    assert sending.send(delivery.pk).state == "sent"
    assert receiver.came[1][1]["webhook-id"] == headers["webhook-id"]


def test_who_wants_what_and_what_was_rolled_back_is_not_told(alice, project):
    job_end, everything = hook(events=["job.*", "plan.applied"]), hook()
    hook(is_active=False)
    with pytest.raises(RuntimeError), transaction.atomic():
        audit.record(actor=alice, action="plan.applied", scope="pairs")
        raise RuntimeError
    assert not Delivery.objects.exists()
    audit.record(actor=alice, action="plan.applied", scope="pairs")
    audit.record(actor=alice, action="plan.drafted", scope="pairs")
    audit.record(actor=alice, action="plan.applied", scope="other")
    audit.record(actor=alice, action="token.made")
    job = runner.start(kind="none.such", title="Work", args={}, scope="pairs", actor=alice)
    runner.run(job.pk)
    kinds = lambda which: list(which.deliveries.order_by("pk").values_list("kind", flat=True))  # noqa: E731
    assert kinds(job_end) == ["plan.applied", "job.failed"]
    assert kinds(everything) == ["plan.applied", "plan.drafted", "job.failed"]
    assert json.loads(job_end.deliveries.last().body)["data"]["job"] == str(job.pk)


def test_what_is_not_received_is_tried_ten_times_with_growing_pauses(receiver, alice, project):
    told = hook(receiver.url)
    delivery = outbox.add(told, "test", {})
    receiver.script += [500] * 5 + [302] + [404] * 4
    pauses = iter(sending.SECONDS)
    for _ in range(10):
        before = timezone.now()
        assert sending.send(delivery.pk) is not None
        after = timezone.now()
        assert sending.send(delivery.pk) is None, "it is not due yet"
        delivery.refresh_from_db()
        if delivery.state == "pending":
            pause = timedelta(seconds=next(pauses))
            assert before + pause <= delivery.next_at <= after + pause
        Delivery.objects.filter(pk=delivery.pk).update(next_at=timezone.now())
    assert (delivery.state, delivery.attempts, delivery.status) == ("failed", 10, 404)
    assert next(pauses, None) is None
    assert {path for path, _, _ in receiver.came} == {"/hook?x=1"}, "redirects are not followed"
    told.refresh_from_db()
    assert told.failing_since is not None
    Webhook.objects.update(failing_since=timezone.now() - timedelta(days=6))
    receiver.script.append(500)
    sending.send(outbox.add(told, "test", {}).pk)
    told.refresh_from_db()
    assert (told.is_active, told.note) == (False, "It took no message for five days.")


def test_an_address_that_is_gone_is_switched_off_and_a_sweep_sends_what_is_left(receiver, project):
    gone = hook(receiver.url)
    outbox.add(gone, "test", {})
    receiver.script.append(410)
    assert sending.sweep() == 1
    gone.refresh_from_db()
    assert not gone.is_active
    Delivery.objects.update(created_at=timezone.now() - timedelta(days=31))
    sending.sweep()
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False),
        ("255.255.255.255", False), ("198.18.0.1", False), ("::1", False), ("fe80::1%eth0", False),
        ("fc00::1", False), ("::ffff:127.0.0.1", False), ("::ffff:10.0.0.1", False), ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False), ("ff02::1", False), ("::", False),
    ],
)  # fmt: skip
def test_only_public_addresses_are_public(address, public):
    assert transport.is_public(address) is public


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "https://", "https:///x", "https://user@example.org/",
        "https://example.org/#x", "https://example.org/ x", "https://example.org/\r\nX: 1", "https://exämple.org/",
        "https://example.org:99999/", "javascript:alert(1)", "", "https://[::1", "https://" + "a" * 600,
    ],
)  # fmt: skip
def test_addresses_that_are_none_are_refused(url, alice, project):
    with pytest.raises(transport.Refused):
        acts.add(scope="pairs", url=url, events=[], actor=alice)
    assert not Webhook.objects.exists()


def test_a_name_that_turns_private_gains_nothing(monkeypatch, project):
    """The first answer is public, every later one is our own network: nothing connects there."""
    answers, connected = [["93.184.216.34"], ["127.0.0.1"]], []

    def resolve(host, port, **_):
        found = answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

    def connect(place, *_):
        connected.append(place)
        raise OSError("not here")

    monkeypatch.setattr(transport.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(transport.socket, "create_connection", connect)
    delivery = sending.send(outbox.add(hook("https://rebind.example.org/x"), "test", {}).pk)
    assert (connected, delivery.state) == ([("93.184.216.34", 443)], "pending")
    Delivery.objects.update(next_at=timezone.now())
    delivery = sending.send(delivery.pk)
    assert (len(connected), delivery.state) == (1, "failed")
    assert "not a public address" in delivery.error
    answers.append(["93.184.216.34", "10.0.0.1"])
    mixed = sending.send(outbox.add(hook("https://mixed.example.org/"), "test", {}).pk)
    assert (len(connected), mixed.state) == (1, "failed")


def test_owners_run_them_on_the_page_and_nobody_else(alice_client, bob_client, charlie_client, project):
    for client, status in ((bob_client, 403), (charlie_client, 404)):
        assert (
            client.get(PAGE).status_code == client.post(PAGE, {"url": "https://x.org/"}).status_code == status
        )
    bad = alice_client.post(PAGE, {"url": "http://10.0.0.1/"})
    assert (bad.status_code, "begins with https" in bad.content.decode()) == (400, True)
    assert alice_client.post(PAGE, {"url": "https://x.org/", "events": "job.* b@d"}).status_code == 400
    alice_client.post(PAGE, {"url": "https://x.org/", "events": "job.* job.*"})
    made = Webhook.objects.get()
    assert made.events == ["job.*"]
    assert bob_client.post(f"{PAGE}{made.pk}/", {"act": "remove"}).status_code == 403
    before = made.secret
    assert before in alice_client.get(PAGE).content.decode()
    for act in ("test", "rotate", "off"):
        alice_client.post(f"{PAGE}{made.pk}/", {"act": act})
    made.refresh_from_db()
    assert (made.secret != before, made.is_active, Delivery.objects.get().kind) == (True, False, "test")
    assert sending.send(Delivery.objects.get().pk).state == "failed"
    alice_client.post(f"{PAGE}messages/{Delivery.objects.get().pk}/resend/")
    assert Delivery.objects.get().state == "pending"
    alice_client.post(f"{PAGE}{made.pk}/", {"act": "remove"})
    assert not Webhook.objects.exists()
