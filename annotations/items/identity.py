"""Responses that say which model wrote them: "As an AI language model made by OpenAI", "I'm Claude". Pure.

A blind judgment needs responses that do not name their author. Only self-descriptions count: a text about OpenAI, or
a person called Claude in a story, is no leak. What is found can be redacted: the same number of characters, so that
places in the text stay places in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BAR = "█"

_MODELS = (
    r"Chat-?\s?GPT|GPT-?\s?[1-9][\w.-]*|Instruct-?GPT|text-davinci-\d+|Claude(?:[\s-](?:\d[\w.]*|Instant|Opus|Sonnet|Haiku))*"
    r"|Google\s+Bard|Bard|Gemini(?:[\s-](?:Pro|Ultra|Nano|Flash|\d[\w.]*))*|LaMDA|PaLM(?:[\s-]?2)?|LLaMA[\s-]?\d?[\w.-]*"
    r"|Alpaca|Vicuna|Koala|Dolly(?:[\s-]?v?\d[\w.-]*)?|Open[\s-]?Assistant|StableLM|StableVicuna|Guanaco|WizardLM"
    r"|Mi[sx]tral(?:[\s-][\w.]+)?|Zephyr(?:-[\w.]+)?|Falcon[\s-]?\d+[Bb]|MPT-\d+[Bb]|ChatGLM[\w.-]*|Qwen[\w.-]*"
    r"|Tongyi\s+Qianwen|ERNIE\s+Bot|Baichuan[\w.-]*|InternLM[\w.-]*|DeepSeek[\w.-]*|Grok(?:[\s-]\d[\w.]*)?|RWKV[\w.-]*"
    r"|Copilot|Bing\s+Chat|Phind|Nemotron[\w.-]*|T[üu]lu(?:[\s-]?\d)?|OLMo|BLOOMZ?|Command[\s-]R\+?"
)
_COMPANIES = (
    r"Open\s?AI|Anthropic|Google(?:\s+(?:AI|DeepMind|Research))?|DeepMind|Meta(?:\s+(?:AI|Platforms))?|Facebook(?:\s+AI)?"
    r"|Microsoft|Mistral(?:\s+AI)?|Alibaba(?:\s+Cloud)?|xAI|DeepSeek(?:\s+AI)?|LMSYS(?:\s+Org)?|Stability\s+AI|Databricks"
    r"|Hugging\s?Face|Cohere|Baidu|Tencent|LAION|NVIDIA|Inflection(?:\s+AI)?|AI2|Allen\s+Institute\s+for\s+AI|Zhipu(?:\s+AI)?"
    r"|EleutherAI|Moonshot\s+AI|01\.AI|TII"
)
_AI = (
    r"(?:\w+[\s-]){0,3}?(?:A\.?I\.?|artificial\s+intelligence|language\s+model|LLM|chat\s?bot|virtual\s+assistant"
    r"|digital\s+assistant|assistant|model|bot)\b"
)
_MADE = (
    r"(?:created|developed|trained|made|built|designed|programmed|fine-?tuned|produced|provided|powered|owned|operated)"
    r"(?:\s+(?:and|&)\s+\w+)?"
)
_BY = r"(?:by|from|at|of)\s+(?:the\s+)?(?:(?:team|researchers?|engineers|people|folks|company|scientists)\s+(?:at|of|from)\s+)?"
_I = r"\b(?:I['’]?m|I\s+am|I\s+was|I\s+have\s+been|I['’]ve\s+been)\s+(?:(?:just|only|actually|also|still|currently)\s+)?"
_NO_BREAK = r"[^.!?\n]"
_NAME_END = r"(?![\w'’])"

_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # I'm Claude; I am ChatGPT, …
        rf"{_I}(?P<who>{_MODELS}){_NAME_END}",
        # my name is Claude; you can call me Bard; I'm called ChatGPT
        rf"\b(?:my\s+name\s+is|you\s+(?:can|may)\s+call\s+me|I['’]?m\s+called|I\s+am\s+called|I\s+go\s+by)\s+(?P<who>{_MODELS}){_NAME_END}",
        # I'm Claude, made by Anthropic: the second name
        rf"(?:{_I}|\bmy\s+name\s+is\s+)(?:{_MODELS}){_NAME_END}{_NO_BREAK}{{0,80}}?\b(?:{_MADE}\s+)?{_BY}(?P<who>{_COMPANIES}){_NAME_END}",
        # I am an AI assistant … by OpenAI; I'm a language model called Vicuna
        rf"{_I}(?:an?|the|your)\s+{_AI}{_NO_BREAK}{{0,80}}?\b(?P<who>(?:{_COMPANIES}|{_MODELS})){_NAME_END}",
        # as an AI language model trained by Google
        rf"\bas\s+(?:an?|the|your)\s+{_AI}{_NO_BREAK}{{0,40}}?\b(?:{_MADE}\s+)?{_BY}(?P<who>{_COMPANIES}){_NAME_END}",
        # as an AI called Claude; as ChatGPT, I …
        rf"\bas\s+(?:an?|the)\s+{_AI},?\s+(?:called|named|known\s+as)\s+(?P<who>{_MODELS}){_NAME_END}",
        rf"\bas\s+(?P<who>{_MODELS}),\s+(?:I|my)\b",
        # I was created by researchers at Anthropic
        rf"{_I}{_MADE}\s+{_BY}(?P<who>{_COMPANIES}){_NAME_END}",
        # … is a large language model trained by OpenAI
        rf"\b(?:this|assistant|(?:the\s+)?(?:model|chatbot))\s+is\s+an?\s+{_AI}{_NO_BREAK}{{0,40}}?\b{_MADE}\s+{_BY}(?P<who>{_COMPANIES}){_NAME_END}",
        # my creators at OpenAI; OpenAI, my developer
        rf"\bmy\s+(?:creators?|developers?|makers?|trainers?|owners?)\b{_NO_BREAK}{{0,20}}?\b(?:at|is|are|from|,)\s*(?P<who>{_COMPANIES}){_NAME_END}",
        rf"\b(?P<who>{_COMPANIES}),\s+(?:my|the\s+company\s+that\s+(?:created|made|trained|developed)\s+me)\b",
        rf"\b(?P<who>{_COMPANIES})\s+(?:created|developed|trained|made|built|designed)\s+me\b",
        # against OpenAI's content policy, as only OpenAI's own model says
        rf"\b(?P<who>{_COMPANIES})['’]s?\s+(?:content|usage|use[\s-]case)\s+polic(?:y|ies)\b",
        # the same in other languages
        rf"\b(?:je\s+suis|je\s+m['’]appelle|ich\s+bin|ich\s+hei(?:ß|ss)e|soy|me\s+llamo|sono|mi\s+chiamo|eu\s+sou|ik\s+ben)\s+(?P<who>{_MODELS}){_NAME_END}",
    )
)
# A text without any of these, in lower case, names nobody: a hundred times faster to find out than by the patterns.
_HINTS = (
    "gpt davinci claude bard gemini lamda palm llama alpaca vicuna koala dolly assistant stable guanaco wizardlm mistral "
    "mixtral zephyr falcon mpt- chatglm qwen qianwen ernie baichuan internlm deepseek grok rwkv copilot bing phind "
    "nemotron tulu tülu olmo bloom command openai anthropic google deepmind meta facebook microsoft alibaba xai "
    "lmsys stability databricks hugging cohere baidu tencent laion nvidia inflection ai2 allen zhipu eleuther moonshot "
    "01.ai tii"
).split()
_HINTS.append("open ai")
_SELF = ("i'm", "i’m", "i am", "i was", "i have been", "i've been", "i’ve been", "my ", "as ", " me", " is a", "polic", "i go by",
         "suis", "appelle", "bin", "hei", "soy", "llamo", "sono", "chiamo", "sou", "ben")  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Leak:
    """A self-description: text[start:end] in code points, and the name in it, text[name_start:name_end]."""

    start: int
    end: int
    name_start: int
    name_end: int
    name: str


def find_leaks(text: str) -> list[Leak]:
    """Where the text says which model or company wrote it, in order; of overlapping ones the first and longest."""
    lower = text.lower()
    has = lower.__contains__
    if not any(map(has, _HINTS)) or not any(map(has, _SELF)):
        return []
    found = sorted(
        {
            Leak(match.start(), match.end(), match.start("who"), match.end("who"), match["who"])
            for pattern in _PATTERNS
            for match in pattern.finditer(text)
        },
        key=lambda leak: (leak.start, -leak.end),
    )
    kept: list[Leak] = []
    for leak in found:
        if not any(leak.name_start < other.name_end and other.name_start < leak.name_end for other in kept):
            kept.append(leak)
    return kept


def redact(text: str) -> str:
    """The text with every name that gives its author away covered, here and wherever the text says it again."""
    leaks = find_leaks(text)
    if not leaks:
        return text
    names = sorted({leak.name for leak in leaks}, key=len, reverse=True)
    again = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names), re.IGNORECASE)
    covered = again.sub(lambda match: _bars(match[0]), text)
    for leak in leaks:
        covered = covered[: leak.name_start] + _bars(leak.name) + covered[leak.name_end :]
    return covered


def _bars(name: str) -> str:
    return re.sub(r"\S", BAR, name)
