"""State that an upstream wants back with a later request, kept in what Anthropic's clients send back unchanged.

Nothing is stored here: what a vendor told with a turn travels to the client and returns with the conversation, to
whichever replica. A thinking block's `signature` carries what belongs to the message, a call's `id` what belongs to
the call, as long as it is short. Both begin with a name that no vendor uses, and say in which version they are.

Called by `messages_on_chat` (packs, and unpacks), and by `mending.py`, which takes it out again for Anthropic's API.
What comes back is the client's word: it is read strictly, and what cannot be read carries nothing.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Raw

#: Of every version. A dot is in no signature of Anthropic's, which are base64.
NAME = "lastcall."
PREFIX = NAME + "v1."
#: Of ids, which have no dots.
ID_PREFIX = "lastcall_v1_"

#: An id that is longer carries nothing, and its call's state goes into a signature: clients name files by the id (the
#: limit of a name is 255 bytes on every common file system), and send it twice.
MAX_ID_CHARS = 200
#: What a message may bring that must come back, but for the text that the client shows anyway. It is held while the
#: answer lasts, and sent again with each request of the conversation; what vendors encrypt has some ten thousand bytes.
MAX_STATE_BYTES = 1024 * 1024

#: The API's rule for ids of calls (`String should match pattern '^[a-zA-Z0-9_-]+$'`).
_ALLOWED_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")

#: Where reasoning came in as text: by this name it goes back.
TextField = Literal["reasoning_content", "reasoning"]
#: An entry of `reasoning_details`, each value as the JSON that it was.
Detail = dict[str, Raw]


class State(msgspec.Struct, omit_defaults=True):
    """What a thinking block's signature carries."""

    #: Also where the text was empty.
    field: TextField | None = None
    #: As they came, but for the texts in `shown`.
    details: list[Detail] = []
    #: Texts of `details` that are the thinking block's, in order: the entry's number, its field, how many characters.
    shown: list[tuple[int, str, int]] = []
    #: `extra_content` by the call's id.
    calls: dict[str, Raw] = {}

    def restored(self, thinking: str) -> Iterator[Detail]:
        """Yield `details` with their texts; without those entries whose text the client has changed."""
        whole = sum(chars for _, _, chars in self.shown) == len(thinking)
        found = [dict(detail) for detail in self.details]
        lost = set()
        position = 0
        for number, name, chars in self.shown:
            if not whole or not 0 <= number < len(found):
                lost.add(number)
                continue
            found[number][name] = Raw(msgspec.json.encode(thinking[position : position + chars]))
            position += chars
        yield from (detail for number, detail in enumerate(found) if number not in lost)


class _Call(msgspec.Struct, array_like=True):
    id: str
    extra: Raw = Raw(b"null")


def signature(state: State) -> str:
    """Return the signature that carries a state; it is never empty, so that every client sends it back."""
    return PREFIX + _packed(msgspec.json.encode(state))


def is_ours(signed: str) -> bool:
    """Whether a signature is none of Anthropic's, but was made here, in whatever version."""
    return signed.startswith(NAME)


def state_of(signed: str) -> State | None:
    """Return what a signature carries; None for another's, one of another version, or one that was changed."""
    packed = _unpacked(signed, PREFIX)
    if packed is None:
        return None
    try:
        return msgspec.json.decode(packed, type=State)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def call_id(identity: str, extra: Raw | None = None) -> str | None:
    """Return an id that Anthropic's API would take, and that `own_id` leads back from; None if it would be too long.

    One that needs to carry nothing stays what it is.
    """
    if extra is None and _ALLOWED_ID.fullmatch(identity):
        return identity
    made = ID_PREFIX + _packed(msgspec.json.encode(_Call(identity) if extra is None else _Call(identity, extra)))
    return made if len(made) <= MAX_ID_CHARS else None


def own_id(identity: str) -> tuple[str, Raw | None]:
    """Return a call's id as its upstream knows it, and what it carried, if anything."""
    packed = _unpacked(identity, ID_PREFIX)
    if packed is None:
        return identity, None
    try:
        call = msgspec.json.decode(packed, type=_Call)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return identity, None
    return call.id, call.extra if is_object(call.extra) else None


def is_allowed_id(identity: str) -> bool:
    """Whether Anthropic's API takes this as a call's id."""
    return _ALLOWED_ID.fullmatch(identity) is not None


def allowed_id(identity: str) -> str:
    """Return a call's id with the characters that Anthropic's API takes."""
    return _NOT_IN_IDS.sub("_", identity) or "_"


def is_object(raw: Raw) -> bool:
    """Whether a value is an object: all state of a call is."""
    return bytes(memoryview(raw)[:1]) == b"{"


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unpacked(text: str, prefix: str) -> bytes | None:
    if not text.startswith(prefix):
        return None
    packed = text.removeprefix(prefix)
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
