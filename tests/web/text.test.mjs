// What a model writes: Markdown, code, mathematics, and things it should not write.
import assert from 'node:assert/strict';
import { eventually, idle, web } from './harness.mjs';

web('Markdown, code and mathematics', {}, async ({ page, ask, answers }) => {
  await ask('everything');
  const answer = answers.locator('> .prose');
  await answer.locator('.katex').first().waitFor();
  assert.equal(await answer.locator('.math.display .katex-display').count(), 2);
  assert.equal(await answer.locator('.math.broken').count(), 0);
  assert.match(await answer.innerText(), /costs \$5 or \$6 to run/);
  assert.deepEqual(await answer.locator('h2, h3').allInnerTexts(), ['Linear attention in one page', 'In code', 'What it costs']);
  // Formulas have their height: the policy has not taken their styles away, and their fonts came from the server.
  assert.ok((await answer.locator('.math.display').last().evaluate(place => place.getBoundingClientRect().height)) > 50);
  assert.ok(await page.evaluate(() => [...document.fonts].some(font => font.family === 'KaTeX_Main' && font.status === 'loaded')));
  assert.equal(await answer.locator('td.right').first().evaluate(cell => getComputedStyle(cell).textAlign), 'end');
  assert.deepEqual(await answer.locator('li.task').allInnerTexts().then(texts => texts.map(text => text.split('\n')[0])), ['☑ write the recurrence', '☐ measure it']);
  const link = answer.locator('a');
  assert.deepEqual([await link.getAttribute('href'), await link.getAttribute('rel'), await link.getAttribute('target')], ['https://arxiv.org/abs/2501.08313', 'noopener noreferrer nofollow', '_blank']);
  const code = answer.locator('figure.code').nth(1);
  assert.equal(await code.locator('figcaption span').innerText(), 'Python');
  assert.ok((await code.locator('.hljs-keyword').count()) >= 3);
  await code.getByRole('button', { name: 'Copy' }).click();
  await code.getByText('Copied').waitFor();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^def fib\(n: int\) -> int:\n {4}"""The n-th Fibonacci number\."""\n[^]*return a {2}# 0, 1, 1, 2, 3, 5, 8$/);
  await code.getByRole('button', { name: 'Wrap' }).click();
  assert.equal(await code.locator('pre').evaluate(pre => getComputedStyle(pre).whiteSpace), 'pre-wrap');
  await answers.getByRole('button', { name: 'Copy answer' }).click();
  await eventually(() => page.evaluate(() => navigator.clipboard.readText()), text => assert.match(text, /^## Linear attention in one page\n/));
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
  assert.equal(await answers.locator('script, style, iframe, form, input, img, [onerror], [style*="display:none"]').count(), 0);
  assert.deepEqual(await answers.locator('a').evaluateAll(links => links.map(link => link.getAttribute('href')).filter(href => !href.startsWith('http'))), []);
  assert.match(await answers.innerText(), /<script>window\.hacked = 1<\/script>/);
  assert.equal(await page.locator('body').evaluate(body => getComputedStyle(body).display), 'block');
});

web('the policy of the page holds', { errors: /Content Security Policy|Refused|Trusted(HTML|Script)|violates/ }, async ({ page }) => {
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
  await assert.rejects(page.evaluate(() => { document.body.innerHTML = '<b>x</b>'; }), /TrustedHTML/);
  const elsewhere = await page.evaluate(() => fetch('https://example.invalid/').then(() => 'sent', error => error.name));
  assert.equal(elsewhere, 'TypeError');
});
