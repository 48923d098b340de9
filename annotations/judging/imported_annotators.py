"""The annotators that a file names: those the project has, and the new ones, made without model instances."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime

from annotations.items.bulk_insert import allocate, insert, json_text, moment_form
from annotations.projects.models import Annotator, Project

ANNOTATOR = tuple(
    """id project_id kind name pseudonym user_id status note tags stage arm checked_since quarantined_at meta n_judged
    n_forward n_reversed n_assigned cursors cursor_epoch cursor_priority cursor_key created_at""".split()
)
KEYS_AT_ONCE = 500

Named = tuple[str, str]
"""(kind, name) of an annotator."""


def ids_of(names: Collection[Named], *, project: Project, now: datetime) -> dict[Named, int]:
    """{(kind, name): id} of the project's annotators with these names, made where they are new.

    Call in the transaction that writes their judgments. A model's name gives its model and strategy, as in
    "gpt-4 · vanilla".
    """
    ordered = sorted(names)
    ids = _find(ordered, project)
    new = [name for name in ordered if name not in ids]
    keys = allocate(Annotator, len(new))
    ids.update(zip(new, keys, strict=True))
    if new:
        now_text = moment_form()(now)
        insert(
            Annotator,
            ANNOTATOR,
            (_row(pk, project.pk, name, now_text) for name, pk in zip(new, keys, strict=True)),
        )
    return ids


def _find(names: list[Named], project: Project) -> dict[Named, int]:
    found = {}
    for start in range(0, len(names), KEYS_AT_ONCE):
        some = names[start : start + KEYS_AT_ONCE]
        rows = Annotator.objects.filter(project=project, name__in=[name for _, name in some])
        for kind, name, pk in rows.values_list("kind", "name", "pk"):
            found[kind, name] = pk
    return {name: found[name] for name in names if name in found}


def _row(pk: int, project_id: int, named: Named, now_text: str) -> tuple:
    kind, name = named
    meta = {}
    if kind == Annotator.Kind.LM.value:
        model, _, strategy = name.partition(" · ")
        meta = {"model": model, "strategy": strategy, "backend": "imported"}
    return (
        pk,
        project_id,
        kind,
        name,
        uuid.uuid4().hex,
        None,  # user
        Annotator.Status.ACTIVE.value,
        "",  # note
        "[]",  # tags
        Annotator.Stage.READY.value,
        "",  # arm
        None,  # checked since
        None,  # quarantined at
        json_text(meta),
        0,  # n_judged: counted with the judgments
        0,
        0,
        0,
        None,  # cursors
        0,
        0,
        0,
        now_text,
    )
