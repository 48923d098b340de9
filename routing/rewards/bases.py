"""Pretrained models that trainings may start from: folders below `REWARD_BASE_FOLDERS`.

People who start trainings over the web or the API name a folder by its relative path; nothing else on the disk
can be read this way, and nothing is fetched. The command line may name any folder or hub id.
"""

from __future__ import annotations

from pathlib import Path

from django.conf import settings


def roots() -> list[Path]:
    return [Path(root).resolve() for root in settings.REWARD_BASE_FOLDERS]


def found() -> list[Path]:
    """The folders that hold a model (a config.json and safetensors), at most two levels below a root."""
    places = []
    for root in roots():
        for pattern in ("config.json", "*/config.json", "*/*/config.json"):
            places += [path.parent for path in root.glob(pattern) if any(path.parent.glob("*.safetensors"))]
    return sorted(set(places))


def check(path: str, option: str = "base") -> None:
    """Raise ValueError where the path is not one of `found`."""
    if Path(path).resolve() not in {known.resolve() for known in found()}:
        raise ValueError(
            f"option {option!r}: {path} is not a model below REWARD_BASE_FOLDERS; expected one of "
            f"{', '.join(map(str, found())) or 'none: no model is there'}"
        )
