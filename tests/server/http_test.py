"""The server as strangers and operators meet it: limits, keys, origins, TLS, clients that leave, shutdown."""
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
import warnings

from server import HELLO, PATIENCE, PROGRAM, Server, ServerTest, model, serve

ENDLESS = ["<think>\n", " a", " b", " c", " d"]
LONG = {"messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": 30000}
# Runs for many minutes and sends nothing meanwhile, so that it cannot end before a test ends it, nor be dropped because
# the test is slow to read.
LASTING = {**LONG, "n": 128, "include_reasoning": False}


def raw(port, data, read=True):
    """Sends bytes; returns what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(data)
        answer = b""
        while read and (piece := connection.recv(65536)):
            answer += piece
        return answer


class Requests(ServerTest):
    flags = ("--max-body-mb", "1")

    def test_paths_and_methods(self):
        self.assertEqual(self.server.ask("GET", "/v1/nothing")[0], 404)
        for method, path, allowed in (("GET", "/v1/chat/completions", "OPTIONS, POST"),
                                      ("PUT", "/v1/responses/x", "OPTIONS, GET, HEAD, DELETE"),
                                      ("POST", "/health", "OPTIONS, GET, HEAD"), ("DELETE", "/", "OPTIONS, GET, HEAD")):
            status, _, headers = self.server.ask(method, path)
            self.assertEqual((status, headers["allow"]), (405, allowed), path)
        self.assertEqual(self.server.ask("GET", "/../../etc/passwd")[0], 404)
        self.assertEqual(self.server.ask("GET", "/%2e%2e/etc/passwd")[0], 404)
        for path in (b"/\xff\xfe", b"/v1/models/%ff", b"/v1/models/\xc3"):
            answer = raw(self.server.port, b"GET " + path + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            self.assertTrue(answer.startswith(b"HTTP/1.1 404 "), answer[:50])
            self.assertIn("\ufffd", json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["message"])
        status, page, headers = self.server.ask("GET", "/")
        self.assertEqual(status, 200)
        self.assertIn("<!doctype html>", page)
        self.assertIn("default-src 'none'", headers["content-security-policy"])
        self.assertEqual(self.server.ask("GET", "/", headers={"if-none-match": headers["etag"]})[0], 304)
        status, body, headers = self.server.ask("HEAD", "/health")
        self.assertEqual((status, body if isinstance(body, str) else ""), (200, ""))

    def test_sizes(self):
        status, answer, _ = self.server.ask("POST", "/v1/completions", "x" * (2 << 20))
        self.assertEqual(status, 413)
        self.assertIn("larger", answer["error"]["message"])
        status, _, _ = self.server.ask("GET", "/health", headers={"x-long": "y" * 100000})
        self.assertEqual(status, 431)

    def test_what_is_no_http(self):
        for data in (b"hello\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
                     b"POST /v1/completions HTTP/1.1\r\ncontent-length: x\r\n\r\n",
                     b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
                     b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"):
            answer = raw(self.server.port, data)
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), (data, answer[:80]))

    def test_keep_alive_and_pipelining(self):
        connection = self.server.connect()
        for _ in range(3):
            connection.request("GET", "/health")
            response = connection.getresponse()
            self.assertEqual((response.status, response.read()), (200, b'{"status":"ok"}'))
        connection.close()
        one = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
        answer = raw(self.server.port, one * 5 + one.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), 6)

    def test_a_stream_for_http_1_0_ends_with_the_connection(self):
        body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()
        answer = raw(self.server.port, b"POST /v1/chat/completions HTTP/1.0\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s"
                     % (len(body), body))
        self.assertNotIn(b"chunked", answer)
        self.assertTrue(answer.endswith(b"data: [DONE]\n\n"))

    def test_chunked_request_and_expect(self):
        body = json.dumps({"prompt": "a\n", "max_tokens": 1}).encode()
        head = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n"
        pieces = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in body) + b"0\r\n\r\n"
        self.assertIn(b"HTTP/1.1 200 OK", raw(self.server.port, head + b"\r\n" + pieces))
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE) as connection:
            connection.sendall(head + b"expect: 100-continue\r\n\r\n")
            self.assertEqual(connection.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.sendall(pieces)
            self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 200 OK"))

    def test_pages_of_others(self):
        ours = f"http://127.0.0.1:{self.server.port}"
        self.assertEqual(self.server.ask("GET", "/v1/models", headers={"origin": ours})[0], 200)
        status, _, headers = self.server.ask("GET", "/v1/models", headers={"origin": "https://evil.example"})
        self.assertEqual(status, 403)
        self.assertIsNone(headers["access-control-allow-origin"])
        self.assertEqual(self.server.ask("GET", "/v1/models", headers={"host": "evil.example"})[0], 403)

    def test_the_log_tells_no_text(self):
        self.server.post("/v1/completions", {"prompt": "a secret\n", "max_tokens": 3})
        self.server.expect_log('"completion_tokens": 3')
        for line in self.server.log:
            self.assertIsInstance(json.loads(line), dict)
            self.assertNotIn("secret", line)
            self.assertNotIn("think", line)


class Keys(unittest.TestCase):
    def test_any_of_several_keys(self):
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as file:
            file.write("# keys of the team\nfirst-key\n\n  second-key  \n")
            file.flush()
            with serve(HELLO, "--api-key-file", file.name, "--api-key", "third", "--cors-origin",
                       "https://chat.example") as server:
                for key in ("first-key", "second-key", "third"):
                    self.assertEqual(server.ask("GET", "/v1/models", headers={"authorization": "Bearer " + key})[0], 200)
                    self.assertEqual(server.ask("GET", "/v1/models", headers={"x-api-key": key})[0], 200)
                for headers in ({}, {"authorization": "Bearer x"}, {"authorization": "Bearer "}, {"x-api-key": ""},
                                {"authorization": "Bearer # keys of the team"}, {"authorization": "first-key"}):
                    status, answer, reply = server.ask("GET", "/v1/models", headers=headers)
                    self.assertEqual((status, answer["error"]["code"]), (401, "invalid_api_key"))
                    self.assertEqual(reply["www-authenticate"], "Bearer")
                self.assertEqual(server.ask("GET", "/metrics")[0], 401)
                self.assertEqual(server.ask("GET", "/health")[0], 200)
                self.assertEqual(server.ask("GET", "/")[0], 200)
                # A page that may.
                origin = {"origin": "https://chat.example"}
                status, _, reply = server.ask("OPTIONS", "/v1/chat/completions", headers=origin)
                self.assertEqual((status, reply["access-control-allow-origin"]), (204, "https://chat.example"))
                self.assertIn("authorization", reply["access-control-allow-headers"])
                asked = "authorization, content-type, x-stainless-lang, anthropic-dangerous-direct-browser-access"
                for names, allowed in ((asked, True), ("x-a, <b>", False)):
                    _, _, reply = server.ask("OPTIONS", "/v1/chat/completions",
                                             headers={**origin, "access-control-request-headers": names})
                    self.assertEqual(reply["access-control-allow-headers"] == names, allowed)
                status, _, reply = server.ask("GET", "/v1/models", headers={**origin, "authorization": "Bearer third"})
                self.assertEqual((status, reply["access-control-allow-origin"]), (200, "https://chat.example"))

    def test_names(self):
        with serve(HELLO, "--name", "m1", "--strict-name") as server:
            server.chat(model="m1")
            status, error = server.refused("/v1/chat/completions",
                                           {"model": "gpt", "messages": [{"role": "user", "content": "x"}]})
            self.assertEqual((status, error["code"]), (404, "model_not_found"))


class Tls(unittest.TestCase):
    def test_https(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = os.path.join(folder, "c.pem"), os.path.join(folder, "k.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                            "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key],
                           check=True, capture_output=True)
            with serve(HELLO, "--tls-cert", certificate, "--tls-key", key) as server:
                self.assertEqual(server.scheme, "https")
                context = ssl.create_default_context(cafile=certificate)
                connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=PATIENCE)
                for _ in range(2):
                    connection.request("POST", "/v1/chat/completions", json.dumps(
                        {"messages": [{"role": "user", "content": "hi"}], "stream": True}))
                    response = connection.getresponse()
                    self.assertTrue(response.read().endswith(b"data: [DONE]\n\n"))
                big = "x" * 300000  # more than a TLS record
                connection.request("POST", "/tokenize", json.dumps({"content": big}))
                self.assertEqual(json.loads(connection.getresponse().read())["count"], len(big))
                connection.close()
                # Plain text at the TLS port is no request and does not hurt.
                self.assertEqual(raw(server.port, b"GET / HTTP/1.1\r\n\r\n")[:4] != b"HTTP", True)
                old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                old.check_hostname = False
                old.verify_mode = ssl.CERT_NONE
                with warnings.catch_warnings():  # Python, too, thinks little of it
                    warnings.simplefilter("ignore")
                    old.maximum_version = ssl.TLSVersion.TLSv1_1
                with self.assertRaises(OSError), socket.create_connection(("127.0.0.1", server.port)) as plain:
                    old.wrap_socket(plain)


class Streams(unittest.TestCase):
    def start(self, server, body=None):
        """A stream whose request has left the queue."""
        connection = server.connect()
        connection.request("POST", "/v1/chat/completions", json.dumps(body or LASTING))
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        response.readline()
        server.expect_metric("minimax_requests_waiting", 0)
        return connection, response

    def test_a_client_that_leaves_ends_its_request(self):
        with serve(ENDLESS, endless=True) as server:
            connection, stream = self.start(server)
            server.expect_metric("minimax_requests_running", 1)
            stream.close()
            connection.close()
            server.expect_metric("minimax_requests_cancelled_total", 1)
            server.expect_metric("minimax_requests_running", 0)
            # Also while nothing is being sent: no stream was asked for.
            connection = server.connect()
            connection.request("POST", "/v1/chat/completions", json.dumps({**LASTING, "stream": False}))
            server.expect_metric("minimax_requests_running", 1)
            connection.close()
            server.expect_metric("minimax_requests_cancelled_total", 2)
            server.expect_metric("minimax_http_clients_gone_total", 2)

    def test_one_that_does_not_read_holds_nobody_up(self):
        with serve(ENDLESS, endless=True) as server:
            slow, stream = self.start(server, {**LASTING, "include_reasoning": True})
            server.chat(max_tokens=50)
            # It is dropped, though it has not left: its answers would go on for many minutes.
            server.expect_metric("minimax_requests_cancelled_total", 1)
            server.expect_metric("minimax_requests_running", 0)
            stream.close()
            slow.close()

    def test_too_many_wait(self):
        with serve(ENDLESS, "--max-running", "1", "--max-waiting", "1", endless=True) as server:
            first, stream = self.start(server)
            waiting = threading.Thread(target=server.chat, kwargs={"max_tokens": 1})
            waiting.start()
            server.expect_metric("minimax_requests_waiting", 1)
            for body in ({"messages": LONG["messages"]}, LONG):
                status, answer, headers = server.ask("POST", "/v1/chat/completions", body)
                self.assertEqual((status, answer["error"]["type"]), (429, "rate_limit_error"))
                self.assertGreaterEqual(int(headers["retry-after"]), 1)
            status, answer, _ = server.ask("POST", "/v1/completions", {"prompt": ["a", "b"]})
            self.assertEqual(status, 429)
            server.expect_metric("minimax_requests_running", 1)
            stream.close()
            first.close()
            waiting.join()
            server.expect_metric("minimax_requests_running", 0)
            server.expect_metric("minimax_requests_waiting", 0)

    def test_shutdown_finishes_what_runs(self):
        with serve(ENDLESS, "--shutdown-seconds", str(PATIENCE), endless=True) as server:
            connection, response = self.start(server, {**LONG, "max_tokens": 300})
            idle = server.connect()
            idle.connect()
            code = []
            ending = threading.Thread(target=lambda: code.append(server.end()))
            ending.start()
            text = response.read().decode()
            self.assertTrue(text.endswith("data: [DONE]\n\n"), text[-300:])
            self.assertIn('"finish_reason":"length"', text)
            ending.join()
            self.assertEqual(code, [0])
            connection.close()
            idle.close()

    def test_shutdown_does_not_wait_for_ever(self):
        with serve(ENDLESS, "--shutdown-seconds", "0.5", "--max-running", "256", "--memory", "1GB", endless=True) as server:
            connection, stream = self.start(server)
            whole = server.connect()
            whole.request("POST", "/v1/chat/completions", json.dumps({**LASTING, "stream": False}))
            server.expect_metric("minimax_requests_running", 2)
            self.assertEqual(server.end(), 0)
            # Who could not be served to the end is told so, and the log does not say that they left.
            events = stream.read().decode().strip().split("\n\n")
            self.assertEqual(events[-1], "data: [DONE]")
            self.assertEqual(json.loads(events[-2][6:])["error"]["code"], "shutdown")
            answer = whole.getresponse()
            self.assertEqual((answer.status, json.loads(answer.read())["error"]["code"]), (503, "shutdown"))
            cut = [json.loads(line) for line in server.log if '"/v1/chat/completions"' in line]
            self.assertEqual(sorted(line["status"] for line in cut), [200, 503])
            for line in cut:
                self.assertTrue(line["shutdown"])
                self.assertNotIn("client_gone", line)
            connection.close()
            whole.close()

    def test_what_cannot_be_finished_is_kept_in_its_session(self):
        with tempfile.TemporaryDirectory() as folder, serve(
                ENDLESS, "--shutdown-seconds", "0.2", "--session-folder", folder, endless=True) as server:
            connection, stream = self.start(server, {**LASTING, "session": "long"})
            self.assertEqual(server.end(), 0)
            stream.close()
            connection.close()
            self.assertEqual(os.listdir(folder), ["long.session"])

    def test_interrupted_twice_it_ends_at_once(self):
        with serve(ENDLESS, "--shutdown-seconds", str(10 * PATIENCE), endless=True) as server:
            connection, stream = self.start(server)
            server.process.send_signal(signal.SIGINT)
            server.expect_closed()  # two signals that are pending would count as one
            self.assertEqual(server.end(signal.SIGINT), 0)
            self.assertIn(b'"code":"shutdown"', stream.read())
            stream.close()
            connection.close()

    def test_hundreds_of_streams_and_idle_connections(self):
        with serve(HELLO, "--max-waiting", "1000") as server:
            idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
            body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()
            request = (b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: "
                       b"%d\r\n\r\n%s" % (len(body), body))
            streams = [socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) for _ in range(200)]
            for stream in streams:
                stream.sendall(request)
            for stream in streams:
                text = b""
                while piece := stream.recv(65536):
                    text += piece
                stream.close()
                self.assertIn(b"data: [DONE]", text)
                self.assertEqual(text.count(b'"content":"Hello"'), 1)
            server.expect_metric("minimax_http_connections", 301)
            server.expect_metric("minimax_requests_finished_total", 200)
            for connection in idle:
                connection.close()
            server.expect_metric("minimax_http_connections", 1)


class Unit(unittest.TestCase):
    def test_the_image_has_the_libraries(self):
        packaging = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "Dockerfile")
        with open(packaging, encoding="utf-8") as file:
            installed = file.read().rsplit("\nFROM ", 1)[1].replace("\n", " ")
        try:
            with open("/etc/os-release", encoding="utf-8") as file:
                if 'VERSION_ID="12"' not in file.read():
                    self.skipTest("the image is of another system than this one")
            linked = subprocess.run(["ldd", PROGRAM], capture_output=True, text=True, check=True).stdout
            owners = set()
            for path in {os.path.realpath(path) for path in re.findall(r"=> (/\S+)", linked)}:
                for name in (path, path.removeprefix("/usr")):
                    said = subprocess.run(["dpkg", "-S", name], capture_output=True, text=True, check=False).stdout
                    owners |= {said.split(":")[0]} if said else set()
        except (FileNotFoundError, subprocess.CalledProcessError):
            self.skipTest("no Debian here, or a program that is linked with no library")
        # Those of the system's image, those that others bring along, and sanitizers.
        owners -= {"libc6", "libgcc-s1", "libstdc++6", "libtinfo6", "libbsd0", "libmd0", "libasan8", "libubsan1", "libtsan2"}
        self.assertGreater(len(owners), 4)
        for package in owners:
            self.assertIn(f" {package} ", installed)

    def test_the_systemd_unit_is_valid(self):
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "minimax.service")
        with open(source, encoding="utf-8") as file:
            # Neither the program nor its man page is installed here.
            text = file.read().replace("/usr/bin/minimax", "/bin/true").replace("man:minimax(1)", "https://example.com")
        # What its comments say to add for files that only root may read.
        drop_in = "".join(line[4:] for line in text.splitlines(keepends=True)
                          if line.startswith(("#   LoadCredential=", "#   Environment=")))
        self.assertEqual(drop_in.count("\n"), 2)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "minimax.service")
            for unit in (text, text + "\n[Service]\n" + drop_in):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(unit)
                try:
                    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
                except FileNotFoundError:
                    self.skipTest("no systemd here")
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_key_file_by_the_environment(self):
        with tempfile.TemporaryDirectory() as folder, model(HELLO) as weights:
            path = os.path.join(folder, "keys")
            with open(path, "w", encoding="utf-8") as file:
                file.write("secret\n")
            server = Server(weights, env={"MINIMAX_API_KEY_FILE": path})
            self.assertEqual(server.ask("GET", "/v1/models")[0], 401)
            self.assertEqual(server.ask("GET", "/v1/models", headers={"authorization": "Bearer secret"})[0], 200)
            self.assertEqual(server.end(), 0)


    def test_it_tells_the_manager(self):
        with tempfile.TemporaryDirectory() as folder, model(HELLO) as weights, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path = os.path.join(folder, "notify")
            manager.bind(path)
            manager.settimeout(PATIENCE)
            server = Server(weights, env={"NOTIFY_SOCKET": path})
            self.assertEqual(manager.recv(100), b"READY=1")
            self.assertEqual(server.end(), 0)
            self.assertEqual(manager.recv(100), b"STOPPING=1")


class Problems(unittest.TestCase):
    def test_what_cannot_be_served(self):
        from program import run
        with model(HELLO) as folder, serve(HELLO) as server:
            done = run("serve", folder, "--port", str(server.port))
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"cannot listen", done.stderr)
            done = run("serve", folder, "--tls-cert", "/nonexistent", "--tls-key", "/nonexistent")
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"/nonexistent", done.stderr)
            done = run("serve", folder, "--memory", "lots")
            self.assertEqual(done.returncode, 2)

    def test_open_to_others_without_a_key_is_said(self):
        for flags, said in ((("--host", "0.0.0.0"), True), (("--host", "0.0.0.0", "--api-key", "k"), False), ((), False)):
            with serve(HELLO, *flags) as server:
                server.end()
                self.assertEqual(any("no key is asked for" in line for line in server.log), said, flags)


if __name__ == "__main__":
    unittest.main()
