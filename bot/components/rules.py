"""The policy: Rasa's RulePolicy, with the same rules and the same decisions, found quicker.

Rasa holds each rule against each state that the conversation has ever been in, twice an action: once by the citizen's words,
once by what they mean. No rule of ours goes by words, none looks back further than the longest rule is long, and most don't
fit the last state's action and intent.
"""

from collections import defaultdict
from itertools import islice
from typing import Any, Optional

from rasa.core.policies.rule_policy import RULES, RulePolicy
from rasa.engine.graph import ExecutionContext
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.core.domain import Domain, State
from rasa.shared.core.events import ActionExecuted
from rasa.shared.core.trackers import DialogueStateTracker

Ending = tuple[Optional[str], Optional[str]]
"""Of a rule's last state: which action came before, and the intent; None where the rule doesn't say."""


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.POLICY_WITHOUT_END_TO_END_SUPPORT, is_trainable=True)
class CivicRules(RulePolicy):
    """RulePolicy for rules that go by intent."""

    _longest = 0
    _by_ending: Optional[dict[Ending, dict[str, str]]] = None  # none while training: rules are still being made

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **more: Any,
    ) -> "CivicRules":
        """Rasa's way of making a policy that was trained before."""
        policy: CivicRules = super().load(config, model_storage, resource, execution_context, **more)
        by_ending: dict[Ending, dict[str, str]] = defaultdict(dict)
        for rule, action in policy.lookup[RULES].items():
            states = policy._rule_key_to_state(rule)
            by_ending[ending(states[-1])][rule] = action
            policy._longest = max(policy._longest, len(states))
        policy._by_ending = by_ending
        return policy

    def _find_action_from_rules(
        self, tracker: DialogueStateTracker, domain: Domain, use_text_for_last_user_input: bool
    ) -> tuple[Optional[str], Optional[str], bool]:
        if use_text_for_last_user_input:
            return None, None, False
        return super()._find_action_from_rules(tracker, domain, use_text_for_last_user_input)

    def _prediction_states(
        self, tracker: DialogueStateTracker, domain: Domain, *given: Any, **more: Any
    ) -> list[State]:
        """The last states, as many as a rule may ask for."""
        if self._by_ending is None:
            return super()._prediction_states(tracker, domain, *given, **more)
        acts = sum(isinstance(event, ActionExecuted) for event in tracker.applied_events())
        last = islice(tracker.generate_all_prior_trackers(), max(acts + 1 - self._longest, 0), None)
        states = [domain.get_active_state(earlier) for earlier, _ in last]
        self.featurizer._choose_last_user_input([states], use_text_for_last_user_input=False)
        return states

    def _get_possible_keys(self, lookup: dict[str, str], states: list[State]) -> set[str]:
        if self._by_ending is None or lookup is not self.lookup[RULES]:
            return super()._get_possible_keys(lookup, states)
        action, intent = ending(states[-1])
        fitting = {rule for end in {(action, intent), (action, None)} for rule in self._by_ending.get(end, ())}
        return super()._get_possible_keys({rule: lookup[rule] for rule in fitting}, states)


def ending(state: State) -> Ending:
    """The action before a state and the citizen's intent in it."""
    return state.get("prev_action", {}).get("action_name"), state.get("user", {}).get("intent")
