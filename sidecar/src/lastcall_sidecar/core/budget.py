"""How much memory request bodies and the work on them take together, and who has to wait when it is too much.

`bodies.py` charges each piece that it keeps, and stops reading (so that TCP pushes back) when told to wait; what a
child process needs for its work on a body is charged in the same way, for as long as it works. One rule
keeps bodies that are all half read from waiting for each other forever: the account that takes the total past the limit
goes on, alone, until the total is back at the limit or it is closed; then it is the turn of the oldest that waits. So
somebody can always go on, and the bytes held are never more than the limit and what one request takes.
"""

from bisect import insort
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False, repr=False)
class Account:
    """What one request's body takes. Made by `Budget.open`."""

    _budget: "Budget"
    #: The place in the order of arrival.
    number: int
    #: Bytes charged until now.
    used: int = field(default=0, init=False)
    #: Bytes that it waits for; 0 when it does not wait.
    wanted: int = field(default=0, init=False)
    #: Whether everything has been given back; nothing can be taken any more.
    closed: bool = field(default=False, init=False)

    @property
    def granted(self) -> bool:
        """Whether all that was asked for has been charged: nothing keeps the reader from reading on."""
        return self.wanted == 0

    def take(self, n: int) -> bool:
        """Charge `n` bytes. False: wait until a `close` or `resize` returns this account; they are charged then.

        Raises ValueError for a negative number, for a closed account and for one that already waits; nothing changes.
        """
        if n < 0 or self.closed or self.wanted:
            raise ValueError(f"{self!r} cannot take {n} bytes")
        return n == 0 or self._budget.charge(self, n)

    def give(self, n: int) -> list["Account"]:
        """Give `n` bytes back; returns who may go on for it. Nothing is left to give once it is closed.

        Raises ValueError for a negative number, and for more than it has; nothing changes.
        """
        if n < 0 or n > self.used:
            raise ValueError(f"{self!r} cannot give {n} bytes")
        return self._budget.release(self, n)

    @property
    def is_past_limit(self) -> bool:
        """Whether it took the total past the limit: the others wait until it is done."""
        return self._budget.past_limit is self

    def close(self) -> list["Account"]:
        """Give everything back, wants included; returns who may go on for it. Idempotent."""
        self.closed = True
        return self._budget.settle(self)

    def __repr__(self) -> str:
        """State and bytes, as in `<Account 3 waiting for 65536, 131072 used>`."""
        state = "closed" if self.closed else f"waiting for {self.wanted}" if self.wanted else "open"
        return f"<Account {self.number} {state}, {self.used} used>"


class Budget:
    """Bytes held over all requests. Raises ValueError for a limit below 1, with everything as it was."""

    __slots__ = ("_limit_bytes", "_opened", "_past_limit", "_used", "_waiting")

    def __init__(self, limit_bytes: int) -> None:
        _check(limit_bytes)
        self._limit_bytes = limit_bytes
        self._opened = 0
        self._used = 0
        # While the total is past the limit: the account that took it there. Whenever anybody waits, there is one.
        self._past_limit: Account | None = None
        # Who waits, the oldest first.
        self._waiting: list[Account] = []

    @property
    def used(self) -> int:
        """Bytes charged to all accounts."""
        return self._used

    @property
    def limit_bytes(self) -> int:
        """The limit."""
        return self._limit_bytes

    @property
    def past_limit(self) -> Account | None:
        """The account that took the total past the limit, while it is."""
        return self._past_limit

    def open(self) -> Account:
        """An account for one request; the order of these calls is the order of age."""
        self._opened += 1
        return Account(self, self._opened)

    def resize(self, limit_bytes: int) -> list[Account]:
        """Take a new limit; returns who may go on for it. What is held already stays held."""
        _check(limit_bytes)
        self._limit_bytes = limit_bytes
        return self._grant_waiting()

    def charge(self, account: Account, n: int) -> bool:
        """For `Account.take` only."""
        if self._past_limit in {None, account}:
            self._book(account, n)
            return True
        account.wanted = n
        insort(self._waiting, account, key=lambda waiting: waiting.number)
        return False

    def release(self, account: Account, n: int) -> list[Account]:
        """For `Account.give` only."""
        account.used -= n
        self._used -= n
        return self._grant_waiting()

    def settle(self, account: Account) -> list[Account]:
        """For `Account.close` only."""
        if account.wanted:
            account.wanted = 0
            self._waiting.remove(account)
        self._used -= account.used
        account.used = 0
        if self._past_limit is account:
            self._past_limit = None
        return self._grant_waiting()

    def __repr__(self) -> str:
        """Use and limit, as in `<Budget 131072 of 268435456 used, 0 waiting>`."""
        return f"<Budget {self._used} of {self._limit_bytes} used, {len(self._waiting)} waiting>"

    def _grant_waiting(self) -> list[Account]:
        if self._used <= self._limit_bytes:
            self._past_limit = None
        granted: list[Account] = []
        while self._waiting and self._past_limit is None:
            account = self._waiting.pop(0)
            self._book(account, account.wanted)
            account.wanted = 0
            granted.append(account)
        return granted

    def _book(self, account: Account, n: int) -> None:
        account.used += n
        self._used += n
        if self._used > self._limit_bytes:
            self._past_limit = account


def _check(limit_bytes: int) -> None:
    if limit_bytes < 1:
        raise ValueError(f"a budget is at least 1 byte, not {limit_bytes}")
