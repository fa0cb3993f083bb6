// What a person sees: Chromium opens what DreamServer serves and forwards.
//
// Run by `scripts/test browser`. DREAMSERVER names the program, SCREENSHOTS the folder for pictures of the pages,
// CHROMIUM the browser (default /usr/bin/chromium).

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

import { startApplication } from './application.mjs';
import { makeSite } from './media.mjs';
import { startServer } from './server.mjs';

const PROJECT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const SCREENSHOTS = process.env.SCREENSHOTS ?? join(PROJECT, 'target', 'browser');
// No network but this machine's, and no sandbox, which a process of root cannot have.
const OPTIONS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const TIMEOUT = { timeout: 120_000 };

let folder;
let site;
let browser;
const steps = new WeakMap();

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreamserver-browser-'));
  site = join(folder, 'site');
  mkdirSync(site);
  mkdirSync(SCREENSHOTS, { recursive: true });
  makeSite(site);
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: OPTIONS });
}, TIMEOUT);

after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

test('without a word of configuration it serves the welcome page', TIMEOUT, async (t) => {
  const server = await started(t, ['--listen', '127.0.0.1:0'], PROJECT);
  const page = await opened(t);
  await page.goto(`http://localhost:${server.port}/`);
  assert.equal(await page.textContent('h1'), 'It works');
  await shows(page, 'img.logo');
  await page.screenshot({ path: join(SCREENSHOTS, 'welcome.png'), fullPage: true });
  page.assertQuiet();
});

test('an address without a file shows the 404 page of the site', TIMEOUT, async (t) => {
  const server = await started(t, ['--listen', '127.0.0.1:0'], PROJECT);
  const page = await opened(t);
  const answer = await page.goto(`http://localhost:${server.port}/a/b/none`);
  assert.equal(answer.status(), 404);
  assert.equal(await page.textContent('h1'), 'There is no such page');
  await shows(page, 'img.logo');
});

test('a static site comes with its pictures, font, style and script', TIMEOUT, async (t) => {
  const server = await started(t, ['files', site, '--listen', '127.0.0.1:0'], folder);
  const page = await opened(t);
  await page.goto(`http://localhost:${server.port}/`);

  await shows(page, '#picture');
  await shows(page, '#drawing');
  assert.equal(await page.textContent('#script'), 'The module ran.');
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('h1')).color), 'rgb(91, 75, 183)');
  const fonts = await page.evaluate(async () => {
    await document.fonts.ready;
    return [...document.fonts].map((font) => `${font.family} ${font.status}`);
  });
  assert.deepEqual(fonts, ['Letters loaded']);

  await page.screenshot({ path: join(SCREENSHOTS, 'site.png') });
  page.assertQuiet();
});

test('a film is seeked by ranges, without being fetched whole', TIMEOUT, async (t) => {
  const server = await started(t, ['files', site, '--listen', '127.0.0.1:0'], folder);
  const page = await opened(t);
  const answers = [];
  page.on('response', (answer) => {
    if (answer.url().endsWith('/film.webm')) answers.push(answer);
  });
  const length = statSync(join(site, 'film.webm')).size;
  // The browser shows a film before it tells of the answer that brought it.
  const late = page.waitForResponse((answer) => answer.url().endsWith('/film.webm') && rangeOf(answer).start > length / 2);
  await page.goto(`http://localhost:${server.port}/`);

  const film = await page.evaluate(async () => {
    const video = document.querySelector('#film');
    const next = (name) => new Promise((resolve, reject) => {
      video.addEventListener(name, resolve, { once: true });
      video.addEventListener('error', () => reject(new Error(video.error.message)), { once: true });
    });
    if (video.readyState < HTMLMediaElement.HAVE_METADATA) await next('loadedmetadata');
    const seeked = next('seeked');
    video.currentTime = 25;
    await seeked;
    const stoodAt = video.currentTime;
    await video.play();
    while (video.currentTime <= stoodAt) await next('timeupdate');
    video.pause();
    return { duration: video.duration, stoodAt, width: video.videoWidth };
  });
  assert.equal(film.width, 320);
  assert.ok(Math.abs(film.duration - 30) < 0.5, `it is ${film.duration} s long`);
  assert.ok(Math.abs(film.stoodAt - 25) < 0.5, `it stood at ${film.stoodAt} s`);

  await late;
  for (const answer of answers) {
    assert.equal(answer.status(), 206);
    assert.equal(rangeOf(answer).length, length);
  }
  await page.screenshot({ path: join(SCREENSHOTS, 'film.png') });
  page.assertQuiet();
});

