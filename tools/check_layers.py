#!/usr/bin/env python3
"""Fails on an include that points back: a folder of src/ may include only itself and the folders above it in the list
of add_subdirectory(src/...) in the top CMakeLists.txt. Argument: the repository (default: the one this file is in)."""

import pathlib
import re
import sys

SOURCES = {".h", ".cpp", ".inc", ".cu", ".cuh"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)
FOLDER = re.compile(r"^[ \t]*add_subdirectory\(src/([a-z_]+)\)", re.MULTILINE)


def violations(root):
    """Lines "file:line: what is wrong", and how many files were read."""
    order = FOLDER.findall((root / "CMakeLists.txt").read_text())
    rank = {folder: place for place, folder in enumerate(order)}
    found, files = [], 0
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in SOURCES:
            continue
        files += 1
        name = path.relative_to(root)
        folder = name.parts[1]
        if folder not in rank:
            found.append(f"{name}:1: folder {folder} is not in the list of the top CMakeLists.txt")
            continue
        text = path.read_text()
        for match in INCLUDE.finditer(text):
            place = f"{name}:{text.count(chr(10), 0, match.start()) + 1}"
            included = match.group(1)
            target = included.split("/")[0]
            if target not in rank or "/" not in included:
                found.append(f'{place}: "{included}" is not written from src/, as in "core/error.h"')
            elif not (root / "src" / included).exists():
                found.append(f'{place}: "{included}" does not exist')
            elif rank[target] > rank[folder]:
                found.append(f'{place}: {folder} may not include "{included}": {target} comes after it')
    return found, files


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    if root.is_file():
        root = root.parent.parent
    found, files = violations(root)
    for line in found:
        print(line)
    print(f"{files} files, {len(found)} violations")
    # No file at all is a wrong path, not a pass.
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
