"""The `transformer` reward model: a pretrained trunk with reward heads, trained by our own loop in its own process.

Needs torch, transformers and safetensors (requirements-train.txt); nothing outside this package imports them.
"""
