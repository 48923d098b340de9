"""Bring files of items, and the judgments in them, into a project."""

from __future__ import annotations

import json
import re
from itertools import islice
from pathlib import Path

from django.db import transaction

from annotations.items import mappings, pii, prerender, readers
from annotations.items.models import SavedMapping
from annotations.items.readers import tables
from annotations.judging import importing
from annotations.judging.imported_schema import shape_of
from annotations.judging.importing import ImportReport
from annotations.projects import setup
from annotations.projects.models import Project
from app.accounts.models import User
from app.management.base import PlumblineCommand

SLUG = re.compile(r"[-a-zA-Z0-9_]{1,80}")
LOOKED_AT = 500
SHOWN_ERRORS = 20


class Command(PlumblineCommand):
    help = (
        "Import items, and any human or LM judgments in the files. Exit code 0: all went in; 1: some rows did "
        "not; 2: nothing could be done."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("project", help="Slug of the project.")
        parser.add_argument(
            "files", nargs="+", metavar="FILE", help="Files of any supported format, also .gz."
        )
        parser.add_argument("--create", action="store_true", help="Make the project if there is none.")
        parser.add_argument(
            "--owner",
            metavar="USERNAME",
            help="Who owns the project that --create makes; without it nobody does.",
        )
        parser.add_argument("--format", choices=sorted(readers.FORMATS), help="Do not sniff the format.")
        parser.add_argument("--mapping", metavar="JSON", help='For tables: {"column": "role"}.')
        parser.add_argument("--saved-mapping", metavar="NAME", help="A mapping saved in the project.")
        parser.add_argument("--save-mapping", metavar="NAME", help="Save the mapping under this name.")
        parser.add_argument("--dry-run", action="store_true", help="Write nothing, report what would happen.")
        parser.add_argument("--report", metavar="FILE", help="Write every error to this JSONL file.")
        parser.add_argument(
            "--pii",
            action="store_true",
            help="Count rows that seem to hold personal data; --report names them.",
        )
        parser.add_argument("--no-render", action="store_true", help="Do not start rendering the texts.")
        parser.add_argument(
            "--batch",
            default="",
            metavar="NAME",
            help="Put new items into this batch, made if it is new; else a row's `batch` says.",
        )
        group = parser.add_mutually_exclusive_group()
        group.add_argument("--wanted", type=int, metavar="N", help="People wanted for each new item.")
        group.add_argument(
            "--ask-again",
            action="store_true",
            help="Want as many people as the project's overlap beyond those whose judgments the file brings.",
        )

    def handle(self, *args, project: str, files: list[str], **options) -> None:
        mapping = self._saved(project, options) or self._mapping(options["mapping"])
        try:
            if mapping and options["format"] is None and all(map(_is_objects, files)):
                options["format"] = "table"
            if options["dry_run"] and not Project.objects.filter(slug=project).exists():
                with transaction.atomic():  # the project that is made is gone with it
                    report = self._import(project, files, mapping, options)
                    transaction.set_rollback(True)
            else:
                report = self._import(project, files, mapping, options)
        except (readers.UnknownFormat, ValueError) as error:
            self.fail(str(error))
        except OSError as error:
            self.fail(f"{error.filename or 'file'}: {error.strerror or error}")
        self._show(report, options["dry_run"])
        self.finish(report.as_dict(), code=1 if report.invalid else 0)

    def _import(self, slug: str, files: list[str], mapping: dict | None, options: dict) -> ImportReport:
        wanted = importing.ImportOptions(
            wanted=options["wanted"],
            ask_again=options["ask_again"],
            batch=options["batch"].strip(),
            dry_run=options["dry_run"],
            report_path=options["report"],
            pii=options["pii"],
        )
        records = readers.read_many(files, options["format"], mapping)
        project = Project.objects.filter(slug=slug).first()
        if project is None:
            project = self._create(slug, files, mapping, options)
        report = importing.import_records(
            project=project,
            records=records,
            options=wanted,
            progress=lambda done: self.progress(done, None, "rows"),
        )
        if options["save_mapping"] and mapping and not options["dry_run"]:
            mappings.save_mapping(project=project, name=options["save_mapping"], columns=mapping, actor=None)
        if not options["no_render"] and not options["dry_run"] and (report.new or report.updated):
            prerender.start_rendering(project=project)
        return report

    def _saved(self, project: str, options: dict) -> dict | None:
        """The columns of the mapping that --saved-mapping names; fails where there is none."""
        name = options["saved_mapping"]
        if options["save_mapping"] and not (name or options["mapping"]):
            self.fail("--save-mapping: give the mapping with --mapping.")
        if name is None:
            return None
        if options["mapping"]:
            self.fail("--saved-mapping: --mapping says something else; give one of the two.")
        saved = SavedMapping.objects.filter(project__slug=project, name=name).first()
        if saved is None:
            self.fail(f"--saved-mapping: {project} has no mapping {name!r}.")
        return saved.columns

    def _mapping(self, text: str | None) -> dict | None:
        if text is None:
            return None
        try:
            mapping = json.loads(text)
        except ValueError as error:
            self.fail(f"--mapping: expected JSON, {error}")
        if not isinstance(mapping, dict) or not all(isinstance(value, str) for value in mapping.values()):
            self.fail('--mapping: expected {"column": "role"}')
        return mapping

    def _create(self, slug: str, files: list[str], mapping: dict | None, options: dict) -> Project:
        """Make the project from what the first rows of the files hold; fails without --create."""
        if not options["create"]:
            self.fail(f"No project {slug!r}; --create makes it.")
        if not SLUG.fullmatch(slug):
            self.fail(f"{slug!r}: a project's name here has letters, digits, - and _ only, at most 80.")
        first = islice(readers.read_many(files, options["format"], mapping), LOOKED_AT)
        shape = shape_of(row for _, row in first if isinstance(row, readers.Record))
        name = slug.replace("-", " ").replace("_", " ").capitalize()
        return setup.create_project(
            name=name, slug=slug, owner=self._owner(options), definition=shape.design()
        )

    def _owner(self, options: dict) -> User | None:
        """The person whom --owner names; fails where there is none."""
        name = options["owner"]
        if name is None:
            return None
        owner = User.objects.filter(username=name, is_active=True).first()
        if owner is None:
            self.fail(f"--owner: there is no active person {name!r}.")
        return owner

    def _show(self, report: ImportReport, dry_run: bool) -> None:
        would = "Would be: " if dry_run else ""
        self.say(
            f"{would}{report.new:,} new, {report.updated:,} updated, {report.duplicate:,} duplicate, "
            f"{report.invalid:,} invalid; {report.judgments:,} judgments."
        )
        for kind, n in report.pii.items():
            self.say(f"{n:,} rows hold what looks like {pii.KINDS[kind]}.")
        for note in report.notes:
            self.say(f"Note: {note}")
        for error in report.errors[:SHOWN_ERRORS]:
            where = f"{error['file']}:{error['line']}" + (f" {error['field']}" if error["field"] else "")
            self.stderr.write(f"{where}: {error['message']}")
        if report.errors_total > SHOWN_ERRORS:
            self.stderr.write(f"… and {report.errors_total - SHOWN_ERRORS:,} more; --report FILE writes all.")


def _is_objects(file: str) -> bool:
    """Whether a mapping makes the file a table whose columns are keys of JSON rows."""
    return Path(file).is_file() and tables.is_objects(file)
