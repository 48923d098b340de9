"""Weights on the worker: a tiny random model made here, where torch and transformers are installed."""

from __future__ import annotations

import math

import pytest

from annotations.judging.models import Judgment
from annotations.lm import client, configure, local, prompts, runs
from annotations.lm.models import LMAnnotator, Reply

pytestmark = pytest.mark.django_db


def local_annotator(project, name="tiny", **parameters):
    prompt = prompts.add_prompt(project=project, name="Pairs", instructions="Judge.")
    wanted = configure.Parameters(path=name, **{"max_tokens": 24, "logprobs": False, **parameters})
    return configure.add_annotator(project=project, model=None, prompt=prompt, parameters=wanted)


@pytest.mark.parametrize("name", ["", "..", "../secrets", "/etc", "missing"])
def test_only_folders_of_weights_below_the_one_place_are_loaded(settings, tmp_path, name):
    settings.LM_LOCAL_DIR = str(tmp_path / "weights")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "config.json").write_text("{}")
    with pytest.raises(local.CannotLoad):
        local.folder_of(name)


def test_a_worker_without_the_libraries_says_what_to_install(
    settings, tmp_path, project, make_item, monkeypatch
):
    import sys

    settings.LM_LOCAL_DIR = str(tmp_path)
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "torch", None)
    make_item()
    detail = local_annotator(project)
    assert (detail.backend, detail.annotator.name) == (LMAnnotator.Backend.LOCAL, "tiny, Pairs v1")
    with pytest.raises(runs.CannotAnnotate, match=r"requirements-train\.txt"):
        runs.run(detail=runs.find(detail.pk), owner="test:1")


@pytest.fixture
def tiny(settings, tmp_path):
    """A random two-layer model over bytes, with a chat template; skipped where the libraries are not installed."""
    pytest.importorskip("torch", reason="torch is not installed (requirements-train.txt)")
    pytest.importorskip("transformers", reason="transformers is not installed (requirements-train.txt)")
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate(["<s>", "</s>", *alphabet])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=8192, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    folder = tmp_path / "weights" / "tiny"
    LlamaForCausalLM(config).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    settings.LM_LOCAL_DIR = str(folder.parent)
    local._load.cache_clear()
    yield "tiny"
    local._load.cache_clear()


def call(**changes):
    messages = ({"role": "system", "content": "Judge."}, {"role": "user", "content": "Grüße"})
    return client.Call(**{"messages": messages, "schema": {}, "max_tokens": 12, **changes})


def test_a_local_model_replies_like_a_server(tiny):
    model = local.loaded(tiny)
    reply = model.complete(call())
    assert model.complete(call()).text == reply.text
    assert reply.tokens_out == 12
    assert reply.tokens_in == len("system: Judge.\nuser: Grüße\nassistant:".encode())
    assert reply.finish == "length"
    assert "".join(t["token"] for t in reply.tokens)[: len(reply.text)] == reply.text
    for token in reply.tokens:
        total = sum(math.exp(each["logprob"]) for each in token["top_logprobs"])
        assert 0 < total <= 1 + 1e-6
    warm = [model.complete(call(temperature=1.5, seed=seed)).text for seed in (1, 1, 2)]
    assert warm[0] == warm[1] != warm[2]
    with pytest.raises(client.CallFailed, match="does not fit"):
        model.complete(call(max_tokens=9000))


def test_a_local_annotator_runs_like_every_other(tiny, project, make_item):
    make_item()
    detail = local_annotator(project)
    result = runs.run(detail=runs.find(detail.pk), owner="test:1")
    assert (result["judged"], result["calls"], result["unread"], result["cost"]) == (1, 2, 1, "0")
    assert runs.run(detail=runs.find(detail.pk), owner="test:1")["calls"] == 0


OPENING, CLOSING = '{"overall": "', '"}'
P_FIRST = 0.75


@pytest.fixture
def answering(tiny, settings):
    """The tiny model with weights set so that it answers in JSON, with P_FIRST for the response shown first.

    Its layers add nothing, so a token's embedding alone decides the next: the prompt's last colon, the opening, a letter, the
    closing, the end.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = local.folder_of(tiny)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([OPENING, CLOSING])
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    colon, opening, a, b, closing, end = tokenizer.convert_tokens_to_ids(
        [":", OPENING, "A", "B", CLOSING, "</s>"]
    )
    length = math.sqrt(model.config.hidden_size)  # of a unit vector after the last norm
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        embeddings, head = model.model.embed_tokens.weight, model.lm_head.weight
        embeddings.zero_()
        head.zero_()
        steps = ([colon], {opening: 0}), ([opening], {a: math.log(P_FIRST), b: math.log(1 - P_FIRST)})
        for place, (given, following) in enumerate((*steps, ([a, b], {closing: 0}), ([closing], {end: 0}))):
            embeddings[given, place] = 1
            for token, log in following.items():
                head[token, place] = (20 + log) / length
    where = folder.parent / "answering"
    model.save_pretrained(where, safe_serialization=True)
    tokenizer.save_pretrained(where)
    return "answering"


def test_both_orders_are_asked_and_the_probability_comes_from_the_logits(answering, plain_project, make_item):
    make_item("Q", ("good", "bad"))
    prompt = prompts.add_prompt(project=plain_project, name="Short", instructions="Judge.", with_reason=False)
    wanted = configure.Parameters(path=answering, max_tokens=40, logprobs=True)
    detail = configure.add_annotator(project=plain_project, model=None, prompt=prompt, parameters=wanted)
    result = runs.run(detail=runs.find(detail.pk), owner="test:1")
    assert (result["judged"], result["calls"], result["unread"]) == (1, 2, 0)
    replies = {row.order: row for row in Reply.objects.filter(annotator=detail.annotator)}
    assert {row.raw for row in replies.values()} == {'{"overall": "A"}'}
    assert {(row.finish, row.tokens_out) for row in replies.values()} == {("stop", 4)}
    assert replies["ab"].probability == pytest.approx(1 - P_FIRST, abs=1e-3)
    assert replies["ba"].probability == pytest.approx(
        P_FIRST, abs=1e-3
    )  # the second stored is shown first here
    judgment = Judgment.objects.get()
    assert judgment.order_consistent is False  # it takes whatever stands first: a tie, and never trusted
    assert (judgment.comparisons.get().tie, judgment.probability) == ("equal", 0.5)
    assert runs.run(detail=runs.find(detail.pk), owner="test:1")["calls"] == 0
