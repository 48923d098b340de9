"""Score prompts and responses with a reward model."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from annotations.items import readers
from app.management.base import PlumblineCommand
from routing.rewards import artefacts, backends, benchmarks, score


class Command(PlumblineCommand):
    help = (
        "Score the rows of a file with a reward model: one JSON line a row, {id, source, line, responses: "
        "[{text, score}], score, probability}. Exit code 0: every row was scored; 1: some rows could not be "
        "read; 2: nothing could be done."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("model", metavar="MODEL", help="rm_… of the registry, or a model's folder.")
        parser.add_argument(
            "file",
            metavar="FILE",
            help="JSONL with prompt and response or responses, or any supported format.",
        )
        parser.add_argument("--out", metavar="FILE", help="Where the rows go; else to stdout.")
        parser.add_argument("--format", choices=sorted(readers.FORMATS), help="Do not sniff the format.")

        parser.add_argument(
            "--benchmark",
            action="store_true",
            help="FILE is RewardBench 1, RewardBench 2 or RM-Bench: report its own figures instead of rows.",
        )

    def handle(self, *args, model: str, file: str, out: str | None, format: str | None, **options) -> None:
        scorer = self._scorer(model)
        if options["benchmark"]:
            self._benchmark(scorer, file)
            return
        target = Path(out) if out else None
        part = target.with_name(f".{target.name}.{os.getpid()}.part") if target else None
        try:
            stream = part.open("w", encoding="utf-8", newline="\n") if part else self.stdout
            try:
                counts = score.score_file(
                    scorer,
                    file,
                    write=lambda row: stream.write(json.dumps(row, ensure_ascii=True) + "\n"),
                    format=format,
                    tick=lambda n: self.progress(n, None, "rows scored"),
                )
            finally:
                if part:
                    stream.close()
            if part:
                os.replace(part, target)
        except readers.UnknownFormat as error:
            self.fail(str(error))
        except BrokenPipeError:
            # The reader of stdout, such as head, has what it wanted.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except OSError as error:
            self.fail(f"{error.filename or file}: {error.strerror or error}")
        finally:
            if part:
                part.unlink(missing_ok=True)
        for error in counts["errors"]:
            where = f"{error['file']}:{error['line']}" + (f" {error['field']}" if error["field"] else "")
            self.stderr.write(f"{where}: {error['message']}")
        if not counts["rows"]:
            self.fail(f"{file}: no row could be scored.")
        self.finish({"model": model, "out": out, **counts}, code=1 if counts["errors"] else 0)

    def _benchmark(self, scorer, file: str) -> None:
        try:
            found = benchmarks.run(file, scorer.score)
        except benchmarks.NotABenchmark as error:
            self.fail(str(error))
        except OSError as error:
            self.fail(f"{error.filename or file}: {error.strerror or error}")
        self.say(f"{found['benchmark']}: {100 * found['overall']:.1f} over {found['n']:,} rows.")
        for name, part in (found.get("sections") or found.get("domains") or found["subsets"]).items():
            self.say(f"  {name}: {100 * part['value']:.1f} (n = {part['n']:,})")
        self.finish(found)

    def _scorer(self, name: str) -> backends.Model:
        """The model of a folder, without a database, or of the registry."""
        try:
            if Path(name).is_dir():
                return backends.load(name)
            from routing.rewards.models import RewardModel

            found = RewardModel.objects.filter(public_id=name).first()
            if found is None:
                self.fail(f"{name!r} is no registered reward model and no folder.")
            return score.load(found)
        except artefacts.ArtefactError as error:
            self.fail(str(error))
