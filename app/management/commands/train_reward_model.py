"""Train a reward model from a project, a snapshot or a file."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from dataclasses import asdict, fields
from pathlib import Path

from annotations.items import readers
from app.management.base import PlumblineCommand
from routing.features import encoders
from routing.rewards import backends, linear, losses, prepare, train
from routing.rewards.transformer.options import Options

POLL_SECONDS = 0.5


class Command(PlumblineCommand):
    help = (
        "Train a reward model: freeze, fit, evaluate on the hold-out, save, register. A PROJECT is frozen "
        "first. A FILE needs no database: its model is written to a folder and enters no registry. Exit code 0: "
        "trained; 1: trained, but some rows of a file could not be read; 2: nothing was trained."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("source", metavar="PROJECT|SNAPSHOT|FILE")
        parser.add_argument(
            "--loss", choices=list(linear.LOSSES), default="scaled_bt",
            help="; ".join(f"{name}: {words}" for name, words in linear.LOSSES.items()),
        )  # fmt: skip
        parser.add_argument(
            "--backend", choices=train.BACKENDS, default="linear",
            help=f"This installation has: {', '.join(backends.available())}.",
        )  # fmt: skip
        parser.add_argument(
            "--base", metavar="PATH", help="Transformer: a pretrained model's folder or hub id."
        )
        parser.add_argument("--revision", default="", help="Transformer: the hub id's commit.")
        parser.add_argument(
            "--option", action="append", default=[], metavar="NAME=VALUE",
            help="Transformer: " + ", ".join(f.name for f in fields(Options) if f.name not in ("base", "revision")),
        )  # fmt: skip
        parser.add_argument(
            "--embeddings", metavar="PATH",
            help="Linear: the folder of a sentence-embedding model whose frozen embeddings are read beside the words.",
        )  # fmt: skip
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--strength-map", choices=sorted(losses.STRENGTH_MAPS), default="1-2-3",
            help="What slightly better, better and much better weigh (scaled_bt).",
        )  # fmt: skip
        parser.add_argument("--extrapolate", action="store_true", help="Stretch the second stage (ExPO).")
        parser.add_argument("--no-ratings", action="store_true", help="Do not start from ratings.")
        parser.add_argument(
            "--holdout", choices=("crossfit", "split"), default="crossfit",
            help="How a FILE without a split is measured: every prompt group by a model that never saw it "
            "(five folds; the model that is kept learns from all), or a tenth held out.",
        )  # fmt: skip
        parser.add_argument("--judgments", choices=prepare.JUDGMENTS, default=prepare.HUMAN_FIRST)
        parser.add_argument("--format", choices=sorted(readers.FORMATS), help="Do not sniff a FILE's format.")
        parser.add_argument(
            "--evaluate",
            metavar="FILE",
            help="Measure on this file instead of the hold-out. Prompt groups in it are left out of the fit.",
        )
        parser.add_argument("--out", metavar="DIR", help="Where a FILE's model goes (./model-<sha>).")

    def handle(self, *args, source: str, **options) -> None:
        self.unread = 0
        began = time.monotonic()
        spec = prepare.Spec(
            loss=options["loss"],
            seed=options["seed"],
            judgments=options["judgments"],
            backend=options["backend"],
            strength_map=options["strength_map"],
            extrapolate=options["extrapolate"],
            use_ratings=not options["no_ratings"],
            options=self._backend_options(options),
        )
        if not 0 <= spec.seed < 2**63:
            self.fail(f"--seed {spec.seed}: expected a whole number from 0 to 2^63 - 1")
        try:
            if Path(source).is_file():
                name, metrics = self._from_file(Path(source), spec, options)
            elif options["out"]:
                self.fail("--out is for a FILE; a project's models are kept in its registry.")
            else:
                name, metrics = self._registered(source, spec, options)
        except readers.UnknownFormat as error:
            self.fail(str(error))
        except OSError as error:
            self.fail(f"{error.filename or source}: {error.strerror or error}")
        payload = {
            "model": name,
            "loss": spec.loss,
            "backend": spec.backend,
            "n_train": metrics["n_train"],
            "n_holdout": metrics["n_holdout"],
            "accuracy": metrics["accuracy"],
            "length_baseline": metrics["length_baseline"],
            "human_ceiling": _estimate_or_none(metrics["human_ceiling"]),
            "nll": metrics["nll"]["value"],
            "ece10": metrics["ece10"]["value"],
            "seconds": round(time.monotonic() - began, 3),
            "gain_over_length": metrics["gain_over_length"],
            "by_source": metrics.get("by_dataset") or {},
            "evaluated": metrics.get("evaluated", "holdout"),
            "yardstick": metrics["yardstick"],
            "seed": spec.seed,
            "unread_rows": self.unread,
        }
        self._tell(payload)
        self.finish(payload, code=1 if self.unread else 0)

    def _backend_options(self, options: dict) -> dict:
        """What --base, --revision, --option and --embeddings say, checked."""
        given = {"base": options["base"]} if options["base"] else {}
        if options["backend"] == "linear":
            if given or options["option"]:
                self.fail("--base and --option are for --backend transformer.")
            if not options["embeddings"]:
                return {}
            try:
                encoders.sentences(options["embeddings"])
            except ValueError as error:
                self.fail(f"--embeddings {error}")
            return {"embeddings": str(Path(options["embeddings"]).resolve())}
        if options["embeddings"]:
            self.fail("--embeddings is for --backend linear.")
        if options["revision"]:
            given["revision"] = options["revision"]
        for entry in options["option"]:
            name, equals, value = entry.partition("=")
            if not equals:
                self.fail(f"--option {entry}: expected NAME=VALUE")
            given[name] = {"true": True, "false": False}.get(value.lower(), value)
        if "transformer" not in backends.available():
            self.fail("--backend transformer needs torch: pip install -r requirements-train.txt")
        try:
            return asdict(Options.read(given))
        except ValueError as error:
            self.fail(str(error))

    def _tell(self, payload: dict) -> None:
        self.say(f"{payload['model']}: learnt from {payload['n_train']:,} decided pairs.")
        accuracy, length = payload["accuracy"], payload["length_baseline"]
        if accuracy["value"] is None:
            self.say(f"No estimate on the hold-out: {accuracy.get('reason', 'no pairs')}.")
            return
        for words, est in (
            ("Picks the preferred response on", accuracy),
            ("The longer response would on", length),
        ):
            low, high = 100 * est["lo"], 100 * est["hi"]
            self.say(
                f"{words} {100 * est['value']:.1f} % [{low:.1f}, {high:.1f}] of {est['n']:,} held-out pairs."
            )

    # --- a file: no database ---------------------------------------------------------------------------
    def _from_file(self, path: Path, spec: prepare.Spec, options: dict) -> tuple[str, dict]:
        evaluation = self._rows(Path(options["evaluate"])) if options["evaluate"] else None
        material = self._prepare(
            self._rows(path, options["format"]),
            spec,
            evaluation=evaluation,
            keep_holdout=False,
            by_source=True,
            crossfit=options["holdout"] == "crossfit" and spec.backend == "linear",
        )
        with tempfile.TemporaryDirectory(dir=_parent(options["out"]), prefix=".model-") as scratch:
            trained = self._train(material, spec, Path(scratch) / "model")
            sha = hashlib.sha256((trained.directory / "model.json").read_bytes()).hexdigest()
            target = Path(options["out"] or f"model-{sha[:12]}")
            if target.exists() and (not target.is_dir() or any(target.iterdir())) and not _is_model(target):
                self.fail(f"{target} exists and is no model folder; choose another --out.")
            train.move_into_place(trained.directory, target)
        return str(target), trained.metrics

    def _rows(self, path: Path, format: str | None = None):
        for found in readers.read(path, format):
            if isinstance(found, readers.Problem):
                self.unread += 1
                where = f"{path.name}:{found.line}" + (f" {found.field}" if found.field else "")
                self.stderr.write(f"{where}: {found.message}")
            else:
                yield readers.to_native(found)

    def _prepare(self, rows, spec: prepare.Spec, **more) -> prepare.Material:
        try:
            material = prepare.prepare(rows, spec, tick=lambda n: self.progress(n, None, "rows read"), **more)
            for line in prepare.notes(material.report):
                self.say(line)
            prepare.refuse_if_too_little(material)
        except readers.UnknownFormat:
            raise
        except ValueError as error:
            self.fail(str(error))
        return material

    def _train(self, material: prepare.Material, spec: prepare.Spec, folder: Path) -> train.Trained:
        def progress(event: dict) -> None:
            if event["fraction"] is None:
                self.say(event["message"])
            else:
                self.progress(round(100 * event["fraction"]), 100, event["message"])

        try:
            return train.train(material, spec, folder, progress=progress)
        except (ValueError, train.NotReproduced) as error:
            self.fail(str(error))

    # --- a project or a snapshot: a Job, run here ---------------------------------------------------------
    def _registered(self, source: str, spec: prepare.Spec, options: dict) -> tuple[str, dict]:
        from annotations.datasets import snapshots
        from annotations.projects.models import Project
        from app.jobs import runner
        from routing.rewards import jobs, registry
        from routing.rewards.models import TrainingRun

        snapshot = snapshots.find(source) if source.startswith("snap_") else None
        project = snapshot.project if snapshot else Project.objects.filter(slug=source).first()
        if project is None:
            self.fail(f"{source!r} is no file, no snapshot and no project.")
        # Read before anything is trained, so that a bad file costs nothing.
        evaluation = list(self._rows(Path(options["evaluate"]))) if options["evaluate"] else None
        try:
            run = jobs.start_training(
                project=project,
                actor=None,
                snapshot=snapshot,
                any_base=True,
                loss=spec.loss,
                seed=spec.seed,
                options={
                    "backend": spec.backend,
                    "judgments": spec.judgments,
                    "strength_map": spec.strength_map,
                    "extrapolate": spec.extrapolate,
                    "use_ratings": spec.use_ratings,
                    "options": spec.options,
                },
            )
        except jobs.BadTraining as error:
            self.fail(str(error))
        job = self._watched(run.job_id, lambda: runner.run(run.job_id, worker="command"))
        if job.state != job.State.SUCCEEDED:
            self.fail(job.error or job.message or f"The training is {job.get_state_display().lower()}.")
        run = TrainingRun.objects.select_related("reward_model").get(pk=run.pk)
        model = run.reward_model
        if evaluation is None:
            return model.public_id, model.metrics
        pairs = prepare.unseen_pairs(snapshots.open_rows(model.snapshot), evaluation, spec)
        scorer = backends.load(registry.directory(model))
        metrics = train.evaluate(train.margins(scorer, pairs), pairs, seed=spec.seed)
        return model.public_id, {**metrics, "n_train": model.metrics["n_train"]}

    def _watched(self, job_id, run):
        """Run the job here, or wait for the worker that took it first; draws its progress on a terminal."""
        from django.db import connection

        from app.jobs.models import Job

        over = threading.Event()

        def draw() -> None:
            try:
                while not over.wait(POLL_SECONDS):
                    row = Job.objects.filter(pk=job_id).values("done", "total", "message").first()
                    if row and row["total"]:
                        self.progress(row["done"], row["total"], row["message"])
            finally:
                connection.close()

        drawer = threading.Thread(target=draw, daemon=True) if self.stderr.isatty() else None
        if drawer:
            drawer.start()
        try:
            job = run()
            while job is None or not job.is_finished:
                time.sleep(POLL_SECONDS)
                job = Job.objects.get(pk=job_id)
        finally:
            over.set()
            if drawer:
                drawer.join(timeout=5)
        return job


def _estimate_or_none(est: dict) -> dict | None:
    return est if est.get("value") is not None else None


def _parent(out: str | None) -> Path:
    """The folder a FILE's model goes into, made if it is missing, so that the last step is a rename."""
    parent = Path(out).resolve().parent if out else Path.cwd()
    parent.mkdir(parents=True, exist_ok=True)
    return parent


def _is_model(folder: Path) -> bool:
    return (folder / "model.json").is_file()
