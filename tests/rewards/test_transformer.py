"""The transformer backend on a tiny random network: every loss learns, resume is exact, padding changes nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (pip install -r requirements-train.txt)")
pytest.importorskip("transformers", reason="transformers is not installed (requirements-train.txt)")

from routing.rewards import backends, linear, penalised, prepare, train  # noqa: E402
from routing.rewards.transformer import checkpoint, launch, material, model, network, training  # noqa: E402
from routing.rewards.transformer.batching import steps_of_epoch, within_budget  # noqa: E402
from routing.rewards.transformer.options import Options  # noqa: E402
from tests.rewards import halting  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "max_length": 64, "token_budget": 1024, "batch": 8, "epochs": 2, "ratings_epochs": 2, "lr": 5e-3,
    "ratings_lr": 5e-3, "warmup": 2, "weight_decay": 0.01, "checkpoint_every": 5,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    from tests.rewards.tiny import make_base

    return str(make_base(tmp_path_factory.mktemp("base")))


def rows(n=48, *, rated=False, ranked=False, thumbs=False):
    """Native rows whose better response says `good clear`; some are ties."""
    made = []
    for i in range(n):
        better = i % 2
        texts = ["item " * (i % 5) + ("good clear" if k == better else "bad vague") for k in range(2)]
        scores = []
        if rated:
            scores = [{"response": k, "attribute": a, "value": 5 if k == better else 1, "scale": [1, 5]}
                      for k in range(2) for a in ("helpfulness", "clarity")]  # fmt: skip
        if ranked:
            scores = [
                {"response": k, "attribute": "rank", "value": 1 if k == better else 2} for k in range(2)
            ]
        if thumbs:
            scores = [{"response": k, "attribute": "thumb", "value": int(k == better)} for k in range(2)]
        verdict = {"first": 0, "second": 1, "preference": 2 if better else -1, "scale_max": 3}
        if i % 12 == 11:
            verdict = {"first": 0, "second": 1, "tie": "equal"}
        kind = "lm" if i % 4 == 3 else "human"
        judgment = {"id": f"j{i}", "annotator": "A", "kind": kind, "scores": scores}
        if not (ranked or thumbs):
            judgment["comparisons"] = [verdict]
        made.append({"id": str(i), "prompt": f"question {i}", "responses": [{"text": t} for t in texts],
                     "judgments": [judgment]})  # fmt: skip
    return made


def given(base, loss="scaled_bt", *, data=None, spec=None, **options):
    spec = prepare.Spec(
        loss=loss, backend="transformer", options={"base": base, **SMALL, **options}, **(spec or {})
    )
    return prepare.prepare(data or rows(), spec, crossfit=True), spec


def trainer_of(
    base, folder, loss="scaled_bt", *, data=None, spec=None, events=None, should_stop=None, **options
):
    stuff, spec = given(base, loss, data=data, spec=spec, **options)
    return training.Trainer(
        stuff, spec, Options.read(spec.options), folder, device="cpu",
        tell=(events if events is not None else []).append, should_stop=should_stop or (lambda: False),
    )  # fmt: skip


def losses_of(events, stage=None):
    return [event["loss"] for event in events if "loss" in event and stage in (None, event["stage"])]


@pytest.mark.parametrize("loss", list(linear.LOSSES))
def test_every_loss_decreases(base, tmp_path, loss):
    data = {
        "plackett_luce": rows(ranked=True), "lipo": rows(ranked=True), "bco": rows(thumbs=True),
        "mse": rows(rated=True), "joint": rows(rated=True),
    }.get(loss)  # fmt: skip
    events = []
    trainer = trainer_of(base, tmp_path, loss, data=data, events=events, epochs=4)
    trainer.run()
    found = losses_of(events)
    # smoothed single votes are ⅓ and ⅔, so no loss below their entropy can be had
    floor = 0.62 if loss == "soft_bt" else 0.0
    assert np.mean(found[-4:]) - floor < 0.7 * (np.mean(found[:3]) - floor), found
    assert all(np.isfinite(found))
    assert {"tokens_per_second", "eta_seconds", "lr"} <= set(next(e for e in events if "loss" in e))


def test_sources_may_be_weighed_so_that_none_is_worked_against(base, tmp_path):
    events = []
    trainer = trainer_of(base, tmp_path, events=events, epochs=6, more=True)
    trainer.run()
    assert set(trainer.passes.more.state) == {"human", "lm"}
    found = losses_of(events)
    assert np.mean(found[-6:]) < 0.8 * np.mean(found[:3])


def test_ratings_come_first_and_the_preference_starts_from_their_head(base, tmp_path):
    events = []
    trainer = trainer_of(base, tmp_path, data=rows(rated=True), events=events, spec={"extrapolate": True})
    assert [stage.name for stage in trainer.stages] == ["ratings", "preferences"]
    assert trainer.attributes == ["clarity", "helpfulness"]
    trainer.run()
    first = losses_of(events, "preferences")[0]
    assert first < 0.69, "the preferences must start where the ratings ended, not at ln 2"
    assert 1.0 <= trainer.position["extrapolation"] <= 1.6


def test_a_resumed_training_is_equal_to_the_bit(base, tmp_path):
    options = {"data": rows(rated=True)}
    whole = trainer_of(base, tmp_path / "a", **options)
    whole.run()
    for stop_at in (3, 14, 19):  # in the first stage, in the second, shortly after a checkpoint
        folder = tmp_path / f"b{stop_at}"
        seen = []
        with pytest.raises(training.Stopped):
            trainer_of(
                base,
                folder,
                events=seen,
                should_stop=lambda s=seen, n=stop_at: len(losses_of(s)) >= n,
                **options,
            ).run()
        events = []
        again = trainer_of(base, folder, events=events, **options)
        again.run()
        assert f"step {stop_at}" in events[0]["note"]
        for (name, one), two in zip(
            whole.network.state_dict().items(), again.network.state_dict().values(), strict=True
        ):
            assert torch.equal(one, two), name
        assert again.passes.shift == whole.passes.shift
        assert whole.position["best"] == again.position["best"]


def test_a_checkpoint_cut_short_is_not_read(base, tmp_path):
    checkpoint.write(tmp_path, 5, {"a": torch.ones(3)}, {"n": 1})
    checkpoint.write(tmp_path, 9, {"a": torch.zeros(3)}, {"n": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000009"]
    (tmp_path / ".step-00000012.1.tmp").mkdir()
    broken = tmp_path / "step-00000011"
    broken.mkdir()
    (broken / checkpoint.TENSORS).write_bytes(b"half")
    tensors, state = checkpoint.latest(tmp_path)
    assert (state, tensors["a"].tolist()) == ({"n": 2}, [0.0] * 3)
    # and one of another training is not taken for ours
    events = []
    one = trainer_of(base, tmp_path / "c")
    one.save()
    other = trainer_of(base, tmp_path / "c", events=events, lr=1e-3)
    assert not other._resume()
    assert "another training" in events[0]["note"]


def test_padding_and_batch_order_change_no_score(base, tmp_path):
    trunk, tokenizer, template = network.load_base(base)
    torch.manual_seed(1)
    scorer = model.TransformerModel(
        network.RewardNetwork(trunk, ["a"]), tokenizer, template, 64, 0.7, 0.1, {}
    )
    texts = ["x", "good clear word " * 9, "bad", "item " * 20, "end <|end|> inside <|pad|> too", ""]
    prompts = ["p" * i for i in range(len(texts))]
    together = scorer.score(prompts, texts)
    alone = [scorer.score([p], [t])[0] for p, t in zip(prompts, texts, strict=True)]
    order = np.array([3, 0, 5, 1, 4, 2])
    turned = scorer.score([prompts[i] for i in order], [texts[i] for i in order])
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(together[order], turned, atol=1e-5)
    assert len(set(np.round(together, 6))) == len(texts)
    scorer.save(tmp_path / "m")
    assert np.array_equal(model.load(tmp_path / "m", "cpu").score(prompts, texts), together)
    (tmp_path / "m" / model.HEADS).write_bytes(b"something else")
    with pytest.raises(backends.artefacts.ArtefactError, match="does not match"):
        model.load(tmp_path / "m")


def test_bases_whose_padding_is_their_end_are_refused_unless_a_token_is_added(tmp_path):
    from tests.rewards.tiny import make_base

    for pad, words in (("<|end|>", "its end token as padding token"), (None, "no padding token")):
        folder = make_base(tmp_path / f"pad-{pad is None}", pad=pad)
        with pytest.raises(network.BaseRefused, match=words):
            network.load_base(str(folder))
        trunk, tokenizer, _ = network.load_base(str(folder), add_pad=True)
        assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
        assert trunk.get_input_embeddings().num_embeddings >= len(tokenizer)
    with pytest.raises(network.BaseRefused, match="no folder"):
        network.load_base(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("how", ["frozen", "lora"])
def test_a_frozen_or_low_rank_training_moves_only_what_it_should(base, tmp_path, how):
    before = network.load_base(base)[0].state_dict()
    events = []
    trainer = trainer_of(
        base, tmp_path, events=events, epochs=6, **({"frozen": True} if how == "frozen" else {"lora": 4})
    )
    trainer.run()
    after = trainer.network.trunk.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert set(before) == set(after), "low-rank updates are merged"
    assert all("_proj" in name for name in moved)
    assert bool(moved) == (how == "lora")
    found = losses_of(events)
    assert np.mean(found[-4:]) < np.mean(found[:4])
    if how == "frozen":
        assert len(trainer.passes.cache) > 20


def test_out_of_memory_halves_the_budget_and_says_so(base, tmp_path, monkeypatch):
    events = []
    trainer = trainer_of(base, tmp_path, events=events, token_budget=512)
    real = trainer.network.pooled

    def small(ids, mask):
        if ids.numel() > 200:
            raise torch.OutOfMemoryError("out of memory")
        return real(ids, mask)

    trainer.validation = trainer.validation.take(np.zeros(0, dtype=int))
    monkeypatch.setattr(trainer.network, "pooled", small)
    trainer.run()
    said = [event["note"] for event in events if "note" in event]
    assert said[0] == "Out of memory: the token budget is 256 from here on."
    assert trainer.passes.budget <= 200
    assert len(losses_of(events)) == 2 * int(np.ceil(len(trainer.stages[0].parts[0]) / 8))


def test_a_network_that_reads_the_same_token_of_both_sides_is_stopped(base, tmp_path, monkeypatch):
    """The well-known trap: the state of the first end token, which both sides share."""
    trainer = trainer_of(base, tmp_path, epochs=9)
    monkeypatch.setattr(trainer.network, "pooled", lambda ids, mask: torch.ones(len(ids), 32))
    with pytest.raises(training.CannotTrain, match=r"ln 2 = 0\.6931"):
        trainer.run()


def test_too_long_rows_are_left_out_and_counted(base, tmp_path):
    data = rows(40)
    data[0]["responses"][0]["text"] = "word " * 200
    events = []
    trainer = trainer_of(base, tmp_path, data=data, events=events)
    trainer.run()
    assert events[0]["note"] == "Left out as longer than 64 tokens: 1 pair rows."
    with pytest.raises(training.CannotTrain, match="raise max_length"):
        trainer_of(base, tmp_path / "x", max_length=8, token_budget=16)


def test_steps_hold_every_row_once_and_passes_keep_the_budget():
    rng = np.random.default_rng(0)
    lengths, sizes = rng.integers(3, 60, 203), rng.integers(1, 4, 203)
    steps = steps_of_epoch(lengths, 16, 3, 0)
    assert sorted(np.concatenate(steps)) == list(range(203))
    assert [s.tolist() for s in steps] != [s.tolist() for s in steps_of_epoch(lengths, 16, 3, 1)]
    waste = np.mean([1 - lengths[s].mean() / lengths[s].max() for s in steps])
    assert waste < 0.2
    for step in steps:
        passes = list(within_budget(step, lengths, sizes, 200))
        assert sorted(np.concatenate(passes)) == sorted(step)
        assert all(len(p) == 1 or sizes[p].sum() * lengths[p].max() <= 200 for p in passes)


@pytest.mark.parametrize(
    ("option", "words"),
    [({"depth": 3}, "option 'depth'"), ({"batch": 0}, "at least 1"), ({"lr": "fast"}, "expected a number"),
     ({"token_budget": 100}, "expected at least 128"), ({"base": ""}, "option 'base'"),
     ({"frozen": True, "lora": 2}, "choose one"), ({"shard": True}, "two processes or more")],
)  # fmt: skip
def test_options_are_checked_by_name(option, words):
    with pytest.raises(ValueError, match=words):
        Options.read({"base": "x", "max_length": 64, "token_budget": 1024, **option})


@pytest.fixture
def halts_at(monkeypatch):
    """`halts_at(8)` has the trainer's process halt once after this step, until it is stopped or killed."""

    def halt(step: int) -> None:
        monkeypatch.setenv("HALT_AT", str(step))
        monkeypatch.setattr(launch, "WORKER", halting.MODULE)

    return halt


