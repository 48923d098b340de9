"""A tiny pretrained model made on the spot: two random layers and a byte-level tokenizer trained on our rows."""

from __future__ import annotations


def make_base(folder, *, pad="<|pad|>", seed=0, layers=2, hidden=32):
    """Write a base of a few thousand parameters to a folder; `pad` may be the end token, to be refused."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    torch.manual_seed(seed)
    end = "<|end|>"
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    specials = [end] if pad in (None, end) else [end, pad]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words = ["good clear bad vague word item question response the of"] * 50
    raw.train_from_iterator(
        words, trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=alphabet)
    )
    extra = {"pad_token": pad} if pad else {}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=end, **extra)
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=layers,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=512, attention_dropout=0.0,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    LlamaModel(config).save_pretrained(folder)
    return folder
