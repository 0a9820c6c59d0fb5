"""Writes what comes from the code: pages of docs/, settings of plain `docker compose` and kustomize. `python -m hftctl.cli.reference`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from hftctl import errors
from hftctl.paths import package_folder

HEAD = "<!-- Written by `python -m hftctl.cli.reference`; a test fails when it is stale. -->\n"
WITHOUT_CLASS = {0: "done, nothing to do, healthy"}


def pages() -> dict[str, str]:
    """File name in docs/ -> content."""
    return {"exit-codes.md": exit_codes(), "commands.md": commands(), "profiles.md": profiles()}


def exit_codes() -> str:
    """One row per code; a class that only refines another one's code stands with it."""
    found: dict[int, list[type[errors.HftctlError]]] = {}
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.HftctlError):
            found.setdefault(kind.exit_code, []).append(kind)
    rows = [f"| {code} | | {meaning} |" for code, meaning in WITHOUT_CLASS.items()]
    for code, kinds in sorted(found.items()):
        kinds.sort(key=lambda kind: len(kind.__mro__))
        names = ", ".join(f"`{name}`" for name in dict.fromkeys(kind.code for kind in kinds))
        rows.append(f"| {code} | {names} | {kinds[0].meaning} |")
    return (
        f"{HEAD}# Exit codes\n\n"
        "Every command ends with one of these. With `-o json` an error is a document of kind `Error` whose `code` is the "
        "word in the second column.\n\n| exit | code | means |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def commands() -> str:
    from hftctl.cli.main import app

    parts = [
        f"{HEAD}# Commands\n\nAs `hftctl COMMAND --help` tells them. The rules they share stand in [cli.md](cli.md)."
    ]
    parts += [f"## {path}\n\n```text\n{text}\n```" for path, text in _helps(get_command(app), "hftctl")]
    return "\n\n".join(parts) + "\n"


def _helps(command: Any, path: str, parent: Any = None) -> Iterator[tuple[str, str]]:
    context = command.context_class(
        command, info_name=path.rpartition(" ")[2], parent=parent, **command.context_settings
    )
    text = command.get_help(context)
    yield path, "\n".join(line.rstrip() for line in text.splitlines()).strip()
    for name, inner in getattr(command, "commands", {}).items():
        yield from _helps(inner, f"{path} {name}", context)


def profiles() -> str:
    from hftctl.profile.describe import rows

    table = [
        f"| `{row.key}` | {_cell(row.type)}{f', {row.range}' if row.range else ''} | {_cell(row.default) or '**required**'} "
        f"| {_cell(row.description)} |"
        for row in rows()
    ]
    return (
        f"{HEAD}# Profiles\n\n"
        "A profile is a YAML file that says what shall stand. `hftctl profile show NAME` tells every value with the file and "
        "line it comes from.\n\n"
        "- **Found** by path, or by name in `./profiles`, then the user's folder (`~/.config/hftctl/profiles`, as root "
        "`/etc/hftctl/profiles`), then those that ship.\n"
        "- **Layers**, the strongest first: the profile, what it `extends` (and what that extends), "
        "`environments/ENVIRONMENT.yaml`, the defaults below. Mappings merge key by key; lists and values replace.\n"
        "- **YAML** of the kind that everybody reads the same: no anchors, aliases, tags, merge keys or tabs; `yes`, `017`, "
        "`1:30` and `1e3` are refused with what to write instead. Decimals stand in quotes.\n"
        "- **Wrong** is exit code 2 and one line each: file, line, key, what is wrong; nothing is changed.\n"
        "- Editors take the schema of `hftctl profile schema`.\n\n"
        "| key | type and range | default | meaning |\n|---|---|---|---|\n" + "\n".join(table) + "\n"
    )


def settings() -> str:
    """Of plain `docker compose`."""
    from hftctl.profile.load import load
    from hftctl.targets.compose.plain import configs

    return configs(load("compose").values)


def overlays() -> dict[str, str]:
    """Settings of plain `kubectl apply -k`, by their place below the overlays."""
    from hftctl.profile.load import load
    from hftctl.targets.kubernetes.plain import OVERLAYS, files

    return {
        f"{overlay}/config/{name}": content
        for overlay in OVERLAYS
        for name, content in files(load(overlay).values).items()
    }


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    for name, content in pages().items():
        (folder / name).write_text(content, encoding="utf-8")
    (package_folder("stack") / "compose" / "configs.yaml").write_text(settings(), encoding="utf-8")
    for name, content in overlays().items():
        place = package_folder("stack") / "manifests" / "overlays" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
