"""Tokens per second of the transformer reward model against TRL's RewardTrainer: one model, data, batch and machine.

    python -m bench.rewards ../shared/data/3_chosen_rejected.jsonl.gz --trl-python /path/to/venv-with-trl/bin/python

A randomly initialised Llama (--hidden, --layers) and a byte-level tokenizer trained on the pairs; both trainers get
the same pairs, batch and length limit, without gradient checkpointing, and are run in turn (--runs). Tokens are those of the
texts, without padding. On a GPU both use bf16; MFU is 6·N·tokens/s over the card's measured matrix rate.
Prints one line a run and the ratio of the medians, by wall time and by CPU time (which a busy machine disturbs less).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

TRL = r"""
import json, sys, time, resource
request = json.load(open(sys.argv[1]))
import torch
from datasets import Dataset
from transformers import AutoTokenizer
from trl import RewardConfig, RewardTrainer
torch.set_num_threads(request["threads"])
tokenizer = AutoTokenizer.from_pretrained(request["base"])
cuda = torch.cuda.is_available()
config = RewardConfig(
    output_dir=request["out"], per_device_train_batch_size=request["batch"], num_train_epochs=1, max_length=request["max_length"],
    gradient_checkpointing=False, bf16=cuda, use_cpu=not cuda, report_to=[], save_strategy="no", logging_steps=1000,
    learning_rate=5e-6, disable_tqdm=True, dataloader_pin_memory=False, seed=0,
)
data = Dataset.from_list([{"chosen": a, "rejected": b} for a, b in request["pairs"]])
from transformers import AutoModelForSequenceClassification
model = AutoModelForSequenceClassification.from_pretrained(request["base"], num_labels=1, dtype=torch.float32)
model.config.pad_token_id = tokenizer.pad_token_id
trainer = RewardTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)
began, cpu = time.monotonic(), time.process_time()
trainer.train()
print("RESULT " + json.dumps({"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu, "rows": len(trainer.train_dataset)}))
"""


def make_base(folder: Path, texts: list[str], hidden: int, layers: int) -> int:
    """Write a random Llama and a tokenizer; returns its number of parameters."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8000, special_tokens=["<|end|>", "<|pad|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    raw.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", pad_token="<|pad|>")
    tokenizer.save_pretrained(folder)
    model = LlamaModel(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=hidden * 8 // 3 // 8 * 8,
            num_hidden_layers=layers, num_attention_heads=max(1, hidden // 64), num_key_value_heads=max(1, hidden // 64),
            max_position_embeddings=2048, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )
    )  # fmt: skip
    model.save_pretrained(folder)
    return sum(p.numel() for p in model.parameters())


def ours(request: dict, folder: Path) -> dict:
    """One epoch of our loop in this process."""
    import torch

    from routing.rewards import prepare
    from routing.rewards.transformer import training
    from routing.rewards.transformer.options import Options

    torch.set_num_threads(request["threads"])
    rows = [
        {"id": str(i), "prompt": "", "responses": [{"text": b}, {"text": a}],
         "judgments": [{"id": str(i), "annotator": "a", "kind": "human",
                        "comparisons": [{"first": 0, "second": 1, "preference": 1, "scale_max": 1}]}]}
        for i, (a, b) in enumerate(request["pairs"])
    ]  # fmt: skip
    options = {
        "base": request["base"], "max_length": request["max_length"], "token_budget": request["budget"],
        "batch": request["batch"], "evaluate_every": 10**6, "checkpoint_every": 10**6, "center": 0.0,
    }  # fmt: skip
    spec = prepare.Spec(loss="bt", backend="transformer", options=options)
    trainer = training.Trainer(
        prepare.prepare(rows, spec, crossfit=True), spec, Options.read(options), folder
    )
    began, cpu = time.monotonic(), time.process_time()
    trainer._begin(trainer.stages[0])
    trainer.validation = trainer.validation.take([])
    trainer._train(trainer.stages[0], trainer._total_steps())
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    return {
        "seconds": seconds,
        "cpu": cpu,
        "tokens": trainer.position["tokens"],
        "rows": len(trainer.stages[0].parts[0]),
    }


def matrix_rate() -> float | None:
    """Measured bf16 FLOP/s of this card's matrix product; None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    for _ in range(5):
        a @ a
    torch.cuda.synchronize()
    began = time.monotonic()
    for _ in range(30):
        a @ a
    torch.cuda.synchronize()
    return 30 * 2 * 8192**3 / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="JSONL with chosen and rejected")
    parser.add_argument("--trl-python", help="a Python that has TRL; without it only ours is measured")
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--budget", type=int, default=8192)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        request = json.loads(Path(options.one).read_text())
        with tempfile.TemporaryDirectory() as folder:
            print("RESULT " + json.dumps(ours(request, Path(folder))))
        return
    opener = gzip.open if options.data.suffix == ".gz" else open
    with opener(options.data, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in islice(lines, 20_000)]
    step = max(1, len(found) // options.pairs)
    pairs = [
        (f"{row['prompt']}\n\n{row['chosen']}", f"{row['prompt']}\n\n{row['rejected']}")
        for row in found[::step]
    ][: options.pairs]
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch) / "base"
        parameters = make_base(
            base, [text for pair in pairs for text in pair], options.hidden, options.layers
        )
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(base)
        # Only pairs that both would take, so that neither leaves out what the other reads.
        fits = [p for p in pairs if all(len(tokenizer(t)["input_ids"]) < options.max_length - 16 for t in p)]
        request = {"base": str(base), "pairs": fits, "batch": options.batch, "max_length": options.max_length,
                   "budget": options.budget, "threads": options.threads, "out": str(Path(scratch) / "out")}  # fmt: skip
        (Path(scratch) / "request.json").write_text(json.dumps(request))
        (Path(scratch) / "run_trl.py").write_text(TRL)
        commands = {"ours": [sys.executable, "-m", "bench.rewards", str(options.data), "--one"]}
        if options.trl_python:
            commands["trl"] = [options.trl_python, str(Path(scratch) / "run_trl.py")]
        tokens = sum(len(tokenizer(text)["input_ids"]) + 1 for pair in fits for text in pair)
        print(
            f"{parameters / 1e6:.1f} M parameters, {len(fits)} pairs, {tokens:,} tokens, {options.threads} threads"
        )
        speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.runs):
            for name, command in commands.items():
                done = subprocess.run(
                    [*command, str(Path(scratch) / "request.json")], capture_output=True, text=True,
                    env={**os.environ, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": str(options.threads)},
                )  # fmt: skip
                lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
                if not lines:
                    sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
                result = json.loads(lines[0][7:])
                # a tenth of our rows validates and is not learnt from: tokens are those of the rows that were
                read = result.get("tokens") or tokens * result["rows"] / len(fits)
                speeds[name].append((read / result["seconds"], read / result["cpu"]))
                print(
                    f"{name}: {read:,.0f} tokens, {result['seconds']:.1f} s, {result['cpu']:.1f} s of CPU",
                    flush=True,
                )
        median = {
            name: [statistics.median(column) for column in zip(*rows, strict=True)]
            for name, rows in speeds.items()
        }
        for name, (wall, cpu) in median.items():
            print(f"{name}: {wall:,.0f} tokens/s, {cpu:,.0f} tokens per second of CPU")
        if "trl" in median:
            wall, cpu = (a / b for a, b in zip(median["ours"], median["trl"], strict=True))
            print(f"ours / TRL: {wall:.2f} by wall time, {cpu:.2f} by CPU time")
        if rate := matrix_rate():
            print(
                f"MFU {6 * parameters * median['ours'][0] / rate:.1%} of {rate / 1e12:.0f} TFLOP/s measured"
            )
        else:
            print("No GPU here: no MFU.")


if __name__ == "__main__":
    main()
