"""Durations as other programs write them, in whole seconds; rounded up, so that no limit becomes none.  Pure."""

import math
import re
from fractions import Fraction

_UNITS = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),  # U+00B5
    "μs": Fraction(1, 10**6),  # U+03BC
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}
_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})(ns|us|µs|μs|ms|s|m|h)")


def go_seconds(text: str) -> int:
    """A Go duration (`300s`, `5m`, `1h30m`, `1.5s`), or a bare number of seconds.

    Errors: ValueError.
    """
    if re.fullmatch(r"[0-9]{1,12}", text):
        return int(text)
    if len(text) > 100 or not re.fullmatch(f"({_PART.pattern})+", text):
        raise ValueError("must be a duration such as 300s, 5m or 1h30m")
    return math.ceil(sum((_number(number) * _UNITS[unit] for number, unit in _PART.findall(text)), Fraction(0)))


def milliseconds(text: str) -> int:
    """A whole number of milliseconds.

    Errors: ValueError.
    """
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ValueError("must be a whole number of milliseconds")
    return -(-int(text) // 1000)


def _number(text: str) -> Fraction:
    whole, _, digits = text.partition(".")
    return Fraction(int(whole or "0")) + Fraction(int(digits or "0"), 10 ** len(digits))
