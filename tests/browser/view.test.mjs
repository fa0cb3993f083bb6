// The live view in Chromium: names come and go without a reload, and what anybody sent stays text.
//
// Run by `scripts/test browser`, as browser.test.mjs.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
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

let folder;
let server;
let control;
let browser;
let application;
const complaints = [];

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreamserver-view-'));
  mkdirSync(SCREENSHOTS, { recursive: true });
  server = await startServer(['core', '--listen', '127.0.0.1:0', '--control', '127.0.0.1:0',
    '--state', join(folder, 'state')], folder);
  control = Number(/live view is at http:\/\/localhost:(\d+)/.exec(await server.says(/live view is at .*\n/))[1]);
  application = createServer((request, response) => {
    response.writeHead(request.url.startsWith('/fails') ? 500 : 200).end('ok');
  });
  await new Promise((resolve) => application.listen(0, '127.0.0.1', resolve));
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: OPTIONS });
}, TIMEOUT);

after(async () => {
  await browser?.close();
  application?.close();
  application?.closeAllConnections();
  assert.equal(await server?.stop(), 0);
  rmSync(folder, { recursive: true, force: true });
});

test('a name that is announced appears without a reload, with what it is asked', TIMEOUT, async () => {
  const page = await opened();
  await page.waitForSelector('#link.live');
  assert.match(await page.textContent('#empty'), /Nothing is announced yet/);
  await announce(`add shop.example ${application.address().port}`);
  const row = page.locator('#names tr', { hasText: 'shop.example' });
  await row.locator('td.answers.up').waitFor();
  for (let count = 0; count < 5; count++) await ask('shop.example', '/');
  await row.locator('td.requests', { hasText: /^5$/ }).waitFor();
  await row.locator('td.latency', { hasText: /ms/ }).waitFor();
  await announce('remove shop.example');
  await row.waitFor({ state: 'detached' });
  await page.context().close();
  assert.deepEqual(complaints, []);
});

test('names are added and removed by the page, from the keyboard', TIMEOUT, async () => {
  const page = await opened();
  const port = application.address().port;
  await page.getByLabel('Domain').focus();
  await page.keyboard.type('desk.example');
  await page.keyboard.press('Tab');
  await page.keyboard.type(String(port));
  await page.keyboard.press('Enter');
  await page.locator('#note', { hasText: `desk.example reaches port ${port}.` }).waitFor();
  assert.equal(await ask('desk.example', '/'), 200);
  const row = page.locator('#names tr', { hasText: 'desk.example' });
  await row.waitFor();

  await page.getByLabel('Domain').fill('not a name');
  await page.getByLabel('Port').fill('1');
  await page.getByRole('button', { name: 'Add' }).click();
  await page.locator('#note.bad').waitFor();

  page.on('dialog', (dialog) => dialog.accept());
  await page.getByRole('button', { name: 'Remove desk.example' }).press('Enter');
  await row.waitFor({ state: 'detached' });
  assert.equal(await ask('desk.example', '/'), 404);
  await page.context().close();
  // The one refusal is an answer that the console notes.
  assert.equal(complaints.splice(0).filter((text) => !text.includes('422')).length, 0);
});

test('what anybody sends is shown as text', TIMEOUT, async () => {
  await announce(`add plain.example ${application.address().port}`);
  const hostile = '/fails/<img/src=x/onerror=document.title=1><script>document.title=2</script>';
  assert.equal(await raw('plain.example', hostile), 500);
  const page = await opened();
  const error = page.locator('#names tr', { hasText: 'plain.example' }).locator('td.error');
  await error.filter({ hasText: '<img/src=x/onerror=document.title=1><script>' }).waitFor();
  assert.equal(await page.locator('#names img, #names script').count(), 0);
  assert.equal(await page.title(), 'DreamServer');
  await announce('remove plain.example');
  await page.context().close();
  assert.deepEqual(complaints, []);
});

test('a page from elsewhere can neither change nor see anything', TIMEOUT, async (t) => {
  const other = createServer((_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><link rel="icon" href="data:,">elsewhere');
  });
  await new Promise((resolve) => other.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    other.close();
    other.closeAllConnections();
  });
  const page = await opened(`http://localhost:${other.address().port}/`);
  const outcomes = await page.evaluate(async (view) => {
    const outcome = (promise) => promise.then((answer) => answer.type, () => 'refused');
    const line = { method: 'POST', body: 'add evil.example 9' };
    return [
      await outcome(fetch(`${view}/commands`, line)),
      await outcome(fetch(`${view}/commands`, { ...line, headers: { 'Dream-Token': 'guess' } })),
      await outcome(fetch(`${view}/commands`, { ...line, mode: 'no-cors' })),
      await outcome(fetch(`${view}/names.json`)),
      await new Promise((resolve) => {
        const frame = document.createElement('iframe');
        frame.src = `${view}/`;
        frame.onload = () => {
          try {
            resolve(frame.contentDocument ? 'seen' : 'refused');
          } catch {
            resolve('refused');
          }
        };
        document.body.append(frame);
      }),
    ];
  }, `http://localhost:${control}`);
  assert.deepEqual(outcomes, ['refused', 'refused', 'refused', 'refused', 'refused']);
  assert.match(await announce('list'), /^ok list 0/);
  await page.context().close();
  complaints.splice(0);
});

