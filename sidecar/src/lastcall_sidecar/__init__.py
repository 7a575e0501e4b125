"""Lastcall's sidecar: an LLM proxy that relays streams verbatim, counts what is in flight and knows how to drain."""

from importlib.metadata import version

__version__ = version("lastcall-sidecar")
