"""Wagtail: the project that its own command makes; its editor in a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ..scene import Scene, Visit, browsing


def prepare(folder: Path) -> None:
    """Starts a project with a user."""
    command = [sys.executable, "-c", "from wagtail.bin.wagtail import main; main()", "start", "site_of_ours", "."]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    user = {"DJANGO_SUPERUSER_PASSWORD": "lovelace"}
    for arguments in (["migrate"], ["createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.org"]):
        manage = [sys.executable, "manage.py", *arguments]
        subprocess.run(manage, cwd=folder, check=True, capture_output=True, env={**os.environ, **user})


def visit(visit: Visit) -> str:
    """Logs in, changes the title of the home page, publishes it, and looks at it as a stranger."""
    title = f"Title of visit {visit.number}"
    with browsing(f"{visit.url}/admin/login/") as page:
        page.fill("input[name=username]", "ada")
        page.fill("input[name=password]", "lovelace")
        page.click("button[type=submit]")
        page.wait_for_url("**/admin/")
        page.goto(f"{visit.url}/admin/pages/3/edit/")
        page.fill("[name=title]", title)
        # The menu beside the button that saves.
        page.click("footer [data-w-dropdown-target=toggle]")
        page.click("button[name=action-publish]")
        page.get_by_text("published").first.wait_for()
    with browsing(visit.url) as page:
        assert title in page.title(), page.title()
    return "logged in, a page edited and published, seen by a stranger"


SCENE = Scene(
    name="Wagtail",
    package="wagtail",
    target="site_of_ours.wsgi:application",
    done="browser: the editor (cookies, CSRF, forms, static files)",
    visit=visit,
    interface="WSGI",
    prepare=prepare,
)
