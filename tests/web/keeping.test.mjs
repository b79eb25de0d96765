// Conversations that are kept in the browser: reloading, other tabs, files, deleting.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { eventually, reload, web } from './harness.mjs';

web('conversations outlive the page', {}, async ({ page, mock, ask, answers }) => {
  await ask('a first thing');
  await page.getByRole('button', { name: 'New chat' }).first().click();
  mock.hold = 500;
  await ask('endless', false);
  await answers.getByText('number 150,').waitFor();
  await page.reload();
  await answers.getByText('number 40,').waitFor();
  assert.match(await answers.innerText(), /Stopped\./);
  await eventually(
    () => mock.aborted,
    aborted => assert.equal(aborted, 1),
  );
  await page.locator('.entry', { hasText: 'a first thing' }).getByRole('button').first().click();
  await answers.getByText('You said: a first thing').waitFor();
  await page.goBack();
  await answers.getByText('number 40,').waitFor();
});

web('an answer goes on while another conversation is read', {}, async ({ page, mock, ask, answers }) => {
  await ask('short');
  mock.hold = 20;
  await page.getByRole('button', { name: 'New chat' }).first().click();
  await ask('endless', false);
  await answers.getByText('number 3,').waitFor();
  await page.locator('.entry', { hasText: 'short' }).getByRole('button').first().click();
  assert.equal(await page.locator('.entry', { hasText: 'endless' }).locator('.pulse').count(), 1);
  mock.hold = Infinity;
  await page.locator('.entry', { hasText: 'endless' }).locator('.pulse').waitFor({ state: 'detached' });
  await page.locator('.entry', { hasText: 'endless' }).getByRole('button').first().click();
  await answers.getByText('number 4999').waitFor();
});

web('search, rename, delete', {}, async ({ page, ask }) => {
  for (const text of ['about apples', 'about pears']) {
    await page.getByRole('button', { name: 'New chat' }).first().click();
    await ask(text);
  }
  await page.keyboard.press('Control+k');
  await page.keyboard.type('APPLES said');
  const listed = wanted =>
    eventually(
      () => page.locator('.entry').allInnerTexts(),
      texts => assert.deepEqual(texts, wanted),
    );
  await listed(['about apples']);
  await page.keyboard.press('Control+a');
  await page.keyboard.type('zebra');
  await page.getByText('Nothing found.').waitFor();
  await page.getByRole('searchbox').fill('');
  await page.locator('.entry', { hasText: 'pears' }).hover();
  await page.getByRole('button', { name: 'Rename “about pears”' }).click();
  await page.getByRole('textbox', { name: 'Title' }).fill('Fruit');
  await page.keyboard.press('Enter');
  await page.locator('h1', { hasText: 'Fruit' }).waitFor();
  await page.locator('.entry', { hasText: 'Fruit' }).hover();
  await page.getByRole('button', { name: 'Delete “Fruit”' }).click();
  await listed(['about apples']);
  await page.getByRole('button', { name: 'Undo' }).click();
  await listed(['Fruit', 'about apples']);
  await reload(page);
  await listed(['Fruit', 'about apples']);
});

web('files out and in again, and everything deleted', {}, async ({ page, ask, answers }) => {
  await ask('remember me');
  const openData = () => page.getByRole('button', { name: 'Settings and data' }).click();
  await openData();
  const [saved] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Export all' }).click(),
  ]);
  const json = readFileSync(await saved.path(), 'utf8');
  assert.match(saved.suggestedFilename(), /^minimax-\d{4}-\d\d-\d\d\.json$/);
  await page.getByRole('button', { name: 'Delete all…' }).click();
  await page.getByRole('button', { name: 'Delete 1 conversation for good' }).click();
  await eventually(
    () => page.locator('.entry').count(),
    count => assert.equal(count, 0),
  );
  const bring = async (name, text) => {
    const [chooser] = await Promise.all([
      page.waitForEvent('filechooser'),
      page.getByRole('button', { name: 'Import…' }).click(),
    ]);
    await chooser.setFiles({ name, mimeType: 'application/json', buffer: Buffer.from(text) });
  };
  await bring('wrong.json', '{"hello": 1}');
  await page.getByText('wrong.json could not be imported: it was not exported by this page.').waitFor();
  await bring('right.json', json);
  await page.getByText('1 conversation imported.').waitFor();
  await page.getByRole('button', { name: 'Close', exact: true }).click();
  await reload(page);
  await page.locator('.entry', { hasText: 'remember me' }).getByRole('button').first().click();
  await answers.getByText('You said: remember me').waitFor();
  await page.keyboard.press('Control+,');
  const [text] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Save as Markdown' }).click(),
  ]);
  assert.equal(text.suggestedFilename(), 'remember-me.md');
  assert.match(readFileSync(await text.path(), 'utf8'), /^# remember me\n\n## You\n\nremember me\n\n## mock-m1\n/);
});

web('two tabs agree', {}, async ({ page, mock, context, ask }) => {
  const other = await context.newPage();
  await other.goto(mock.url);
  await other.locator('#composer').waitFor();
  await ask('seen in both');
  await other.locator('.entry', { hasText: 'seen in both' }).waitFor();
  await other.locator('.entry').hover();
  await other.getByRole('button', { name: 'Delete “seen in both”' }).click();
  await page.locator('.entry').waitFor({ state: 'detached' });
});
