"""Names of models: what another name stands for, and which names a pattern takes.

Called by the pipeline, first `rename`, then `fits` with what came out, and by the settings for their checks. A pattern
is a name, or the beginning of names and `*`; `*` alone takes all. Names are compared as they are: case matters.
"""

from collections.abc import Mapping, Sequence


def rename(models: Mapping[str, str], name: str) -> str:
    """Return what `models` (pattern to name) makes of `name`: once, and `name` itself if nothing fits.

    A name of its own wins over a beginning, a longer beginning over a shorter one.
    """
    if name in models:
        return models[name]
    fitting = [pattern for pattern in models if _fits(pattern, name)]
    return models[max(fitting, key=len)] if fitting else name


def fits(patterns: Sequence[str], name: str) -> bool:
    """Whether one of `patterns` takes `name`; if `name` is a pattern, whether one takes all that it takes."""
    return any(_fits(pattern, name) for pattern in patterns)


def _fits(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
