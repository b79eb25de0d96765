#!/usr/bin/env python3
"""Prints minimax(1) as troff, made of the program's own help texts. Arguments: the program, its version."""

import re
import subprocess
import sys


def help_of(program, *words):
    """The help text without the settings of whoever builds: fixed width, no colours."""
    environment = {"COLUMNS": "72", "NO_COLOR": "1", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
    return subprocess.run([program, *words, "--help"], env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def verbs_of(text):
    """(verb, summary) of each line "  verb  summary" under the heading Verbs; a summary may go on below."""
    block = re.search(r"^Verbs\n((?: .*\n)+)", text, re.MULTILINE)
    if not block:
        raise SystemExit("man_page.py: the help text has no heading Verbs")
    verbs = []
    for line in block.group(1).splitlines():
        if match := re.match(r"  (\S+(?: \S+)?)  +(\S.*)", line):
            verbs.append(match.groups())
        else:
            verbs[-1] = (verbs[-1][0], f"{verbs[-1][1]} {line.strip()}")
    return verbs


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq").replace("^", "\\(ha")
    return re.sub(r"^\.", r"\\&.", text.replace("~", "\\(ti"), flags=re.MULTILINE)


def main():
    program, version = sys.argv[1:]
    top = help_of(program)
    verbs = verbs_of(top)
    out = [
        f'.TH MINIMAX 1 "" "minimax {version}" "User Commands"',
        ".SH NAME",
        "minimax \\- run MiniMax\\-M1 language models on this machine",
        ".SH SYNOPSIS",
        ".B minimax",
        ".I verb",
        ".RI [ flags ]",
        ".SH DESCRIPTION",
        "Loads checkpoints of MiniMax\\-M1 and MiniMax\\-Text\\-01 in their published layout (config.json, safetensors,",
        "tokenizer files) and runs them. A verb says what to do:",
    ]
    for verb, summary in verbs:
        out += [".TP", f".B {escape(verb)}", escape(summary)]
    rest = top[top.index("\nGeneral\n") + 1 :] if "\nGeneral\n" in top else ""
    if rest:
        out += [".SH OPTIONS", ".nf", escape(rest.partition("\n")[2].rstrip()), ".fi"]
    for verb, _ in verbs:
        if verb == "help":
            continue
        out += [f".SH MINIMAX {escape(verb.upper())}", ".nf", escape(help_of(program, *verb.split()).rstrip()), ".fi"]
    out += [
        ".SH EXIT STATUS",
        ".TP", "0", "done",
        ".TP", "1", "failed while running; the reason is on standard error",
        ".TP", "2", "the command line or a setting was wrong",
        ".SH ENVIRONMENT",
        ".TP", ".B MINIMAX_ISA", "forces a set of CPU kernels, for example \\(lqgeneric\\(rq",
        ".TP", ".BI MINIMAX_ FLAG", "a value for any flag, as told under OPTIONS",
    ]
    # Inside .nf every line is kept; elsewhere too, none is empty.
    print("\n".join(out))


if __name__ == "__main__":
    main()
