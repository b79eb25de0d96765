// A browser on the page, and what every test of it asks: no errors, nothing from elsewhere, nothing against the policy.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { startMock } from './mock_server.mjs';

const names = ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome'];
function browserPath() {
  for (const name of names)
    try {
      return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
    } catch {
      // The next one.
    }
  return undefined;
}

let browser;
const executablePath = browserPath();
before(async () => {
  if (executablePath)
    browser = await chromium.launch({
      executablePath,
      args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    });
});
after(() => browser?.close());

/** How long, in ms, something may take that must come: this is no measure of how fast anything is. */
export const patience = 600_000;

export const desktop = { width: 1280, height: 860 };
export const phone = { width: 390, height: 844 };

/**
 * A test with a page of its own. `use` gets {page, mock, context, ask, answers}. Options: viewport, theme, touch, mock
 * (startMock's), server (an address to use instead), errors (a pattern of console errors that belong to the test).
 */
export function web(name, options, use) {
  test(
    name,
    { skip: executablePath ? false : `none of ${names.join(', ')} is installed`, timeout: 3_000_000 },
    async () => {
      const mock = options.server ? { url: options.server() } : await startMock(options.mock);
      const context = await browser.newContext({
        viewport: options.viewport ?? desktop,
        colorScheme: options.theme ?? 'light',
        hasTouch: Boolean(options.touch),
        isMobile: Boolean(options.touch),
        permissions: ['clipboard-read', 'clipboard-write'],
        reducedMotion: 'reduce',
      });
      // What the page takes away again after some seconds stays: a slow machine may be late to look at it.
      await context.addInitScript(() => {
        const { setTimeout } = window;
        window.setTimeout = (use, ms, ...more) => setTimeout(use, ms >= 4000 ? 1000 * ms : ms, ...more);
      });
      const problems = [];
      context.on('page', page => {
        page.setDefaultTimeout(patience);
        page.on('pageerror', error => problems.push(error.stack));
        page.on('console', message => {
          if (message.type() === 'error' && !options.errors?.test(message.text())) problems.push(message.text());
        });
        page.on('request', request => {
          if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(mock.url + '/'))
            problems.push(`request to ${request.url()}`);
        });
      });
      try {
        const page = await context.newPage();
        await page.goto(mock.url + '/');
        await page.locator('#composer').waitFor();
        const ask = async (text, wait = true) => {
          await page.fill('#composer', text);
          await page.click('button[aria-label="Send"]');
          if (wait) await idle(page);
        };
        await use({ page, mock, context, ask, answers: page.locator('article.assistant') });
        assert.deepEqual(problems, []);
      } finally {
        await context.close();
        await mock.close?.();
      }
    },
  );
}

/** Until no answer is being made. */
export async function idle(page) {
  await page.locator('article.assistant[aria-busy="false"]').last().waitFor();
  await page.locator('button[aria-label="Send"]').waitFor();
}

/** Loads the page anew once it has written down what it has: a reload cuts writing short. */
export async function reload(page) {
  // A transaction of its own comes after those that have begun.
  await page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const request = indexedDB.open('minimax-chat', 1);
        request.onerror = () => reject(request.error);
        request.onsuccess = () => {
          const last = request.result.transaction('conversations', 'readwrite');
          last.objectStore('conversations').count();
          last.oncomplete = () => {
            request.result.close();
            resolve();
          };
        };
      }),
  );
  await page.reload();
}

/** Asks again until `read` gives something that `check` accepts. */
export async function eventually(read, check, ms = patience) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await read();
    try {
      check(value);
      return value;
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise(resolve => setTimeout(resolve, 30));
    }
  }
}
