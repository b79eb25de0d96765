#!/usr/bin/env python3
"""Load on a server of OpenAI's chat API: arrivals as they come in life, shared prefixes, prompts and answers of mixed
lengths; reports throughput and percentiles of the time to the first token and between tokens.

    bench/load.py --url http://127.0.0.1:8080 --requests 200 --rate 5

Arrivals are a Poisson process of --rate a second (0: all at once). Each request begins with one of --prefixes shared
texts, as conversations with one system prompt do. With --abort some clients leave halfway, with --malformed some send
what is no request. With --check every question is asked several times with its own seed, and must get the same answer
every time, whatever else runs; the exit code is 1 when one does not, or when a good request fails.
Python's standard library alone; one process, so beyond some thousand tokens a second it measures itself."""
import argparse
import asyncio
import json
import random
import ssl
import sys
import time
import urllib.parse

WORDS = ("the of and to in is that for it as was with be by on not he his but at are this have from or had an they which "
         "one you were all her she there would their we him been has when who will no more if out so said what up its "
         "about into than them can only other new some could time these two may then do first any my now such like").split()
MALFORMED = (b"{", b"[]", b'{"messages": 5}', b'{"messages": [{"role": "user", "content": "x"}], "temperature": "hot"}',
             b"\xff\xfe\x00", b'{"messages": []}', b"[" * 5000)


def text(rng, words):
    return " ".join(rng.choice(WORDS) for _ in range(words))


class Client:
    def __init__(self, options):
        url = urllib.parse.urlsplit(options.url)
        self.host, self.port = url.hostname, url.port or (443 if url.scheme == "https" else 80)
        self.tls = ssl.create_default_context() if url.scheme == "https" else None
        self.path = url.path.rstrip("/") + "/v1/chat/completions"
        self.key = options.key
        self.patience = options.timeout

    async def post(self, body, abort_after=None):
        """A streamed request. Returns a dict: status, times of the tokens, answer, usage, aborted."""
        begin = time.perf_counter()
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls, limit=1 << 20)
        try:
            head = (f"POST {self.path} HTTP/1.1\r\nhost: {self.host}:{self.port}\r\ncontent-type: application/json\r\n"
                    f"connection: close\r\ncontent-length: {len(body)}\r\n")
            if self.key:
                head += f"authorization: Bearer {self.key}\r\n"
            writer.write(head.encode() + b"\r\n" + body)
            await writer.drain()
            return await asyncio.wait_for(self.read(reader, begin, abort_after), self.patience)
        finally:
            writer.close()

    async def read(self, reader, begin, abort_after):
        result = {"status": int((await reader.readline()).split()[1]), "times": [], "answer": "", "usage": None,
                  "aborted": False, "begin": begin, "finish": None}
        while (await reader.readline()).strip():
            pass
        async for line in reader:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if "error" in chunk:
                result["status"] = 500
                result["answer"] = chunk["error"]["message"]
                continue
            result["usage"] = chunk.get("usage") or result["usage"]
            for choice in chunk.get("choices", []):
                delta = choice["delta"]
                piece = (delta.get("reasoning") or delta.get("reasoning_content") or "") + (delta.get("content") or "")
                result["finish"] = choice["finish_reason"] or result["finish"]
                if piece:
                    result["times"].append(time.perf_counter())
                    result["answer"] += piece
            if abort_after is not None and len(result["times"]) >= abort_after:
                result["aborted"] = True
                return result
        result["end"] = time.perf_counter()
        return result


