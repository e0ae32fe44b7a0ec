"""`StaticFilesOptions`: the `static_path_*` options in the form that the core reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .._granian import check_pattern

if TYPE_CHECKING:
    from .config import Config

DEFAULT_ROUTES = ("/static",)
# The server's own: they describe the bytes that are sent.
OWN_HEADERS = {
    *("accept-ranges", "connection", "content-encoding", "content-length", "content-range", "content-type", "date"),
    *("etag", "keep-alive", "last-modified", "trailer", "transfer-encoding", "upgrade"),
}


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
    # Paths without a file are the application's.
    fallthrough: bool
    # Regular expressions of the files that never change.
    immutable: list[str]
    # For each mount the names and values of further headers.
    headers: list[list[tuple[str, str]]]
    # Endings of names and their content types.
    types: list[tuple[str, str]]
    # Files are compressed for clients that take it.
    compress: bool

    @classmethod
    def from_config(cls, config: Config) -> StaticFilesOptions | None:
        """The group, or `None` if there is no folder to serve."""
        if not config.static_path_mount:
            return None
        routes = routes_of(config)
        headers = [parse_header(text) for text in config.static_path_header]
        return cls(
            mounts=[(route, path.absolute()) for route, path in zip(routes, config.static_path_mount, strict=True)],
            directory_file=config.static_path_dir_to_file,
            expires=int(config.static_path_expires),
            precompressed=config.static_path_precompressed,
            fallback=config.static_path_fallback,
            follow_links=config.static_path_follow_links,
            fallthrough=config.static_path_fallthrough,
            immutable=list(config.static_path_immutable),
            headers=[
                [(name, value) for only, name, value in headers if only is None or only == route] for route in routes
            ],
            types=[parse_type(text) for text in config.static_path_type],
            compress=config.compress,
        )


def routes_of(config: Config) -> tuple[str, ...]:
    """The routes of the folders."""
    return config.static_path_route or DEFAULT_ROUTES


def parse_header(text: str) -> tuple[str | None, str, str]:
    """Route, name and value of `[ROUTE] NAME: VALUE`; raises `ValueError`."""
    match = _HEADER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no header such as 'X-Name: value', nor one with a route in front")
    route, name, value = match.groups()
    if name.lower() in OWN_HEADERS:
        raise ValueError(f"{name} is the server's own to send")
    return route, name.lower(), value.strip()


def parse_type(text: str) -> tuple[str, str]:
    """Ending, without its dot, and type of `ENDING=TYPE`; raises `ValueError`."""
    match = _TYPE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no ending and type such as .gltf=model/gltf+json")
    return match[1].lower(), match[2]


def parse_sendfile(text: str) -> tuple[str, Path]:
    """Prefix and folder of `PREFIX=FOLDER`; raises `ValueError`."""
    prefix, _, folder = text.partition("=")
    if not prefix.startswith("/") or {".", ".."} & set(prefix.split("/")) or not folder:
        raise ValueError(f"{text!r} is no prefix and folder such as /protected=/srv/files")
    return prefix, Path(folder).absolute()


def _check_sendfile(text: str, _: Config) -> None:
    folder = parse_sendfile(text)[1]
    if not folder.is_dir():
        raise ValueError(f"{text!r}: there is no folder {folder}")


def _check_header(text: str, config: Config) -> None:
    route, _, _ = parse_header(text)
    if route is not None and route not in routes_of(config):
        raise ValueError(f"{text!r}: there is no route {route}")


STATIC_FILE_CHECKS: Mapping[str, Callable[[str, Config], object]] = {
    "static_path_immutable": lambda text, _: check_pattern(text),
    "static_path_header": _check_header,
    "static_path_type": lambda text, _: parse_type(text),
    "sendfile_map": _check_sendfile,
}

_HEADER = re.compile(r"(?:(/\S*)\s+)?([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e]*)")
_TYPE = re.compile(r"\.?([^./=\s]+)=([!-~]+/[ -~]+)")
