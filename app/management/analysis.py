"""What `agreement`, `rank` and `bias` share: PROJECT or FILE in, votes out, tables for people."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

from annotations.analysis import files
from annotations.items import readers

from .base import PlumblineCommand


class AnalysisCommand(PlumblineCommand):
    """Base of the commands about votes. Exit code 1: done, but some rows of the file could not be read."""

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "what",
            nargs="+",
            metavar="PROJECT|FILE",
            help="A project's slug, or files in any supported format.",
        )
        parser.add_argument(
            "--format", choices=sorted(readers.FORMATS), help="Do not sniff the files' format."
        )
        parser.add_argument("--source", help="Only the items of this source.")
        parser.add_argument("--aspect", help="Only this aspect or attribute.")

    def votes(self, options: dict, *, styles: bool = False):
        """(votes, {annotator code: contradicting calls}) of the project or files; ends the command where there is
        nothing to read."""
        what, self.code = options["what"], 0
        if len(what) > 1 or Path(what[0]).exists():
            return self._from_files(what, options["format"], styles)
        return self._from_project(what[0], styles)

    def _from_files(self, paths, format, styles):
        try:
            found = files.read(
                paths, format=format, styles=styles, tick=lambda n: self.progress(n, None, "rows read")
            )
        except readers.UnknownFormat as error:
            self.fail(str(error))
        except OSError as error:
            self.fail(f"{error.filename or paths[0]}: {error.strerror or error}")
        self.end_progress()
        for name, problem in found.problems:
            field = f" {problem.field}" if problem.field else ""
            self.stderr.write(f"{name}:{problem.line}{field}: {problem.message}")
        if found.n_problems > len(found.problems):
            self.stderr.write(
                f"… and {found.n_problems - len(found.problems):,} more rows that could not be read"
            )
        self.code = 1 if found.n_problems else 0
        votes = found.votes
        if not len(votes.comparisons) and not len(votes.scores):
            self.fail(f"{paths[0]}: no votes in it (expected comparisons, labels or ratings by annotators).")
        return votes, found.calls

    def _from_project(self, slug, styles):
        from annotations.analysis import stored
        from annotations.projects.models import Project

        project = Project.objects.filter(slug=slug).first()
        if project is None:
            self.fail(f"{slug!r} is no project and no file.")
        votes = stored.votes_of(project, tick=lambda n: self.progress(n, None, "votes read"))
        if styles:
            votes = stored.with_styles(project, votes, tick=lambda n: self.progress(n, None, "texts read"))
        self.end_progress()
        if not len(votes.comparisons) and not len(votes.scores):
            self.fail(f"{slug}: nobody has judged yet.")
        places = {pk: code for code, pk in enumerate(votes.ids)}
        calls = {places[pk]: found for pk, found in stored.contradictions(project).items() if pk in places}
        return votes, calls

    def wanted(self, rows: list[dict], options: dict) -> list[dict]:
        """The rows of the source and aspect asked for; ends the command where none is."""
        kept = rows
        for key in ("source", "aspect"):
            if options[key] is not None:
                known = sorted({str(row[key]) for row in rows})
                kept = [row for row in kept if row[key] == options[key]]
                if not kept:
                    self.fail(f"--{key} {options[key]!r}: expected one of {', '.join(known) or 'none'}.")
        return kept

    def table(self, head: list[str], rows: list[list[str]]) -> None:
        """Say a table in columns, the first left, the others right."""
        if not rows:
            return
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        for row in [head, *rows]:
            cells = [
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            self.say("  " + "  ".join(cells).rstrip())


def words(estimate: dict | None, digits: int = 3) -> str:
    """An estimate as `0.931 [0.912, 0.950]`, "–" where it is undefined."""
    if estimate is None:
        return "–"
    if estimate["lo"] is None:
        return f"{estimate['value']:.{digits}f}"
    return f"{estimate['value']:.{digits}f} [{estimate['lo']:.{digits}f}, {estimate['hi']:.{digits}f}]"


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r}: expected a whole number of at least 1")
    return int(text)
