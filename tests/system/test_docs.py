"""What the documents name is there: files, names in them, links, commands, rooms."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

ROOT = Path(__file__).parents[2]
OURS = (
    "annotations",
    "app",
    "bench",
    "client",
    "demo",
    "docs",
    "locale",
    "routing",
    "static",
    "templates",
    "tests",
)
FILES = [
    *(
        path.relative_to(ROOT).as_posix()
        for top in OURS
        for path in (ROOT / top).rglob("*")
        if path.is_file()
    ),
    *(path.name for path in ROOT.iterdir() if path.is_file()),
]
DOCS = sorted(
    name for name in FILES
    if name.endswith(".md") and name.startswith(("README", "CONTRIBUTING", "SECURITY", "docs/", "bench/", "demo/", "client/"))
)  # fmt: skip
ENDINGS = ("css", "gz", "html", "js", "md", "po", "py", "svg", "toml", "txt", "yaml", "yml")
NAMED = re.compile(rf"`((?:[\w.-]+/)*[\w.-]+\.(?:{'|'.join(ENDINGS)}))(?:: (\w+))?`(?: \(`(\w+)`)?")
FOLDER = re.compile(r"`((?:[a-z][a-z0-9_.-]*/)+)`")
MADE = {"posteriors.jsonl.gz", "var/"}  # by the program, and not in the tree


def files_called(name: str) -> list[str]:
    """Our files whose path ends so; documents leave out what is clear."""
    return [path for path in FILES if path == name or path.endswith(f"/{name}")]


@pytest.mark.parametrize("document", DOCS)
def test_files_and_names_in_them_that_a_document_names_exist(document):
    text = (ROOT / document).read_text()
    missing = []
    for name, *inside in NAMED.findall(text):
        found = files_called(name)
        if not found:
            missing.append(name)
        for word in filter(None, inside):
            if found and not any(re.search(rf"\b{word}\b", (ROOT / path).read_text()) for path in found):
                missing.append(f"{name}: {word}")
    for name in FOLDER.findall(text):
        if not any(path.startswith(name) or f"/{name}" in path for path in FILES):
            missing.append(name)
    here = (ROOT / document).parent
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        if not (here / target).exists():
            missing.append(target)
    commands = get_commands()
    missing += [
        f"manage.py {name}" for name in re.findall(r"manage\.py ([a-z_]+)", text) if name not in commands
    ]
    assert set(missing) <= MADE


def test_the_map_shows_every_room():
    text = (ROOT / "docs/architecture.md").read_text()
    rooms = {path.parent for top in ("annotations", "routing") for path in (ROOT / top).glob("*/__init__.py")}
    assert len(rooms) > 8
    for room in rooms:
        assert re.search(rf"^(\d | ) +{room.relative_to(ROOT).as_posix()} ", text, re.M), room
    parts = {path.parent.name for path in (ROOT / "app").glob("*/__init__.py")} - {"migrations"}
    named = set(re.findall(r"\w+", " ".join(re.findall(r"app/\{([\w,]+)\}", text))))
    assert parts <= named