class Load:
    def __init__(self, options):
        self.options = options
        self.rng = random.Random(options.seed)
        self.prefixes = [text(self.rng, options.prefix_words) for _ in range(options.prefixes)]
        self.client = Client(options)
        self.gate = asyncio.Semaphore(options.concurrency)
        self.results, self.problems, self.answers = [], [], {}
        self.refused = self.malformed = self.aborted = self.busy = 0
        self.questions = [self.question(number) for number in range(options.questions)] if options.check else None

    def question(self, number):
        low, high = self.options.prompt_words
        short, long = self.options.answer_tokens
        messages = [{"role": "user", "content": text(self.rng, self.rng.randint(low, high))}]
        if self.prefixes:
            messages.insert(0, {"role": "system", "content": self.rng.choice(self.prefixes)})
        return {"model": self.options.model, "messages": messages, "stream": True, "seed": number, "ignore_eos": True,
                "temperature": 1.0, "max_tokens": self.rng.randint(short, long), "stream_options": {"include_usage": True}}

    async def one(self, number):
        async with self.gate:
            kind = self.rng.random()
            if kind < self.options.malformed:
                result = await self.client.post(self.rng.choice(MALFORMED))
                self.malformed += 1
                if result["status"] not in (400, 429):
                    self.problems.append(f"a malformed request got {result['status']}")
                return
            question = self.rng.choice(self.questions) if self.questions else self.question(number)
            abort = self.rng.randint(1, 10) if kind < self.options.malformed + self.options.abort else None
            for _ in range(self.options.retries + 1):
                result = await self.client.post(json.dumps(question).encode(), abort)
                if result["status"] != 429:
                    break
                self.busy += 1
                await asyncio.sleep(self.rng.uniform(0.2, 1))
            if result["aborted"]:
                self.aborted += 1
            elif result["status"] == 429:
                self.refused += 1
            elif result["status"] != 200 or result["finish"] is None:
                self.problems.append(f"a good request got {result['status']}: {result['answer'][:200]}")
            else:
                self.results.append(result)
                if self.questions and self.answers.setdefault(question["seed"], result["answer"]) != result["answer"]:
                    self.problems.append(f"question {question['seed']} got another answer than before")

    async def run(self):
        begin = time.perf_counter()
        tasks = []
        for number in range(self.options.requests):
            tasks.append(asyncio.create_task(self.one(number)))
            if self.options.rate > 0:
                await asyncio.sleep(self.rng.expovariate(self.options.rate))
        for task in asyncio.as_completed(tasks):
            try:
                await task
            except (OSError, asyncio.TimeoutError, ValueError, IndexError) as error:
                self.problems.append(f"a request failed: {type(error).__name__}: {error}")
        return self.report(time.perf_counter() - begin)

    def report(self, seconds):
        first = [one["times"][0] - one["begin"] for one in self.results if one["times"]]
        between = [later - earlier for one in self.results for earlier, later in zip(one["times"], one["times"][1:])]
        whole = [one["end"] - one["begin"] for one in self.results]
        usage = [one["usage"] for one in self.results if one["usage"]]
        answered = sum(one["completion_tokens"] for one in usage)
        prompts = sum(one["prompt_tokens"] for one in usage)
        cached = sum(one["prompt_tokens_details"]["cached_tokens"] for one in usage)
        return {"requests": len(self.results), "aborted": self.aborted, "malformed": self.malformed,
                "refused": self.refused, "told_to_wait": self.busy, "problems": len(self.problems), "seconds": seconds,
                "requests_per_second": len(self.results) / seconds, "prompt_tokens": prompts, "cached_tokens": cached,
                "answer_tokens": answered, "answer_tokens_per_second": answered / seconds,
                "first_token_seconds": percentiles(first), "between_tokens_seconds": percentiles(between),
                "request_seconds": percentiles(whole)}


def percentiles(values):
    values = sorted(values)
    if not values:
        return None
    at = {f"p{percent}": values[min(len(values) - 1, int(len(values) * percent / 100))] for percent in (50, 90, 95, 99)}
    return {"mean": sum(values) / len(values), **at, "max": values[-1]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--model", default="")
    parser.add_argument("--key", default="", help="API key")
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0, help="requests a second; 0: all at once")
    parser.add_argument("--concurrency", type=int, default=1000, help="at most so many at a time")
    parser.add_argument("--prefixes", type=int, default=4, help="shared beginnings of prompts; 0: none")
    parser.add_argument("--prefix-words", type=int, default=200)
    parser.add_argument("--prompt-words", type=int, nargs=2, default=(5, 100), metavar=("MIN", "MAX"))
    parser.add_argument("--answer-tokens", type=int, nargs=2, default=(8, 64), metavar=("MIN", "MAX"))
    parser.add_argument("--abort", type=float, default=0, help="share of clients that leave halfway")
    parser.add_argument("--malformed", type=float, default=0, help="share of requests that are none")
    parser.add_argument("--check", action="store_true", help="the same question must get the same answer every time")
    parser.add_argument("--questions", type=int, default=20, help="with --check")
    parser.add_argument("--retries", type=int, default=0, help="after 429")
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    async def run():
        load = Load(options)
        return load, await load.run()

    load, report = asyncio.run(run())
    if options.json:
        print(json.dumps(report))
    else:
        for key, value in report.items():
            if isinstance(value, dict):
                print(f"{key:26}" + "  ".join(f"{name} {number * 1e3:.1f} ms" for name, number in value.items()))
            else:
                print(f"{key:26}{value:.2f}" if isinstance(value, float) else f"{key:26}{value}")
    for problem in load.problems[:20]:
        print("problem:", problem, file=sys.stderr)
    return 1 if load.problems else 0


if __name__ == "__main__":
    sys.exit(main())
