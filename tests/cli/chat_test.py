"""chat on a terminal: a pseudo-terminal in place of a person."""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest

import scripted_model
from program import HOME, PATIENCE, PROGRAM, environment


class Terminal:
    """A chat on a pseudo-terminal; what it showed so far is in `shown`, escape sequences taken out."""

    def __init__(self, *words, term="xterm", **more):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.shown = ""
        self.raw = b""
        self.process = subprocess.Popen([PROGRAM, "chat", *words], stdin=slave, stdout=slave, stderr=slave,
                                        env=environment(TERM=term, **more), start_new_session=True, close_fds=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)

    def read(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            got = os.read(self.master, 65536)
        except OSError:  # the other side is gone
            return False
        self.raw += got
        text = self.raw.decode("utf-8", "replace")
        self.shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r", "", text)
        return bool(got)

    def expect(self, pattern, after=0):
        """Waits until `pattern` shows behind position `after`; returns where it ends."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if found := re.compile(pattern).search(self.shown, after):
                return found.end()
            if time.monotonic() > deadline or (not self.read(1) and self.process.poll() is not None):
                raise AssertionError(f"no {pattern!r} in {self.shown[after:]!r}")

    def prompt(self, after=0):
        """Waits for an empty prompt, and that no more comes."""
        end = self.expect(r"> $", after)
        while self.read(0.05):
            end = self.expect(r"> $", after)
        return end

    def send(self, keys):
        os.write(self.master, keys.encode())

    def ask(self, line):
        at = len(self.shown)
        self.send(line + "\r")
        return self.expect(r"\[\d+ tokens?.*\]\n", at)

    def end(self):
        """Waits for the program's end; returns its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.05)
        if self.process.poll() is None:
            self.process.kill()
        os.close(self.master)
        return self.process.wait()


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="minimax_chat_test_")
        for name, words, endless in (("hello", ["<think>\n", "I wonder", "\n</think>\n\n", "Hello", ", 世界", "!"], False),
                                     ("endless", ["and ", "so ", "on "], True)):
            os.mkdir(cls.path(name))
            scripted_model.write(cls.path(name), words, endless)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        shutil.rmtree(os.path.join(HOME.name, ".local"), ignore_errors=True)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    def messages(self, terminal):
        """What the chat took the questions for."""
        file = self.path("talk.json")
        at = len(terminal.shown)
        terminal.send(f"/save {file}\r")
        terminal.prompt(terminal.expect(r"messages in", at))
        with open(file, encoding="utf-8") as saved:
            return [message["content"] for message in json.load(saved)["messages"] if message["role"] == "user"]

    def test_talks(self):
        terminal = Terminal(self.path("hello"))
        terminal.expect("with hello\n.*/help")
        terminal.prompt()
        end = terminal.ask("hi")
        self.assertRegex(terminal.shown, r"I wonder\n\[thought for [^]]+\]\n\nHello, 世界!\n\[7 tokens")
        self.assertIn(b"\x1b[2mI wonder", terminal.raw)  # dimmed
        terminal.prompt(end)
        terminal.send("/think off\r")
        terminal.prompt(terminal.expect("folded"))
        at = len(terminal.shown)
        terminal.ask("again")
        self.assertNotIn("I wonder", terminal.shown[at:])
        self.assertRegex(terminal.shown[at:], r"\[thought for [^]]+\]\n\nHello, 世界!\n")
        terminal.prompt(at)
        terminal.send("\x04")
        self.assertEqual(terminal.end(), 0)

    def test_edits_wide_characters_and_lines(self):
        terminal = Terminal(self.path("hello"))
        terminal.prompt()
        for keys in ("你好世界\x1b[D\x1b[D\x7f嗎\r",            # two left, delete one back, insert
                     "one\\\rtwo\r",                             # a backslash goes on
                     '"""\r a "b" \r\rc\r"""\r',                 # a fence
                     "x\x1b\ry\r",                               # Alt-Enter
                     "\x1b[200~p 👍\rq\tr\x1b[201~ end\r"):       # a paste of two lines
            at = len(terminal.shown)
            terminal.send(keys)
            terminal.prompt(terminal.expect(r"\[\d+ tokens?.*\]\n", at))
        self.assertEqual(self.messages(terminal), ["你嗎世界", "one\ntwo", ' a "b" \n\nc', "x\ny", "p 👍\nq\tr end"])
        terminal.send("/exit\r")
        self.assertEqual(terminal.end(), 0)

    def test_history_outlives_the_program(self):
        terminal = Terminal(self.path("hello"))
        terminal.prompt()
        terminal.prompt(terminal.ask("first\\\rsecond"))
        terminal.send("\x04")
        self.assertEqual(terminal.end(), 0)
        file = os.path.join(HOME.name, ".local/state/minimax/chat_history")
        self.assertEqual(os.stat(file).st_mode & 0o777, 0o600)
        with open(file, "a", encoding="utf-8") as history:
            history.write('"cut sho')  # a crash in mid-write harms nothing else
        terminal = Terminal(self.path("hello"))
        terminal.prompt()
        terminal.prompt(terminal.ask("\x1b[A"))
        self.assertEqual(self.messages(terminal), ["first\nsecond"])
        terminal.send("\x04")
        self.assertEqual(terminal.end(), 0)

    def test_ctrl_c_stops_the_answer_only(self):
        for term in ("xterm", "dumb"):
            with self.subTest(term=term):
                terminal = Terminal(self.path("endless"), term=term)
                terminal.prompt()
                terminal.send("go\r" if term == "xterm" else "go\n")
                terminal.expect("and so on and so on")
                terminal.send("\x03")
                end = terminal.expect(r"; stopped\]\n")
                self.assertNotIn("^C", terminal.shown)
                terminal.prompt(end)
                # Again, with the conversation going on.
                terminal.send("go\r" if term == "xterm" else "go\n")
                terminal.expect("and so on and so on", end)
                terminal.send("\x03")
                end = terminal.prompt(terminal.expect(r"; stopped\]\n", end))
                terminal.send("\x03")
                terminal.prompt(terminal.expect("Ctrl-C again", end))
                terminal.send("\x03")
                self.assertEqual(terminal.end(), 0)

    def test_ctrl_c_clears_a_line(self):
        terminal = Terminal(self.path("hello"))
        end = terminal.prompt()
        terminal.send("nonsense\x03")
        end = terminal.prompt(terminal.expect("nonsense\n", end))
        terminal.send("\x03")  # the first at an empty prompt only warns
        end = terminal.prompt(terminal.expect("Ctrl-C again", end))
        terminal.prompt(terminal.ask("hi"))
        self.assertEqual(self.messages(terminal), ["hi"])
        end = len(terminal.shown)
        terminal.send("\x03")
        terminal.prompt(terminal.expect("Ctrl-C again", end))
        terminal.send("\x04")
        self.assertEqual(terminal.end(), 0)

    def test_tab_completes_commands_and_retry_asks_again(self):
        terminal = Terminal(self.path("hello"))
        terminal.prompt()
        terminal.prompt(terminal.ask("one"))
        at = len(terminal.shown)
        terminal.send("/ret\t\r")
        terminal.prompt(terminal.expect(r"> one\n(.*\n)*\[\d+ tokens?.*\]\n", at))
        self.assertEqual(self.messages(terminal), ["one"])
        terminal.send("/nonsense\r")
        terminal.prompt(terminal.expect("error: .*unknown command /nonsense"))
        terminal.send("\x04")
        self.assertEqual(terminal.end(), 0)

    def test_no_colour(self):
        terminal = Terminal(self.path("hello"), NO_COLOR="1")
        terminal.prompt()
        terminal.prompt(terminal.ask("hi"))
        self.assertNotIn(b"\x1b[2m", terminal.raw)
        self.assertNotIn(b"\x1b[1;36m", terminal.raw)
        terminal.send("\x04")
        self.assertEqual(terminal.end(), 0)

    def test_a_hangup_ends_it(self):
        terminal = Terminal(self.path("hello"))
        terminal.prompt()
        terminal.process.send_signal(signal.SIGHUP)
        self.assertEqual(terminal.end(), -signal.SIGHUP)


if __name__ == "__main__":
    unittest.main()
