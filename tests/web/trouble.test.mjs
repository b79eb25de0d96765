// What can go wrong, and how it is told.
import assert from 'node:assert/strict';
import { eventually, idle, reload, web } from './harness.mjs';

const failing = { errors: /Failed to load resource|net::ERR/ };

web('a server that is gone, and comes back', failing, async ({ page, mock, ask, answers }) => {
  await ask('hello');
  mock.down = true;
  await ask('are you there?');
  await page.getByRole('alert').getByText('The server does not answer').waitFor();
  await page.locator('.model.unreachable').waitFor();
  mock.down = false;
  await page.locator('.model.ready').waitFor();
  await page.getByRole('button', { name: 'Try again' }).click();
  await answers.nth(1).getByText('You said: are you there?').waitFor();
  // What came to nothing is not a version.
  assert.equal(await page.locator('.versions').count(), 0);
});

web('a busy server is asked again when it says', failing, async ({ page, mock, ask, answers }) => {
  mock.busy = Infinity;
  await ask('busy?', false);
  await page.getByText(/The server is busy\. Trying again (in 1 s|now)…/).waitFor();
  await eventually(
    () => mock.requests.length,
    count => assert.ok(count >= 3),
  );
  mock.busy = 0;
  await answers.getByText('You said: busy?').waitFor();
  // Waiting can be stopped.
  mock.busy = Infinity;
  await ask('busy again', false);
  await page.getByText(/Trying again/).waitFor();
  await page.getByRole('button', { name: 'Stop' }).click();
  await idle(page);
  const asked = mock.requests.length;
  await new Promise(resolve => setTimeout(resolve, 1300));
  assert.equal(mock.requests.length, asked);
});

web('a full context can be answered without the oldest turns', failing, async ({ page, mock, ask, answers }) => {
  await ask('one');
  await ask('two');
  await ask('context please');
  await page.getByRole('alert').getByText('longer than the model’s context').waitFor();
  assert.match(await page.getByRole('alert').innerText(), /4096 tokens, but the messages have 5210/);
  await page.getByRole('button', { name: 'Answer without the oldest turns' }).click();
  await answers.last().getByText('You said: context please').waitFor();
  assert.deepEqual(
    mock.requests.at(-1).messages.map(({ content }) => content),
    ['context please'],
  );
});

web('refusals are told in the server’s words', failing, async ({ page, ask }) => {
  await ask('refuse this');
  assert.match(await page.getByRole('alert').innerText(), /did not accept this\s+temperature is 9, expected 0 to 2/);
  await page.getByRole('button', { name: 'New chat' }).first().click();
  await ask('break');
  assert.match(await page.getByRole('alert').innerText(), /wrong on the server\s+The engine threw\./);
});

web('a connection that is cut keeps what had come, and can go on', failing, async ({ page, mock, ask, answers }) => {
  mock.hold = 1000;
  await ask('cut', false);
  await answers.getByText('This answer will be').waitFor();
  mock.hold = Infinity;
  await page.getByRole('alert').getByText('The connection was lost').waitFor();
  assert.match(await answers.innerText(), /This answer will be/);
  await reload(page);
  await answers.getByText('This answer will be').waitFor();
  await page.getByRole('button', { name: 'Go on' }).click();
  await answers.getByText('This answer will be going on.').waitFor();
  await idle(page);
  assert.deepEqual(
    [mock.requests[1].continue_final_message, mock.requests[1].messages.at(-1).content],
    [true, 'This answer will be '],
  );
  assert.equal(await page.getByRole('alert').count(), 0);
});

web(
  'an API key is asked for, and remembered if so wished',
  { ...failing, mock: { key: 'secret' } },
  async ({ page, mock, ask, answers }) => {
    await page.getByRole('button', { name: 'Enter the API key' }).first().waitFor();
    await ask('hello');
    await page.getByRole('alert').getByText('asks for an API key').waitFor();
    await page.getByRole('alert').getByRole('button', { name: 'Enter the API key' }).click();
    await page.getByRole('textbox', { name: 'API key' }).fill('secret');
    await page.getByRole('button', { name: 'Use this key' }).click();
    await page.locator('.model.ready').waitFor();
    await page.getByRole('button', { name: 'Try again' }).click();
    await answers.getByText('You said: hello').waitFor();
    await reload(page);
    await page.locator('.model.key').waitFor();
    await page.getByRole('button', { name: 'Enter the API key' }).first().click();
    await page.getByRole('textbox', { name: 'API key' }).fill('secret');
    await page.getByRole('checkbox').check();
    await page.getByRole('button', { name: 'Use this key' }).click();
    await page.locator('.model.ready').waitFor();
    await reload(page);
    await page.locator('.model.ready').waitFor();
    assert.equal(await page.evaluate(() => Object.values(localStorage).filter(value => value === 'secret').length), 1);
    mock.key = '';
  },
);

web('odd endings are explained', {}, async ({ page, ask, answers }) => {
  await ask('limit');
  assert.match(await answers.innerText(), /stopped at the limit of tokens/);
  await ask('empty');
  await eventually(
    () => answers.nth(1).innerText(),
    text => assert.match(text, /The model thought, but gave no answer\./),
  );
  await page.getByRole('button', { name: 'Change the limit' }).click();
  await page.getByRole('complementary', { name: 'Conversation settings' }).waitFor();
});

web('behind a proxy, below a path', { mock: { below: '/a/chat' } }, async ({ page, ask, answers }) => {
  await ask('everything');
  await answers.locator('.katex').first().waitFor();
  assert.match(page.url(), /\/a\/chat\/#\//);
});
