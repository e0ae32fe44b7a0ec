"""`make site`: the documents as a site in `.build/site`, one page for each Markdown file that the README leads to.

The files are copied with their places among each other, so that their links hold; a link that leads nowhere, or to a
heading that there is not, ends the build. The menu is the list in docs/README.md.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / ".build" / "site-source"
SITE = ROOT / ".build" / "site"
INDEX = Path("docs/README.md")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
CONFIG = """\
site_name: granian
docs_dir: {source}
site_dir: {site}
use_directory_urls: false
strict: true
validation:
  nav: {{ omitted_files: ignore }}
  links: {{ not_found: warn, anchors: warn, unrecognized_links: warn }}
theme:
  name: material
  # No page asks another host for anything.
  font: false
  features: [navigation.sections, navigation.top, content.code.copy]
  palette:
    - {{ media: "(prefers-color-scheme: light)", scheme: default, primary: black }}
    - {{ media: "(prefers-color-scheme: dark)", scheme: slate, primary: black }}
plugins: [search]
markdown_extensions:
  - tables
  - sane_lists
  - toc: {{ permalink: true, slugify: !!python/object/apply:pymdownx.slugs.slugify {{ kwds: {{ case: lower }} }} }}
  - pymdownx.highlight
  - pymdownx.superfences
nav:
{nav}
"""


def files() -> set[Path]:
    """The README, and every file of the project that it leads to, over any number of Markdown files."""
    found: set[Path] = set()
    left = [Path("README.md"), INDEX]
    while left:
        path = left.pop()
        if path in found or not (ROOT / path).is_file():
            continue
        found.add(path)
        if path.suffix == ".md":
            left += [_beside(path, target) for target in LINK.findall((ROOT / path).read_text())]
    return found


def nav(index: str) -> Iterator[str]:
    """The menu: the sections and links of docs/README.md, in their order."""
    yield "  - README.md"
    for line in index.splitlines():
        if line.endswith(":") and not line.startswith(("-", " ")):
            yield f'  - "{line.rstrip(":").split(",")[0]}":'
        elif line.startswith(("- ", "1. ", "2. ", "3. ", "4. ")):
            pages = (_beside(INDEX, target) for target in LINK.findall(line))
            yield from (f"      - {page}" for page in pages if page.suffix == ".md")


def _beside(page: Path, target: str) -> Path:
    path = (ROOT / page).parent / target
    return path.resolve().relative_to(ROOT.resolve())


def main() -> int:
    """Builds the site; the exit code of mkdocs."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for path in files():
        copy = SOURCE / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, copy)
    config = SOURCE.with_suffix(".yml")
    menu = "\n".join(nav((ROOT / INDEX).read_text()))
    config.write_text(CONFIG.format(source=SOURCE, site=SITE, nav=menu))
    # The theme's words on the next version of mkdocs, which the group `docs` does not take.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--clean", "-f", str(config)]
    result = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
    if result.returncode:
        print(result.stderr, file=sys.stderr, end="")
    else:
        print(f"Open {SITE.relative_to(ROOT) / 'index.html'}")
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
