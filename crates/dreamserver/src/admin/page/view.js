// Shows what the server says once a second. Texts are set as text, never as HTML: names and errors hold what anybody sent.
'use strict';

const at = (id) => document.getElementById(id);
const token = document.querySelector('meta[name=token]').content;
const rows = new Map();
const certificates = new Map();
let source;

function follow() {
  source?.close();
  const filter = at('filter').value.trim();
  source = new EventSource(`/events?q=${encodeURIComponent(filter)}`);
  source.onmessage = (message) => {
    show(JSON.parse(message.data), filter);
    state('live', 'live');
  };
  source.onerror = () => {
    state('lost', 'the server does not answer; trying again …');
    // A browser gives up when the answer is an error.
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  };
}

function state(kind, text) {
  set(at('link'), text);
  at('link').className = kind;
}

function show(sample, filter) {
  list(at('names'), rows, sample.names, (name) => name.domain, makeNameRow, fill);
  const hidden = sample.matching - sample.names.length;
  set(at('count'), count(sample, hidden, filter));
  set(at('empty'), filter ? 'No name matches.' : 'Nothing is announced yet. A program says: add example.com 5665');
  at('empty').hidden = sample.names.length > 0;
  showCertificates(sample.certificates, filter);
}

/** Has a table's body show these items, in their order; rows that are there already stay. */
function list(body, known, items, keyOf, make, fillIn) {
  const seen = new Set();
  let next = body.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    seen.add(key);
    let row = known.get(key);
    if (!row) known.set(key, (row = make(item)));
    if (row.element === next) next = next.nextElementSibling;
    else body.insertBefore(row.element, next);
    fillIn(row, item);
  }
  for (const [key, row] of known) {
    if (seen.has(key)) continue;
    row.element.remove();
    known.delete(key);
  }
}

function showCertificates({ total, rows: shown }, filter) {
  at('certificates').hidden = total === 0;
  list(at('certificate-rows'), certificates, shown, (row) => `${row.name} ${row.kind} ${row.file ?? ''}`, makeCertificateRow, fillCertificate);
  const all = total === 1 ? '1 certificate' : `${number(total)} certificates`;
  set(at('certificate-count'), shown.length === total ? all : `${number(shown.length)} of ${all} ${filter ? 'match, or are shown' : 'are shown'}`);
}

function count(sample, hidden, filter) {
  const names = sample.total === 1 ? '1 name' : `${number(sample.total)} names`;
  const matching = filter ? `${number(sample.matching)} of ${names} match` : names;
  return hidden > 0 ? `${matching}; ${number(hidden)} of them are not shown` : matching;
}

const COLUMNS = [
  ['number', 'Port'], ['answers', 'Answers'], ['owner', 'Owner'], ['number', 'Requests a second'],
  ['number latency', 'Latency'], ['number requests', 'Requests'], ['error', 'Last error'],
];

const CERTIFICATE_COLUMNS = [
  ['answers', 'State'], ['issuer', 'Issuer'], ['expires', 'Expires'], ['renewal', 'Renewal'], ['error', 'Last error'],
];

function makeNameRow({ domain }) {
  const row = makeRow(domain, COLUMNS);
  if (token) row.element.append(removal(domain));
  return row;
}

const makeCertificateRow = ({ name }) => makeRow(name, CERTIFICATE_COLUMNS);

function makeRow(domain, columns) {
  const element = document.createElement('tr');
  const head = document.createElement('th');
  head.scope = 'row';
  head.append(piece('span', domain));
  element.append(head);
  const cells = columns.map(([kind, label]) => {
    const cell = document.createElement('td');
    cell.className = kind;
    cell.dataset.label = label;
    const content = document.createElement('span');
    cell.append(content);
    element.append(cell);
    return { cell, content, kind };
  });
  return { element, cells };
}

function removal(domain) {
  const cell = document.createElement('td');
  cell.className = 'remove';
  const button = piece('button', 'Remove');
  button.type = 'button';
  button.setAttribute('aria-label', `Remove ${domain}`);
  button.addEventListener('click', () => {
    if (confirm(`Remove ${domain}? Requests for it are no longer served.`)) say(`remove ${domain}`);
  });
  cell.append(button);
  return cell;
}

function fill(row, name) {
  const [port, answers, owner, rate, latency, requests, error] = row.cells;
  put(port, name.host ? `${name.host}:${name.port}` : String(name.port));
  put(answers, ({ up: 'yes', down: 'no' })[name.health] ?? '–', name.waiting ? 'waiting for it' : '');
  answers.cell.className = `answers ${name.health ?? ''}`;
  put(owner, name.owner === undefined ? '' : String(name.owner));
  put(rate, number(name.rate >= 10 ? Math.round(name.rate) : Math.round(name.rate * 10) / 10));
  put(latency, name.p50_ms === undefined ? '' : time(name.p50_ms), name.p99_ms === undefined ? '' : `99 %: ${time(name.p99_ms)}`);
  put(requests, number(name.requests), name.failed ? `${number(name.failed)} failed` : '', 'bad');
  putError(error, name.failure);
}

