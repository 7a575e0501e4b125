"""Our own routes: on both listeners those that anybody may read, on the admin listener those that change something."""

from .admin import admin_app
from .traffic import traffic_app

__all__ = ["admin_app", "traffic_app"]
