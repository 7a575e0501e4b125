"""Ids of tool calls as Anthropic's API takes them: of its characters, and each once in a conversation.

Other vendors' models have other characters in theirs (`functions.Bash:0`), and some begin anew with each turn
(`call_0`). Called for each call and result in order, by `chat_on_messages` and by `mending.py`: what comes out depends
on what came before only, so that a longer conversation begins with the same ids, and the upstream's cache knows it.
"""

from lastcall_sidecar.wire.carried import allowed_id, own_id


class CallIds:
    """The ids of one conversation."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        #: How often an id was asked for.
        self._counts: dict[str, int] = {}
        #: Calls that no result has answered yet, by the id that the client has for them.
        self._open: dict[str, list[str]] = {}

    @property
    def is_answered(self) -> bool:
        """Whether each call has its result."""
        return not self._open

    def call(self, identity: str) -> str:
        """Return the id of the next call, which the client calls so."""
        wanted = allowed_id(own_id(identity)[0])
        made = wanted
        while made in self._used:
            self._counts[wanted] = self._counts.get(wanted, 1) + 1
            made = f"{wanted}_{self._counts[wanted]}"
        self._used.add(made)
        self._open.setdefault(identity, []).append(made)
        return made

    def result(self, identity: str) -> str | None:
        """Return the id of the call that a result answers, the first of several; None if there is no such call."""
        waiting = self._open.get(identity)
        if not waiting:
            return None
        made = waiting.pop(0)
        if not waiting:
            del self._open[identity]
        return made

    def forget(self) -> None:
        """Take no more results for the calls so far: the turn is over."""
        self._open.clear()
