"""The way to the upstream: one small interface of httpx' (`AsyncBaseTransport`), so that another can take its place."""

from .http import AnswerStream, PooledTransport, make_transport

__all__ = ["AnswerStream", "PooledTransport", "make_transport"]
