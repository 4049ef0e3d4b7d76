"""The groups of the configuration and their choices, read off the folders: nothing is imported."""

import os
from collections.abc import Iterable

OWN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "conf")


def groups(folders: Iterable[str] = (OWN,)) -> dict[str, list[str]]:
    """Group -> the names that may be chosen from it, e.g. model -> <domain>/<name>."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for group in sorted(os.listdir(folder)):
            root = os.path.join(folder, group)
            if group == "hydra":  # settings of Hydra's own groups
                continue
            if os.path.isdir(root):
                found.setdefault(group, set())
            for path, _, files in os.walk(root, followlinks=True):
                inside = os.path.relpath(path, root)
                for file in files:
                    if file.endswith(".yaml"):
                        name = file if inside == "." else f"{inside}/{file}"
                        found[group].add(name.removesuffix(".yaml"))
    return {group: sorted(names) for group, names in sorted(found.items())}
