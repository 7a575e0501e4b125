"""The way to the upstream: one small interface of httpx' (`AsyncBaseTransport`), so that another can take its place."""

from .connection import SWITCHING_PROTOCOLS
from .make import make_transport
from .messages import AnswerStream, UpstreamRequest, UpstreamResponse
from .pool import PooledTransport

__all__ = [
    "SWITCHING_PROTOCOLS",
    "AnswerStream",
    "PooledTransport",
    "UpstreamRequest",
    "UpstreamResponse",
    "make_transport",
]
