// Conversations: asking, thinking, stopping, versions, tools, settings.
import assert from 'node:assert/strict';
import { eventually, idle, reload, web } from './harness.mjs';

web('an answer streams', { mock: { hold: 8 } }, async ({ page, mock, ask, answers }) => {
  await ask('Hello there', false);
  await answers.getByText('The user says').waitFor();
  assert.equal(await answers.getByText('friendly answer').count(), 0);
  mock.hold = 26;
  await answers.locator('> .prose').getByText('You said').waitFor();
  assert.equal(await answers.getByText('number 1').count(), 0);
  mock.hold = Infinity;
  await idle(page);
  assert.match(await answers.innerText(), /You said: Hello there\. This is answer number 1\./);
  assert.match(await answers.locator('.stats').innerText(), /^\d+ tokens · \d+ tokens\/s$/);
  assert.equal(await page.locator('article.user .bubble').innerText(), 'Hello there');
  assert.equal(await page.locator('.entry.current').innerText(), 'Hello there');
  assert.equal(await page.title(), 'Hello there · MiniMax');
  assert.equal(await page.locator('[role="status"]', { hasText: 'Answer complete' }).count(), 1);
  const [request] = mock.requests;
  assert.deepEqual([request.stream, request.stream_options, request.model], [true, { include_usage: true }, 'mock-m1']);
  // The figures, in words.
  await answers.locator('.stats').click();
  assert.match(
    await page.locator('.figures').innerText(),
    /Prompt\s+\d+ tokens, \d+ of them cached[^]*Thinking\s+\d+ tokens/,
  );
  await ask('And again');
  assert.deepEqual(
    mock.requests[1].messages.map(({ role }) => role),
    ['user', 'assistant', 'user'],
  );
  assert.match(mock.requests[1].messages[1].reasoning_content, /friendly answer/);
});

web('thinking is folded, timed, unfolded by its button', { mock: { hold: 100 } }, async ({ page, ask, answers }) => {
  await ask('ponder', false);
  const fold = answers.locator('.fold');
  await eventually(
    () => fold.innerText(),
    text => assert.match(text, /Thinking\s+[1-9]\d* s/),
  );
  assert.equal(await fold.getAttribute('aria-expanded'), 'false');
  assert.match(await answers.locator('.tail').innerText(), /let me see/);
  await fold.click();
  assert.match(await answers.locator('.thought').innerText(), /^Hmm, let me see\./);
  assert.equal(await answers.locator('.tail').count(), 0);
  // The reader has had enough of it: the server ends the thinking, and the answer follows.
  await page.getByRole('button', { name: 'Answer now' }).click();
  await idle(page);
  assert.match(await answers.innerText(), /Done pondering\./);
  assert.match(await fold.innerText(), /Thought\s+for \d[^]*\s+\d+ tokens/);
  assert.ok((await answers.locator('.thought').innerText()).length < 5000);
  await fold.click();
  assert.equal(await answers.locator('.thought').isVisible(), false);
});

web('stop, answer again, and both versions', { mock: { hold: 20 } }, async ({ page, mock, ask, answers }) => {
  await ask('endless', false);
  await answers.getByText('number 3,').waitFor();
  await page.getByRole('button', { name: 'Stop' }).click();
  await idle(page);
  await eventually(
    () => mock.aborted,
    aborted => assert.equal(aborted, 1),
  );
  assert.match(await answers.innerText(), /number 3,[^]*Stopped\./);
  mock.hold = Infinity;
  await answers.getByRole('button', { name: 'Answer again' }).click();
  await answers.getByText('number 4999').waitFor();
  await idle(page);
  assert.equal(await answers.locator('.versions').textContent(), '2 /  of 2');
  await answers.getByRole('button', { name: 'Previous version' }).click();
  assert.match(await answers.innerText(), /Stopped\./);
  await answers.getByRole('button', { name: 'Next version' }).click();
  await answers.getByText('number 4999').waitFor();
  // Escape stops as well.
  mock.hold = 20;
  await ask('endless', false);
  await page.locator('article.assistant').nth(1).getByText('number 3,').waitFor();
  await page.keyboard.press('Escape');
  await idle(page);
  await eventually(
    () => mock.aborted,
    aborted => assert.equal(aborted, 2),
  );
});

