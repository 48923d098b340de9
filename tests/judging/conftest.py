"""What the tests of imports share."""

from __future__ import annotations

import json

import pytest

from annotations.items import readers
from annotations.judging import importing


@pytest.fixture
def bring(project, tmp_path):
    """Import these rows (objects, or raw lines) and return the report."""

    def bring(*rows, into=None, **options):
        file = tmp_path / "rows.jsonl"
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        file.write_bytes(b"\n".join(lines))
        return importing.import_records(
            project=into or project,
            records=readers.read(file, "native"),
            origin_label=file.name,
            options=importing.ImportOptions(**options),
        )

    return bring
