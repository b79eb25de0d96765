"""The chat template of a model folder: run and serve use it."""
import json
import os
import re
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

import scripted_model
from program import PATIENCE, PROGRAM, environment, run

TEMPLATE = ("{{ bos_token }}{% for m in messages %}{% if 'forbidden' in m.content %}{{ raise_exception('not that') }}"
            "{% endif %}{{ m.role }} says {{ m.content }}{{ '\\n' }}{% endfor %}"
            "{% if mood == 'bad' %}{{ raise_exception('no bad mood') }}{% endif %}{{ 'ai says\\n' }}")


class Template(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="minimax_template_")
        self.addCleanup(folder.cleanup)
        self.folder = scripted_model.write(folder.name, ["Hello ", "there"])
        self.write(TEMPLATE)

    def write(self, text):
        with open(os.path.join(self.folder, "chat_template.jinja"), "w", encoding="utf-8") as file:
            file.write(text)

    def test_run(self):
        done = run("run", self.folder, "hi", "--temperature", "0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.decode().strip(), "Hello there")
        refused = run("run", self.folder, "a forbidden word")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("the chat template refuses the conversation: not that", refused.stderr.decode())

    def test_broken(self):
        self.write("fine\n{% endfor %}")
        done = run("run", self.folder, "hi")
        self.assertEqual(done.returncode, 1)
        self.assertIn("chat_template.jinja: chat template, line 2", done.stderr.decode())
        self.assertEqual(run("run", self.folder, "--raw", "hi\n", "--temperature", "0").returncode, 0)

    def test_serve(self):
        server = subprocess.Popen([PROGRAM, "serve", self.folder, "--port", "0"], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, env=environment())
        try:
            port = re.search(rb"serving at http://[^:]*:(\d+)", server.stdout.readline()).group(1).decode()

            def ask(text, **more):
                body = {"messages": [{"role": "user", "content": text}], "temperature": 0, **more}
                request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions",
                                                 json.dumps(body).encode(), {"Content-Type": "application/json"})
                try:
                    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                        return answer.status, answer.read().decode()
                except urllib.error.HTTPError as error:
                    return error.code, error.read().decode()

            status, text = ask("hi <end_of_sentence>")
            self.assertEqual(status, 200, text)
            self.assertEqual(json.loads(text)["choices"][0]["message"]["content"].strip(), "Hello there")
            status, text = ask("a forbidden word")
            self.assertEqual(status, 400, text)
            self.assertIn("refuses the conversation: not that", text)
            status, text = ask("hi", chat_template_kwargs={"mood": "bad"})
            self.assertEqual(status, 400, text)
            self.assertIn("refuses the conversation: no bad mood", text)
        finally:
            server.terminate()
            server.wait(60)
            server.stdout.close()


if __name__ == "__main__":
    unittest.main()
