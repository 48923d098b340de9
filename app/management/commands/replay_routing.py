"""Replay routing policies on files with human and LM labels."""

from __future__ import annotations

import math
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from threadpoolctl import threadpool_limits

from annotations.items import readers
from app.management.base import PlumblineCommand
from app.web.shares import percent
from routing.plans import policies, replay, replay_cases, replay_plot

DEFAULT = (
    "net_gain",
    "label_error",
    "uncertainty",
    "influence",
    "mixes",
    "hyper_linear",
    "hyper_quadratic",
    "length",
)
MIN_ITEMS = 30


class Command(PlumblineCommand):
    help = (
        "Compare routing policies at equal budgets on files with human AND language models' labels: residual label "
        "error, its paired gain over random with intervals by prompt, and the accuracy of a reward model trained on "
        "the mix. Prints a table; writes JSON and an SVG. No database is needed. Exit code 1: some rows could not be read."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("files", nargs="+", metavar="FILE")
        parser.add_argument("--budgets", nargs="+", type=float, default=[0.25, 0.5, 0.75], metavar="SHARE")
        parser.add_argument(
            "--policies", nargs="+", default=list(DEFAULT), choices=list(policies.POLICIES), metavar="POLICY",
            help=f"Of {', '.join(policies.POLICIES)}. random and lm_confidence always take part.",
        )  # fmt: skip
        parser.add_argument("--mode", choices=(*replay.MODES, "both"), default="offline")
        parser.add_argument("--seeds", type=int, default=40, metavar="K", help="Paired splits (40).")
        parser.add_argument("--seed", type=int, default=0, help="Seed of the splits.")
        parser.add_argument(
            "--annotator", action="append", metavar="NAME", help="LM annotator; repeat for several."
        )
        parser.add_argument(
            "--format", choices=sorted(readers.FORMATS), help="Do not sniff the files' format."
        )
        parser.add_argument("--no-metadata", action="store_true", help="Make no tags of the items' metadata.")
        parser.add_argument("--jobs", type=int, default=0, metavar="N", help="Processes (as many as cores).")
        parser.add_argument(
            "--out", default="replay", metavar="DIR", help="Where the JSON and SVG go (./replay)."
        )

    def handle(self, *args, files: list[str], **options) -> None:
        budgets = sorted(set(options["budgets"]))
        for budget in budgets:
            if not 0 < budget < 1:
                self.fail(f"--budgets {budget:g}: expected shares above 0 and below 1")
        if options["seeds"] < 1 or options["seed"] < 0 or options["jobs"] < 0:
            self.fail("--seeds: expected at least 1; --seed and --jobs: at least 0")
        found = self._cases(files, options)
        modes = replay.MODES if options["mode"] == "both" else (options["mode"],)
        rows = self._run(found, modes, budgets, options)
        payload = {
            "splits": options["seeds"],
            "seed": options["seed"],
            "metadata": not options["no_metadata"],
            "default_policy": policies.DEFAULT,
            "unread_rows": self.unread,
            "results": [_row(row) for row in rows],
        }
        self._tell(rows)
        self._write(Path(options["out"]), rows, payload)
        self.finish(payload, code=1 if self.unread else 0)

    def _cases(self, files: list[str], options: dict) -> list[replay_cases.Case]:
        self.unread = 0
        items = []
        try:
            for name in files:
                for found in readers.read(Path(name), options["format"]):
                    if isinstance(found, readers.Problem):
                        self.unread += 1
                        where = f"{name}:{found.line}" + (f" {found.field}" if found.field else "")
                        self.stderr.write(f"{where}: {found.message}")
                    else:
                        items.append(readers.to_native(found))
            found = replay_cases.cases(
                items, annotators=options["annotator"], metadata=not options["no_metadata"]
            )
        except (readers.UnknownFormat, ValueError) as error:
            self.fail(str(error))
        except OSError as error:
            self.fail(f"{error.filename}: {error.strerror or error}")
        large = [case for case in found if len(case) >= MIN_ITEMS]
        for case in found:
            if len(case) < MIN_ITEMS:
                self.say(
                    f"{case.source} × {case.annotator}: {len(case)} items are too few to replay; left out."
                )
        if not large:
            self.fail(f"no source has {MIN_ITEMS} pairs with a consensus of people and an LM's label")
        return large

    def _run(self, found: list[replay_cases.Case], modes, budgets, options: dict) -> list[replay.Row]:
        work = [
            (case, options["policies"], budgets, mode, options["seeds"], options["seed"])
            for mode in modes
            for case in found
        ]
        jobs = min(options["jobs"] or os.cpu_count() or 1, len(work))
        rows: list[replay.Row] = []
        with ProcessPoolExecutor(jobs) if jobs > 1 else _Here() as pool:
            for done, part in enumerate(pool.map(_replay, work), start=1):
                rows += part
                self.progress(done, len(work), f"{part[0].source} × {part[0].annotator}, {part[0].mode}")
        return rows

    def _tell(self, rows: list[replay.Row]) -> None:
        at = None
        for row in rows:
            if (row.source, row.annotator, row.mode) != at:
                at = (row.source, row.annotator, row.mode)
                error = row.model_error
                self.say("")
                self.say(
                    f"{row.source or 'file'} × {row.annotator}, {row.mode}: the model is wrong on "
                    f"{_percent(error)} of {error['n'] if error else 0:,} items, {row.splits} splits"
                )
                self.say(
                    f"  {'policy':<16}{'budget':>8}{'residual error':>25}{'gain, in points':>27}  {'reward model':>25}"
                )
            mark = "" if row.policy == "random" else _mark(row.gain_over_random)
            self.say(
                f"  {row.policy:<16}{percent(row.budget):>8}{_percent(row.residual_error):>25}"
                f"{'' if row.policy == 'random' else _percent(row.gain_over_random, signed=True):>25} {mark or ' '}"
                f"  {_percent(row.reward_accuracy):>25}"
            )
            if row.fallback and row.budget == max(r.budget for r in rows):
                self.say(f"    {row.policy}: {row.fallback}")
        self.say("")
        self.say(
            "Residual error: labels that are wrong in the end. Gain: how much less than random at the same budget; * where its "
            "interval excludes zero. Intervals are 95 %, by prompt; the reward model's accuracy is reported without a claim."
        )

    def _write(self, folder: Path, rows: list[replay.Row], payload: dict) -> None:
        import json

        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "replay.json").write_text(json.dumps(payload, indent=1, ensure_ascii=False))
            for mode in dict.fromkeys(row.mode for row in rows):
                name = folder / f"replay-{mode}.svg"
                name.write_text(replay_plot.draw([row for row in rows if row.mode == mode]))
        except OSError as error:
            self.fail(f"{error.filename}: {error.strerror or error}")
        self.say(f"Written: {folder}/replay.json and a plot for each mode.")


