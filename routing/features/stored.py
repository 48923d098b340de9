"""The feature table of a project: statistics of its pairs, computed in batches once per content and kept on disk.

A plan being made reads the table and only the texts that are new. The table's name carries a digest of the code that
fills it, so another version of that code starts another table.
"""

from __future__ import annotations

import hashlib
import inspect
import shutil
from functools import cache
from pathlib import Path

import numpy as np
from django.conf import settings

from annotations.items.content import prompt_text
from annotations.items.models import Item, Response
from annotations.lm import scanner
from annotations.lm.annotate import texts_shown
from annotations.projects.models import Project

from . import pairs, table, text
from .table import FeatureTable


@cache
def _digest() -> str:
    source = "".join(inspect.getsource(module) for module in (pairs, text, scanner))
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def folder(project: Project) -> Path:
    """Where the project's tables are."""
    return Path(settings.MEDIA_ROOT) / "features" / str(project.pk)


def remove_files(project: Project) -> None:
    """Remove the project's tables from the disk."""
    shutil.rmtree(folder(project), ignore_errors=True)


def load(project: Project) -> FeatureTable:
    """The project's table for the code of today; tables of other code are removed."""
    mine = folder(project) / _digest()
    for other in folder(project).glob("*") if folder(project).is_dir() else ():
        if other != mine:
            shutil.rmtree(other, ignore_errors=True)
    return FeatureTable.load(mine)


def rows(found: FeatureTable, ids: np.ndarray) -> np.ndarray:
    """Features of these items of one project, float32[n, len(table.COLUMNS)]; new ones are added to the table.

    Only the first two responses count; a missing one is an empty text. Responses that are covered in part are judged as they
    are shown, which the content's hash does not tell, so these items are computed anew each time. Call `found.save()` after.
    """
    hashes = dict(Item.objects.filter(pk__in=ids.tolist()).values_list("pk", "content_hash"))
    covered = set(
        Response.objects.filter(item__in=ids.tolist()).exclude(redacted="").values_list("item_id", flat=True)
    )
    plain = np.array([int(pk) not in covered for pk in ids], dtype=bool)
    result = np.zeros((len(ids), len(table.COLUMNS)), dtype=np.float32)
    known = ids[plain]
    result[plain] = found.read_through(
        [hashes[int(pk)] for pk in known], lambda missing: _texts(known[missing])
    )
    if not plain.all():
        result[~plain] = table.compute(*_texts(ids[~plain]))
    return result


def _texts(ids: np.ndarray) -> tuple[list[str], list[str], list[str], list[bool]]:
    """Prompts, both responses as they are shown, and whether one speaks to the judge."""
    prompts = dict(Item.objects.filter(pk__in=ids.tolist()).values_list("pk", "prompt"))
    shown = texts_shown(int(pk) for pk in ids)
    texts = [shown.get(int(pk), []) for pk in ids]
    first, second = ([[*each, "", ""][side] for each in texts] for side in (0, 1))
    injected = [bool(scanner.scan_responses(each)) for each in texts]
    return [prompt_text(prompts[int(pk)]) for pk in ids], first, second, injected
