// What a model writes: Markdown, code, mathematics, and things it should not write.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { eventually, idle, web } from './harness.mjs';

web('Markdown, code and mathematics', {}, async ({ page, ask, answers }) => {
  await ask('everything');
  const answer = answers.locator('> .prose');
  await answer.locator('.katex').first().waitFor();
  assert.equal(await answer.locator('.math.display .katex-display').count(), 2);
  assert.equal(await answer.locator('.math.broken').count(), 0);
  assert.match(await answer.innerText(), /costs \$5 or \$6 to run/);
  assert.deepEqual(await answer.locator('h2, h3').allInnerTexts(), [
    'Linear attention in one page',
    'In code',
    'What it costs',
  ]);
  // Formulas have their height: the policy has not taken their styles away, and their fonts came from the server.
  assert.ok(
    (await answer
      .locator('.math.display')
      .last()
      .evaluate(place => place.getBoundingClientRect().height)) > 50,
  );
  assert.ok(
    await page.evaluate(() =>
      [...document.fonts].some(font => font.family === 'KaTeX_Main' && font.status === 'loaded'),
    ),
  );
  assert.equal(
    await answer
      .locator('td.right')
      .first()
      .evaluate(cell => getComputedStyle(cell).textAlign),
    'end',
  );
  assert.deepEqual(
    await answer
      .locator('li.task')
      .allInnerTexts()
      .then(texts => texts.map(text => text.split('\n')[0])),
    ['☑ write the recurrence', '☐ measure it'],
  );
  const link = answer.locator('a');
  assert.deepEqual(
    [await link.getAttribute('href'), await link.getAttribute('rel'), await link.getAttribute('target')],
    ['https://arxiv.org/abs/2501.08313', 'noopener noreferrer nofollow', '_blank'],
  );
  const code = answer.locator('figure.code').nth(1);
  assert.equal(await code.locator('figcaption span').innerText(), 'Python');
  assert.ok((await code.locator('.hljs-keyword').count()) >= 3);
  await code.getByRole('button', { name: 'Copy' }).click();
  await code.getByText('Copied').waitFor();
  assert.match(
    await page.evaluate(() => navigator.clipboard.readText()),
    /^def fib\(n: int\) -> int:\n {4}"""The n-th Fibonacci number\."""\n[^]*return a {2}# 0, 1, 1, 2, 3, 5, 8$/,
  );
  await code.getByRole('button', { name: 'Wrap' }).click();
  assert.equal(await code.locator('pre').evaluate(pre => getComputedStyle(pre).whiteSpace), 'pre-wrap');
  await answers.getByRole('button', { name: 'Copy answer' }).click();
  await eventually(
    () => page.evaluate(() => navigator.clipboard.readText()),
    text => assert.match(text, /^## Linear attention in one page\n/),
  );
});

web('what is finished stays while the rest streams', { mock: { delay: 5 } }, async ({ page, ask, answers }) => {
  await ask('everything', false);
  await answers.locator('h2').waitFor();
  await answers.locator('h2').evaluate(heading => (heading.dataset.mark = 'kept'));
  await idle(page);
  assert.equal(await answers.locator('h2').getAttribute('data-mark'), 'kept');
});

web('hostile text stays text', {}, async ({ page, ask, answers }) => {
  await ask('hostile');
  await answers.getByText('the end').waitFor();
  await answers.locator('.katex, .math.broken').first().waitFor();
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(
    await answers.locator('script, style, iframe, form, input, img, [onerror], [style*="display:none"]').count(),
    0,
  );
  assert.deepEqual(
    await answers
      .locator('a')
      .evaluateAll(links => links.map(link => link.getAttribute('href')).filter(href => !href.startsWith('http'))),
    [],
  );
  assert.match(await answers.innerText(), /<script>window\.hacked = 1<\/script>/);
  assert.equal(await page.locator('body').evaluate(body => getComputedStyle(body).display), 'block');
});

web(
  'the policy of the page holds',
  { errors: /Content Security Policy|Refused|Trusted(HTML|Script)|violates/ },
  async ({ page }) => {
    const inline = await page.evaluate(() => {
      const script = document.createElement('script');
      try {
        script.textContent = 'window.hacked = 1';
      } catch {
        return 'refused';
      }
      document.head.append(script);
      return window.hacked ? 'ran' : 'did not run';
    });
    assert.notEqual(inline, 'ran');
    await assert.rejects(
      page.evaluate(() => {
        document.body.innerHTML = '<b>x</b>';
      }),
      /TrustedHTML/,
    );
    const elsewhere = await page.evaluate(() =>
      fetch('https://example.invalid/').then(
        () => 'sent',
        error => error.name,
      ),
    );
    assert.equal(elsewhere, 'TypeError');
  },
);

web('a text rendered while it grows looks as if rendered at once, whatever it is', {}, async ({ page, mock }) => {
  const chunk = readdirSync(path.join(process.env.MINIMAX_ROOT, 'web/dist/assets')).find(name =>
    /^rich-.*\.js$/.test(name),
  );
  const found = await page.evaluate(async address => {
    // The chunk's exports have short names: blocks() makes a list, fill() fills an element.
    const exported = Object.values(await import(address));
    const blocks = exported.find(one => {
      try {
        return Array.isArray(one('x'));
      } catch {
        return false;
      }
    });
    const fill = exported.find(one => one !== blocks);
    const bits = [
      '$',
      '$$',
      '\\(',
      '\\)',
      '\\[',
      '\\]',
      '`',
      '```',
      '```cpp\n',
      '~~~\n',
      '\n',
      '\n\n',
      '    ',
      '- ',
      '1. ',
      '> ',
      '# ',
      '### ',
      '| a | b |\n|---|:-:|\n| 1 | 2 |\n',
      '**',
      '_',
      '[x](',
      ')',
      '<b>',
      '</b>',
      '<script>',
      '&amp;',
      'word ',
      '\\frac{1}{2}',
      '\\',
      '{',
      '}',
      'x^2',
      '---\n',
      '===\n',
      'http://c.d/e ',
      '- [x] ',
      '\t',
      '数',
      '\u202e',
      '\\text{',
      '\\begin{aligned}',
      '\\end{aligned}',
      '\\\\',
      '&',
      '%',
      '~~',
      '\0',
    ];
    let seed = 1;
    const random = n => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
    const element = document.createElement('div');
    const wrong = [];
    for (let round = 0; round < 300; ++round) {
      let text = '';
      for (let left = 1 + random(40); left > 0; --left) text += bits[random(bits.length)];
      let known = [];
      for (let cut = 1; cut < text.length; cut += 1 + random(12)) known = blocks(text.slice(0, cut), known);
      const atOnce = blocks(text);
      if (JSON.stringify(blocks(text, known)) !== JSON.stringify(atOnce)) wrong.push(`differs: ${text}`);
      for (const block of atOnce) {
        fill(element, block);
        if (element.querySelector('script, b, form, img')) wrong.push(`an element: ${text}`);
      }
    }
    return wrong;
  }, `${mock.url}/assets/${chunk}`);
  assert.deepEqual(found, []);
});
