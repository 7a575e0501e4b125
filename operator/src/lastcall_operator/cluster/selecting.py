"""Label selectors: as the query of a LIST, and matched here where the objects are already at hand."""

from collections.abc import Mapping
from typing import Any


def selector_query(selector: Mapping[str, Any]) -> str:
    """A LabelSelector as `labelSelector` of a LIST."""
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or []:
        key, operator = expression["key"], expression["operator"]
        if operator in {"In", "NotIn"}:
            terms.append(f"{key} {operator.lower()} ({','.join(sorted(expression.get('values') or []))})")
        else:
            terms.append(key if operator == "Exists" else f"!{key}")
    return ",".join(terms)


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector selects these labels: None selects nothing, an empty one everything."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or [])


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