test('a film that was fetched in parts, all in one request, plays and is seeked', TIMEOUT, async (t) => {
  const server = await started(t, ['files', site, '--listen', '127.0.0.1:0'], folder);
  const page = await opened(t);
  await page.goto(`http://localhost:${server.port}/`);
  const length = statSync(join(site, 'film.webm')).size;
  const film = await page.evaluate(inParts, length);
  assert.deepEqual(film, { status: 206, parts: 4, size: length, stoodAt: 20 });
  page.assertQuiet();
});

// Runs in the browser: asks for four parts in another order than theirs, puts them together, and looks at second 20.
async function inParts(length) {
  const quarter = Math.floor(length / 4);
  const ranges = `${3 * quarter}-,0-${quarter - 1},${2 * quarter}-${3 * quarter - 1},${quarter}-${2 * quarter - 1}`;
  const answer = await fetch('/film.webm', { headers: { Range: `bytes=${ranges}` } });
  const boundary = `--${answer.headers.get('content-type').split('boundary=')[1]}`;
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const text = new TextDecoder('latin1').decode(bytes);
  const whole = new Uint8Array(length);
  let parts = 0;
  let at = 0;
  for (;;) {
    const head = text.slice(at, text.indexOf('\r\n\r\n', at));
    const range = /Content-Range: bytes (\d+)-(\d+)\//.exec(head);
    if (!head.startsWith(boundary) || !range) break;
    const [first, last] = [Number(range[1]), Number(range[2])];
    const start = at + head.length + 4;
    whole.set(bytes.subarray(start, start + last + 1 - first), first);
    at = start + last + 1 - first + 2;
    parts += 1;
  }
  const video = document.createElementNS('http://www.w3.org/1999/xhtml', 'video');
  const happened = (name) => new Promise((resolve, reject) => {
    video.addEventListener(name, resolve, { once: true });
    video.addEventListener('error', () => reject(new Error(video.error.message)), { once: true });
  });
  video.src = URL.createObjectURL(new Blob([whole], { type: 'video/webm' }));
  await happened('loadedmetadata');
  const seeked = happened('seeked');
  video.currentTime = 20;
  await seeked;
  return { status: answer.status, parts, size: whole.length, stoodAt: video.currentTime };
}

function rangeOf(answer) {
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.headers()['content-range']);
  assert.ok(range, `no whole Content-Range: ${JSON.stringify(answer.headers())}`);
  return { start: Number(range[1]), length: Number(range[2]) };
}

test('a proxied page posts a form and follows the redirect', TIMEOUT, async (t) => {
  const application = await applicationFor(t);
  const server = await started(t, ['proxy', '--listen', '127.0.0.1:0', `http://127.0.0.1:${application.port}`], folder);
  const page = await opened(t);
  await page.goto(`http://localhost:${server.port}/`);
  await page.fill('input[name=note]', 'Grüße & <more>');
  await page.click('button');
  await page.waitForSelector('#notes li');

  assert.equal(await page.textContent('#notes li'), 'Grüße & <more>');
  assert.equal(page.url(), `http://localhost:${server.port}/`);
  const post = application.seen.find((request) => request.method === 'POST');
  assert.equal(post.headers.host, `localhost:${server.port}`);
  assert.equal(post.headers['x-forwarded-for'], '127.0.0.1');
  assert.equal(post.headers['x-forwarded-proto'], 'http');
  assert.ok(post.headers['x-request-id']);
  await page.screenshot({ path: join(SCREENSHOTS, 'proxied.png') });
  page.assertQuiet();
});