@pytest.mark.slow
@pytest.mark.faults
def test_the_process_trains_evaluates_and_leaves_a_whole_model(base, tmp_path, halts_at):
    """A real trainer process, killed once with kill -9: it goes on from its checkpoint and nothing is lost."""
    stuff, spec = given(base, data=rows(60), epochs=4)
    stuff = replace(stuff, holdout=prepare.prepare(rows(20), spec, crossfit=True).fit)
    killed, notes = [], []
    halts_at(8)

    def tell(event):
        if "note" in event:
            notes.append(event["note"])
        if event.get("step") == 8 and not killed:
            killed.append(trainer_pid(tmp_path))
            os.kill(killed[0], signal.SIGKILL)

    folder = launch.train(stuff, spec, tmp_path / "work", tell=tell, device="cpu", threads=1)
    assert killed
    assert any("killed by signal 9; going on from its last checkpoint" in note for note in notes)
    assert any("Going on from the checkpoint at step 5" in note for note in notes)
    whole = trainer_of(base, tmp_path / "whole", data=rows(60), epochs=4)
    whole.run()
    found = backends.load(folder)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, found.network.state_dict()[name]), name
    trained = train.train(
        stuff, spec, tmp_path / "model", work=backends.Work(tmp_path / "work", device="cpu")
    )
    assert trained.metrics["accuracy"]["value"] > 0.9
    assert trained.metrics["evaluated"] == "holdout"
    refused = given(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="no folder"):
        launch.train(*refused, tmp_path / "no", tell=lambda event: None, device="cpu")


