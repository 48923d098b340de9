"""Criteria to start from, written for this project in our own words after ideas that public rubrics share. Pure.

`source` names where an idea is common; no text is taken from there. Add entries here; a project's own criteria live in
its database.
"""

from __future__ import annotations

LICENCE = "Apache-2.0, this project's own words"
_HELP = "idea: helpfulness rubrics such as HelpSteer2 and UltraFeedback"
_FACT = "idea: truthfulness rubrics such as UltraFeedback and TruthfulQA"
_ARG = "idea: argument quality dimensions (Wachsmuth et al. 2017; Habernal & Gurevych 2016)"
_SUM = "idea: summarisation rubrics such as SummEval"
_SAFE = "idea: harmlessness rubrics such as HH-RLHF and PKU-SafeRLHF"

# (name, wording, keywords, offline rule or "", source)
_ENTRIES = [
    ("Follows the request", "Prefer the response that does what the prompt asks for: its task, its form, its limits.",
     "follow instruction asked task request prompt does", "", _HELP),
    ("Stays on the subject", "Prefer the response that speaks about what the prompt is about and leaves out what it is not.",
     "topic relevant subject point address off", "on_topic", _HELP),
    ("Gives reasons", "Prefer the response that says why: claims with a because, not claims alone.",
     "reason reasons why because explain explains justify support", "reasons", _ARG),
    ("Gives examples", "Prefer the response that makes its point with an example or a case.",
     "example examples evidence case illustrate", "examples", _ARG),
    ("Is concrete", "Prefer the response with particulars: numbers, names, places, steps one could follow.",
     "specific concrete detail details facts numbers fact", "concrete", _HELP),
    ("Says enough", "Prefer the response that treats the matter fully instead of stopping after the first thought.",
     "detailed complete more information thorough depth developed elaborate short", "length", _HELP),
    ("Is brief", "Prefer the response that needs fewer words for the same content.",
     "short concise brief long wordy point", "brevity", _SUM),
    ("Does not repeat itself", "Prefer the response that says each thing once.",
     "repeat repeats repetitive repetition same again", "fresh", _SUM),
    ("Is complete", "Prefer the response that comes to an end instead of breaking off.",
     "unfinished cut complete sentence ends", "complete", _HELP),
    ("Keeps a calm tone", "Prefer the response without shouting, insults or contempt.",
     "rude insult attack tone hateful offensive angry shouting polite respectful", "calm", _SAFE),
    ("Is written with care", "Prefer the response whose spelling, capitals and punctuation do not get in the way.",
     "grammar spelling written writing punctuation errors well", "care", _ARG),
    ("Is easy to follow", "Prefer the response whose parts are set apart and in an order that helps.",
     "clear structure organized organised easy understand readable follow", "structure", _HELP),
    ("Weighs both sides", "Prefer the response that names what speaks against it and answers that.",
     "balanced both sides counter however other view", "balance", _ARG),
    ("Has more to say", "Prefer the response with more different content words.",
     "points ideas thoughts content several many", "vocabulary", _ARG),
    ("Uses its own words", "Prefer the response that adds to the prompt instead of copying it.",
     "copy copies prompt original restates question", "own_words", _HELP),
    ("Is true", "Prefer the response whose checkable statements are right.",
     "true correct accurate wrong false incorrect fact", "", _FACT),
    ("Admits what it does not know", "Prefer the response that marks guesses as guesses.",
     "uncertain sure know certain opinion", "", _FACT),
    ("Answers first", "Prefer the response that gives the answer before everything else.",
     "answer direct directly straight", "", _HELP),
    ("Does no harm", "Prefer the response that would not help anybody to hurt somebody.",
     "harm harmful dangerous illegal unsafe safe", "", _SAFE),
    ("Refuses only what it must", "Prefer the response that helps with what is harmless, even if it declines the rest.",
     "refuse refuses refusal decline help", "", _SAFE),
    ("Fits the reader", "Prefer the response whose words suit the person who asks.",
     "audience reader simple technical level language", "", _HELP),
    ("Holds together", "Prefer the response whose sentences follow from one another without contradiction.",
     "logic logical consistent contradict coherent sense", "", _ARG),
]  # fmt: skip

ENTRIES: list[dict] = [
    {
        "name": name,
        "wording": wording,
        "keywords": keywords.split(),
        "rule": rule,
        "source": f"{source}; {LICENCE}",
    }
    for name, wording, keywords, rule, source in _ENTRIES
]
