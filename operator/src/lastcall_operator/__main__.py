"""`python -m lastcall_operator`, and the entry point of the `lastcall` command."""

import sys

from lastcall_operator.cli import main as run_command_line


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run_command_line())


if __name__ == "__main__":
    main()
