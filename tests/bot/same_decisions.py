"""Holds bot/components/rules.py against Rasa's own RulePolicy with the same rules, in made-up conversations: what each would
do next, also when the tracker has forgotten its old events. Runs in the bot's environment (Python 3.10); prints how many
decisions were the same, and fails at the first that isn't."""

import random
import sys

from rasa.core.agent import Agent
from rasa.core.policies.rule_policy import RulePolicy
from rasa.engine.graph import ExecutionContext, GraphSchema
from rasa.shared.core.events import ActionExecuted, ActionExecutionRejected, ActiveLoop, SlotSet, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

from bot.components.rules import CivicRules
from bot.tracker_store import EVENTS_AT_MOST, forget_old

CONVERSATIONS, TURNS, ACTIONS = 60, 20, 6


def main() -> None:
    """Compare; the model's path is the argument."""
    agent = Agent.load(sys.argv[1])
    nodes = agent.processor.graph_runner._instantiated_nodes.values()
    ours = next(node._component for node in nodes if isinstance(node._component, CivicRules))
    context = ExecutionContext(GraphSchema({}))
    stock = RulePolicy(ours.config, ours._model_storage, ours._resource, context, ours.featurizer, ours.lookup)
    domain, chance, same, forgotten = agent.domain, random.Random(1), 0, 0
    for _ in range(CONVERSATIONS):
        tracker = DialogueStateTracker("one", domain.slots)
        for _ in range(TURNS):
            tracker.update(ActionExecuted("action_listen"))
            tracker.update(UserUttered("x", {"name": chance.choice(domain.intents)}))
            for _ in range(ACTIONS):
                told = [policy.predict_action_probabilities(tracker, domain).probabilities for policy in (ours, stock)]
                if told[0] != told[1]:
                    sys.exit(f"not the same after {[str(event) for event in tracker.events][-12:]}")
                same += 1
                action = domain.action_names_or_texts[told[0].index(max(told[0]))]
                if action == "action_listen":
                    break
                if action in domain.form_names and chance.random() < 0.2:
                    tracker.update(ActionExecutionRejected(action))
                    continue
                tracker.update(ActionExecuted(action))
                if action in domain.form_names:
                    tracker.update(ActiveLoop(action if chance.random() < 0.7 else None))
                if chance.random() < 0.3:
                    slot = chance.choice(domain.slots)
                    tracker.update(SlotSet(slot.name, chance.choice(("some", None))))
            before = len(tracker.events)
            forget_old(tracker)
            forgotten += len(tracker.events) < before
            if len(tracker.events) > EVENTS_AT_MOST and not tracker.active_loop_name:
                sys.exit("a long tracker has not forgotten")
    if not forgotten:
        sys.exit("no tracker was ever long")
    print(f"{same} decisions, {forgotten} trackers forgot")


if __name__ == "__main__":
    main()
