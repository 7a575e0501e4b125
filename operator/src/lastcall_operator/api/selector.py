"""Label selectors, as Kubernetes reads them. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, field

from .schema import Part, SpecError

#: Keys and values of labels, as Kubernetes takes them: patterns for Python, for OpenAPI and for CEL alike.
_NAME = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_DOMAIN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
LABEL_KEY = f"^({_DOMAIN}/)?{_NAME}$"
LABEL_VALUE = f"^({_NAME})?$"
LabelKey = Annotated[str, Meta(min_length=1, max_length=317, pattern=LABEL_KEY)]
LabelValue = Annotated[str, Meta(max_length=63, pattern=LABEL_VALUE)]


#: What an expression that compares with nothing, or that ignores what it is given, is told.
VALUES = "In and NotIn need values, Exists and DoesNotExist take none"


class Operator(StrEnum):
    """How an expression compares."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class Expression(Part, frozen=True):
    """One expression of a selector."""

    key: Annotated[LabelKey, Meta(description="The label.")]
    operator: Annotated[Operator, Meta(description="In, NotIn, Exists or DoesNotExist.")]
    values: Annotated[
        tuple[LabelValue, ...],
        Meta(max_length=64, description="What In and NotIn compare with; empty for the others."),
    ] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels fit."""
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case _:  # DoesNotExist
                return self.key not in labels


class Selector(Part, frozen=True):
    """Which pods are meant: all of it must fit."""

    match_labels: Annotated[
        dict[LabelKey, LabelValue],
        Meta(max_length=64, description="Labels that a pod must have, with these values."),
    ] = field(default_factory=dict)
    match_expressions: Annotated[
        tuple[Expression, ...], Meta(max_length=64, description="Expressions that a pod's labels must fit.")
    ] = ()

    def check(self, where: str) -> None:
        """What a field alone cannot say; the CRD says the same to the API server.

        Errors: SpecError.
        """
        if not self.match_labels and not self.match_expressions:
            raise SpecError(f"{where} must name a label: an empty one would mean every pod")
        for each in self.match_expressions:
            if (each.operator in {Operator.IN, Operator.NOT_IN}) is not bool(each.values):
                raise SpecError(f"{where}.matchExpressions[]: {VALUES}")

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a pod with these labels is meant."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            expression.matches(labels) for expression in self.match_expressions
        )
