"""What a translation between two protocols is: a client speaks one, its upstream another.

Called by the pipeline (requests, whole answers, errors) and the relay (streams), which find the one for a pair in
`translate.py`. Pure: bytes and events in, bytes out; nothing here waits, and no client's text is repeated in a message.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from lastcall_sidecar.wire.sse import Event

#: What is asked of an Anthropic upstream when the caller gave no limit (`upstream.defaultMaxTokens`).
DEFAULT_MAX_TOKENS = 8192


class TranslationError(ValueError):
    """The upstream answered something that is none of its protocol's; the message repeats nothing of it."""


class Handling(StrEnum):
    """What becomes of a request's field."""

    TRANSLATE = "translate"
    #: Left out: without it the answer means the same.
    DROP = "drop"
    #: A 400 that names the field, unless its value is a neutral one.
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What becomes of one field of a request; the tables in docs/translation.md are made of these."""

    handling: Handling
    #: For the docs: into what, or why.
    note: str
    #: Values with which a refused field means nothing, and is left out. `None` (JSON's null) always is one.
    neutral: tuple[Any, ...] = ()


#: By the field's name. A field that is in no table is dropped.
FieldTable = Mapping[str, FieldRule]


@dataclass(frozen=True, slots=True)
class Options:
    """What of the configuration a translated request depends on."""

    #: The model's name as the upstream knows it (mapped), in place of the caller's.
    model: str
    default_max_tokens: int = DEFAULT_MAX_TOKENS
    #: Ask the upstream for a stream although the client asked for none (demotion).
    force_stream: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request its answer's translation must know."""

    #: Who answers, where the upstream does not say so.
    model: str
    #: The client wants a stream.
    stream: bool
    #: OpenAI's `stream_options.include_usage`.
    include_usage: bool = False
    #: When the request came, in seconds since 1970, for answers that tell it. Nothing here has a clock: whoever asks
    #: for the translation fills it in.
    created: int = 0
    #: Stop sequences that the upstream was not told: the answer's text ends before the first of them that is complete.
    stop_sequences: tuple[str, ...] = ()
    #: The client's names of tools, by those that the upstream was told in their place.
    tool_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Translated:
    """A request in the upstream's protocol."""

    body: bytes = field(repr=False)
    asked: Asked


class StreamTranslator(ABC):
    """One stream: the upstream's events in, bytes of whole events for the client out.

    What came in leaves in the same call; only a closing event that needs what comes later may wait for it.
    """

    #: The upstream's protocol has told the stream's end (a good one, or an error), and so has the client's.
    over: bool = False
    #: The client's stream is over before the upstream's: nothing of what the upstream still sends is wanted.
    enough: bool = False

    @abstractmethod
    def feed(self, event: Event) -> bytes:
        """Take one event; empty where it has nothing for the client, and always once `over`.

        An error event of the upstream's becomes the client's, and ends the stream.
        Errors: TranslationError.
        """

    @abstractmethod
    def finish(self) -> bytes:
        """Return what is still to be said now that the upstream's body has ended cleanly.

        Sets `over` if all that the client must have is known. A stream that ended without its protocol's end stays not
        `over`, and nothing is said for it: the caller tells the client that it was cut short.
        """


class Translation(ABC):
    """How clients of one protocol are served by an upstream of another. Has no state."""

    #: Where the upstream has it, as `/v1/…`.
    upstream_path: ClassVar[str]
    #: What becomes of each field of a request's top level.
    fields: ClassVar[FieldTable]

    @abstractmethod
    def request(self, body: bytes, options: Options) -> Translated:
        """Translate a request's body, which `body.scan` has accepted.

        Errors: BodyError, beginning with the path of the field that cannot be served (`tools.0.type: …`).
        """

    @abstractmethod
    def answer(self, body: bytes, asked: Asked) -> bytes:
        """Translate a whole answer (JSON, status 200).

        Errors: TranslationError.
        """

    @abstractmethod
    def stream(self, asked: Asked) -> StreamTranslator:
        """Begin to translate a stream."""

    @abstractmethod
    def error(self, status: int, body: bytes, request_id: str) -> bytes:
        """Return the client's error body for an upstream's answer with a status from 400 on, whatever its body is.

        The status itself goes on as it is. The upstream's own message does, too, where there is one.
        """

    @abstractmethod
    def failed(self, body: bytes) -> int | None:
        """The status of an error that came as a whole answer of status 200; None for what is no error.

        The error's own, where it tells one; 502 where it does not.
        """
