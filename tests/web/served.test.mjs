// The web chat as the program serves it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, idle, web } from './harness.mjs';
import { answer, serve, thought } from './serve.mjs';

let hello, endless, thinker;
before(async () => {
  [hello, endless, thinker] = await Promise.all([serve('hello'), serve('endless'), serve('thinker')]);
});
after(() => Promise.all([hello, endless, thinker].map(server => server?.stop())));

web('a conversation with the real server', { server: () => hello.url }, async ({ page, ask, answers }) => {
  await page.locator('.model.ready', { hasText: 'hello' }).waitFor();
  await ask('Hi');
  assert.equal((await answers.locator('> .prose').innerText()).trim(), answer);
  await answers.locator('.fold').click();
  assert.equal((await answers.locator('.thought').innerText()).trim(), thought);
  assert.match(await answers.locator('.stats').innerText(), /^15 tokens · [\d,.]+ tokens\/s$/);
  await answers.locator('.stats').click();
  const figures = await page.locator('.figures').innerText();
  assert.match(figures, /Model\s+hello/);
  assert.match(figures, /Prompt\s+\d+ tokens/);
  await ask('And again');
  assert.equal(await answers.count(), 2);
  assert.equal(await page.locator('.meter').count(), 1);
  await page.getByRole('combobox', { name: 'Thinking' }).selectOption('0');
  await ask('Quickly');
  assert.equal(await answers.nth(2).locator('.thinking').count(), 0);
});

web('stopping reaches the real server', { server: () => endless.url }, async ({ page, ask, answers }) => {
  await ask('Go', false);
  await answers.getByText('it goes, and so on').waitFor();
  await page.getByRole('button', { name: 'Stop' }).click();
  await idle(page);
  await eventually(
    () => endless.requests().filter(({ path }) => path === '/v1/chat/completions'),
    lines => assert.ok(lines.at(-1)?.client_gone, JSON.stringify(lines)),
  );
  await answers.getByRole('button', { name: 'Answer again' }).click();
  await answers.getByText('it goes, and so on').waitFor();
  await page.keyboard.press('Escape');
  await idle(page);
});

web('a running answer’s thinking is ended', { server: () => thinker.url }, async ({ page, ask, answers }) => {
  await ask('Go', false);
  await answers.locator('.tail').getByText('hm well but').waitFor();
  await page.getByRole('button', { name: 'Answer now' }).click();
  // This model’s answer is more of the same, but it is an answer.
  await answers.locator('> .prose').getByText('hm well but').waitFor();
  assert.match(await answers.locator('.fold').innerText(), /Thought/);
  await page.keyboard.press('Escape');
  await idle(page);
});

web(
  'a refusal of the real server',
  { server: () => endless.url, errors: /Failed to load resource/ },
  async ({ page, ask }) => {
    await ask('word '.repeat(40_000));
    assert.match(await page.getByRole('alert').innerText(), /longer than the model’s context[^]*has \d+/);
  },
);

test('headers, encodings, caching', async () => {
  const get = (path, headers = {}, method = 'GET') =>
    fetch(hello.url + path, { method, headers: { 'Accept-Encoding': 'identity', ...headers } });
  const root = await get('/');
  const html = await root.text();
  assert.equal(root.headers.get('content-type'), 'text/html; charset=utf-8');
  assert.match(root.headers.get('content-security-policy'), /^default-src 'none'; script-src 'self'/);
  assert.equal(root.headers.get('x-content-type-options'), 'nosniff');
  assert.equal(root.headers.get('cache-control'), 'no-cache');
  assert.equal((await get('/', { 'If-None-Match': root.headers.get('etag') })).status, 304);
  const script = '/' + /src="(assets\/app-[^"]+)"/.exec(html)[1];
  const plain = await get(script);
  assert.match(plain.headers.get('cache-control'), /immutable/);
  assert.equal(plain.headers.get('content-encoding'), null);
  const packed = await get(script, { 'Accept-Encoding': 'gzip' });
  assert.equal(packed.headers.get('content-encoding'), 'gzip');
  assert.equal(await packed.text(), await plain.text());
  const head = await get(script, {}, 'HEAD');
  assert.equal(await head.text(), '');
  assert.equal(head.headers.get('content-type'), 'text/javascript; charset=utf-8');
  assert.equal((await get('/assets/none.js')).status, 404);
});
