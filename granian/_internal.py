"""The helpers of `granian.importer` under the name that other projects know them by."""

from .importer import (
    build_env_loader,
    get_import_components,
    load_env,
    load_module,
    load_target,
    patch_pypath,
    prepare_import,
)

__all__ = [
    "build_env_loader",
    "get_import_components",
    "load_env",
    "load_module",
    "load_target",
    "patch_pypath",
    "prepare_import",
]
