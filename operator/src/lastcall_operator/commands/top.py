"""`lastcall top`: what every pod carries, now and live."""

import argparse
import asyncio
import sys

from rich.console import Console
from rich.live import Live

from .rows import busiest_first
from .session import Exit, as_json, connect, look, where
from .tables import plain, table


async def top(arguments: argparse.Namespace) -> int:
    """Show the table: once for pipes and scripts, live in a terminal until Ctrl-C."""
    place = await where(arguments)
    async with await connect(place) as api:
        rows = busiest_first(await look(api, place.namespace))
        if arguments.output == "json":
            print(as_json([row.to_json() for row in rows]))
            return Exit.DONE
        if arguments.once or not sys.stdout.isatty():
            print(plain(rows) if rows else "No pods with a sidecar here. (All namespaces: -A)")
            return Exit.DONE
        with Live(table(rows), console=Console(), auto_refresh=False, screen=True) as live:
            while True:
                await asyncio.sleep(arguments.interval)
                live.update(table(busiest_first(await look(api, place.namespace))), refresh=True)
