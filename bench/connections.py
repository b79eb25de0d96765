#!/usr/bin/env python3
"""Many clients of one server: idle keep-alive connections, and streams that all run at once. Tells what each costs.

    bench/connections.py --url http://127.0.0.1:8080 --pid PID --idle 5000 --streams 1000

Every idle connection has made one request. With --pid, memory and CPU time of that process are read from /proc. The model
should be a tiny one, and the server started with --max-running and --max-waiting of at least --streams."""
import argparse
import asyncio
import json
import os
import resource
import time
import urllib.parse


def memory_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


async def idle(host, port):
    reader, writer = await asyncio.open_connection(host, port, limit=4096)
    writer.write(f"GET /health HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
    await reader.readuntil(b"}")
    return writer


async def stream(host, port, tokens, number):
    body = json.dumps({"messages": [{"role": "user", "content": f"question {number}"}], "stream": True, "ignore_eos": True,
                       "max_tokens": tokens, "temperature": 1, "seed": number}).encode()
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 16)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: %s\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
                 % (host.encode(), len(body), body))
    events = 0
    whole = False
    async for line in reader:
        events += line.startswith(b"data: {")
        whole = whole or line.startswith(b"data: [DONE]")
    writer.close()
    return events if whole else None


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--pid", type=int)
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=20)
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, options.idle + options.streams + 100), hard))
    url = urllib.parse.urlsplit(options.url)
    await (await idle(url.hostname, url.port)).drain()

    before = memory_kb(options.pid) if options.pid else 0
    held = []
    for begin in range(0, options.idle, 200):
        held += await asyncio.gather(*(idle(url.hostname, url.port) for _ in range(min(200, options.idle - begin))))
    if options.pid:
        grown = memory_kb(options.pid) - before
        print(f"{len(held)} idle connections: {grown / max(1, len(held)):.1f} kB each, {threads(options.pid)} threads")
        cpu = cpu_seconds(options.pid)
        await asyncio.sleep(5)
        print(f"  their cost in 5 s: {(cpu_seconds(options.pid) - cpu) * 1e3:.0f} ms CPU")

    cpu = cpu_seconds(options.pid) if options.pid else 0
    begin = time.perf_counter()
    counts = await asyncio.gather(*(stream(url.hostname, url.port, options.tokens, number)
                                    for number in range(options.streams)))
    seconds = time.perf_counter() - begin
    whole = [count for count in counts if count is not None]
    print(f"{options.streams} streams at once: {len(whole)} whole, {sum(whole)} events in {seconds:.1f} s, "
          f"{sum(whole) / seconds:.0f} events/s")
    if options.pid:
        print(f"  CPU {cpu_seconds(options.pid) - cpu:.1f} s (with the model), {threads(options.pid)} threads, "
              f"{memory_kb(options.pid) / 1e3:.0f} MB")
    for writer in held:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main())
