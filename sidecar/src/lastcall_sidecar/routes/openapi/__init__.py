"""The API's own description, and a page that shows it. Called by `traffic.py`."""

from .description import openapi
from .page import docs_page

__all__ = ["docs_page", "openapi"]
