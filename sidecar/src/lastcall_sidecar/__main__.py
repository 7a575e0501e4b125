"""`lastcall-sidecar`, also as `python -m lastcall_sidecar`."""

import sys

from .cli import run


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
