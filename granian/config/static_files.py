"""`StaticFilesOptions`: the `static_path_*` options in the form that the core reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import Config

DEFAULT_ROUTES = ("/static",)


@dataclass(frozen=True)
class StaticFilesOptions:
    """Folders that are served beside the application."""

    # Routes and folders; the first route that a path is on counts.
    mounts: list[tuple[str, Path]]
    # The file that answers for a folder.
    directory_file: str | None
    # Seconds that clients may keep an answer; 0: they are not told.
    expires: int
    # Neighbours such as `app.js.br` are served to clients that take them.
    precompressed: bool
    # The file that answers where a page is asked for and there is no file.
    fallback: str | None
    # Symbolic links may lead out of the folder.
    follow_links: bool

    @classmethod
    def from_config(cls, config: Config) -> StaticFilesOptions | None:
        """The group, or `None` if there is no folder to serve."""
        if not config.static_path_mount:
            return None
        routes = config.static_path_route or DEFAULT_ROUTES
        return cls(
            mounts=[(route, path.absolute()) for route, path in zip(routes, config.static_path_mount, strict=True)],
            directory_file=config.static_path_dir_to_file,
            expires=int(config.static_path_expires),
            precompressed=config.static_path_precompressed,
            fallback=config.static_path_fallback,
            follow_links=config.static_path_follow_links,
        )