def trainer_pid(folder):
    """The trainer that works below a folder."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if halting.MODULE.encode() in words and str(folder / "work").encode() in words:
            return int(entry.name)
    raise AssertionError("no trainer")


@pytest.mark.slow
def test_two_processes_learn_what_one_does_and_go_on_from_each_others_checkpoints(base, tmp_path, halts_at):
    """Through `accelerate launch`: gradients summed, stopped after a few steps, and resumed with sharded weights."""
    halts_at(9)
    how = {"data": rows(60, rated=True), "token_budget": 160, "center": 0.0, "lr": 1e-3, "ratings_lr": 1e-3}
    alone = []
    whole = trainer_of(base, tmp_path / "whole", events=alone, **how)
    whole.run()
    seen, found = [], None
    for placement in ({"processes": 2}, {"processes": 2, "shard": True}):
        stuff, spec = given(base, **how, **placement)
        before = len(losses_of(seen))
        try:
            found = launch.train(
                stuff, spec, tmp_path / "work", tell=seen.append, device="cpu", threads=1,
                should_cancel=lambda n=before: not n and len(losses_of(seen)) > 8,
            )  # fmt: skip
        except penalised.TrainingCancelled:
            stopped = len(losses_of(seen))
    assert 8 < stopped < len(losses_of(alone))
    assert {"note": f"Going on from the checkpoint at step {stopped}."} in seen
    assert [e["step"] for e in seen if "loss" in e] == [e["step"] for e in alone if "loss" in e]
    # sums in another order; Adam makes steps of full size of gradients that are all but 0
    assert losses_of(seen) == pytest.approx(losses_of(alone), abs=0.005)
    assert losses_of(seen)[:28] == pytest.approx(losses_of(alone)[:28], abs=1e-4)
    assert [e["tokens"] for e in seen if "loss" in e] == [e["tokens"] for e in alone if "loss" in e]
    trained = backends.load(found)
    for name, tensor in whole.network.state_dict().items():
        assert torch.allclose(tensor, trained.network.state_dict()[name], atol=0.01), name


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_training_that_is_cancelled_while_it_loads_is_cancelled(base, tmp_path, monkeypatch, processes):
    monkeypatch.setattr(launch, "BEAT_SECONDS", 0.01)
    stuff, spec = given(base, processes=processes)
    with pytest.raises(penalised.TrainingCancelled):
        launch.train(
            stuff,
            spec,
            tmp_path / "work",
            tell=lambda _: None,
            device="cpu",
            threads=1,
            should_cancel=lambda: True,
        )


@pytest.mark.slow
@pytest.mark.faults
def test_a_trainer_whose_starter_is_killed_ends_by_itself(base, tmp_path):
    stuff, spec = given(base, epochs=500)
    work = tmp_path / "work"
    work.mkdir()
    material.write(work / "material.json.gz", stuff)
    script = (
        "import json,sys,subprocess,os\n"
        f"json.dump({{'spec': {spec.as_dict()!r}, 'locks': [{str(work / 'lock')!r}], 'device': 'cpu', 'threads': 1}}, open({str(work / 'request.json')!r}, 'w'))\n"
        f"p = subprocess.Popen([sys.executable, '-m', 'routing.rewards.transformer.worker', {str(work)!r}, str(os.getpid())], stdout=open({str(work / 'out')!r}, 'w'), start_new_session=True)\n"
        "print(p.pid, flush=True); p.wait()\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT, text=True)
    pid = int(starter.stdout.readline())
    wait_for(lambda: '"loss"' in (work / "out").read_text())
    starter.kill()
    starter.wait()
    wait_for(lambda: not living(pid))
    assert json.loads((work / "out").read_text().splitlines()[0]) == {"note": "Loading"}


def living(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(what, seconds=300):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
