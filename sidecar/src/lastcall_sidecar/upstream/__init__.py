"""The way to the upstream: one small interface of httpx' (`AsyncBaseTransport`), so that another can take its place."""

from .make import make_transport
from .messages import AnswerStream, UpstreamRequest, UpstreamResponse
from .pool import PooledTransport

__all__ = ["AnswerStream", "PooledTransport", "UpstreamRequest", "UpstreamResponse", "make_transport"]