class _Here:
    """A pool of this process alone."""

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        return None

    map = staticmethod(map)


def _replay(work) -> list[replay.Row]:
    """One case in one mode; the arrays are small, so threads of the linear algebra would only get in each other's way."""
    case, names, budgets, mode, splits, seed = work
    with threadpool_limits(1):
        return list(replay.replay(case, names=names, budgets=budgets, mode=mode, splits=splits, seed=seed))


def _row(row: replay.Row) -> dict:
    """One result as JSON; the keys that scripts may rely on stand first."""
    return {
        "source": row.source,
        "annotator": row.annotator,
        "mode": row.mode,
        "policy": row.policy,
        "budget": row.budget,
        "splits": row.splits,
        "residual_error": row.residual_error,
        "gain_over_random": row.gain_over_random,
        "reward_accuracy": row.reward_accuracy,
        "gain_over_confidence": row.gain_over_confidence,
        "gain_in_reward_accuracy": row.gain_in_reward,
        "model_error": row.model_error,
        "sent": row.sent,
        "left_out": row.left_out,
        "fallback": row.fallback,
    }


def _percent(estimate: dict | None, *, signed: bool = False) -> str:
    if estimate is None or not math.isfinite(estimate["value"]):
        return "not known"
    sign = "+" if signed else ""
    value, low, high = (
        f"{round(100 * estimate[key], 1) + 0.0:{sign}.1f}".replace("-", "−") for key in ("value", "lo", "hi")
    )
    return f"{value} [{low}, {high}]{'' if signed else ' %'}"


def _mark(gain: dict | None) -> str:
    return "*" if gain is not None and (gain["lo"] > 0 or gain["hi"] < 0) else ""
