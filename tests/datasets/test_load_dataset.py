"""Exports load in Hugging Face's `datasets` from their folder alone, and in pandas, with the rows they say they have."""

from __future__ import annotations

import pandas as pd
import pytest

from annotations.datasets.export import write_export
from annotations.datasets.formats import FORMATS
from annotations.datasets.snapshots import freeze_now

pytestmark = pytest.mark.django_db
QUICK = ("native", "trl_preference", "helpsteer2")
CASES = [
    pytest.param(name, container, marks=() if name in QUICK else pytest.mark.slow)
    for name, found in FORMATS.items()
    for container in found.containers
]


@pytest.fixture
def written(project, judged, tmp_path):
    def write(format, container):
        options = (
            {"method": "dawid_skene"} if "dawid_skene" in FORMATS[format].options.get("method", ()) else {}
        )
        folder = tmp_path / f"{format}-{container}"
        manifest = write_export(
            snapshot=freeze_now(project=project),
            format=format,
            container=container,
            options=options,
            folder=folder,
        )
        return folder, [entry for entry in manifest["files"] if entry["split"]]

    return write


@pytest.mark.parametrize(("format", "container"), CASES)
def test_an_export_loads_by_its_card(written, format, container, tmp_path):
    import datasets  # seconds

    datasets.disable_progress_bars()
    folder, files = written(format, container)
    for config in dict.fromkeys(entry["config"] for entry in files):
        loaded = datasets.load_dataset(str(folder), config, cache_dir=str(tmp_path / "cache"))
        expected = {entry["split"]: entry["rows"] for entry in files if entry["config"] == config}
        assert {str(split): len(rows) for split, rows in loaded.items()} == expected


@pytest.mark.parametrize("format", [name for name, found in FORMATS.items() if "parquet" in found.containers])
def test_an_export_loads_in_pandas(written, format):
    for container in ("parquet", "jsonl"):
        folder, files = written(format, container)
        for entry in files:
            path = folder / entry["path"]
            rows = pd.read_parquet(path) if container == "parquet" else pd.read_json(path, lines=True)
            assert len(rows) == entry["rows"]
