"""Texts of others, made fit for a terminal: what clients and upstreams say is logged."""


def printable(text: str) -> str:
    """The text on one line, with what could move a cursor, hide or reorder words (escapes, bidi marks) written out."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _written_out(sign) for sign in text)


def _written_out(sign: str) -> str:
    return " " if sign in "\n\t\r" else sign.encode("unicode_escape").decode()
