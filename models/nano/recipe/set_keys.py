#!/usr/bin/env python3
"""A recipe with other values: set_keys.py RECIPE OUT [TABLE.KEY=VALUE...], as batch.tokens=1024, steps=10 or loss.preset='"dapo"'.

A value is written as given; none (model.ffn=) takes the key out. A key of a [[table]] changes in all of them. A key that the recipe
does not have is an error, so that a changed recipe cannot be missed in silence."""
import re
import sys


def changed(text, values):
    out, table, found = [], "", set()
    for line in text.splitlines():
        if header := re.match(r"\[+([\w.]+)\]+", line):
            table = header[1] + "."
        key = (entry := re.match(r"(\w+) *= *", line)) and table + entry[1]
        if key in values:
            found.add(key)
            if not values[key]:
                continue
            line = entry[0] + values[key]
        out.append(line)
    if missing := set(values) - found:
        sys.exit(f"set_keys.py: no key {', '.join(sorted(missing))} in the recipe")
    return "\n".join(out) + "\n"


def main(source, out, *pairs):
    with open(source, encoding="utf-8") as file:
        text = changed(file.read(), dict(pair.split("=", 1) for pair in pairs))
    with open(out, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) > 2 else sys.exit(__doc__)
