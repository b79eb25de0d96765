#!/usr/bin/env python3
"""Writes testdata/templates/goldens.json: templates with variables and the text that Jinja2 (Debian: python3-jinja2) makes
of them, set up as transformers sets it up: trim_blocks, lstrip_blocks, sandbox, loop controls, generation blocks, its
tojson, raise_exception and strftime_now.

Usage: tools/make_template_goldens.py [--check]     --check: compare with the file instead of writing it
"""
import datetime
import json
import pathlib
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "testdata" / "templates"
OUT = FOLDER / "goldens.json"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: datetime.datetime.fromtimestamp(1764000000, datetime.timezone.utc).strftime(f)
    return env


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city: 北京, <São Paulo> & 'others'",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 3}},
                   "required": ["city"]}}}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "", "parameters": {"type": "object", "properties": {}}}}


def call(name, arguments, call_id="call_1"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


U = {"role": "user", "content": " Hello! \n"}
CONVERSATIONS = {
    "one": {"messages": [U]},
    "system": {"messages": [{"role": "system", "content": " Be brief. "}, U]},
    "turns": {"messages": [
        {"role": "system", "content": "S"}, {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "<think>\nAdd.\n</think>\n\n4"}, {"role": "user", "content": "3+3?"},
        {"role": "assistant", "content": "6", "reasoning_content": "\nSum.\n"}, {"role": "user", "content": "Grüße 🚀 <s></s>"}]},
    "open": {"messages": [U, {"role": "assistant", "content": "<think>\nwhy\n</think>\n\nHi"}], "add_generation_prompt": False},
    "tools": {"messages": [{"role": "system", "content": "Use tools."}, {"role": "user", "content": "Weather?"}], "tools": [WEATHER, CLOCK]},
    "calls": {"messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call("get_weather", {"city": "上海", "days": 2, "x": [1.5, None, True, "a\"b\n"]})]},
        {"role": "tool", "tool_call_id": "call_1", "content": "{\"t\": 21}"},
        {"role": "assistant", "content": "Warm."}, {"role": "user", "content": "Thanks"}], "tools": [WEATHER]},
    "two calls": {"messages": [
        {"role": "user", "content": "Both?"},
        {"role": "assistant", "content": "Looking.", "tool_calls": [call("clock", {}, "a"), call("get_weather", {"city": "Rome"}, "b")]},
        {"role": "tool", "tool_call_id": "a", "content": "12:00"}, {"role": "tool", "tool_call_id": "b", "content": "sun"}], "tools": [WEATHER, CLOCK]},
    "no thinking": {"messages": [U], "enable_thinking": False},
    "date": {"messages": [U], "date_string": "1 Jan 2026", "builtin_tools": ["code_interpreter", "search", "wolfram"]},
    "clock": {"messages": [U], "ask_the_clock": True},
    "empty": {"messages": []},
}

V = {"s": "Hello, World", "e": "", "n": 7, "f": 2.5, "z": 0, "t": True, "x": None, "u": "Grüße 你好 🚀", "l": [3, 1, 2],
     "d": {"b": 2, "a": 1, "items": [1], "n": {"k": "v"}}, "m": [{"r": "u", "c": "x"}, {"r": "a", "c": "y"}, {"r": "u", "c": "z"}],
     "w": "  two  words \n", "lines": "one\ntwo\n\nthree", "floats": [0.1, 1e-05, 1e16, 100.0, -0.0], "big": 12345678901}

