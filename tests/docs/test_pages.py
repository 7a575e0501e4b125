"""The page about translations is what the code says, and no page points at something that is not there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lastcall_sidecar.wire import routes

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
#: Not to somewhere else, and not within the page.
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#([^)]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page):
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in HEADING.findall(page)}


def test_the_page_about_translations_is_current():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/generate_translation.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_names_every_route_that_only_openai_has():
    page = (ROOT / "docs/translation.md").read_text()
    names = routes.OPENAI_ONLY
    assert [name for name in names if f"`{name}`" not in page and f"`/v1/{name}`" not in page] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target, anchor in LINK.findall(path.read_text()):
        found = path.parent / target
        assert found.exists(), target
        assert not anchor or anchor in anchors(found.read_text()), f"{target}#{anchor}"
