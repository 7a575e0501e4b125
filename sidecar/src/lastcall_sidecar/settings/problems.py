"""What is wrong with a configuration: every problem at once, each with its place."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lastcall_sidecar.errors import LastcallError

#: Problems in the text of one error: it stands in `/livez`, which is read with a limit.
MAX_TOLD = 10


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where.

    `where` is a path as in the file (`limits.maxConcurrent`), with the environment variable when the value came from
    one, or a file's name; `line` counts from 1 in the configuration file.
    """

    where: str
    what: str
    line: int | None = None

    def __str__(self) -> str:
        """The problem in one line."""
        place = self.where if self.line is None else f"{self.where} (line {self.line})"
        return f"{place}: {self.what}"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at a path; `others` are the paths that took part in it."""

    where: str
    what: str
    others: tuple[str, ...] = ()


class ConfigError(LastcallError):
    """A configuration that cannot be used. Nothing of it is in force.

    `problems` holds all that was found, in the order of the file; the text has the first ten of them. `files` is what
    was read on the way, as in `Loaded.files`, so that a watcher knows whose change may mend it.
    """

    def __init__(self, problems: Iterable[Problem], files: Mapping[str, str | None] | None = None) -> None:
        self.problems = list(problems)
        self.files = dict(files or {})
        told = [str(problem) for problem in self.problems[:MAX_TOLD]]
        if len(self.problems) > MAX_TOLD:
            told.append(f"and {len(self.problems) - MAX_TOLD} more")
        super().__init__("; ".join(told))
