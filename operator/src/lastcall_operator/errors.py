"""The errors of this package. Each message is a sentence for the person at the terminal."""


class LastcallError(Exception):
    """Everything that this package raises on purpose."""


class MissingExtraError(LastcallError):
    """Something that only the demo needs is not installed."""


class ProcessError(LastcallError):
    """A process of the local cluster did not start, or ended when it should not have."""


class SettingsError(LastcallError):
    """A flag or an environment variable says what cannot be."""


class ApiError(LastcallError):
    """The Kubernetes API said no. `status` is the HTTP status (0: no answer came), `reason` its own word for it."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class ApiUnavailableError(ApiError):
    """The API server did not answer, or not now: no connection, a time limit, 429, 5xx. Later it may."""


class NotFoundError(ApiError):
    """There is no such object, or no such resource (404)."""


class ConflictError(ApiError):
    """The object is there already, or has changed since it was read (409)."""


class ForbiddenError(ApiError):
    """RBAC, or nobody that the API server knows (401, 403)."""


class InvalidError(ApiError):
    """The API server refuses the object or the patch as it is (400, 422)."""


class NotOursError(LastcallError):
    """What Lastcall would write is there already, and somebody else's."""


class SidecarError(LastcallError):
    """A sidecar did not answer, or refused. `status` is its HTTP status; 0: there was no answer."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
