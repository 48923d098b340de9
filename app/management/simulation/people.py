"""How a simulated annotator judges: noise around a latent truth, a lean to one side, fatigue, speed. No database.

A response has a latent quality u. A person perceives v = u + e, e normal with standard deviation `noise`, grown by
`fatigue` with the number of items judged so far; what stands first on the page gains `position_bias`. Every answer
follows from v: the simplest Thurstone model (Thurstone 1927, case V), with a threshold for each strength.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from annotations.judging import free_answers
from annotations.judging.answers import Answer, ComparisonAnswer, ScoreAnswer
from annotations.projects import conditions
from annotations.projects.schemas import Definition

SITTING = 100  # items after which fatigue is fully there
TIE_WIDTH = 0.15
STRENGTH_STEP = 0.6
READING_CHARACTERS_PER_S = 25.0
FASTEST_S, SLOWEST_S = 2.0, 900.0


@dataclass(frozen=True, slots=True)
class Habits:
    """What all simulated people of a campaign have in common; each varies a little around it."""

    noise: float = 0.7
    position_bias: float = 0.1
    fatigue: float = 0.3
    skip_rate: float = 0.02
    flag_rate: float = 0.005
    speed: float = 1.0
    """Times the usual reading speed."""

    def check(self) -> None:
        """Raise ValueError for a number that makes no sense."""
        for name, low, high in (
            ("noise", 0, 100),
            ("position_bias", -100, 100),
            ("fatigue", 0, 100),
            ("skip_rate", 0, 0.9),
            ("flag_rate", 0, 0.9),
            ("speed", 0.01, 100),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: {getattr(self, name)}, expected {low} to {high}")


class Simulated:
    """One simulated annotator; the same seed judges the same items the same way."""

    def __init__(self, habits: Habits, seed: str):
        self._random = random.Random(seed)  # noqa: S311  a simulation, no secret
        vary = self._random.lognormvariate
        self.habits = replace(
            habits, noise=habits.noise * vary(0, 0.3), speed=min(100.0, habits.speed * vary(0, 0.4))
        )
        self.judged = 0

    def judge(
        self,
        definition: Definition,
        truth: Sequence[float],
        order: str,
        lengths: Sequence[int],
        text_of: Callable[[int], str],
    ) -> Answer:
        """The person's answer to one item, in canonical order.

        `truth` is each response's latent quality, `order` how they stand on the page, `lengths` their characters.
        """
        self.judged += 1
        seconds = self._seconds(lengths)
        time = {"active_ms": int(1000 * seconds), "wall_ms": int(1000 * seconds * 1.1)}
        luck = self._random.random()
        for rate, outcome, key, reasons in (
            (self.habits.skip_rate, "skipped", "skip", definition.skip),
            (self.habits.flag_rate, "flagged", "flag", definition.flag),
        ):
            if reasons and luck < rate:
                return Answer(outcome=outcome, answers={key: self._random.choice(reasons).value}, **time)
            luck -= rate
        seen = self._perceive(truth, order)
        comparisons, scores, answers, reason = [], [], {}, ""
        for question in definition.questions:
            if question.kind == "comparison":
                comparisons.append(self._compare(question, seen))
            elif question.kind in ("rating", "ranking", "thumb"):
                scores += self._score(question, seen)
            elif question.name == "reason" and question.kind == "text":
                reason = self._words(question)
            else:
                value = self._free(question, seen, text_of)
                if free_answers.is_given(value):
                    answers[question.name] = value
        answer = Answer(
            comparisons=tuple(comparisons), scores=tuple(scores), answers=answers, reason=reason, **time
        )
        return self._only_asked(definition, answer, len(truth), text_of)

    def _seconds(self, lengths: Sequence[int]) -> float:
        reading = sum(lengths) / READING_CHARACTERS_PER_S / self.habits.speed
        return min(SLOWEST_S, max(FASTEST_S, reading * self._random.lognormvariate(0, 0.4)))

    def _perceive(self, truth: Sequence[float], order: str) -> list[float]:
        tired = 1 + self.habits.fatigue * min(1.0, self.judged / SITTING)
        seen = [u + self._random.gauss(0, self.habits.noise * tired) for u in truth]
        seen[int(order[0])] += self.habits.position_bias
        return seen

    def _compare(self, question, seen: list[float]) -> ComparisonAnswer:
        gap = seen[1] - seen[0]
        if question.ties and abs(gap) < TIE_WIDTH:
            better = "equal_good" if sum(seen[:2]) > 0 else "equal_bad"
            tie = better if better in question.ties else question.ties[0]
            return ComparisonAnswer(0, 1, question.name, None, None, tie)
        strength = min(question.scale_max, 1 + int(abs(gap) / STRENGTH_STEP))
        sign = 1 if gap > 0 else -1
        return ComparisonAnswer(0, 1, question.name, sign * strength, question.scale_max)

    def _score(self, question, seen: list[float]) -> list[ScoreAnswer]:
        n = len(seen)
        if question.kind == "thumb":
            return [ScoreAnswer(i, question.name, float(v > 0), 0, 1) for i, v in enumerate(seen)]
        if question.kind == "ranking":
            ranks = [1 + sum(other > v for other in seen) for v in seen]
            return [ScoreAnswer(i, question.name, float(rank), 1, n) for i, rank in enumerate(ranks)]
        span = question.max - question.min
        values = [question.min + round(span / (1 + math.exp(-1.5 * v))) for v in seen]
        return [
            ScoreAnswer(i, question.name, float(v), question.min, question.max) for i, v in enumerate(values)
        ]

    def _free(self, question, seen: list[float], text_of: Callable[[int], str]):
        if question.kind == "choice":
            if question.per_response:
                return [self._choose(question) for _ in seen]
            return self._choose(question)
        if question.kind == "text":
            return [self._words(question) for _ in seen] if question.per_response else self._words(question)
        best = max(range(len(seen)), key=seen.__getitem__)
        if question.kind == "rewrite":
            if not question.required:
                return None
            return {"response": best, "text": text_of(best).strip() + "\n\n(Rewritten in a simulation.)"}
        worst = min(range(len(seen)), key=seen.__getitem__)
        text = text_of(worst)
        if not text or not (question.required or self._random.random() < 0.3):
            return []
        start = self._random.randrange(len(text))
        end = min(len(text), start + 40)
        label = self._random.choice(question.options).value
        return [{"response": worst, "start": start, "end": end, "quote": text[start:end], "label": label}]

    def _choose(self, question):
        value = self._random.choice(question.options).value
        return [value] if question.multiple else value

    def _words(self, question) -> str:
        text = self._random.choice(question.chips) if question.chips else "Simulated."
        return text.ljust(question.min_chars, ".")[: question.max_chars]

    def _only_asked(self, definition: Definition, answer: Answer, n: int, text_of) -> Answer:
        """Without what is not asked after the answers before, and with rewrites of what the answer prefers."""
        asked = conditions.asked(definition, answer)
        answer = replace(
            answer,
            comparisons=tuple(c for c in answer.comparisons if c.aspect in asked),
            scores=tuple(s for s in answer.scores if s.attribute in asked),
            answers={name: value for name, value in answer.answers.items() if name in asked},
            reason=answer.reason if "reason" in asked else "",
        )
        for question in definition.questions:
            value = answer.answers.get(question.name)
            if question.kind == "rewrite" and question.of == "best" and value:
                best = free_answers.best_responses(definition, answer, n)
                if best and value["response"] not in best:
                    value["response"] = min(best)
                    value["text"] = text_of(value["response"]).strip() + "\n\n(Rewritten in a simulation.)"
        return answer