test('a proxied page holds a WebSocket: text, a large binary message, and a clean close', TIMEOUT, async (t) => {
  const application = await applicationFor(t);
  const server = await started(t, ['proxy', '--listen', '127.0.0.1:0', `http://127.0.0.1:${application.port}`], folder);
  const page = await opened(t);
  await page.goto(`http://localhost:${server.port}/`);
  const talk = await page.evaluate(async () => {
    const socket = new WebSocket(`ws://${location.host}/socket`);
    socket.binaryType = 'arraybuffer';
    const next = (name) => new Promise((resolve, reject) => {
      socket.addEventListener(name, resolve, { once: true });
      socket.addEventListener('error', () => reject(new Error('the socket failed')), { once: true });
    });
    await next('open');
    const answers = [];
    for (const word of ['one', 'two', 'three']) {
      socket.send(word);
      answers.push((await next('message')).data);
    }
    const sent = new Uint8Array(1_000_000).map((_, at) => at % 251);
    socket.send(sent);
    const received = new Uint8Array((await next('message')).data);
    const equal = received.length === sent.length && received.every((byte, at) => byte === sent[at]);
    socket.close(1000, 'done');
    const close = await next('close');
    return { answers, equal, code: close.code, clean: close.wasClean };
  });
  assert.deepEqual(talk, { answers: ['echo: one', 'echo: two', 'echo: three'], equal: true, code: 1000, clean: true });
  page.assertQuiet();
});

test('one configuration file gives each host its site', TIMEOUT, async (t) => {
  const application = await applicationFor(t);
  const file = join(folder, 'two-sites.toml');
  writeFileSync(file, `
    [sites."files.localhost"]
    files = ${JSON.stringify(site)}

    [sites."app.localhost"]
    proxy = "127.0.0.1:${application.port}"
  `);
  const server = await started(t, ['--config', file, '--listen', '127.0.0.1:0'], folder);
  const page = await opened(t);
  await page.goto(`http://files.localhost:${server.port}/`);
  assert.equal(await page.title(), 'A site');
  await page.goto(`http://app.localhost:${server.port}/`);
  assert.equal(await page.title(), 'Notes');
  page.assertQuiet();

  const answer = await page.goto(`http://other.localhost:${server.port}/`);
  assert.equal(answer.status(), 404);
});

/** A server that ends, by SIGTERM and with status 0, when the test does. */
async function started(t, options, where) {
  const server = await startServer(options, where);
  atEnd(t, async () => assert.equal(await server.stop(), 0));
  return server;
}

async function applicationFor(t) {
  const application = await startApplication();
  atEnd(t, () => application.close());
  return application;
}

/** A page in a browser context of its own; `assertQuiet` fails if the console or the network complained. */
async function opened(t) {
  const context = await browser.newContext();
  atEnd(t, () => context.close());
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`page: ${error.message}`));
  page.on('response', (answer) => {
    if (answer.status() >= 400) complaints.push(`${answer.status()}: ${answer.url()}`);
  });
  page.assertQuiet = () => assert.deepEqual(complaints, []);
  return page;
}

/** Has `step` done after the test, last things first: pages before the servers that they hold connections to. */
function atEnd(t, step) {
  if (!steps.has(t)) {
    steps.set(t, []);
    t.after(async () => {
      for (const step of steps.get(t).reverse()) await step();
    });
  }
  steps.get(t).push(step);
}

/** The picture is there and was decoded. */
async function shows(page, selector) {
  const width = await page.locator(selector).evaluate(async (picture) => {
    await picture.decode();
    return picture.naturalWidth;
  });
  assert.ok(width > 0, `${selector} has no width`);
}
