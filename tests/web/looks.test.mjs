// Themes, a phone, the keyboard alone, and what a screen reader needs.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { desktop, eventually, idle, phone, web } from './harness.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

async function accessible(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  assert.deepEqual(
    violations.map(
      ({ id, nodes }) =>
        `${what}: ${id}: ${nodes
          .map(({ html, any }) => `${html} ${any[0]?.message ?? ''}`)
          .slice(0, 3)
          .join(' | ')}`,
    ),
    [],
  );
}

for (const [theme, viewport] of [
  ['light', desktop],
  ['dark', desktop],
  ['light', phone],
  ['dark', phone],
])
  web(
    `accessible: ${theme}, ${viewport.width} pixels wide`,
    { theme, viewport, errors: /Failed to load/ },
    async ({ page, ask, answers }) => {
      await page.locator('.model.ready').waitFor();
      await accessible(page, 'welcome');
      await ask('everything');
      await answers.locator('.fold').click();
      await answers.locator('.stats').click();
      await answers.locator('.katex').first().waitFor();
      await accessible(page, 'answer');
      await ask('weather');
      await ask('refuse');
      await page.getByRole('button', { name: 'Conversation settings' }).click();
      await page.getByRole('button', { name: 'More settings' }).click();
      await accessible(page, 'tools, a problem, settings');
      await page.getByRole('button', { name: 'Close settings' }).click();
      if (viewport === phone) await page.getByRole('button', { name: 'Conversations' }).click();
      await accessible(page, 'list');
      await page.getByRole('button', { name: 'Settings and data' }).click();
      await accessible(page, 'data');
      await page.getByRole('button', { name: 'Keyboard shortcuts' }).click();
      await accessible(page, 'shortcuts');
    },
  );

const ground = page => page.locator('body').evaluate(body => getComputedStyle(body).backgroundColor);

web('dark and light, by the system or by choice', { theme: 'dark' }, async ({ page }) => {
  assert.equal(await ground(page), 'rgb(26, 25, 23)');
  await page.getByRole('button', { name: 'Theme: system' }).click();
  assert.equal(await ground(page), 'rgb(252, 251, 249)');
  await page.reload();
  assert.equal(await ground(page), 'rgb(252, 251, 249)');
  await page.getByRole('button', { name: 'Theme: light' }).click();
  assert.equal(await ground(page), 'rgb(26, 25, 23)');
  await page.emulateMedia({ colorScheme: 'light' });
  assert.equal(await ground(page), 'rgb(26, 25, 23)');
  await page.getByRole('button', { name: 'Theme: dark' }).click();
  assert.equal(await ground(page), 'rgb(252, 251, 249)');
});

web('a phone', { viewport: phone, touch: true }, async ({ page, mock, answers }) => {
  const overflow = () =>
    page.evaluate(
      () =>
        document.documentElement.scrollWidth -
        innerWidth +
        document.querySelector('.thread').scrollWidth -
        document.querySelector('.thread').clientWidth,
    );
  assert.equal(await page.locator('.sidebar').isVisible(), false);
  await page.locator('#composer').fill('show me everything');
  await page.locator('#composer').press('Enter'); // a new line: there is no Shift on a phone
  assert.equal(mock.requests.length, 0);
  await page.getByRole('button', { name: 'Send' }).tap();
  await idle(page);
  await answers.locator('.katex').first().waitFor();
  assert.ok((await overflow()) <= 0, 'wider than the screen');
  for (const name of ['Send', 'Add text files', 'Conversations', 'Conversation settings']) {
    const { width, height } = await page.getByRole('button', { name, exact: true }).boundingBox();
    assert.ok(width >= 40 && height >= 40, `${name}: ${width} x ${height}`);
  }
  assert.ok(
    (await page.locator('#composer').evaluate(field => parseFloat(getComputedStyle(field).fontSize))) >= 16,
    'a smaller font makes phones zoom in',
  );
  await page.getByRole('button', { name: 'Conversations' }).tap();
  await page.locator('.entry').getByRole('button').first().tap();
  await page.locator('.sidebar').waitFor({ state: 'hidden' });
  await page.getByRole('button', { name: 'Conversation settings' }).tap();
  await page.getByRole('textbox', { name: 'System prompt' }).fill('Hi');
  await page.getByRole('button', { name: 'Close settings' }).tap();
  await page.locator('.panel').waitFor({ state: 'detached' });
  await page.setViewportSize({ width: 320, height: 568 });
  assert.ok((await overflow()) <= 0, 'wider than a small screen');
});

web('the keyboard alone', {}, async ({ page, mock }) => {
  const press = keys => page.keyboard.press(keys);
  const focused = () =>
    page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent);
  const on = wanted => eventually(focused, label => assert.equal(label, wanted));
  await on('Message');
  await page.keyboard.type('one');
  await press('Shift+Enter');
  await page.keyboard.type('two');
  await press('Enter');
  await idle(page);
  assert.equal(mock.requests[0].messages[0].content, 'one\ntwo');
  await press('ArrowUp');
  await on('Edit question');
  await page.keyboard.type('!');
  await press('Control+Enter');
  await eventually(
    () => mock.requests.at(-1).messages[0].content,
    text => assert.equal(text, 'one\ntwo!'),
  );
  await idle(page);
  await press('Alt+ArrowUp');
  await on('Answer');
  await press('Alt+ArrowUp');
  await on('Your question');
  await press('Alt+ArrowDown');
  await press('Alt+ArrowDown');
  await on('Message');
  await press('Alt+KeyR');
  await idle(page);
  await page.getByText('answer number 3').waitFor();
  await press('Alt+KeyC');
  await page.getByText('Answer copied.').waitFor();
  await press('Alt+KeyT');
  await eventually(
    () => page.locator('.fold').getAttribute('aria-expanded'),
    value => assert.equal(value, 'true'),
  );
  await press('Control+b');
  await page.locator('.sidebar').waitFor({ state: 'hidden' });
  await press('Control+k');
  await on('Search conversations');
  await press('Escape');
  await press('Control+Shift+O');
  await page.getByText('What shall we think about?').waitFor();
  await on('Message');
  await page.locator('h1').click();
  await press('?');
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
  await press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await press('/');
  await on('Message');
  // Everything that can be clicked can be reached, and shows where the focus is.
  const seen = new Set();
  for (let step = 0; step < 20; ++step) {
    await press('Tab');
    seen.add(await focused());
  }
  for (const label of [
    'Add text files',
    'Close the list',
    ' New chat',
    'Search conversations',
    'Conversation settings',
  ])
    assert.ok(seen.has(label), `${label} was not reached: ${[...seen].join(', ')}`);
});
