"""Many clients at once, some that leave, some that send rubbish: good ones get their answers and nothing is left over."""
import json
import os
import subprocess
import sys
import unittest

from server import HELLO, PATIENCE, serve

LOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "load.py")


class Soak(unittest.TestCase):
    def load(self, server, *flags):
        done = subprocess.run([sys.executable, "-B", LOAD, "--url", f"http://127.0.0.1:{server.port}", "--json", *flags],
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_good_requests_get_their_bits(self):
        # Little memory, so that sequences are preempted and prefixes forgotten. More clients than the queue takes: they
        # ask until they are let in, however long that lasts.
        with serve(HELLO, "--max-running", "8", "--max-waiting", "20", "--memory", "4MB", "--ctx-size", "2048",
                   "--drafts", "3", temperature="1.0") as server:
            report = self.load(server, "--requests", "250", "--check", "--questions", "12", "--abort", "0.2",
                               "--malformed", "0.2", "--concurrency", "60", "--retries", "1000000", "--timeout", str(PATIENCE), "--prefixes", "3",
                               "--prefix-words", "60", "--answer-tokens", "4", "40")
            self.assertGreater(report["requests"], 80)
            self.assertGreater(report["aborted"], 10)
            self.assertGreater(report["malformed"], 10)
            self.assertEqual(report["refused"], 0)
            self.assertGreater(report["first_token_seconds"]["p99"], 0)
            for name in ("requests_running", "requests_waiting", "sequences_running", "state_slots_used"):
                server.expect_metric("minimax_" + name, 0)
            server.expect_metric("minimax_http_connections", 1)
            self.assertEqual(server.metric("minimax_requests_failed_total"), 0)
            pages = server.metric("minimax_kv_pages_used")
            self.assertEqual(pages, server.metric("minimax_prefix_cache_pages"))
            server.chat()  # and it still answers


if __name__ == "__main__":
    unittest.main()
