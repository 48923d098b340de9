"""Exports train in TRL's own trainers as they are: no column renamed, none removed, no row rewritten.

TRL is no dependency of ours: `pip install trl` beside requirements-train.txt, then run this file.
"""

from __future__ import annotations

import gzip
import json
import math

import pytest

pytest.importorskip("trl", reason="TRL is not installed (pip install trl beside requirements-train.txt)")

from annotations.datasets.export import write_export
from annotations.datasets.snapshots import freeze_now
from annotations.items import readers
from annotations.judging.importing import import_records
from tests.faults.harness import PAIRS

pytestmark = [pytest.mark.django_db, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
STEPS = 2
SETTINGS = {
    "max_steps": STEPS, "per_device_train_batch_size": 4, "max_length": 2048, "use_cpu": True, "report_to": [], "bf16": False,
    "save_strategy": "no", "logging_steps": 1, "disable_tqdm": True, "dataloader_pin_memory": False, "seed": 0,
}  # fmt: skip
CASES = [
    ("Reward", "trl_preference", "jsonl", {}),
    ("Reward", "trl_preference", "parquet", {"columns": "full"}),
    ("Reward", "trl_preference", "jsonl", {"prompt": "implicit", "columns": "schema"}),
    ("Reward", "trl_preference", "jsonl", {"style": "standard"}),
    ("DPO", "trl_preference", "parquet", {}),
    ("KTO", "trl_unpaired", "jsonl", {}),
    ("KTO", "trl_unpaired", "parquet", {"style": "standard"}),
    ("SFT", "prompt_completion", "jsonl", {}),
    ("SFT", "prompt_completion", "parquet", {"style": "standard"}),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A random model of a few thousand parameters with a chat template."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from tests.rewards.tiny import make_base

    folder = make_base(tmp_path_factory.mktemp("base"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def snapshot(project, tmp_path):
    """The demo's first pairs as three people judged them."""
    with gzip.open(PAIRS, "rt", encoding="utf-8") as file:
        lines = [line for line in file if json.loads(line).get("human")][:40]
    (tmp_path / "pairs.jsonl").write_text("".join(lines))
    import_records(project=project, records=readers.read(tmp_path / "pairs.jsonl", "native"))
    return freeze_now(project=project)


@pytest.mark.parametrize(("trainer", "format", "container", "options"), CASES)
def test_an_export_trains_in_trl_without_renaming_a_column(
    trainer, format, container, options, snapshot, base, tmp_path
):
    import datasets
    import trl
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    datasets.disable_progress_bars()
    write_export(
        snapshot=snapshot, format=format, container=container, options=options, folder=tmp_path / "out"
    )
    rows = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(rows) > 20
    kind = AutoModelForSequenceClassification if trainer == "Reward" else AutoModelForCausalLM
    model = kind.from_pretrained(base, **({"num_labels": 1} if trainer == "Reward" else {}))
    trained = getattr(trl, f"{trainer}Trainer")(
        model=model,
        args=getattr(trl, f"{trainer}Config")(output_dir=str(tmp_path / "run"), **SETTINGS),
        train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(base),
    )
    trained.train()
    losses = [entry["loss"] for entry in trained.state.log_history if "loss" in entry]
    assert trained.state.global_step == len(losses) == STEPS
    assert all(math.isfinite(loss) and loss > 0 for loss in losses)
