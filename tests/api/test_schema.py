"""The description of the API: committed as it is generated, complete, and shown without a script."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.core.management import call_command

COMMITTED = Path(settings.BASE_DIR) / "docs" / "openapi.yaml"


def test_the_committed_schema_is_what_the_code_says(tmp_path):
    made = tmp_path / "openapi.yaml"
    call_command("spectacular", file=str(made), validate=True, fail_on_warn=True)
    assert made.read_text() == COMMITTED.read_text(), "run: manage.py spectacular --file docs/openapi.yaml"


def test_every_operation_has_a_summary_a_tag_and_its_refusals():
    schema = yaml.safe_load(COMMITTED.read_text())
    assert schema["openapi"] == "3.1.1"
    operations = [operation for methods in schema["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert len(operation["tags"]) == 1
        assert {"400", "401", "403", "404", "429"} <= set(operation["responses"])


@pytest.mark.django_db
def test_the_docs_page_lists_every_operation_and_runs_no_script_of_its_own(client):
    page = client.get("/api/docs/")
    html = page.content.decode()
    assert page.status_code == 200
    schema = yaml.safe_load(COMMITTED.read_text())
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert f'id="{operation["operationId"]}"' in html
            assert f'<code class="api-path">{path}</code>' in html
            assert method.upper() in html
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r"\sstyle=|\son[a-z]+=", html)
    assert "unsafe-inline" not in page["Content-Security-Policy"]


@pytest.mark.django_db
def test_the_schema_is_served(client):
    served = client.get("/api/schema/")
    assert served.status_code == 200
    assert yaml.safe_load(served.content)["paths"] == yaml.safe_load(COMMITTED.read_text())["paths"]
