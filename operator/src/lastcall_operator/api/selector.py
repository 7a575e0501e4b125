"""Label selectors, as Kubernetes reads them. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, field

from .schema import Part


class Operator(StrEnum):
    """How an expression compares."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class Expression(Part, frozen=True):
    """One expression of a selector."""

    key: Annotated[str, Meta(min_length=1, max_length=317, description="The label.")]
    operator: Annotated[Operator, Meta(description="In, NotIn, Exists or DoesNotExist.")]
    values: Annotated[
        tuple[Annotated[str, Meta(max_length=63)], ...],
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
        dict[Annotated[str, Meta(max_length=317)], Annotated[str, Meta(max_length=63)]],
        Meta(max_length=64, description="Labels that a pod must have, with these values."),
    ] = field(default_factory=dict)
    match_expressions: Annotated[
        tuple[Expression, ...], Meta(max_length=64, description="Expressions that a pod's labels must fit.")
    ] = ()

    @property
    def empty(self) -> bool:
        """Whether it asks for nothing, which in Kubernetes means everything."""
        return not self.match_labels and not self.match_expressions

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a pod with these labels is meant."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            expression.matches(labels) for expression in self.match_expressions
        )
