"""The command line. What a command needs is imported when it runs: preStop waits for `drain` to start."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import __version__
from .printable import printable

#: Exit codes: fine; what was asked for did not happen; it could not be asked for.
OK, FAILED, UNUSABLE = 0, 1, 2


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lastcall-sidecar", description=__doc__ and "Lastcall's LLM proxy.")
    parser.add_argument("--version", action="version", version=f"lastcall-sidecar {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve until SIGTERM, then drain and leave")
    serve.add_argument("--config", type=Path, metavar="FILE", help="YAML; without it, a laptop's defaults")
    serve.add_argument("--loop", choices=["auto", "uvloop", "asyncio"], default="auto", help="the event loop")
    serve.set_defaults(command=_serve)

    check = commands.add_parser("check", help="say what is wrong with a configuration file, and where")
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(command=_check)

    commands.add_parser("schema", help="print the configuration's JSON schema").set_defaults(command=_schema)

    drain = commands.add_parser("drain", help="drain the sidecar of this pod (what preStop calls)")
    drain.add_argument("--wait", action="store_true", help="wait until it is drained; exit code 1 if it expired")
    drain.add_argument("--lease", type=float, metavar="SECONDS", help="ends by itself; without, it is final")
    drain.add_argument("--reason", default="lastcall-sidecar drain", help="shown in /livez and the log")
    drain.set_defaults(command=_drain)
    undrain = commands.add_parser("undrain", help="end a leased drain")
    undrain.set_defaults(command=_undrain)
    status = commands.add_parser("status", help="print what /livez says")
    status.set_defaults(command=_status)
    for asking in (drain, undrain, status):
        asking.add_argument("--socket", type=Path, metavar="PATH", help="the control socket")
        asking.add_argument("--config", type=Path, metavar="FILE", help="the configuration that names the socket")

    fake = commands.add_parser("fake-llm", help="serve a fake LLM API, for demos and tests")
    fake.add_argument("--listen", default="127.0.0.1:9000", metavar="HOST:PORT")
    apis = ["anthropic", "openai", "vllm", "deepseek", "kimi", "gemini", "openrouter"]
    fake.add_argument("--api", choices=apis, default="anthropic", help="whose API it plays")
    fake.set_defaults(command=_fake_llm)
    return parser


def _serve(options: argparse.Namespace) -> int:
    _hurry()
    from . import logs
    from .config_watch import ConfigWatch
    from .live import Live
    from .process import Identity, serve
    from .settings import ConfigError, load
    from .settings.report import asked_urls, format_problems, masked

    try:
        loaded = load(options.config, os.environ)
    except ConfigError as error:
        print(format_problems(str(options.config or "environment"), error.problems), file=sys.stderr)
        return FAILED
    logs.set_up(loaded.settings.logs.level, loaded.settings.logs.format)
    logs.starting(masked(loaded.settings, loaded.secrets), asked_urls(loaded.settings), loaded.warnings)
    identity = Identity(os.environ.get("LASTCALL_POD__NAME", ""), os.environ.get("LASTCALL_POD__UID", ""))

    def watch(live: Live) -> ConfigWatch:
        def rejected(error: ConfigError) -> None:
            live.reject(str(error))

        return ConfigWatch(options.config, os.environ, loaded, on_change=live.apply, on_error=rejected)

    try:
        return _run_loop(options.loop, lambda: serve(loaded, identity, watch))
    except OSError as error:
        print(f"lastcall-sidecar: cannot listen: {error}", file=sys.stderr)
        return FAILED


def _hurry() -> None:
    """Come up sooner: a tenth of the time goes to what nobody here needs.

    Libraries import these wherever they are installed: rich for tracebacks on a terminal, psutil to describe a host.
    And all that is imported stays, so that the collector's looking at it is in vain; `process.py` turns it on again.
    """
    import gc

    gc.disable()
    for name in ("psutil",) if sys.stdout.isatty() else ("psutil", "rich"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # what `import` takes for "there is none"


def _run_loop(choice: str, main: Callable[[], Any]) -> int:
    import asyncio

    factory = None
    if choice != "asyncio":
        try:
            import uvloop
        except ImportError:
            if choice == "uvloop":
                print("lastcall-sidecar: uvloop is not installed", file=sys.stderr)
                return UNUSABLE
        else:
            factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        code: int = runner.run(main())
    return code


def _check(options: argparse.Namespace) -> int:
    from .settings.report import check

    report = check(options.file, os.environ)
    print("\n".join(map(printable, report.text.split("\n"))), file=sys.stderr if report.exit_code else sys.stdout)
    return report.exit_code


def _schema(_: argparse.Namespace) -> int:
    from .settings.report import schema_text

    print(schema_text())
    return OK


def _drain(options: argparse.Namespace) -> int:
    command = {"command": "drain", "wait": options.wait, "leaseSeconds": options.lease, "reason": options.reason}
    return _ask(options, command)


def _undrain(options: argparse.Namespace) -> int:
    return _ask(options, {"command": "undrain"})


def _status(options: argparse.Namespace) -> int:
    return _ask(options, {"command": "status"})


def _ask(options: argparse.Namespace, command: dict[str, Any]) -> int:
    import json

    from .control_client import ask

    path = options.socket or _control_socket(options)
    try:
        for report in ask(path, command):
            if not report.pop("done"):
                print(f"{report['state']}: {report['in_flight']} in flight", file=sys.stderr)
                continue
            ok, error = report.pop("ok"), report.pop("error", None)
            print(json.dumps(report) if error is None else f"lastcall-sidecar: {error}")
            return OK if ok else FAILED
    except (OSError, EOFError) as error:
        print(f"lastcall-sidecar: no sidecar answers on {path}: {error}", file=sys.stderr)
    return UNUSABLE


def _control_socket(options: argparse.Namespace) -> Path:
    """The socket that `serve` uses here; found whatever else is wrong with the configuration by now."""
    from .settings import control_socket_candidates

    candidates = [Path(candidate) for candidate in control_socket_candidates(os.environ, options.config)]
    return next((path for path in candidates if path.exists()), candidates[-1])


def _fake_llm(options: argparse.Namespace) -> int:
    from .testing.fake_llm import APIS, Options
    from .testing.fake_llm import run as run_fake

    run_fake(options.listen, options=Options(api=APIS[options.api]))
    return OK
