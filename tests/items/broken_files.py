"""Broken and hostile files, small enough to be made where they are needed."""

from __future__ import annotations

import gzip
import io
import json
import zlib

import pyarrow as pa
import pyarrow.parquet as pq

ROW = {
    "id": "q1", "prompt": "Größe?", "response_a": "Eins.", "response_b": "Zwei 🙂.",
    "human": [{"annotator": "ann", "label": "a"}],
}  # fmt: skip
GOOD = "".join(json.dumps({**ROW, "id": f"q{n}"}, ensure_ascii=False) + "\n" for n in range(20))
MB = 1 << 20


def jsonl(*lines: str) -> bytes:
    """Ten good rows with these lines among them."""
    good = GOOD.splitlines()[:10]
    return ("\n".join([*good[:5], *lines, *good[5:]]) + "\n").encode("utf-8", "surrogatepass")


def parquet() -> bytes:
    out = io.BytesIO()
    rows = [{"prompt": f"p{n}", "chosen": "x", "rejected": "y"} for n in range(500)]
    pq.write_table(pa.Table.from_pylist(rows), out, compression="zstd")
    return out.getvalue()


def bomb(size: int, begin: bytes = b"", unit: bytes = b" ") -> bytes:
    """A gzip of `size` bytes that is a thousand times smaller."""
    packer = zlib.compressobj(9, wbits=31)
    out = [packer.compress(begin)]
    for _ in range(size // MB):
        out.append(packer.compress(unit * (MB // len(unit))))
    return b"".join([*out, packer.flush()])


# name → (bytes, rows that are good, a word in the first error; None: the file is refused as a whole)
LINES = {
    "cut in a row.jsonl": (jsonl()[:-40], 9, "JSON"),
    "nested.jsonl": (jsonl("[" * 100_000), 10, "nest"),
    "nested in a row.jsonl": (jsonl('{"id": "n", "meta": ' + '{"a":' * 5000 + "1" + "}" * 5000 + "}"), 10, "nest"),
    "nan.jsonl": (jsonl('{"id": "n", "prompt": "p", "response": "r", "ratings": [{"rater": "x", "attribute": "a", "value": NaN}]}'), 11, ""),
    "infinity.jsonl": (jsonl('{"id": "n", "prompt": "p", "chosen": "c", "rejected": "r", "margin": Infinity}'), 10, ""),
    "duplicate keys.jsonl": (jsonl('{"id": "n", "prompt": "p", "prompt": "q", "chosen": "c", "rejected": "r"}'), 10, "once"),
    "duplicate keys.json": (("[" + ",".join([*GOOD.splitlines()[:3], '{"id": "n", "prompt": "p", "chosen": "c", "rejected": "r", "meta": {"a": 1, "b": 2, "a": 3}}', *GOOD.splitlines()[3:6]]) + "]").encode(), 6, "once"),
    "surrogate.jsonl": (jsonl('{"id": "n", "prompt": "\\ud800", "chosen": "c", "rejected": "r"}'), 10, "surrogate"),
    "raw surrogate.jsonl": (jsonl('{"id": "n", "prompt": "\ud800", "chosen": "c", "rejected": "r"}'), 10, "UTF-8"),
    "nul.jsonl": (jsonl('{"id": "n", "prompt": "a\\u0000b", "chosen": "c", "rejected": "r"}'), 10, "NUL"),
    "ten megabytes.jsonl": (jsonl(json.dumps({**ROW, "id": "long", "prompt": "x" * 10 * MB})), 10, "2,000,000"),
    "no object.jsonl": (jsonl("5", '"text"', "[1]", "null"), 10, "JSON object"),
    "empty lines.jsonl": (jsonl("", "  ", ""), 10, None),
    "huge number.jsonl": (jsonl('{"id": "n", "prompt": "p", "response": "r", "ratings": [{"rater": "x", "attribute": "a", "value": 1' + "0" * 5000 + "}]}"), 10, ""),
    "wrong gzip.jsonl.gz": (gzip.compress(GOOD.encode())[:-12], None, "cut"),
    "list not closed.json": (("[" + ",".join(GOOD.splitlines()[:5])).encode(), 5, "cut or damaged"),
}  # fmt: skip
REFUSED = {
    "latin-1.jsonl": GOOD.replace("🙂", "").encode("latin-1"),
    "empty.jsonl": b"",
    "spaces.jsonl": b" \n \n",
    "binary.jsonl": bytes(range(256)) * 50,
    "utf-16.jsonl": GOOD.encode("utf-16"),
    "zip.jsonl": b"PK\x03\x04" + b"\x00" * 100,
    "cut.parquet": parquet()[:-200],
    "garbage.parquet": b"PAR1" + b"\x00" * 500 + b"PAR1",
    "spaces bomb.jsonl.gz": bomb(300 * MB),
    "line bomb.jsonl.gz": bomb(300 * MB, b'{"id": "x", "prompt": "', b"a"),
    "nesting bomb.json.gz": bomb(100 * MB, b"[", b"["),
}
