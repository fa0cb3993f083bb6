// Shows what the server says once a second. Texts are set as text, never as HTML: names and errors hold what anybody sent.
'use strict';

const at = (id) => document.getElementById(id);
const token = document.querySelector('meta[name=token]').content;
const rows = new Map();
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
  const body = at('names');
  const seen = new Set();
  let next = body.firstElementChild;
  for (const name of sample.names) {
    seen.add(name.domain);
    let row = rows.get(name.domain);
    if (!row) rows.set(name.domain, (row = makeRow(name.domain)));
    if (row.element === next) next = next.nextElementSibling;
    else body.insertBefore(row.element, next);
    fill(row, name);
  }
  for (const [domain, row] of rows) {
    if (seen.has(domain)) continue;
    row.element.remove();
    rows.delete(domain);
  }
  const hidden = sample.matching - sample.names.length;
  set(at('count'), count(sample, hidden, filter));
  set(at('empty'), filter ? 'No name matches.' : 'Nothing is announced yet. A program says: add example.com 5665');
  at('empty').hidden = sample.names.length > 0;
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

function makeRow(domain) {
  const element = document.createElement('tr');
  const head = document.createElement('th');
  head.scope = 'row';
  head.append(piece('span', domain));
  element.append(head);
  const cells = COLUMNS.map(([kind, label]) => {
    const cell = document.createElement('td');
    cell.className = kind;
    cell.dataset.label = label;
    const content = document.createElement('span');
    cell.append(content);
    element.append(cell);
    return { cell, content, kind };
  });
  if (token) element.append(removal(domain));
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
