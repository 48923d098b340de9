"""What is said to people, and its translations: finds every marked text and keeps `locale/` in step with them.

    python -m tests.catalogue          adds new texts to each django.po, takes old ones out, writes each django.mo

Needs no gettext: texts are found with Django's own template lexer and Python's `ast`, catalogues read and written by
Babel.
"""

from __future__ import annotations

import ast
import io
import re
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
CODE = ("app", "annotations", "routing")
# name of the call → where its arguments stand: context, text, plural
CALLS = {
    "_": (None, 0, None),
    "gettext": (None, 0, None),
    "gettext_lazy": (None, 0, None),
    "gettext_noop": (None, 0, None),
    "ngettext": (None, 0, 1),
    "ngettext_lazy": (None, 0, 1),
    "pgettext": (0, 1, None),
    "pgettext_lazy": (0, 1, None),
    "npgettext": (0, 1, 2),
    "npgettext_lazy": (0, 1, 2),
}
_IN_TEMPLATES = re.compile(r"(?<![A-Za-z])(n?p?gettext|_)\((?=u?['\"])")

Message = tuple[str, str, str]
"""Context, text, plural; empty where there is none."""


def of_python(source: str) -> list[Message]:
    """Every marked text of a module. Raises ValueError for a marked text that is not written out."""
    found = []
    for node in ast.walk(ast.parse(source)):
        name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
        if name not in CALLS:
            continue
        parts = []
        for place in CALLS[name]:
            if place is None:
                parts.append("")
                continue
            argument = node.args[place]
            if not isinstance(argument, ast.Constant):
                if name == "gettext":  # a text that was marked elsewhere, as `gettext_noop`
                    break
                raise ValueError(f"line {node.lineno}: {name}() needs its text written out")
            parts.append(argument.value)
        else:
            found.append(tuple(parts))
    return found


def of_template(source: str) -> list[Message]:
    """Every marked text of a template."""
    lines = templatize(source)
    found = []
    for match in _IN_TEMPLATES.finditer(lines):
        arguments, at = [], match.end()
        while text := re.match(r"\s*,?\s*(u?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"))", lines[at:], re.S):
            arguments.append(ast.literal_eval(text[1].lstrip("u")))
            at += text.end()
        context, text, plural = CALLS[match[1]]
        found.append(tuple("" if place is None else arguments[place] for place in (context, text, plural)))
    return found


def marked() -> dict[Message, list[str]]:
    """Every marked text of the product with the files it stands in, in order."""
    found: dict[Message, list[str]] = {}
    for folder, pattern, read in (
        *((folder, "*.py", of_python) for folder in CODE),
        ("templates", "*.html", of_template),
    ):
        for path in sorted((ROOT / folder).rglob(pattern)):
            for message in read(path.read_text()):
                places = found.setdefault(message, [])
                if (where := path.relative_to(ROOT).as_posix()) not in places:
                    places.append(where)
    return found


def po_path(language: str) -> Path:
    return ROOT / "locale" / language / "LC_MESSAGES" / "django.po"


def read(language: str) -> Catalog:
    with po_path(language).open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def compiled(catalogue: Catalog) -> bytes:
    """The catalogue as Django reads it: only what is translated, without fuzzy guesses."""
    file = io.BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def renewed(old: Catalog, language: str) -> Catalog:
    """The catalogue of what is marked now, with the translations there are."""
    new = Catalog(
        language,
        header_comment=f"# What Plumbline says to people who judge: {dict(settings.LANGUAGES)[language]}.",
        project="Plumbline",
        version="1",
        msgid_bugs_address="",
        last_translator="",
        language_team="",
        fuzzy=False,
        creation_date=old.creation_date,
        revision_date=old.creation_date,
    )
    for (context, text, plural), places in sorted(marked().items(), key=lambda pair: (pair[1], pair[0])):
        known = old.get(text, context or None)
        fits = known is not None and not known.fuzzy and bool(plural) == isinstance(known.id, tuple)
        new.add(
            (text, plural) if plural else text,
            known.string if fits else ("", "") if plural else "",
            locations=[(place, None) for place in places],
            context=context or None,
            flags=["python-brace-format"] if re.search(r"\{\w+\}", text) else (),
        )
    return new


def write(catalogue: Catalog, language: str) -> None:
    path = po_path(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalogue, width=100, omit_header=False, include_lineno=False, ignore_obsolete=True)
    path.with_suffix(".mo").write_bytes(compiled(read(language)))


def main() -> int:
    missing = 0
    for language, _name in settings.LANGUAGES:
        if language == settings.LANGUAGE_CODE:
            continue
        old = read(language) if po_path(language).exists() else Catalog(language)
        new = renewed(old, language)
        write(new, language)
        open_texts = [message for message in new if message.id and not all(_strings(message))]
        missing += len(open_texts)
        sys.stdout.write(f"{language}: {len(new)} texts, {len(open_texts)} without translation\n")
    return 1 if missing else 0


def _strings(message) -> tuple[str, ...]:
    return message.string if isinstance(message.string, tuple) else (message.string,)


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
    django.setup()
    sys.exit(main())
