"""The `lastcall` command. Parses, calls, and turns errors into sentences; heavy things are imported when needed."""

import argparse
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from lastcall_operator.api.printable import printable
from lastcall_operator.errors import ApiError, LastcallError, MissingExtraError, SettingsError

EXIT_UNUSABLE = 2
_STREAMS = range(6, 1001)
_LEASE = range(1, 601)
Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.version:
        from importlib.metadata import version  # takes longer than the rest of --help

        print(f"lastcall {version('lastcall-operator')}")
        return 0
    if arguments.command is None:
        parser.print_help()
        return EXIT_UNUSABLE
    if (reconfigure := getattr(sys.stdout, "reconfigure", None)) is not None:
        reconfigure(errors="replace")  # a terminal that cannot show ✔ still gets the verdict
    try:
        return int(arguments.run(arguments))
    except (MissingExtraError, SettingsError) as error:
        print(f"lastcall: {printable(str(error))}", file=sys.stderr)
        return EXIT_UNUSABLE
    except LastcallError as error:
        print(f"lastcall: {printable(str(error))}", file=sys.stderr)
        return _exit_code(error)
    except KeyboardInterrupt:
        return 130


def _exit_code(error: LastcallError) -> int:
    if not isinstance(error, ApiError):
        return 1  # nothing of the cluster's, and no reason to import what knows about it
    from lastcall_operator.commands.session import exit_code

    return exit_code(error)


def _await(work: Coroutine[Any, Any, int | None]) -> int:
    import asyncio  # slow to import

    return asyncio.run(work) or 0


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
    return run(options, os.environ, sys.stdout)


def _top(arguments: argparse.Namespace) -> int:
    from lastcall_operator.commands.top import top

    return _await(top(arguments))


def _watch(arguments: argparse.Namespace) -> int:
    from lastcall_operator.commands.watch import watch

    return _await(watch(arguments))


def _drain(arguments: argparse.Namespace) -> int:
    from lastcall_operator.commands.drain import drain

    return _await(drain(arguments))


def _undrain(arguments: argparse.Namespace) -> int:
    from lastcall_operator.commands.drain import undrain

    return _await(undrain(arguments))


def _check(arguments: argparse.Namespace) -> int:
    from lastcall_operator.commands.check import check

    return _await(check(arguments))


def _inject(arguments: argparse.Namespace) -> int:
    from lastcall_operator.commands.inject import inject

    return _await(inject(arguments))


def _controller(arguments: argparse.Namespace) -> int:
    from lastcall_operator.settings import from_arguments

    settings = from_arguments(arguments, os.environ)
    from lastcall_operator.controller.process import main as run  # after the settings: a bad flag is told at once

    return _await(run(settings))


def _webhook(arguments: argparse.Namespace) -> int:
    from lastcall_operator.settings import from_arguments

    settings = from_arguments(arguments, os.environ)
    from lastcall_operator.webhook.process import main as run

    return _await(run(settings))


def _uninstall(arguments: argparse.Namespace) -> int:
    from lastcall_operator.commands.uninstall import uninstall
    from lastcall_operator.settings import from_arguments

    settings = from_arguments(arguments, os.environ)
    return _await(uninstall(settings, records=arguments.release_record, remove_resources=arguments.remove_resources))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lastcall",
        description="Streaming LLM traffic survives everything that Kubernetes does to pods.",
        epilog="Exit codes: 0 done, 1 the answer is no, 2 usage, 3 no such object, 4 forbidden, 5 no cluster.",
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    _add_for_people(commands)
    _add_demo(commands)
    _add_for_the_chart(commands)
    return parser


Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def _add_for_people(commands: "Commands[argparse.ArgumentParser]") -> None:
    top = commands.add_parser("top", help="what every pod with a sidecar carries, live")
    top.add_argument("--once", action="store_true", help="print it once, as when stdout is no terminal")
    top.add_argument("--interval", type=float, default=2.0, metavar="SECONDS", help="between two looks (default: 2)")
    _add_place(top, _top, everywhere=True)

    watch = commands.add_parser(
        "watch",
        help="a rollout as progress bars, until it is over; 0: nothing was dropped",
        description=(
            "Shows a rollout until all its pods are new and nobody leaves any more, and then, with a DrainPolicy, "
            "until the controller has told what was dropped. Exit code 0: over, and nothing was dropped; 1: something "
            "was, or the controller does not tell. With -o json the end is printed, as one document."
        ),
    )
    watch.add_argument("workload", type=_workload, metavar="deploy/NAME|sts/NAME|rollout/NAME")
    _add_place(watch, _watch)

    drain = commands.add_parser(
        "drain", help="lease a drain of one pod: it takes no new work, and finishes what it has"
    )
    drain.add_argument("pod", type=_pod, metavar="pod/NAME")
    drain.add_argument(
        "--lease", type=_seconds, default=60, metavar="SECONDS", help="it ends by itself after so long (default: 60s)"
    )
    drain.add_argument(
        "--wait", action="store_true", help="renew the lease until the pod is drained; 0: it is, 1: it is not"
    )
    drain.add_argument(
        "--timeout", type=float, default=1920.0, metavar="SECONDS", help="how long --wait waits (default: 1920)"
    )
    _add_place(drain, _drain)

    undrain = commands.add_parser("undrain", help="take a leased drain back")
    undrain.add_argument("pod", type=_pod, metavar="pod/NAME")
    _add_place(undrain, _undrain)

    inject = commands.add_parser("inject", help="print manifests as the webhook would change them; needs no cluster")
    inject.add_argument("-f", "--filename", required=True, metavar="FILE", help="YAML or JSON; - is standard input")
    inject.add_argument(
        "--proxy", action="append", default=[], metavar="FILE", help="StreamProxies, when FILE holds none; repeatable"
    )
    inject.add_argument("--from-cluster", action="store_true", help="take the namespace's StreamProxies")
    inject.add_argument("--sidecar-image", metavar="IMAGE", help="when the StreamProxy names none")
    _add_place(inject, _inject)

    check = commands.add_parser("check", help="is everything there and working; 1: something is not")
    _add_place(check, _check, everywhere=True)


