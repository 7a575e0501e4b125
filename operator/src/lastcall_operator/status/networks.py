"""Which NetworkPolicy most likely keeps the operator from the sidecars."""

from collections.abc import Iterable, Mapping
from typing import Any

from lastcall_operator.api.selector import Expression, Operator, Selector


def likely(policies: Iterable[Mapping[str, Any]], labels: Mapping[str, str], ports: Iterable[int]) -> str | None:
    """The first, by name, that selects such a pod for ingress and lets nobody in at these ports.

    A rule without ports, or with one of these, may let us in: such a policy is named only when there is no other.
    """
    found = sorted(
        (_opens(policy, frozenset(ports)), str(policy["metadata"]["name"]))
        for policy in policies
        if _selects(policy.get("spec") or {}, labels)
    )
    return found[0][1] if found else None


def _selects(spec: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    types = spec.get("policyTypes") or ["Ingress"]
    return "Ingress" in types and _selector(spec.get("podSelector") or {}).matches(labels)


def _selector(given: Mapping[str, Any]) -> Selector:
    """A selector as the API server has let it in, which knows fewer bounds than ours."""
    expressions = (
        Expression(key=each["key"], operator=Operator(each["operator"]), values=tuple(each.get("values") or ()))
        for each in given.get("matchExpressions") or []
    )
    return Selector(match_labels=given.get("matchLabels") or {}, match_expressions=tuple(expressions))


def _opens(policy: Mapping[str, Any], ports: frozenset[int]) -> bool:
    rules = (policy.get("spec") or {}).get("ingress") or []
    return any(not rule.get("ports") or any(each.get("port") in ports for each in rule["ports"]) for rule in rules)
