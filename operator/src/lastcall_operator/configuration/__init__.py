"""From a StreamProxy to the file that its sidecars read: pure."""

from .render import Rendered, render

__all__ = ["Rendered", "render"]
