"""A pipeline component: finds numbers, people, places, times, authorities, and the matter inside a wish to report."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.nlu.training_data.message import Message

from bot.digits import find_case_number, find_last_digits, find_phone
from bot.entities import Gazetteer, find_people, find_times

REPORTING = re.compile(
    r"^.{0,6}?(我们?想?要?|请?帮我|给我|想要?|请)?(来)?(反映|反应|投诉|举报|登记|报告|报修|上报|建议|提(一?个)?(意见|建议)|记)(一下|一个|下|个)?(问题|情况|事情?|工单)?"
    r"|^.{0,8}?\b(report|complain about|file a (case|complaint)( about)?)\b"
)
NLU_DATA = Path(__file__).resolve().parents[2] / "nlu_data"
SHORTEST_MATTER = 5
"""Characters that must be left after the wish itself to be worth keeping as what happened."""


def find_problem(text: str) -> str | None:
    """What is reported in `text` beside the wish to report it, or None when there is only the wish."""
    wish = REPORTING.match(text)
    if wish is None:
        return None
    rest = text[wish.end() :].strip(" ，。,.:：、的吧啊呢")
    return rest if len(rest) >= SHORTEST_MATTER else None


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.ENTITY_EXTRACTOR, is_trainable=False)
class CivicEntities(GraphComponent):
    """Adds the entities phone, case_number, last_digits, problem, person, place, time and agency to a message."""

    def __init__(self, gazetteer: Gazetteer) -> None:
        self._gazetteer = gazetteer

    @classmethod
    def create(
        cls, config: dict[str, Any], storage: ModelStorage, resource: Resource, context: ExecutionContext
    ) -> "CivicEntities":
        """Rasa's way of making a component."""
        return cls(Gazetteer.read(NLU_DATA))

    def process(self, messages: list[Message]) -> list[Message]:
        """Add to each message what is found in its text."""
        for message in messages:
            text = message.get("text") or ""
            found = {
                "phone": find_phone(text),
                "case_number": find_case_number(text),
                "last_digits": find_last_digits(text),
                "problem": find_problem(text),
            }
            entities = [
                {"entity": name, "value": value, "start": 0, "end": len(text), "extractor": "CivicEntities"}
                for name, value in found.items()
                if value
            ]
            entities += [
                {**asdict(found), "extractor": "CivicEntities"}
                for found in [*find_people(text), *find_times(text), *self._gazetteer.find(text)]
            ]
            message.set("entities", message.get("entities", []) + entities, add_to_output=True)
        return messages
