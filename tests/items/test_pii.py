"""What looks like personal data is found and reported, at import and at export, and never changed."""

from __future__ import annotations

import csv
import json

import pytest

from annotations.datasets.export import write_export
from annotations.datasets.snapshots import freeze_now
from annotations.items import pii, readers
from annotations.items.models import Item
from annotations.judging.importing import ImportOptions, import_records


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Write to ann.lee+x@mail.example.org, please.", [("email", "ann.lee+x@mail.example.org")]),
        ("user@host and @handle and a@b.c", []),
        ("Pay with 4111 1111 1111 1111 or 5500-0055-5555-5559.", [("card", "4111 1111 1111 1111"), ("card", "5500-0055-5555-5559")]),
        ("4111 1111 1111 1112 fails Luhn; 0000000000000000 is none", []),
        ("An order number: 1234567890123", []),
        ("Call +49 170 1234567 or (212) 555-0187 or 030/1234567", [("phone", "+49 170 1234567"), ("phone", "(212) 555-0187"), ("phone", "030/1234567")]),
        ("Pi is 3.14159265358979, in 2026-11-27 at 10:30:00, page 100-200, ISBN 978-3-16-148410-0", []),
        ("From 8.8.8.8 and 2001:4860:4860::8888", [("ip", "8.8.8.8"), ("ip", "2001:4860:4860::8888")]),
        ("On 127.0.0.1, 192.168.0.7, 10.0.0.1, version 1.2.3.4.5, 999.1.1.1, std::vector", []),
        ("Größe 🙂 schreib an jörg@beispiel.de", [("email", "jörg@beispiel.de")]),
    ],
)  # fmt: skip
def test_places_are_found_by_kind(text, found):
    assert [(one.kind, text[one.start : one.end]) for one in pii.find(text)] == found


def test_long_and_hostile_texts_take_no_time():
    for text in (
        "1 " * 200_000,
        "1.1." * 100_000,
        "a@" * 200_000,
        ":" * 300_000,
        "(0" * 200_000,
        "x" * 2_000_000,
    ):
        assert pii.find(text) == []
    many = pii.find("ann@example.org 1.1.1.1 " * 40_000)
    assert [one.kind for one in many] == ["email", "ip"] * 40_000


ROWS = [
    {"id": "a", "prompt": "Mail ann@example.org?", "response_a": "Yes.", "response_b": "Call +49 170 1234567."},
    {"id": "b", "prompt": "Nothing here.", "response_a": "Yes.", "response_b": "No.",
     "human": [{"annotator": "x", "label": "a", "reason": "As bob@example.org says."}]},
    {"id": "c", "prompt": "Clean.", "response_a": "Yes.", "response_b": "No."},
]  # fmt: skip


@pytest.mark.django_db
def test_an_import_names_the_rows_and_takes_them_as_they_are(project, tmp_path):
    report_path = tmp_path / "report.jsonl"
    report = import_records(
        project=project,
        records=readers.read_rows(ROWS),
        origin_label="rows",
        options=ImportOptions(pii=True, report_path=str(report_path)),
    )
    assert (report.new, report.invalid, report.errors) == (3, 0, [])
    assert report.pii == {"email": 2, "phone": 1}
    lines = [json.loads(line) for line in report_path.read_text().splitlines()]
    assert [(line["line"], line["field"], line["message"]) for line in lines] == [
        (1, "prompt", "holds what looks like an e-mail address"),
        (1, "responses[1]", "holds what looks like a telephone number"),
        (2, "judgments[0].reason", "holds what looks like an e-mail address"),
    ]
    assert Item.objects.get(external_id="a").prompt == ROWS[0]["prompt"]
    silent = import_records(project=project, records=readers.read_rows(ROWS), options=ImportOptions())
    assert silent.pii == {}


@pytest.mark.django_db
def test_an_export_reports_the_items_and_writes_the_same_rows(project, tmp_path):
    import_records(project=project, records=readers.read_rows(ROWS), options=ImportOptions())
    snapshot = freeze_now(project=project)
    files = {}
    for pii_option in ("off", "report"):
        for format in ("native", "csv"):
            folder = tmp_path / f"{format}-{pii_option}"
            manifest = write_export(
                snapshot=snapshot, format=format, folder=folder, options={"pii": pii_option}
            )
            files[format, pii_option] = {e["path"]: e["sha256"] for e in manifest["files"] if e["split"]}
            if pii_option == "off":
                assert "pii" not in manifest
                assert "pii" not in manifest["options"]
                continue
            assert manifest["pii"] == {
                "email": {"items": 2, "first": ["a", "b"]},
                "phone": {"items": 1, "first": ["a"]},
            }
            assert "what looks like an e-mail address: 2 items" in (folder / "README.md").read_text()
    for format in ("native", "csv"):
        assert files[format, "off"] == files[format, "report"]


@pytest.mark.django_db
def test_the_page_that_checks_a_file_says_so_before_the_import(project, alice_client):
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.urls import reverse

    upload = SimpleUploadedFile("a.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS).encode())
    check = alice_client.post(reverse("items:import", args=["pairs"]), {"file": upload})["Location"]
    page = alice_client.get(check).content.decode()
    assert "2 rows with an e-mail address, 1 row with a telephone number" in page
    alice_client.post(check, {"next": "1"})
    from app.jobs import runner
    from app.jobs.models import Job

    job = runner.run(Job.objects.get(kind="judging.import").pk)
    assert job.result["pii"] == {"email": 2, "phone": 1}
    listed = alice_client.get(reverse("items:import_errors", args=["pairs", job.pk]))
    rows = list(csv.reader(b"".join(listed.streaming_content).decode("utf-8-sig").splitlines()))
    assert [row[1:3] for row in rows[1:]] == [
        ["1", "prompt"],
        ["1", "responses[1]"],
        ["2", "judgments[0].reason"],
    ]