SNIPPETS = [
    # White space around tags.
    "a\n{% if t %}\nb\n{% endif %}\nc\n", "a\n  {% if t %}  \n  b\n  {% endif %}\nc", "a {%- if t -%} b {%- endif -%} c",
    "a\n  {%+ if t %}\nb{% endif %}", "a{% if t +%}\nb{% endif %}", "x {# c #}\ny", "x\n  {# c #}\n  y", "x {#- c -#} y", "x\n{#c#}  \ny",
    "{{ s }}\n{{ n }}\n", "{{ s }}\n\n", "  {{ s }}  \n", "a\n  {{- s -}}  \nb", "{% raw %}{{ not }} {% this %}{% endraw %}\nz",
    "  {% raw -%}  x  {%- endraw %}  y", "{%- for i in l -%} {{ i }} {%- endfor -%}", "{% for i in l %}\n{{ i }}\n{% endfor %}",
    "\t{% set a = 1 %}\n{{ a }}", "a{% set b = 1 %}\n  {% set c = 2 %}\n  d", "\r\na\r\n{% if t %}\r\nb{% endif %}",
    # Literals and operators.
    "{{ 'a' 'b' \"c\" }}", "{{ 'it\\'s \\\\ \\n \\t \\x41 \\u00e9 \\d' }}", "{{ 1 + 2 * 3 - 4 / 2 }}", "{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }}",
    "{{ 2 ** 10 }} {{ 2 ** -1 }} {{ -2 ** 2 }}", "{{ 1_000 + 0.5e1 }}", "{{ 'ab' * 3 }} {{ [1] * 2 }}", "{{ 'a' ~ 1 ~ none ~ true ~ 2.0 }}",
    "{{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' == 1 }} {{ none == false }} {{ [1,2] == [1,2] }} {{ (1,2) == [1,2] }}",
    "{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 'a' < 'b' }} {{ [1,2] < [1,3] }}", "{{ 'lo' in s }} {{ 3 in l }} {{ 'a' in d }} {{ 9 not in l }}",
    "{{ not t }} {{ not not e }} {{ t and n }} {{ e or s }} {{ z or e or x }}", "{{ 'y' if n > 5 else 'n' }} {{ 'y' if z }}|", "{{ (1, 2, 'a') }} {{ (1,) }} {{ () }}",
    "{{ [1, 'a', none, true, 2.5, [], {}] }} {{ {'a': 1, 'b': [\"it's\"], 3: 'x'} }}", "{{ floats }} {{ 1e100 }} {{ 10 / 4 }} {{ 3.0 }} {{ big * 1000 }}",
    "{{ -n }} {{ +n }} {{ -f|abs }} {{ (-f)|abs }}", "{{ 1 if false else 2 if true else 3 }}", "{{ l + [4] }} {{ (1,) + (2,) }}", "{{ n.real if false }}|",
    # Access and slices.
    "{{ d.a }} {{ d['b'] }} {{ d.n.k }} {{ d['n']['k'] }} {{ m[0].r }} {{ m[-1]['c'] }} {{ d.missing }}| {{ d['missing'] is defined }}", "{{ l[0] }} {{ l[-1] }} {{ l.1 }} {{ l[9] }}|",
    "{{ s[1:4] }} {{ s[:-3] }} {{ s[::-1] }} {{ s[::2] }} {{ u[6:8] }} {{ u[-1] }}", "{{ l[1:] }} {{ l[::-1] }} {{ l[5:] }} {{ l[-2:] }} {{ (1,2,3)[:2] }}", "{{ s[0] }}{{ s[99] }}|",
    "{{ m | map(attribute='c') | list }}", "{{ missing }}| {{ missing is defined }} {{ missing|length }} {{ missing|default('d') }} {{ missing or 'o' }}", "{{ d['items'] }} {{ d.items() | list }}",
    "{{ d.keys() | list }} {{ d.values() | list }} {{ d.get('a') }} {{ d.get('q') }} {{ d.get('q', 5) }}",
    # Filters.
    "{{ w | trim }}|{{ w|trim|upper }}|{{ 'xxaxx'|trim('x') }}", "{{ s|lower }} {{ s|upper }} {{ u|upper }} {{ 'ÀÉ'|lower }} {{ 'hELLO wORLD-foo'|title }} {{ 'hELLO'|capitalize }}",
    "{{ l|join(', ') }} {{ l|join }} {{ m|join('-', attribute='c') }} {{ 'abc'|join('.') }}", "{{ s|length }} {{ u|length }} {{ l|count }} {{ d|length }}", "{{ e|default('x') }}|{{ e|default('x', true) }}|{{ x|d('y', boolean=true) }}",
    "{{ s|replace('l', 'L') }} {{ s|replace('l', 'L', 1) }} {{ 'aaa'|replace('', '-') }}", "{{ l|first }} {{ l|last }} {{ s|first }} {{ []|first }}|", "{{ l|sort }} {{ l|sort(reverse=true) }} {{ ['b','A','c']|sort }} {{ ['b','A','c']|sort(case_sensitive=true) }}",
    "{{ m|sort(attribute='c', reverse=true)|map(attribute='c')|join }}", "{{ d|dictsort }} {{ {'a':2,'b':1}|dictsort(by='value') }}", "{{ l|reverse|list }} {{ 'abc'|reverse }}", "{{ [1,2,1,3]|unique|list }} {{ ['a','A']|unique|list }}",
    "{{ l|sum }} {{ m|map(attribute='c')|list|length }} {{ [1.5, 2]|sum }} {{ l|min }} {{ l|max }}", "{{ m|selectattr('r', 'equalto', 'u')|map(attribute='c')|join(',') }} {{ m|rejectattr('r', 'eq', 'u')|list }} {{ m|selectattr('q')|list }}",
    "{{ l|select('odd')|list }} {{ l|reject('gt', 2)|list }} {{ [0,1,'',none,'a']|select|list }} {{ l|map('string')|join('+') }} {{ ['a ',' b']|map('trim')|list }}", "{{ m|map(attribute='q', default='-')|join }}",
    "{{ '3'|int + 1 }} {{ '3.7'|int }} {{ 'x'|int }} {{ 'x'|int(5) }} {{ 3.9|int }} {{ '2.5'|float }} {{ 'ff'|int(base=16) }}", "{{ 3.14159|round(2) }} {{ 2.5|round }} {{ 3.2|round(method='ceil') }} {{ 7|round }} {{ -3|abs }}",
    "{{ lines|indent }}|{{ lines|indent(2, true) }}|{{ lines|indent(width=1, blank=true) }}", "{{ [1,2,3,4,5]|batch(2)|list }} {{ [1,2,3]|batch(2, 'x')|list }}", "{{ '<a href=\"x\">&\\'' | e }}", "{{ u|list }} {{ d|list }}", "{{ w|wordcount }}",
    "{{ d|items|list }} {{ missing|items|list }}", "{{ n|string + 's' }} {{ true|string }}", "{{ l|tojson }} {{ d|tojson }} {{ u|tojson }} {{ '<&\\'\"/\\n\\u0001'|tojson }} {{ floats|tojson }} {{ none|tojson }} {{ true|tojson }}",
    "{{ d|tojson(indent=2) }}\n{{ []|tojson(indent=2) }}{{ {}|tojson(indent=4) }}", "{{ u|tojson(ensure_ascii=true) }} {{ d|tojson(separators=(',', ':')) }} {{ d|tojson(sort_keys=true) }} {{ (1,'a')|tojson }}", "{{ s|safe }}", "{{ [s, e]|map('upper')|map('length')|list }}",
    "{{ '%s of %d' | format('a', 3) }} {{ '%5.2f|%-6s|%06d|%+d|%x|%%' | format(f, s[:3], n, n, 255) }} {{ '%(a)s-%(b)05.1f' | format(a=s, b=f) }}",
    "{{ '%s' % s }} {{ '%s and %s' % (n, u) }} {{ '%3d%%' % 7 }} {{ '%.3s|%r' % (u, s) }} {{ '%(a)s' % d }} {{ '%e %G %g' % (f, 1e10, 0.0001) }} {{ '%#x %X %o' % (255, 255, 8) }}",
    "{{ '%-5d|%5s|% d|%05.1f|%+.2e' % (3, 'é', 4, -2.5, 12345) }} {{ '%d' % 2.9 }} {{ '%s %s' % (l, none) }} {{ '%*d' % (5, 3) }}",
    "{{ 'x'|center(5) }}|{{ s|truncate(8) }}|{{ s|truncate(8, true) }}|{{ s|truncate(8, leeway=0) }}|{{ s|truncate(9, false, '..', 0) }}|{{ lines|truncate(5, leeway=0) }}",
    "{{ [1,2,3,4,5]|slice(2)|list }} {{ [1,2,3,4,5]|slice(3, 'x')|list }} {{ l|slice(4)|list }}",
    "{% for r, members in m|groupby('r') %}{{ r }}:{{ members|map(attribute='c')|join }};{% endfor %} {{ [{'a': 'B'}, {'a': 'a'}, {'a': 'b'}]|groupby('a')|list|length }} {{ [{'a': 1}, {}]|groupby('a', default=0)|map('first')|list }}",
    "{{ none|map('upper')|list }} {{ none|selectattr('a')|list }} {{ 0|select|list }} {{ none|rejectattr('a', 'eq', 1)|list|length }} {{ ''|map('upper')|list }}",
    # Names that are not known fail at once, but not where a condition keeps them from being reached.
    "{% if false %}{{ s | nothing }}{% endif %}ok", "{{ 'a' if true else s | nothing }}", "{{ (s | nothing) if z else 'b' }}", "{% if t %}{{ s | nothing }}{% endif %}", "{% for i in [] %}{{ s | nothing }}{% endfor %}",
    "{% if z is nothing %}x{% endif %}", "{% if z and s is nothing %}x{% endif %}", "{% macro q() %}{{ 1 | nothing }}{% endmacro %}ok", "{% if z %}a{% elif false %}{{ 1|nothing }}{% else %}c{% endif %}",
    # Tests.
    "{{ s is string }} {{ n is number }} {{ n is integer }} {{ f is float }} {{ t is boolean }} {{ t is number }} {{ t is integer }} {{ x is none }} {{ d is mapping }} {{ l is sequence }} {{ s is iterable }} {{ d is iterable }} {{ n is iterable }} {{ d is sequence }}",
    "{{ n is odd }} {{ n is even }} {{ n is divisibleby 7 }} {{ n is divisibleby(3) }} {{ 'abc' is lower }} {{ 'ABC' is upper }} {{ n is eq 7 }} {{ n is ne 7 }} {{ n is gt(3) }} {{ n is in [7] }} {{ t is true }} {{ t is false }} {{ none is sameas none }}",
    "{{ s is not none }} {{ missing is undefined }} {{ missing is not defined and true }} {{ 'trim' is filter }}", "{{ range is callable }} {{ s is callable }}",
    # String methods.
    "{{ w.strip() }}|{{ w.lstrip() }}|{{ w.rstrip() }}|{{ 'xyax'.strip('xy') }}", "{{ 'a,b,,c'.split(',') }} {{ w.split() }} {{ 'a b c d'.split(' ', 2) }} {{ 'a b c d'.rsplit(' ', 1) }} {{ 'a b  c'.split(none, 1) }} {{ 'a b  c'.rsplit(none, 1) }}",
    "{{ s.startswith('Hell') }} {{ s.endswith(('x', 'rld')) }} {{ s.startswith('W') }}", "{{ s.upper() }} {{ s.lower() }} {{ s.title() }} {{ 'they\\'re bill'.title() }} {{ 'aBC'.capitalize() }} {{ 'x'.join(['a','b']) }}",
    "{{ s.find('o') }} {{ s.rfind('o') }} {{ s.find('q') }} {{ u.find('好') }} {{ s.count('l') }} {{ s.index('W') }}", "{{ s.replace('o', '0') }} {{ s.replace('o', '0', 1) }} {{ lines.splitlines() }} {{ 'a\\r\\nb\\n'.splitlines(true) }}",
    "{{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ 'ab'.isalpha() }} {{ ' '.isspace() }} {{ 'A'.isupper() }} {{ 'a'.islower() }} {{ ''.isdigit() }}", "{{ s.removeprefix('Hello') }} {{ s.removesuffix('World') }} {{ s.partition(', ') }} {{ 'a.b.c'.rpartition('.') }} {{ 'abc'.partition('x') }}",
    "{{ 'x'.ljust(3, '.') }}{{ 'x'.rjust(3) }}{{ 'x'.center(4, '-') }}{{ '7'.zfill(3) }}", "{{ [1,2,1].count(1) }} {{ [1,2].index(2) }}", "{{ '</think>' in w or w.split('</think>')[-1].lstrip('\\n') }}",
    # Loops.
    "{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}", "{% for i in [] %}x{% else %}none{% endfor %}", "{% for i in l if i > 1 %}{{ i }}/{{ loop.length }} {% else %}no{% endfor %}", "{% for i in l if i > 9 %}{{ i }}{% else %}no{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for a, b in [(1,2),(3,4)] %}{{ a + b }} {% endfor %}", "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}", "{% for i in range(5) %}{% if i == 3 %}{% break %}{% endif %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in l %}{% for j in l %}{{ loop.index }}{{ i * j }} {% endfor %}{{ loop.index }};{% endfor %}", "{% for c in 'aé🚀' %}[{{ c }}]{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for i in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for i in missing %}x{% else %}u{% endfor %}",
    "{% for i in range(3, 0, -1) %}{{ i }}{% endfor %} {{ range(3)|list }} {{ range(1, 7, 3)|list }}", "{% for m in m[::-1] %}{{ m.c }}{% endfor %}{{ m|length }}", "{% for i in l %}{% set q = i %}{% endfor %}{{ q }}|", "{% set q = 0 %}{% for i in l %}{% set q = q + i %}{{ q }} {% endfor %}{{ q }}",
    # Set, namespace, macros.
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set a %}x {{ s }} y{% endset %}{{ a|length }}{{ a }}", "{% set a | upper | trim %} x {{ s }} {% endset %}[{{ a }}]", "{% set ns = namespace(n=0, s='') %}{% for i in l %}{% set ns.n = ns.n + i %}{% set ns.s = ns.s ~ i %}{% endfor %}{{ ns.n }} {{ ns.s }} {{ ns.q }}|",
    "{% if t %}{% set a = 5 %}{% endif %}{{ a }}", "{% macro f(a, b=2, c=none) %}{{ a }}-{{ b }}-{{ c }};{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(a=4, c=5) }}{{ f() }}", "{% macro f(x) %}{{ x }}{% if x > 0 %}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{% macro f() %}{{ s }}{% endmacro %}{{ f()|upper }} {{ f() + '!' }}",
    "{% macro w(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call w('b') %}in {{ n }}{% endcall %}", "{% macro each(l) %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(x) each(l) %}[{{ x }}]{% endcall %}", "{% filter upper %}ab{{ s }}{% endfilter %}", "{% with a = 1, b = n %}{{ a + b }}{% endwith %}{{ a }}|",
    "{% generation %}x{{ n }}{% endgeneration %}", "{% set a = 1 %}{% macro f() %}{{ a }}{% endmacro %}{% set a = 2 %}{{ f() }}", "{% if e %}1{% elif z %}2{% elif n == 7 %}3{% else %}4{% endif %}", "{% if l and d and not x %}ok{% endif %}{% if m|selectattr('r', 'equalto', 'q') %}generator{% endif %}", "{{ dict(a=1, b='x') }} {{ dict(d, c=3)|length }}",
    "{{ strftime_now('%Y-%m-%d') }}", "{% set x = {'a': {'b': [1, {'c': 'deep'}]}} %}{{ x.a.b[1].c }}", "{{ [[1, 2], [3]] | map('first') | list }} {{ m | map(attribute='r') | unique | join }}", "{{ (l | length) > 2 and s | length == 12 }}", "{{ 'a' if missing is defined and missing else 'b' }}", "{{ [l, []] | map('length') | list }}",
    "{{ \"tab\\there\" | tojson }}{{ 'é' | tojson }}", "{{ none | default('N') }} {{ none | string }}", "{{ 'a\\nb' | tojson ~ '\\n' }}", "{{ m[0] }}", "{{ {'k': u} }}", "{{ '%s' }}", "{{ 5 is number and 5 is not string }}",
    # What Jinja refuses too.
    "{{ '%d' % 'x' }}", "{{ '%s %s' % (1,) }}", "{{ '%s' % (1, 2) }}", "{{ '%(a)s' % 1 }}", "{{ '%q' % 1 }}", "{{ '%' % 1 }}", "{{ '%s' | format(1, a=2) }}", "{{ l|slice(0)|list }}", "{{ 's'|truncate(1) }}",
    "{{ missing.x }}", "{{ missing + 'a' }}", "{{ 1 + 'a' }}", "{{ none + 1 }}", "{% if %}x{% endif %}", "{% for i in 5 %}{% endfor %}", "{{ 'a' < 1 }}", "{{ s.nothing() }}", "{{ l.append(4) }}", "{{ s | nothing }}", "{{ s is nothing }}", "{{ 1 // 0 }}", "{{ f(1) }}", "{% set d.x = 1 %}", "{% endfor %}", "{{ (1 }}", "{{ 'a }}",
    "{{ raise_exception('stop') }}", "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "{{ missing[0] }}", "{{ (l|map('string'))|length }}", "{{ m|map(attribute='c')|first }}{{ missing|tojson }}", "{% break %}", "{{ }}", "{% set a %}x", "{{ {}.update({}) }}",
]


def render(env, source, variables):
    try:
        return {"text": env.from_string(source).render(**TOKENS, **variables)}
    except Exception:  # whatever it is: the interpreter must refuse too
        return {"error": True}


def main():
    env = environment()
    cases = []
    for file in sorted(FOLDER.glob("*.jinja")):
        for name, conversation in CONVERSATIONS.items():
            variables = {"tools": None, "add_generation_prompt": True, **conversation}
            cases.append({"name": f"{file.name}: {name}", "file": file.name, "variables": variables,
                          **render(env, file.read_text(), variables)})
    for index, source in enumerate(SNIPPETS):
        cases.append({"name": f"snippet {index}", "template": source, **render(env, source, V)})
    goldens = {"snippet_variables": V, "cases": cases}
    text = json.dumps(goldens, ensure_ascii=False, indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        if OUT.read_text() != text:
            sys.exit(f"{OUT} is not what {pathlib.Path(__file__).name} writes")
    else:
        OUT.write_text(text)


if __name__ == "__main__":
    main()
