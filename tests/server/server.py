"""Starts `minimax serve` for the tests of this folder, and talks to it."""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import scripted_model  # noqa: E402
from program import PATIENCE, PROGRAM, environment  # noqa: E402

THINKING = ["<think>\n", "Let", " me", " see", ".", "\n</think>\n\n"]
HELLO = [*THINKING, "Hello", " there", "!", " Bye"]


def wait_until(condition, message):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(message())
        time.sleep(0.02)


class Server:
    """A server over the model in `folder`, on a port of its own. What it wrote to stderr is in `log`."""

    def __init__(self, folder, *flags, temperature="0", env=None):
        self.process = subprocess.Popen(
            [PROGRAM, "serve", folder, "--port", "0", "--temperature", temperature, "-t", "1", *flags],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(**(env or {})), text=True)
        self.log = []
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        line = self.process.stdout.readline()
        found = re.match(r"serving at (https?)://.*:(\d+)$", line.strip())
        if not found:
            self.process.kill()
            self.reader.join()
            raise AssertionError(f"the server said {line!r} and {self.log}")
        self.scheme, self.port = found.group(1), int(found.group(2))

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, method, path, body=None, headers=None):
        """One request; returns (status, parsed or raw body, headers)."""
        connection = self.connect()
        data = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        connection.request(method, path, data, headers or {})
        response = connection.getresponse()
        raw = response.read()
        connection.close()
        is_json = (response.getheader("content-type") or "").startswith("application/json")
        return response.status, json.loads(raw) if is_json and raw else raw.decode(), response.headers

    def post(self, path, body, headers=None):
        status, answer, _ = self.ask("POST", path, body, headers)
        if status != 200:
            raise AssertionError(f"{path}: {status} {answer}")
        return answer

    def refused(self, path, body):
        """A request that must be refused; returns (status, error)."""
        status, answer, _ = self.ask("POST", path, body)
        if status == 200:
            raise AssertionError(f"{path}: {body} was answered: {answer}")
        return status, answer["error"]

    def chat(self, content="hi", **more):
        return self.post("/v1/chat/completions", {"messages": [{"role": "user", "content": content}], **more})

    def events(self, path, body):
        """The events of a stream: (event name or None, parsed data), "[DONE]" left out but checked."""
        connection = self.connect()
        connection.request("POST", path, json.dumps(body))
        response = connection.getresponse()
        if response.status != 200:
            raise AssertionError(f"{path}: {response.status} {response.read()}")
        assert response.getheader("content-type").startswith("text/event-stream")
        text = response.read().decode()
        connection.close()
        found = []
        for block in text.split("\n\n"):
            name = None
            for line in block.splitlines():
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: ") and line != "data: [DONE]":
                    found.append((name, json.loads(line[6:])))
        return found, text.rstrip().endswith("data: [DONE]")

    def metric(self, name):
        _, text, _ = self.ask("GET", "/metrics")
        for line in text.splitlines():
            if line.startswith(name + " ") or line.startswith(name + "{"):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no metric {name}")

    def expect_metric(self, name, value):
        """Waits until the metric has this value: the engine counts a request after its client has the answer."""
        wait_until(lambda: self.metric(name) == value, lambda: f"{name} is {self.metric(name)}, expected {value}")

    def expect_log(self, text):
        """Waits for a line on stderr that holds the text."""
        wait_until(lambda: any(text in line for line in self.log), lambda: f"no {text!r} in {self.log}")

    def expect_closed(self):
        """Waits until it takes no more connections, as after the first signal to end."""
        def closed():
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                return True
            return False
        wait_until(closed, lambda: "the server still takes connections")

    def end(self, number=signal.SIGTERM):
        """Ends the server; returns its exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.process.stdout.close()
            self.reader.join(PATIENCE)
            self.process.stderr.close()


@contextlib.contextmanager
def model(words, endless=False):
    """A folder with a model that answers with `words`."""
    with tempfile.TemporaryDirectory(prefix="minimax_model_") as folder:
        yield scripted_model.write(folder, words, endless)


@contextlib.contextmanager
def serve(words, *flags, endless=False, temperature="0"):
    with model(words, endless) as folder:
        server = Server(folder, *flags, temperature=temperature)
        try:
            yield server
        finally:
            if server.process.poll() is None:
                server.end()


class ServerTest(unittest.TestCase):
    """Tests that share one server with these `flags`, over a model that answers with `words`."""
    words = HELLO
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(serve(cls.words, *cls.flags))
