"""The errors of this package: what can go wrong, and whose fault it is.

Errors that a client sees are `ClientError`s: they carry a kind, from which the protocol of the caller derives the HTTP
status and the shape (`wire/protocol.py`). Everything else ends the process with a sentence.
"""


class LastcallError(Exception):
    """Everything that this package raises on purpose."""
