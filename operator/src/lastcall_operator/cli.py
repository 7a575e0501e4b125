"""The `lastcall` command. Parses, calls, and turns errors into sentences; heavy things are imported when needed."""

import argparse
import os
import sys
from collections.abc import Sequence

from lastcall_operator.errors import LastcallError, MissingExtraError

EXIT_UNUSABLE = 2
_STREAMS = range(6, 1001)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.version:
        from importlib.metadata import version  # takes longer than the rest of --help

        print(f"lastcall {version('lastcall-operator')}")
        return 0
    if arguments.command is None:
        _parser().print_help()
        return EXIT_UNUSABLE
    try:
        return _demo(arguments)
    except MissingExtraError as error:
        print(f"lastcall: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    except LastcallError as error:
        print(f"lastcall: {error}", file=sys.stderr)
        return 1


def _demo(arguments: argparse.Namespace) -> int:
    try:
        from lastcall_operator.demo.run import Options, run  # httpx and asyncio are slow to import
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"The demo needs {error.name}. Install it with: pip install 'lastcall-operator[demo]'"
        ) from error
    options = Options(
        naive=arguments.naive, stay=arguments.stay, streams=arguments.streams, picture=not arguments.no_picture
    )
    if (reconfigure := getattr(sys.stdout, "reconfigure", None)) is not None:
        reconfigure(errors="replace")  # a terminal that cannot show ✔ still gets the verdict
    return run(options, os.environ, sys.stdout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lastcall", description="Streaming LLM traffic survives everything that Kubernetes does to pods."
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="restart three sidecars under live streams, on this machine, and drop none",
        description=(
            "A fake LLM, three real sidecars, a TCP front that follows their readiness, and live streams of 1 to 20 s "
            "by real clients; then a rolling restart of all three, least busy first. Takes less than a minute. "
            "Exit code 0: nothing was dropped, and every stream came whole, byte for byte."
        ),
    )
    demo.add_argument(
        "--naive",
        action="store_true",
        help="restart them the usual way instead, without a drain; exit code 0 when that did drop streams",
    )
    demo.add_argument("--stay", action="store_true", help="keep everything up afterwards, until Ctrl-C")
    demo.add_argument("--streams", type=_streams, default=60, metavar="N", help="live streams at once (default: 60)")
    demo.add_argument("--no-picture", action="store_true", help="print plain lines, as when stdout is no terminal")
    return parser


def _streams(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number not in _STREAMS:
        raise argparse.ArgumentTypeError(f"must be a number from {_STREAMS.start} to {_STREAMS.stop - 1}, not {text!r}")
    return number
