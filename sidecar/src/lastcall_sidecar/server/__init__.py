"""HTTP/1.1 for our two listeners: Hypercorn's classes, with the strictness and the patience that streams need.

Made by `process.py`, which gives it sockets and ASGI applications; it knows nothing of LLMs, drains or upstreams.
"""

from .connection import ClientConnection, ConnectionLimits
from .listener import Listener

__all__ = ["ClientConnection", "ConnectionLimits", "Listener"]
