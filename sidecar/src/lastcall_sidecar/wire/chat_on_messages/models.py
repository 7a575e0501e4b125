"""What the models differ in, by their names: how they think, and whether they can be told how to sample.

https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting (which `thinking` each takes),
https://platform.claude.com/docs/en/build-with-claude/effort and
https://platform.claude.com/docs/en/about-claude/models/migration-guide (`temperature`, `top_p`). A model that is newer
than this table is taken to be like the newest of its family; one that is not Anthropic's, not to think.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto


class Mode(Enum):
    """How a model is asked to think."""

    NONE = auto()
    #: `{"type": "enabled", "budget_tokens": …}`; then no tool may be forced.
    BUDGET = auto()
    #: `{"type": "adaptive"}` with an effort.
    ADAPTIVE = auto()


class Off(Enum):
    """How a model is asked not to think."""

    #: It only thinks if asked to.
    SILENCE = auto()
    DISABLED = auto()
    BETWEEN_TOOLS = auto()
    #: It always thinks.
    NEVER = auto()


class Sampling(Enum):
    """What may be said of `temperature` and `top_p`."""

    BOTH = auto()
    ONE = auto()
    NONE = auto()


@dataclass(frozen=True, slots=True)
class Traits:
    """What a request must know of its model."""

    mode: Mode
    off: Off = Off.SILENCE
    sampling: Sampling = Sampling.NONE
    #: Has the effort `xhigh`, between `high` and `max`.
    has_xhigh: bool = True


_NAME = re.compile(r"claude-(opus|sonnet|haiku|fable|mythos)-(?:preview|(\d+)(?:[.-](\d{1,2})(?!\d))?)")
_SONNET_3_7 = re.compile(r"claude-3[.-]7-sonnet")

_ALL = frozenset({"opus", "sonnet", "haiku"})
_OTHER = Traits(Mode.NONE, sampling=Sampling.BOTH)
_BUDGET = Traits(Mode.BUDGET, sampling=Sampling.BOTH)
#: Families, the first version, and the traits from there on: the first row that fits counts.
_TABLE: tuple[tuple[frozenset[str], tuple[int, int], Traits], ...] = (
    (frozenset({"fable", "mythos"}), (0, 0), Traits(Mode.ADAPTIVE, Off.NEVER)),
    (frozenset({"opus"}), (5, 5), Traits(Mode.ADAPTIVE, Off.NEVER)),
    (frozenset({"sonnet"}), (5, 5), Traits(Mode.ADAPTIVE, Off.BETWEEN_TOOLS)),
    (_ALL, (5, 0), Traits(Mode.ADAPTIVE, Off.DISABLED)),
    (_ALL, (4, 7), Traits(Mode.ADAPTIVE)),
    (_ALL, (4, 6), Traits(Mode.ADAPTIVE, sampling=Sampling.ONE, has_xhigh=False)),
    (_ALL, (4, 1), Traits(Mode.BUDGET, sampling=Sampling.ONE)),
    (_ALL, (4, 0), _BUDGET),
)


def traits(model: str) -> Traits:
    """Return the traits of a model, whatever a cloud has put around its name."""
    name = _NAME.search(model)
    if name:
        version = (int(name[2] or 0), int(name[3] or 0))
        return next((found for families, first, found in _TABLE if name[1] in families and version >= first), _OTHER)
    return _BUDGET if _SONNET_3_7.search(model) else _OTHER