web('an edited question is a branch', {}, async ({ page, mock, ask, answers }) => {
  await ask('first question');
  await ask('second question');
  const question = page.locator('article.user').first();
  await question.hover();
  await question.getByRole('button', { name: 'Edit question' }).click();
  await page.getByRole('textbox', { name: 'Edit question' }).fill('better question');
  await page.getByRole('button', { name: 'Ask', exact: true }).click();
  await idle(page);
  assert.equal(await page.locator('article.user').count(), 1);
  assert.match(await answers.innerText(), /better question/);
  assert.deepEqual(
    mock.requests.at(-1).messages.map(({ content }) => content),
    ['better question'],
  );
  await question.hover();
  await question.getByRole('button', { name: 'Previous version' }).click();
  assert.deepEqual(await page.locator('article.user .bubble').allInnerTexts(), ['first question', 'second question']);
  await reload(page);
  await eventually(
    () => page.locator('article.user .bubble').allInnerTexts(),
    texts => assert.deepEqual(texts, ['first question', 'second question']),
  );
  // The words of an answer can be changed too; the model is then told the changed ones.
  await answers.first().getByRole('button', { name: 'Edit answer' }).click();
  await page.getByRole('textbox', { name: 'Edit answer' }).fill('I never said that.');
  await page.keyboard.press('Control+Enter');
  await ask('third');
  assert.equal(mock.requests.at(-1).messages[1].content, 'I never said that.');
});

web('deleting, and thinking better of it', {}, async ({ page, ask }) => {
  await ask('one');
  await ask('two');
  await page.locator('article.user').nth(1).hover();
  await page.locator('article.user').nth(1).getByRole('button', { name: 'Delete from here' }).click();
  assert.equal(await page.locator('article').count(), 2);
  await page.getByRole('button', { name: 'Undo' }).click();
  assert.equal(await page.locator('article').count(), 4);
});

web('tool calls are shown, answered by the user, and go on', {}, async ({ page, mock, ask, answers }) => {
  await page.keyboard.press('Control+,');
  await page.getByRole('button', { name: 'More settings' }).click();
  await page.getByRole('textbox', { name: 'Tools' }).fill('[{"type": "function"}]');
  assert.match(await page.locator('.hint.bad').innerText(), /Tool 1 has no name/);
  await page
    .getByRole('textbox', { name: 'Tools' })
    .fill('[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]');
  assert.equal(await page.locator('.hint.bad').count(), 0);
  await page.getByRole('button', { name: 'Close settings' }).click();
  await ask('How is the weather?');
  assert.equal(mock.requests[0].tools[0].function.name, 'weather');
  assert.match(await answers.innerText(), /Calls weather[^]*"place": "Paris"/);
  await page.getByRole('textbox', { name: 'Result of weather' }).fill('{"rain": true}');
  await page.getByRole('button', { name: 'Send result' }).click();
  await page.getByText('So take an umbrella.').waitFor();
  await idle(page);
  const messages = mock.requests[1].messages;
  assert.deepEqual(messages[1].tool_calls[0].function, {
    name: 'weather',
    arguments: '{"place": "Paris", "days": [1, 2]}',
  });
  assert.deepEqual(messages[2], { role: 'tool', tool_call_id: 'call_0', name: 'weather', content: '{"rain": true}' });
  await page.getByText('Result of weather').click();
  assert.match(await page.locator('.tool-result pre').innerText(), /"rain": true/);
});

web('settings reach the server', {}, async ({ page, mock, ask }) => {
  await page.getByRole('combobox', { name: 'Thinking' }).selectOption('2048');
  await page.keyboard.press('Control+,');
  await page.getByRole('textbox', { name: 'System prompt' }).fill('Be brief.');
  await page.getByRole('spinbutton', { name: 'Temperature' }).fill('0.7');
  await page.getByRole('slider', { name: 'Top-p' }).fill('0.5');
  await page.getByRole('button', { name: 'More settings' }).click();
  await page.getByRole('spinbutton', { name: 'Seed' }).fill('7');
  await page.getByRole('spinbutton', { name: 'Longest answer' }).fill('99');
  await page.getByRole('textbox', { name: 'Stop at' }).fill('END');
  await page.getByRole('textbox', { name: 'JSON schema' }).fill('{"type": "object"}');
  await ask('Hi');
  const { messages, stream, stream_options, model, ...rest } = mock.requests[0];
  assert.deepEqual(messages[0], { role: 'system', content: 'Be brief.' });
  assert.deepEqual(rest, {
    temperature: 0.7,
    top_p: 0.5,
    seed: 7,
    max_tokens: 99,
    max_thinking_tokens: 2048,
    stop: ['END'],
    response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: { type: 'object' } } },
  });
  // They belong to this conversation, unless they are kept for new ones.
  await page.getByRole('button', { name: 'New chat' }).first().click();
  await ask('Plain');
  assert.equal('temperature' in mock.requests[1], false);
  await page.locator('.entry', { hasText: 'Hi' }).getByRole('button', { name: 'Hi', exact: true }).click();
  await page.getByRole('button', { name: 'Keep for new chats' }).click();
  await reload(page);
  await page.getByRole('button', { name: 'New chat' }).first().click();
  await ask('Kept');
  assert.equal(mock.requests[2].temperature, 0.7);
  // No thinking at all.
  await page.getByRole('combobox', { name: 'Thinking' }).selectOption('0');
  await ask('Quick');
  assert.equal(mock.requests[3].max_thinking_tokens, 0);
  assert.equal(await page.locator('article.assistant').last().locator('.thinking').count(), 0);
  // Another model.
  await page.getByRole('combobox', { name: 'Model' }).selectOption('mock-m1-small');
  await ask('Small');
  assert.equal(mock.requests[4].model, 'mock-m1-small');
});

