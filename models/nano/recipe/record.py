#!/usr/bin/env python3
"""Records a chat with nano in a terminal as an SVG that plays at the speed of the recording: record.py OUT.svg [PROGRAM [FLAG...]].

Questions are typed at a person's pace; everything else is what the program wrote, when it wrote it."""
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

COLUMNS, ROWS = 84, 40
QUESTIONS = ["who are you?", "Tom has 5 apples and gets 7 more. How many apples does Tom have now?", "What is 4827 + 396?", "sort: 36 14 99 43 7",
             "What is the capital of Peru?", "Who won the game yesterday?"]
CHARACTER, LINE, PAD = 7.83, 18, 14  # pixels
STYLES = {"plain": 'fill="#e6edf3"', "dim": 'fill="#8b949e"', "prompt": 'fill="#56d4dd" font-weight="bold"'}


def record(program, flags, questions):
    """[(seconds, text)] of a real chat."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color")
        os.execv(program, [program, "chat", "--temperature", "0", "--device", "cpu", *flags])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    events, begin = [], time.monotonic()

    def read(seconds, until=None):
        end, seen = time.monotonic() + seconds, ""
        while time.monotonic() < end and not (until and until in seen):
            if select.select([terminal], [], [], 0.02)[0]:
                try:
                    text = os.read(terminal, 65536).decode(errors="replace")
                except OSError:
                    return
                seen += text
                events.append((time.monotonic() - begin, text))

    read(20, "\x1b[1;36m> ")
    for question in questions:
        read(0.7)
        for key in question:
            os.write(terminal, key.encode())
            read(0.035)
        os.write(terminal, b"\n")
        read(120, "\x1b[1;36m> ")
    read(0.5)
    os.write(terminal, b"\x04")
    read(1)
    os.close(terminal)
    os.waitpid(child, 0)
    return events


def screen(events):
    """Rows of (character, style, seconds)."""
    rows, column, style = [[]], 0, "plain"
    for seconds, text in events:
        for escape, character in re.findall(r"\x1b\[([?0-9;]*[A-Za-z])|([^\x1b])", text):
            if escape == "K":
                del rows[-1][column:]
            elif escape in ("0m", "m"):
                style = "plain"
            elif escape == "2m":
                style = "dim"
            elif escape.endswith("36m"):
                style = "prompt"
            elif character == "\r":
                column = 0
            elif character == "\n":
                rows.append([])
                column = 0
            elif character and character >= " ":
                if column >= COLUMNS:
                    rows.append([])
                    column = 0
                rows[-1][column:column + 1] = [(character, style, seconds)]
                column += 1
    while rows and not "".join(cell[0] for cell in rows[-1]).replace(">", "").replace("^D", "").strip():
        rows.pop()
    return rows


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def svg(rows):
    begin = next(seconds for row in rows for _, _, seconds in row) - 0.2
    width, height = COLUMNS * CHARACTER + 2 * PAD, len(rows) * LINE + 2 * PAD
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" '
           'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="13">',
           "<style>text{white-space:pre}@media (prefers-reduced-motion:no-preference){"
           ".a{opacity:0;animation:a .01s forwards}@keyframes a{to{opacity:1}}}</style>",
           f'<rect width="{width:.0f}" height="{height}" rx="8" fill="#0d1117"/>']
    for at, row in enumerate(rows):
        pieces = []  # [column, text, style, seconds]
        for column, (character, style, seconds) in enumerate(row):
            if pieces and pieces[-1][2] == style and seconds - pieces[-1][3] < 0.03:
                pieces[-1][1] += character
            else:
                pieces.append([column, character, style, seconds])
        for column, text, style, seconds in pieces:
            if text.strip():
                out.append(f'<text class="a" style="animation-delay:{seconds - begin:.2f}s" x="{PAD + column * CHARACTER:.1f}" '
                           f'y="{PAD + LINE * at + 13}" textLength="{len(text) * CHARACTER:.1f}" {STYLES[style]}>{escaped(text)}</text>')
    return "\n".join(out) + "\n</svg>\n"


def main():
    program = sys.argv[2] if len(sys.argv) > 2 else "./minimax"
    events = record(os.path.abspath(program), sys.argv[3:], QUESTIONS)
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(svg(screen(events)))


if __name__ == "__main__":
    main() if len(sys.argv) > 1 else sys.exit(__doc__)
