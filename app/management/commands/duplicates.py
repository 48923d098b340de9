"""Near-duplicate prompts or responses, and overlap with a benchmark's file."""

from __future__ import annotations

from pathlib import Path

from annotations.analysis import duplicates
from annotations.items import readers
from annotations.items.content import prompt_text
from app.management.base import PlumblineCommand

SHOWN = 20


class Command(PlumblineCommand):
    help = (
        "Texts of a project or a file that share most of their runs of three words, among themselves or, with "
        "--against, with another file such as a benchmark. Exit code 0: none; 1: some were found; 2: nothing could be "
        "done."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("what", metavar="PROJECT|FILE")
        parser.add_argument("--against", metavar="FILE", help="Look for texts of this file instead.")
        parser.add_argument(
            "--of",
            choices=("prompts", "responses"),
            default="prompts",
            help="What is compared (default: prompts).",
        )
        parser.add_argument(
            "--threshold", type=float, default=duplicates.THRESHOLD,
            help="Share of runs two texts have in common, 0.5 to 1 (default: 0.8).",
        )  # fmt: skip

    def handle(self, *args, what: str, against: str | None, of: str, threshold: float, **options) -> None:
        if not 0.5 <= threshold <= 1:
            self.fail(f"--threshold {threshold}: expected a number from 0.5 to 1.")
        mine = self._texts(what, of)
        theirs = self._texts(against, of) if against else None
        if not mine:
            self.fail(f"{what}: no texts in it.")
        found = duplicates.near_duplicates(
            [text for _, text in mine],
            None if theirs is None else [text for _, text in theirs],
            threshold=threshold,
        )
        others = mine if theirs is None else theirs
        pairs = [{"first": mine[i][0], "second": others[j][0], "jaccard": share} for i, j, share in found]
        pairs.sort(key=lambda pair: -pair["jaccard"])
        for pair in pairs[:SHOWN]:
            self.say(f"{pair['jaccard']:.2f}  {pair['first']}  {pair['second']}")
        if len(pairs) > SHOWN:
            self.say(f"… and {len(pairs) - SHOWN:,} more; --json lists all.")
        self.say(
            f"{len(pairs):,} pairs of {len(mine):,} {of}"
            + (f" and {len(others):,} of {against}" if against else "")
        )
        self.finish({"pairs": pairs, "texts": len(mine), "of": of}, code=1 if pairs else 0)

    def _texts(self, what: str, of: str) -> list[tuple[str, str]]:
        """(name, text) of each distinct prompt, or of each response."""
        seen: dict[str, str] = {}
        if Path(what).exists():
            try:
                for _, row in readers.read_many([what]):
                    if isinstance(row, readers.Record):
                        name = row.external_id or f"line {row.line}"
                        self._add(seen, of, name, row.prompt, [response.text for response in row.responses])
            except readers.UnknownFormat as error:
                self.fail(str(error))
            return [(name, text) for text, name in seen.items()]
        from annotations.items.models import Item
        from annotations.projects.models import Project

        project = Project.objects.filter(slug=what).first()
        if project is None:
            self.fail(f"{what!r} is no project and no file.")
        items = Item.objects.filter(project=project, withdrawn_at__isnull=True).order_by("pk")
        for item in items.prefetch_related("responses").iterator(chunk_size=500):
            responses = [response.text for response in item.responses.all()] if of == "responses" else []
            self._add(seen, of, str(item), item.prompt, responses)
        return [(name, text) for text, name in seen.items()]

    def _add(self, seen: dict[str, str], of: str, name: str, prompt, responses: list[str]) -> None:
        if of == "prompts":
            seen.setdefault(prompt_text(prompt), name)
        else:
            for index, text in enumerate(responses):
                seen.setdefault(text, f"{name} response {index + 1}")
