// Longer answers of the mock server.
export const thinking = `The user wants to see everything this page can show. Let me plan the answer.

First a heading, then a formula. The sum of the first $n$ squares is $\\frac{n(n+1)(2n+1)}{6}$; check for $n = 3$: $1 + 4 + 9 = 14$ and $3 \\cdot 4 \\cdot 7 / 6 = 14$. Good.

Then code. I should use C++ because the project is written in it. A table would be useful too.

Wait, prices such as $5 and $6 must not become formulas. Let me include them.

I think I have what I need.`;

export const everything = `## Linear attention in one page

Softmax attention compares every query with every key, so its cost grows with the **square** of the length. Linear attention keeps a *state* instead:

$$
S_t = \\lambda S_{t-1} + k_t v_t^\\top, \\qquad o_t = q_t^\\top S_t
$$

so that one token costs $O(d^2)$, whatever $t$ is. Written out for all earlier tokens,

\\[
o_t = \\sum_{j=1}^{t} \\lambda^{t-j} \\left(q_t \\cdot k_j\\right) v_j .
\\]

It costs $5 or $6 to run, \\(\\lambda < 1\\) forgets, and \`lambda\` is a vector.

### In code

\`\`\`cpp
// One step of the recurrence. state: [head_dim, head_dim], row-major.
void step(float* state, const float* q, const float* k, const float* v, float decay, float* out, int d) {
  for (int i = 0; i < d; ++i)
    for (int j = 0; j < d; ++j) state[i * d + j] = decay * state[i * d + j] + k[i] * v[j];
  for (int j = 0; j < d; ++j) {
    float sum = 0.0f;  // in float32, always
    for (int i = 0; i < d; ++i) sum += q[i] * state[i * d + j];
    out[j] = sum;
  }
}
\`\`\`

\`\`\`python
def fib(n: int) -> int:
    """The n-th Fibonacci number."""
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a  # 0, 1, 1, 2, 3, 5, 8
\`\`\`

### What it costs

| attention | time | memory | exact |
|---|---:|---:|:-:|
| softmax | $O(n^2 d)$ | $O(n d)$ | yes |
| lightning | $O(n d^2)$ | $O(d^2)$ | yes |

Things to do:

- [x] write the recurrence
- [ ] measure it
  1. on a CPU
  2. on a GPU

> What I cannot create, I do not understand.

More at <https://arxiv.org/abs/2501.08313>, and ~~that is all~~ there is more.
`;

export const hostile = `<script>window.hacked = 1</script> <img src=x onerror="window.hacked = 2">
[click](javascript:window.hacked=3) [data](data:text/html,<script>window.hacked=4</script>) ![pixel](http://example.invalid/pixel.png)

<style>body { display: none }</style> <iframe src="http://example.invalid"></iframe>

\`\`\`"><img/src/onerror=window.hacked=5>
code
\`\`\`

$\\href{javascript:window.hacked=6}{x}$ $\\htmlStyle{display:none}{y}$ $\\includegraphics{http://example.invalid/a.png}$

<form action="http://example.invalid"><input name="a"></form> the end
`;
