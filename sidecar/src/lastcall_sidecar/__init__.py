"""Lastcall's sidecar: an LLM proxy that relays streams verbatim, counts what is in flight and knows how to drain."""

#: A test holds it equal to the package's own.
__version__ = "0.1.0"
