"""The errors of this package. Each message is a sentence for the person at the terminal."""


class LastcallError(Exception):
    """Everything that this package raises on purpose."""


class MissingExtraError(LastcallError):
    """Something that only the demo needs is not installed."""


class ProcessError(LastcallError):
    """A process of the local cluster did not start, or ended when it should not have."""
