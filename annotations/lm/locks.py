"""Locking queries of this room beside those of `claims`; inside a transaction only."""

from __future__ import annotations

from .models import LMAnnotator


def lock_detail(pk: int) -> LMAnnotator:
    """Lock one LM annotator's detail row: serialises the starts of its runs. Raises LMAnnotator.DoesNotExist."""
    return (
        LMAnnotator.objects.select_for_update(of=("self",))
        .select_related(
            "annotator__project", "endpoint_model__endpoint", "prompt", "guideline", "criteria_release"
        )
        .get(pk=pk)
    )
