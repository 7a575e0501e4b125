"""The real Claude Code, from the package `claude-agent-sdk`, with nothing of this machine: one prompt, one result."""

import asyncio
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

#: Longer than any conversation here takes on a busy machine.
TIMEOUT_SECONDS = 180.0


def program() -> Path:
    """Where the package has it."""
    found = importlib.util.find_spec("claude_agent_sdk")
    assert found is not None, "the package claude-agent-sdk is missing: run with --group claude-code"
    assert found.origin is not None
    return Path(found.origin).parent / "_bundled" / "claude"


async def ask(url: str, prompt: str, home: Path, *, exit_code: int = 0) -> list[dict[str, Any]]:
    """What Claude Code tells, line by line, of a prompt that it serves with the API at `url`.

    `home` is an empty folder for its own files.
    """
    child = await asyncio.create_subprocess_exec(
        program(),
        "-p",
        prompt,
        "--output-format",
        "stream-json",
        "--verbose",
        "--allowedTools",
        "Bash(echo:*)",
        cwd=home,
        env={
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "sk-test",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "0",
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "8192",
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            said, complained = await child.communicate()
    except BaseException:
        child.kill()
        await child.wait()
        raise
    assert child.returncode == exit_code, (said[-3000:], complained)
    return [json.loads(line) for line in said.splitlines()]
