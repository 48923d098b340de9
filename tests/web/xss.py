"""Hostile texts, shared by the rendering tests and the browser tests."""

import json
from pathlib import Path


def load_payloads() -> list[str]:
    """Give every hostile text of the corpus."""
    return json.loads(Path(__file__).with_name("xss_corpus.json").read_text(encoding="utf-8"))
