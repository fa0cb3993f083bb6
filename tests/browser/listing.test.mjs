// The listing of a folder in Chromium: sorted by clicks, without a script, light and dark, on a wide and on a narrow screen.
//
// Run by `scripts/test browser`, as browser.test.mjs.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

import { startServer } from './server.mjs';

const PROJECT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const SCREENSHOTS = process.env.SCREENSHOTS ?? join(PROJECT, 'target', 'browser');
const OPTIONS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const TIMEOUT = { timeout: 120_000 };
const TRAP = '<img src=x onerror="document.title=\'caught\'">.txt';

let folder;
let server;
let browser;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreamserver-listing-'));
  mkdirSync(SCREENSHOTS, { recursive: true });
  const root = join(folder, 'root');
  mkdirSync(join(root, 'pictures', 'summer & sea'), { recursive: true });
  mkdirSync(join(root, 'papers'));
  writeFileSync(join(root, 'papers', 'index.html'), '<title>Papers</title><link rel="icon" href="data:,">');
  const files = [['chapter 2.txt', 1_234, 3], ['chapter 10.txt', 56_789, 1], ['film.webm', 48_211_000, 2], [TRAP, 12, 4],
    [`a name that is so long that it does not fit into one line of a telephone ${'and goes on '.repeat(8)}.pdf`, 2_500_000, 5]];
  for (const [name, size, day] of files) {
    writeFileSync(join(root, 'pictures', name), Buffer.alloc(size));
    utimesSync(join(root, 'pictures', name), new Date(), new Date(Date.UTC(2026, 6, day, 9, 30)));
  }
  writeFileSync(join(folder, 'dreamserver.toml'), '[sites."*"]\nfiles = { root = "root", browse = true }\n');
  server = await startServer(['--config', 'dreamserver.toml', '--listen', '127.0.0.1:0'], folder);
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: OPTIONS });
}, TIMEOUT);

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0);
  rmSync(folder, { recursive: true, force: true });
});

test('a click on a column sorts, a click on a folder opens it in the same order', TIMEOUT, async () => {
  const page = await opened({ javaScriptEnabled: false });
  await page.goto(`http://localhost:${server.port}/`);
  assert.deepEqual(await names(page), ['papers', 'pictures']);
  await follow(page, 'text=pictures', '/pictures/');
  const usual = await names(page);
  assert.equal(usual[0], 'summer & sea');
  assert.ok(usual.indexOf('chapter 2.txt') < usual.indexOf('chapter 10.txt'));
  await follow(page, 'thead >> text=Size', '/pictures/?sort=size&order=desc');
  assert.equal((await names(page))[1], 'film.webm');
  assert.equal(await page.getAttribute('th:nth-child(2)', 'aria-sort'), 'descending');
  await follow(page, 'thead >> text=Size', '/pictures/?sort=size&order=asc');
  assert.equal((await names(page)).at(-1), 'film.webm');
  await follow(page, 'text=summer & sea', '/pictures/summer%20%26%20sea/?sort=size&order=asc');
  await follow(page, 'text=Parent folder', '/pictures/?sort=size&order=asc');
  await follow(page, 'nav >> text=Home', '/?sort=size&order=asc');
  await follow(page, 'text=papers', '/papers/?sort=size&order=asc');
  assert.equal(await page.title(), 'Papers');
  page.assertQuiet();
});

test('a name is never markup', TIMEOUT, async () => {
  const page = await opened();
  await page.goto(`http://localhost:${server.port}/pictures/`);
  assert.ok((await names(page)).includes(TRAP));
  assert.equal(await page.locator('main img').count(), 0);
  assert.equal(await page.title(), '/pictures/');
  page.assertQuiet();
});

for (const colorScheme of ['light', 'dark']) {
  for (const [screen, width] of [['wide', 1100], ['narrow', 360]]) {
    test(`it is readable: ${colorScheme}, ${screen}`, TIMEOUT, async () => {
      const page = await opened({ colorScheme, viewport: { width, height: 700 } });
      await page.goto(`http://localhost:${server.port}/pictures/?sort=date&order=desc`);
      await page.screenshot({ path: join(SCREENSHOTS, `listing-${colorScheme}-${screen}.png`), fullPage: true });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(overflow, 0, 'nothing sticks out at the side');
      const [ground, ink] = await page.evaluate(() => {
        const style = getComputedStyle(document.body);
        return [style.backgroundColor, style.color].map((color) => color.match(/\d+/g).map(Number)[0]);
      });
      assert.equal(ground > ink, colorScheme === 'light');
      page.assertQuiet();
    });
  }
}

/** Clicks, and waits for the page behind the link. */
async function follow(page, link, address) {
  await Promise.all([page.waitForURL(`http://localhost:${server.port}${address}`), page.click(link)]);
}

/** What the listing shows, without the way up. */
function names(page) {
  return page.locator('tbody bdi').allTextContents();
}

async function opened(options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`page: ${error.message}`));
  page.assertQuiet = () => assert.deepEqual(complaints, []);
  return page;
}
