"""A small artificial language of which every probability is known, so that the least possible loss is a number.

A sentence is a line: who does it, how (no word, or up to three), what is done, to what, and last an echo, the one word
that belongs to whoever began the sentence. The echo costs nothing to those who remember the first word, and nobody else
can know it: a model that only counts neighbouring words stays far above the entropy.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
_SUBJECTS, _MANNERS, _VERBS, _OBJECTS = 8, 6, 6, 8
_MOST_MANNERS = 3


@dataclass(frozen=True)
class Choice:
    """Some words and how probable each is."""

    words: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def entropy(self) -> float:
        """The mean surprise, in nats."""
        return -sum(p * math.log(p) for p in self.probabilities)

    def draw(self, rng: random.Random) -> str:
        """One of the words."""
        return rng.choices(self.words, self.probabilities)[0]

    def surprise(self, word: str) -> float:
        """-log of the word's probability, in nats.

        Raises:
            ValueError: It is none of the words.
        """
        return -math.log(self.probabilities[self.words.index(word)])


@dataclass(frozen=True)
class Language:
    """The words, and every probability.

    Args:
        subjects: With what a sentence begins.
        counts: How many words of manner follow: "0" to "3".
        manners: Each of them.
        verbs: For each subject.
        objects: For each verb.
        echoes: For each subject, the word that ends its sentences.
    """

    subjects: Choice
    counts: Choice
    manners: Choice
    verbs: dict[str, Choice]
    objects: dict[str, Choice]
    echoes: dict[str, str]

    @classmethod
    def draw(cls, seed: int) -> Language:
        """A language of its own for each seed."""
        rng = random.Random(f"language {seed}")
        syllables = [a + b + c for a in _CONSONANTS for b in _VOWELS for c in _CONSONANTS]
        words = iter(rng.sample(syllables, 2 * _SUBJECTS + _MANNERS + _VERBS + _OBJECTS))
        subjects, manners, verbs, objects, echoes = (
            [next(words) for _ in range(number)] for number in (_SUBJECTS, _MANNERS, _VERBS, _OBJECTS, _SUBJECTS)
        )
        return cls(
            _choice(rng, subjects),
            _choice(rng, [str(count) for count in range(_MOST_MANNERS + 1)]),
            _choice(rng, manners),
            {subject: _choice(rng, verbs) for subject in subjects},
            {verb: _choice(rng, objects) for verb in verbs},
            dict(zip(subjects, echoes, strict=True)),
        )

    def sentences(self, number: int, seed: int) -> str:
        """So many sentences, each with its end of line."""
        rng = random.Random(f"sentences {seed}")
        return "".join(f"{self._sentence(rng)}\n" for _ in range(number))

    def _sentence(self, rng: random.Random) -> str:
        subject = self.subjects.draw(rng)
        manners = [self.manners.draw(rng) for _ in range(int(self.counts.draw(rng)))]
        verb = self.verbs[subject].draw(rng)
        return " ".join([subject, *manners, verb, self.objects[verb].draw(rng), self.echoes[subject]])

    def surprise(self, text: str) -> float:
        """-log of the probability of whole sentences, in nats: no model can have less on the average.

        Raises:
            ValueError: Some line is no sentence.
        """
        return sum(self._surprise(line) for line in text.splitlines())

    def _surprise(self, line: str) -> float:
        subject, *manners, verb, object_, echo = line.split(" ")
        if len(manners) > _MOST_MANNERS or self.echoes.get(subject) != echo:
            raise ValueError(f"no sentence: {line!r}")
        chosen = [(self.subjects, subject), (self.counts, str(len(manners)))]
        chosen += [(self.manners, manner) for manner in manners]
        chosen += [(self.verbs[subject], verb), (self.objects.get(verb, _NOTHING), object_)]
        return sum(choice.surprise(word) for choice, word in chosen)

    def allows(self, line: str) -> bool:
        """Whether a line is a sentence."""
        try:
            return math.isfinite(self._surprise(line))
        except ValueError:
            return False

    @property
    def entropy(self) -> float:
        """The mean surprise of a sentence, in nats."""
        count = sum(int(n) * p for n, p in zip(self.counts.words, self.counts.probabilities, strict=True))
        verbs = {verb: 0.0 for verb in self.objects}
        total = self.subjects.entropy + self.counts.entropy + count * self.manners.entropy
        for subject, p in zip(self.subjects.words, self.subjects.probabilities, strict=True):
            total += p * self.verbs[subject].entropy
            for verb, q in zip(self.verbs[subject].words, self.verbs[subject].probabilities, strict=True):
                verbs[verb] += p * q
        return total + sum(p * self.objects[verb].entropy for verb, p in verbs.items())


_NOTHING = Choice((), ())


def _choice(rng: random.Random, words: Sequence[str]) -> Choice:
    # Squared: some words are common and some are rare, and none is too rare to be learned in a short run.
    weights = [(0.25 + rng.random()) ** 2 for _ in words]
    return Choice(tuple(words), tuple(weight / sum(weights) for weight in weights))
