"""croissant.json: an export described for dataset search engines and loaders (MLCommons Croissant 1.0, JSON-LD)."""

from __future__ import annotations

import pyarrow as pa

from .formats import FORMATS
from .licences import LICENCES

CONFORMS = "http://mlcommons.org/croissant/1.0"
ENCODINGS = {
    "jsonl": "application/jsonlines",
    "jsonl.gz": "application/gzip",
    "parquet": "application/x-parquet",
    "csv": "text/csv",
    "csv.gz": "application/gzip",
}
CR = "column extract field fileObject fileProperty fileSet format includes isLiveDataset jsonPath key md5 parentField path"
CR += " recordSet references regex repeated replace separator source subField transform citeAs"
CONTEXT: dict = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{word: f"cr:{word}" for word in sorted(CR.split())},
}


def describe(manifest: dict) -> dict:
    """The JSON-LD of an export's manifest: its files with their hashes, and the columns of single values in them.

    Columns of messages and other nested values are left to the loaders. Packed JSON lines and CSV are listed as
    files only: Croissant reads packed files through an archive's members.
    """
    known, frozen = FORMATS[manifest["format"]], manifest["frozen"]
    files = [entry for entry in manifest["files"] if entry["split"]]
    licence = LICENCES.get(manifest["options"].get("licence", ""))
    readable = not manifest["container"].endswith(".gz")
    schemas = {table.name: table.schema(manifest["options"]) for table in known.tables}
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS,
        "name": f"{frozen['project']}-{frozen['number']}-{manifest['format']}".replace("_", "-"),
        "description": f"{frozen['title']}: {manifest['rows']} rows as {known.label}, from snapshot "
        f"{manifest['snapshot']} with {frozen['judgments']} judgments of {frozen['items']} items.",
        "datePublished": frozen["created_at"],
        "version": f"{frozen['number']}.0.0",
        **({"license": licence.url} if licence else {}),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": entry["path"],
                "name": entry["path"],
                "contentUrl": entry["path"],
                "contentSize": f"{entry['bytes']} B",
                "encodingFormat": ENCODINGS[manifest["container"]],
                "sha256": entry["sha256"],
            }
            for entry in files
        ],
        "recordSet": [_record_set(entry, schemas[entry["config"]]) for entry in files] if readable else [],
    }


def _record_set(entry: dict, schema: pa.Schema) -> dict:
    name = f"{entry['config']}-{entry['split']}"
    fields = []
    for column in schema:
        kind = _kind(column.type)
        if kind is not None:
            fields.append(
                {
                    "@type": "cr:Field",
                    "@id": f"{name}/{column.name}",
                    "name": column.name,
                    "dataType": kind,
                    "source": {"fileObject": {"@id": entry["path"]}, "extract": {"column": column.name}},
                }
            )
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _kind(found: pa.DataType) -> str | None:
    """The Croissant word for a column's type, None for one that is not a single value."""
    if pa.types.is_string(found):
        return "sc:Text"
    if pa.types.is_boolean(found):
        return "sc:Boolean"
    if pa.types.is_integer(found):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(found) else None