web('files go along with the question', {}, async ({ page, mock, ask }) => {
  const [chooser] = await Promise.all([
    page.waitForEvent('filechooser'),
    page.getByRole('button', { name: 'Add text files' }).click(),
  ]);
  await chooser.setFiles([
    { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('remember the milk\n') },
    { name: 'image.png', mimeType: 'image/png', buffer: Buffer.from([0x89, 0x50, 0, 1]) },
  ]);
  await page.getByText('image.png is not a text file.').waitFor();
  assert.equal(await page.locator('.composer .files li').count(), 1);
  await ask('What should I remember?');
  assert.equal(
    mock.requests[0].messages[0].content,
    'notes.txt:\n```\nremember the milk\n```\n\nWhat should I remember?',
  );
  assert.match(await page.locator('article.user').innerText(), /notes\.txt/);
});

web('a long answer does not stop the page', {}, async ({ page, ask, answers }) => {
  await page.evaluate(() => {
    window.longest = 0;
    let before = performance.now();
    const tick = () => {
      const now = performance.now();
      window.longest = Math.max(window.longest, now - before);
      before = now;
      setTimeout(tick, 10);
    };
    tick();
  });
  await ask('endless');
  assert.match(await answers.innerText(), /number 4999/);
  // Far more than a busy machine makes of some tenths of a second, far less than rendering all of it again for each piece.
  const longest = await page.evaluate(() => window.longest);
  assert.ok(longest < 60_000, `the page stood still for ${longest} ms`);
  // It followed the answer to its end.
  const below = await page.locator('.thread').evaluate(box => box.scrollHeight - box.scrollTop - box.clientHeight);
  assert.ok(below < 5, `${below} pixels below`);
});

web('the reader may scroll away while it streams', { mock: { hold: 500 } }, async ({ page, mock, ask, answers }) => {
  await ask('endless', false);
  await answers.getByText('number 150,').waitFor();
  const thread = page.locator('.thread');
  await thread.hover();
  await page.mouse.wheel(0, -600);
  await page.getByRole('button', { name: 'To the end' }).waitFor();
  const top = await thread.evaluate(box => box.scrollTop);
  mock.hold = 1000;
  await answers.getByText('number 230,').waitFor();
  assert.equal(await thread.evaluate(box => box.scrollTop), top);
  await page.getByRole('button', { name: 'To the end' }).click();
  await eventually(
    () => thread.evaluate(box => box.scrollHeight - box.scrollTop - box.clientHeight),
    below => assert.ok(below < 200),
  );
  await page.keyboard.press('Escape');
});

web('a conversation of hundreds of turns', {}, async ({ page, ask }) => {
  const turns = {};
  for (let n = 0; n < 150; ++n) {
    turns[`q${n}`] = { id: `q${n}`, parent: n ? `a${n - 1}` : null, role: 'user', content: `question ${n}` };
    turns[`a${n}`] = {
      id: `a${n}`,
      parent: `q${n}`,
      role: 'assistant',
      content: `**answer** ${n} $x^${n}$`.repeat(1 + (n % 7)),
    };
  }
  await page.getByRole('button', { name: 'Settings and data' }).click();
  const [chooser] = await Promise.all([
    page.waitForEvent('filechooser'),
    page.getByRole('button', { name: 'Import…' }).click(),
  ]);
  await chooser.setFiles({
    name: 'long.json',
    mimeType: 'application/json',
    buffer: Buffer.from(JSON.stringify({ format: 'minimax-chat', conversations: [{ title: 'long', turns }] })),
  });
  await page.keyboard.press('Escape');
  await page.locator('.entry', { hasText: 'long' }).getByRole('button').first().click();
  // It opens at its end; what is far from there is not rendered until it comes near.
  await page.locator('article', { hasText: 'question 149' }).waitFor();
  const below = () => page.locator('.thread').evaluate(box => box.scrollHeight - box.scrollTop - box.clientHeight);
  await eventually(below, pixels => assert.ok(pixels < 5, `${pixels} pixels below`));
  await page.locator('article.assistant').last().locator('.katex').first().waitFor();
  assert.ok((await page.locator('.prose:not(.plain)').count()) < 60);
  await page.locator('.thread').evaluate(box => (box.scrollTop = 0));
  await page.locator('article.assistant').first().locator('.katex').first().waitFor();
  await ask('one more');
  await eventually(below, pixels => assert.ok(pixels < 5, `${pixels} pixels below`));
});
