"""How slowly a client may send its body. Pure; asked by `exchange.py` for each part of it.

A client has a grace of some seconds. Waiting for it uses the grace up, each byte gives some of it back, and where
nothing is left its time is over. So whoever keeps the lowest rate has all the time that he wants, who pauses for less
than the grace has it again with his next bytes, and who sends a byte a minute is done after a minute. What came faster
earns nothing beyond the grace.
"""


class Pace:
    """The pace of one body. Without a rate, any byte gives all of the grace back."""

    __slots__ = ("_bytes_per_second", "used_seconds")

    def __init__(self, bytes_per_second: float) -> None:
        self._bytes_per_second = bytes_per_second
        #: Of the grace.
        self.used_seconds = 0.0

    def __repr__(self) -> str:
        return f"<Pace {self.used_seconds:.3f} s of the grace used>"

    def came(self, size: int, waited_seconds: float) -> None:
        """So many bytes came, for which it was waited so long."""
        earned = size / self._bytes_per_second if self._bytes_per_second else float("inf")
        self.used_seconds = max(0.0, self.used_seconds + waited_seconds - earned)
