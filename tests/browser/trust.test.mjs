// Whom a person's browser trusts after `dreamserver trust`: Chromium, with a home of its own, opens what the CA's key has signed.
//
// OpenSSL signs here, as somebody would who has stolen the key, for any name. Chromium must believe it for names of this machine
// only. Run by `scripts/test browser`; see browser.test.mjs.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

import { startServer } from './server.mjs';

// All names are this machine's.
const OPTIONS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * 127.0.0.1'];
const TIMEOUT = { timeout: 120_000 };

let home;
let environment;

before(() => {
  home = mkdtempSync(join(tmpdir(), 'dreamserver-trust-'));
  environment = { ...process.env, HOME: home };
  for (const name of ['XDG_DATA_HOME', 'XDG_CONFIG_HOME', 'CAROOT', 'DREAM_AUTHORITY', 'SUDO_UID']) delete environment[name];
}, TIMEOUT);

after(() => rmSync(home, { recursive: true, force: true }));

test('Chromium trusts the CA of this machine, for names of this machine', TIMEOUT, async (t) => {
  const { goto } = await trusting(t, 'ca', ['trust', '--store', 'nss']);
  assert.equal(await goto('app.localhost'), 'app.localhost');
  assert.equal(await goto('localhost'), 'localhost');
  assert.equal(await goto('shop.test'), 'shop.test');
  assert.equal(await goto('127.0.0.1'), '127.0.0.1');
  for (const other of ['example.com', 'notlocalhost', '127.0.0.1.example.com']) {
    assert.match(await goto(other), WARNING, other);
  }
});

test('Chromium trusts the CA for a name, for that name', TIMEOUT, async (t) => {
  const { goto } = await trusting(t, 'ca-for-example.com', ['trust', '--store', 'nss', '--name', 'example.com']);
  assert.equal(await goto('example.com'), 'example.com');
  assert.equal(await goto('www.example.com'), 'www.example.com');
  for (const other of ['example.org', 'app.localhost', '127.0.0.1']) assert.match(await goto(other), WARNING, other);
});

test('Chromium opens https://app.localhost, which the program serves', TIMEOUT, async (t) => {
  const { browser } = await trusting(t, 'ca', ['trust', '--store', 'nss']);
  const { key, cert } = signed('ca', 'app.localhost');
  writeFileSync(join(home, 'app.key'), key, { mode: 0o600 });
  writeFileSync(join(home, 'app.pem'), cert);
  writeFileSync(join(home, 'dreamserver.toml'), `
    listen = { addresses = "127.0.0.1:0", tls = "127.0.0.1:0" }
    [sites."app.localhost"]
    tls = { cert = "app.pem", key = "app.key" }
    respond = "served by TLS"
  `);
  const server = await startServer(['--control', 'off'], home);
  t.after(() => server.stop());
  const [, port] = /https:\/\/[\w.]+:(\d+)/.exec(await server.says(/https:/));
  const page = await browser.newPage();
  const answer = await page.goto(`https://app.localhost:${port}/`);
  assert.equal(await answer.text(), 'served by TLS');
  const { issuer, protocol } = await answer.securityDetails();
  assert.match(issuer, /^DreamServer development CA /);
  assert.equal(protocol, 'TLS 1.3');
});

test('Chromium warns again after untrust', TIMEOUT, async (t) => {
  const { goto } = await trusting(t, 'ca', ['untrust']);
  assert.match(await goto('app.localhost'), WARNING);
});

const WARNING = /ERR_CERT_/;

/** Runs a command, and gives a browser that was started after it, and `goto`: what the page of a name says, or why there is none. */
async function trusting(t, ca, command) {
  dreamserver(command);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: OPTIONS, env: environment,
  });
  t.after(() => browser.close());
  const goto = async (name) => {
    const server = createServer(signed(ca, name), (_, response) => response.end(name)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const page = await browser.newPage();
    try {
      const answer = await page.goto(`https://${name}:${server.address().port}/`);
      return await answer.text();
    } catch (error) {
      return error.message;
    } finally {
      await page.close();
      server.closeAllConnections();
      server.close();
    }
  };
  return { browser, goto };
}

function dreamserver(command) {
  execFileSync(process.env.DREAMSERVER, command, { env: environment });
}

/** A key, and a certificate for a name which the CA's key has signed, whatever its certificate permits. */
function signed(ca, name) {
  const file = (ending) => join(home, `leaf.${ending}`);
  const folder = join(home, '.local/share/dreamserver/authority');
  const kind = /^[\d.]+$/.test(name) ? 'IP' : 'DNS';
  writeFileSync(file('ext'), `subjectAltName=${kind}:${name}\nextendedKeyUsage=serverAuth\n`);
  openssl(['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/O=thief',
    '-keyout', file('key'), '-out', file('csr')]);
  openssl(['x509', '-req', '-in', file('csr'), '-CA', join(folder, `${ca}.pem`), '-CAkey', join(folder, `${ca}.key`),
    '-days', '30', '-extfile', file('ext'), '-out', file('pem')]);
  return { key: readFileSync(file('key')), cert: readFileSync(file('pem')) };
}

function openssl(options) {
  execFileSync('openssl', options, { stdio: ['ignore', 'ignore', 'pipe'] });
}
