"""Exit codes, help, errors and settings of the program."""
import json
import os
import re
import subprocess
import tempfile
import unittest

from program import PROGRAM, environment, run


def text(process):
    return process.stdout.decode(), process.stderr.decode()


class Program(unittest.TestCase):
    def expect(self, process, code, out=None, err=None):
        stdout, stderr = text(process)
        self.assertEqual(process.returncode, code, stderr)
        if out is not None:
            self.assertRegex(stdout, out)
        if err is not None:
            self.assertRegex(stderr, err)
        return stdout, stderr

    def test_version(self):
        self.expect(run("--version"), 0, r"^minimax \d+\.\d+\.\d+ \(\w+\)\n$")
        self.expect(run("-V"), 0, "^minimax ")
        self.assertIn("commit", json.loads(run("version", "--json").stdout))

    def test_no_verb_shows_help(self):
        stdout, _ = self.expect(run(), 0, "Usage\n  minimax VERB")
        self.assertEqual(stdout, text(run("--help"))[0])
        self.assertEqual(stdout, text(run("help"))[0])

    def test_every_verb_has_help_with_examples(self):
        verbs = re.findall(r"^  (\w+(?: \w+)?)  +\S", text(run())[0].split("Verbs\n")[1].split("\n\n")[0], re.M)
        self.assertGreater(len(verbs), 3)
        for verb in verbs:
            with self.subTest(verb=verb):
                stdout, stderr = self.expect(run(*verb.split(), "--help"), 0,
                                             "(?s)Usage.*Examples\n(  # .*\n)?  .*minimax " + verb)
                self.assertEqual(stderr, "")
                self.assertEqual(stdout, text(run("help", *verb.split()))[0])
                self.assertLessEqual(max(map(len, re.split("\n", stdout.split("Examples")[0]))), 100)

    def test_usage_errors_exit_2(self):
        self.expect(run("tokenise"), 2, "^$", 'unknown verb "tokenise"; did you mean tokenize\\?\nsee: minimax --help')
        self.expect(run("version", "--jsn"), 2, "^$", 'unknown flag "--jsn"; did you mean --json\\?')
        self.expect(run("version", "word"), 2, "^$", "one word too many")
        self.expect(run("version", "--threads", "x"), 2, "^$", '--threads: "x" is not a whole number')
        self.expect(run("help", "banana"), 2, "^$", 'unknown verb "banana"\n')
        self.expect(run("--quiet"), 2, "^$", "no verb given")

    def test_quiet_leaves_the_error_alone(self):
        self.assertEqual(text(run("version", "word", "--quiet"))[1].count("\n"), 2)  # not parsed yet: hint stays

    def test_environment_and_file(self):
        self.expect(run("version", env={"MINIMAX_JSON": "1"}), 0, '^{"version"')
        self.expect(run("version", env={"MINIMAX_JSON": "maybe"}), 2, "^$", "MINIMAX_JSON: .*true or false")
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "c.toml")
            with open(file, "w", encoding="utf-8") as out:
                out.write("[version]\njson = true\n")
            self.expect(run("version", "--config", file), 0, '^{"version"')
            self.expect(run("--config", file, "version"), 0, '^{"version"')
            self.expect(run("version", env={"MINIMAX_CONFIG": file}), 0, '^{"version"')
            self.expect(run("version", "--config", file, env={"MINIMAX_JSON": "no"}), 0, "^minimax ")
            os.makedirs(os.path.join(folder, "minimax"))
            os.rename(file, os.path.join(folder, "minimax", "config.toml"))
            self.expect(run("version", env={"XDG_CONFIG_HOME": folder}), 0, '^{"version"')
        self.expect(run("version", "--config", "/nowhere.toml"), 1, "^$", "^error: configuration file /nowhere.toml: no such")

    def test_colour_only_when_asked(self):
        self.assertNotIn("\x1b", text(run("--help"))[0])
        self.assertIn("\x1b[1m", text(run("--color", "always", "help"))[0])
        self.assertNotIn("\x1b", text(run("--color", "always", "help", "--color", "never"))[0])

    def test_completions_are_scripts(self):
        for shell in ("bash", "zsh", "fish"):
            script, _ = self.expect(run("completion", shell), 0, "minimax")
            try:
                check = subprocess.run([shell, "-n"], input=script.encode(), capture_output=True, check=False)
            except FileNotFoundError:
                continue  # that shell is not on this machine
            self.assertEqual(check.returncode, 0, check.stderr)
        self.expect(run("completion", "csh"), 2, "^$", '"csh" is not one of bash, zsh, fish')
        self.expect(run("completion"), 2, "^$", "name one shell")

    def test_bash_completes(self):
        script = text(run("completion", "bash"))[0]

        def offered(*words):
            ask = f'{script}\nCOMP_WORDS=({" ".join(map(repr, words))})\nCOMP_CWORD={len(words) - 1}\n_minimax\n' \
                  'printf "%s\\n" "${COMPREPLY[@]}"'
            return subprocess.run(["bash", "-c", ask], capture_output=True, check=True).stdout.decode().split()

        self.assertIn("tokenize", offered("minimax", "to"))
        self.assertEqual(offered("minimax", "--color", ""), ["auto", "always", "never"])
        self.assertEqual(offered("minimax", "version", "--js"), ["--json"])
        self.assertEqual(offered("minimax", "completion", "f"), ["fish"])

    def test_full_disk_is_an_error(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            process = subprocess.run([PROGRAM, "help"], stdout=full, stderr=subprocess.PIPE, env=environment(), check=False)
        self.assertEqual(process.returncode, 1)
        self.assertRegex(process.stderr.decode(), "error: cannot write to standard output")


if __name__ == "__main__":
    unittest.main()
