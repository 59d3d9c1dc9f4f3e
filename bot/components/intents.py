"""A pipeline component: what the citizen is doing, from words and their parts, by one logistic regression.

It counts what Rasa's JiebaTokenizer and two CountVectorsFeaturizers (words; parts of words, 1 to 4 characters) would count
and learns as its LogisticRegressionClassifier does. The intents are the same, and confidences to within .02, but in one step
on plain arrays it takes a quarter of their time, most of which goes into sparse matrices of one row (`make bench ONLY=nlu`).
Only case numbers, which they take for numbers like any other, are known here.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jieba
import numpy as np
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from bot.digits import SAID, find_case_number

DICTIONARIES = Path(__file__).resolve().parents[2] / "nlu_data" / "dictionaries"
RANKED = 10
"""So many intents are told of each message, as Rasa's own classifiers do."""
CASE_NUMBER = "№№№№"
"""Stands for one. As many parts as a word has, and none of them in any word."""
DIGITS_ONLY = re.compile(rf"[\d\W{''.join(SAID)}]+")


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True)
class CivicIntents(GraphComponent):
    """Sets `intent` and `intent_ranking` of a message."""

    def __init__(self, storage: ModelStorage, resource: Resource) -> None:
        self._storage, self._resource = storage, resource
        self._words = jieba.Tokenizer()
        for dictionary in sorted(DICTIONARIES.glob("*.txt")):
            self._words.load_userdict(str(dictionary))
        self._intents: list[str] = []
        self._columns: dict[str, int] = {}
        self._weights = np.zeros((0, 0))  # a row for each feature, a column for each intent
        self._bias = np.zeros(0)

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> "CivicIntents":
        """Rasa's way of making a component that is to be trained."""
        return cls(model_storage, resource)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **_: Any,
    ) -> "CivicIntents":
        """Rasa's way of making a component that was trained before."""
        component = cls(model_storage, resource)
        with model_storage.read_from(resource) as folder:
            names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
            arrays = np.load(folder / "arrays.npz")
            component._learnt(names["intents"], names["features"], arrays["weights"], arrays["bias"])
        return component

    def train(self, training_data: TrainingData) -> Resource:
        """Learn from the examples of each intent and keep what was learnt in the model."""
        examples = [one for one in training_data.intent_examples if one.get("text")]
        counter = CountVectorizer(analyzer=self._features)
        counts = counter.fit_transform([one.get("text") for one in examples])
        model = LogisticRegression(class_weight="balanced", max_iter=400, tol=1e-4, random_state=42)
        model.fit(counts, [one.get("intent") for one in examples])
        self._learnt(list(model.classes_), list(counter.get_feature_names_out()), model.coef_.T, model.intercept_)
        with self._storage.write_to(self._resource) as folder:
            names = {"intents": self._intents, "features": list(self._columns)}
            (folder / "names.json").write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")
            np.savez(folder / "arrays.npz", weights=self._weights, bias=self._bias)
        return self._resource

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Classify what was learnt from, for components after this one."""
        self.process(training_data.training_examples)
        return training_data

    def process(self, messages: list[Message]) -> list[Message]:
        """Tell the likeliest intents of each message."""
        for message in messages:
            sure = self._probabilities(message.get("text") or "")
            best = np.argsort(-sure)[:RANKED]
            ranking = [{"name": self._intents[intent], "confidence": float(sure[intent])} for intent in best]
            message.set("intent", ranking[0], add_to_output=True)
            message.set("intent_ranking", ranking, add_to_output=True)
        return messages

    def _learnt(self, intents: list[str], features: list[str], weights: Any, bias: Any) -> None:
        self._intents = intents
        self._columns = {feature: column for column, feature in enumerate(features)}
        self._weights, self._bias = np.ascontiguousarray(weights), bias

    def _probabilities(self, text: str) -> Any:
        """How likely each intent is; features that were never seen don't count."""
        counts = Counter(self._columns[feature] for feature in self._features(text) if feature in self._columns)
        scores = np.array(list(counts.values())) @ self._weights[list(counts)] + self._bias if counts else self._bias
        likely = np.exp(scores - scores.max())
        return likely / likely.sum()

    def _features(self, text: str) -> Iterator[str]:
        """The words of a text, and the parts of each with its edges. Numbers are all the same word; a case number, however
        it is said, is known by its check digit, and by that alone when nothing else is said."""
        words = " ".join(re.sub(r"\b[0-9]+\b", "__number__", word).lower() for word in self._words.cut(text))
        if find_case_number(text):
            words = CASE_NUMBER if DIGITS_ONLY.fullmatch(text) else f"{words} {CASE_NUMBER}"
        for word in re.findall(r"\w+", words):
            yield f"word {word}"
        for word in words.split():
            edged = f" {word} "
            for length in range(1, 5):
                if length >= len(edged):
                    yield f"part {edged}"
                    break
                for begin in range(len(edged) - length + 1):
                    yield f"part {edged[begin : begin + length]}"