test('certificates are shown with what is wrong with them, as text and as it happens', TIMEOUT, async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'dreamserver-certificates-'));
  const organisation = '<img src=x onerror=document.title=3>';
  const file = (name) => join(home, name);
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '5',
    '-subj', `/O=${organisation}/CN=shop`, '-addext', 'subjectAltName=DNS:shop.example', '-keyout', file('shop.key'),
    '-out', file('shop.pem')], { stdio: 'pipe' });
  const config = `listen = { addresses = '127.0.0.1:0', tls = '127.0.0.1:0' }
[sites.'shop.example']
respond = 'hi'
tls = { cert = 'shop.pem', key = 'shop.key' }
`;
  writeFileSync(file('dreamserver.toml'), config);
  const other = await startServer(['--config', file('dreamserver.toml'), '--control', '127.0.0.1:0', '--state', file('state')], home);
  t.after(async () => {
    await other.stop();
    rmSync(home, { recursive: true, force: true });
  });
  const address = /live view is at (http:\/\/localhost:\d+\/)/.exec(await other.says(/live view is at .*\n/))[1];
  const page = await opened(address);
  const row = page.locator('#certificate-rows tr', { hasText: 'shop.example' });
  await row.locator('td.answers.down', { hasText: 'ends soon' }).waitFor();
  await row.locator('td.issuer', { hasText: organisation }).waitFor();
  await row.locator('td.expires', { hasText: /in [45] days/ }).waitFor();
  await page.locator('#certificate-count', { hasText: '1 certificate' }).waitFor();
  writeFileSync(file('shop.pem'), 'not PEM');
  await row.locator('td.error', { hasText: 'there is no certificate in it' }).waitFor();
  await row.locator('td.answers.down', { hasText: 'failing' }).waitFor();
  for (const [name, viewport] of [['wide', { width: 1200, height: 700 }], ['phone', { width: 390, height: 844 }]]) {
    await page.setViewportSize(viewport);
    await page.screenshot({ path: join(SCREENSHOTS, `certificates-${name}.png`), fullPage: true });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${name}: ${overflow} pixels too wide`);
  }
  await page.getByLabel('Find').fill('none');
  await row.waitFor({ state: 'detached' });
  assert.equal(await page.locator('#certificates img').count(), 0);
  assert.equal(await page.title(), 'DreamServer');
  await page.context().close();
  assert.deepEqual(complaints, []);
});

test('it is found, and looks well, in light, dark and on a phone', TIMEOUT, async () => {
  const port = application.address().port;
  for (const name of ['shop.example', 'api.shop.example', '*.preview.example', 'a-very-long-name-of-a-machine.department.example']) {
    await announce(`add ${name} ${port}`);
  }
  await announce('add asleep.example 9');
  for (let count = 0; count < 20; count++) await ask('shop.example', '/');
  await ask('api.shop.example', '/fails/now');
  await ask('asleep.example', '/');
  for (const [name, options] of [
    ['light', { colorScheme: 'light', viewport: { width: 1200, height: 700 } }],
    ['dark', { colorScheme: 'dark', viewport: { width: 1200, height: 700 } }],
    ['phone', { colorScheme: 'light', viewport: { width: 390, height: 844 } }],
  ]) {
    const page = await opened(undefined, options);
    await page.locator('#names tr', { hasText: 'asleep.example' }).locator('td.answers.down').waitFor();
    await ask('shop.example', '/');
    await page.screenshot({ path: join(SCREENSHOTS, `view-${name}.png`), fullPage: true });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${name}: ${overflow} pixels too wide`);
    await page.getByLabel('Find').fill('API.');
    await page.locator('#count', { hasText: '1 of 5 names match' }).waitFor();
    assert.equal(await page.locator('#names tr').count(), 1);
    await page.context().close();
  }
  assert.deepEqual(complaints, []);
});

/** A page in a context of its own; what its console says is a complaint. */
async function opened(address = `http://localhost:${control}/`, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(address);
  return page;
}

/** Sends an announcement by UDP; resolves to the reply. */
function announce(line) {
  const socket = createSocket('udp4');
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('message', (reply) => {
      socket.close();
      resolve(reply.toString());
    });
    socket.connect(control, '127.0.0.1', () => socket.send(line));
  });
}

const ask = (host, path) => raw(host, path);

/** Sends a path as it stands; resolves to the status. */
function raw(host, path) {
  return new Promise((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1');
    let text = '';
    socket.setEncoding('latin1').on('data', (piece) => { text += piece; });
    socket.on('error', reject);
    socket.on('close', () => resolve(Number(text.split(' ')[1])));
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  });
}