def _add_place(parser: argparse.ArgumentParser, run: Command, *, everywhere: bool = False) -> None:
    parser.add_argument("-n", "--namespace", metavar="NAME", help="default: the context's own")
    if everywhere:
        parser.add_argument("-A", "--all-namespaces", action="store_true", help="all namespaces")
    parser.add_argument("--context", metavar="NAME", help="the kubeconfig's context")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: as kubectl's")
    parser.add_argument("-o", "--output", choices=["json"], help="for scripts")
    parser.set_defaults(run=run)


def _add_demo(commands: "Commands[argparse.ArgumentParser]") -> None:
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
    demo.set_defaults(run=_demo)


def _add_for_the_chart(commands: "Commands[argparse.ArgumentParser]") -> None:
    """What the chart's pods run; people need them to try the operator against a cluster from their own machine."""
    from lastcall_operator.settings import add_flags

    for name, run, about in (
        ("controller", _controller, "run the controller (the chart does)"),
        ("webhook", _webhook, "run the webhook (the chart does)"),
        ("uninstall", _uninstall, "remove webhooks and marks from the cluster (the chart does, before it is deleted)"),
    ):
        parser = commands.add_parser(name, help=about)
        add_flags(parser)
        if name == "uninstall":
            parser.add_argument(
                "--release-record",
                action="append",
                default=[],
                metavar="NAME",
                help="do nothing unless this record of Helm's, or another, says that it uninstalls; repeatable",
            )
            parser.add_argument(
                "--remove-resources", action="store_true", help="delete all StreamProxies and DrainPolicies, too"
            )
        parser.set_defaults(run=run)


def _workload(text: str) -> tuple[str, str]:
    return _named(text, ("deploy", "deployment", "sts", "statefulset", "rollout", "rollouts"))


def _pod(text: str) -> tuple[str, str]:
    return _named(text, ("pod", "pods"))


def _named(text: str, kinds: Sequence[str]) -> tuple[str, str]:
    """A `kind/name` as kubectl takes it; the kind is the first of `kinds` when only a name is given."""
    kind, _, name = text.rpartition("/")
    kind = kind.lower() or kinds[0]
    if kind not in kinds or not name:
        raise argparse.ArgumentTypeError(f"must be {' or '.join(f'{each}/NAME' for each in kinds)}, not {text!r}")
    return kind, name


def _seconds(text: str) -> int:
    """A lease: `60`, `60s` or `5m`."""
    unit = 60 if text.endswith("m") else 1
    digits = text.removesuffix("m").removesuffix("s")
    number = int(digits) * unit if digits.isascii() and digits.isdecimal() else 0
    if number not in _LEASE:
        raise argparse.ArgumentTypeError(f"must be from {_LEASE.start}s to {_LEASE.stop - 1}s, not {text!r}")
    return number


def _streams(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number not in _STREAMS:
        raise argparse.ArgumentTypeError(f"must be a number from {_STREAMS.start} to {_STREAMS.stop - 1}, not {text!r}")
    return number