function fillCertificate(row, certificate) {
  const [condition, issuer, expires, renewal, error] = row.cells;
  const [text, kind] = conditionOf(certificate);
  put(condition, text, certificate.kind === 'public' ? '' : certificate.kind === 'local' ? 'by the CA of this machine' : 'from a file');
  condition.cell.className = `answers ${kind}`;
  put(issuer, certificate.issuer ?? '');
  put(expires, day(certificate.not_after), certificate.not_after === undefined ? '' : away(certificate.not_after));
  put(renewal, day(certificate.renewal), certificate.renewal === undefined ? '' : away(certificate.renewal));
  const next = certificate.next === undefined ? '' : ` Tried again ${away(certificate.next)}.`;
  put(error, certificate.error ?? '', certificate.error ? `${certificate.advice ?? ''}${next}` : '');
}

const DAY = 24 * 3600 * 1000;

function conditionOf({ not_after: end, renewal, error, ordered }) {
  if (end === undefined) return ordered ? ['ordered', ''] : ['none', error ? 'down' : ''];
  if (end <= Date.now()) return ['ended', 'down'];
  if (error) return ['failing', 'down'];
  if (ordered) return ['ordered', 'up'];
  return end < Date.now() + 14 * DAY && renewal === undefined ? ['ends soon', 'down'] : ['valid', 'up'];
}

const day = (millis) => (millis === undefined ? '' : new Date(millis).toISOString().slice(0, 10));

/** How far away a time is, in words that do not change all the time. */
function away(millis) {
  const span = Math.abs(millis - Date.now());
  const [value, unit] = span >= 2 * DAY ? [span / DAY, 'days'] : span >= 7_200_000 ? [span / 3_600_000, 'hours'] : [span / 60_000, 'minutes'];
  return millis > Date.now() ? `in ${Math.round(value)} ${unit}` : `${Math.round(value)} ${unit} ago`;
}

/** The text of a cell, and a smaller one below it. What has not changed is not touched. */
function put({ cell, content, kind }, text, small = '', smallKind = '') {
  const shown = `${text}\n${small}`;
  if (content.dataset.shown === shown) return;
  content.dataset.shown = shown;
  cell.className = text ? kind : `${kind} nothing`;
  content.replaceChildren(text || '–');
  if (small) {
    const below = piece('small', small);
    below.className = smallKind;
    content.append(' ', below);
  }
}

function putError({ cell, content }, failure) {
  const shown = failure ? `${failure.when} ${failure.text}` : '';
  if (content.dataset.shown === shown) return;
  content.dataset.shown = shown;
  cell.className = failure ? 'error' : 'error nothing';
  if (!failure) return content.replaceChildren('–');
  const status = piece('span', String(failure.status));
  status.className = 'status';
  const when = piece('time', new Date(failure.when).toLocaleTimeString());
  when.dateTime = new Date(failure.when).toISOString();
  content.replaceChildren(status, ' ', piece('span', failure.text), ' · ', when);
}

function piece(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const number = (value) => value.toLocaleString('en');

function time(millis) {
  if (millis >= 1000) return `${(millis / 1000).toFixed(1)} s`;
  return `${millis >= 10 ? Math.round(millis) : millis.toFixed(1)} ms`;
}

/** Sends an announcement; tells what came of it, and whether it was taken. */
async function say(line) {
  note('…');
  try {
    const answer = await fetch('/commands', { method: 'POST', headers: { 'Dream-Token': token }, body: line });
    const text = (await answer.text()).trim();
    note(answer.ok ? said(text) : text.replace(/^err [a-z-]+: /, ''), !answer.ok);
    return answer.ok;
  } catch {
    note('The server does not answer.', true);
    return false;
  }
}

function said(reply) {
  const [, verb, domain, port, waiting] = reply.split(' ');
  if (verb === 'remove') return `${domain} is no longer served.`;
  return waiting ? `${domain} will reach port ${port}, where nothing answers yet.` : `${domain} reaches port ${port}.`;
}

function note(text, isBad = false) {
  set(at('note'), text);
  at('note').className = isBad ? 'bad' : '';
}

at('add').addEventListener('submit', async (event) => {
  event.preventDefault();
  const [domain, port] = [at('domain').value.trim(), at('port').value.trim()];
  const button = event.target.querySelector('button');
  button.disabled = true;
  if (await say(`add ${domain} ${port}`)) {
    event.target.reset();
    at('domain').focus();
  }
  button.disabled = false;
});

let typing;
at('filter').addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(follow, 250);
});
at('find').addEventListener('submit', (event) => event.preventDefault());

document.body.classList.toggle('read-only', !token);
at('readonly').hidden = Boolean(token);
// The connection is given back where nobody looks, and taken up again with the page (back and forward).
addEventListener('pagehide', () => source?.close());
addEventListener('pageshow', follow);
