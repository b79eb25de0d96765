#!/usr/bin/env python3
"""Verifier of small talk for `minimax train rl` (docs/rl.md): right is an answer that nano was taught for questions of this kind and
that names nothing twice. A supervised model repeats itself, for each of the things it can do is likely after any other."""
import json
import sys

from talk import fits

for line in sys.stdin:
    request = json.loads(line)
    good = request["finished"] and fits(request["problem"]["gold"]["answer"], request["answer"].strip())
    print(json.dumps({"score": int(good), "why": "fits" if good else "another answer"}), flush=True)
