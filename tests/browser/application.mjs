// An application on Node's own HTTP server: a form, its answer after a redirect, and a WebSocket that echoes.

import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

/** Starts it on a free port; resolves to `{ port, seen, close }`, where `seen` holds each request's head. */
export async function startApplication() {
  const seen = [];
  const notes = [];
  const server = createServer(async (request, response) => {
    seen.push({ method: request.method, url: request.url, headers: request.headers });
    if (request.method === 'POST' && request.url === '/notes') {
      const form = new URLSearchParams(await text(request));
      notes.push(form.get('note'));
      response.writeHead(303, { Location: '/' }).end();
    } else if (request.url === '/') {
      response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(page(notes));
    } else {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('no such page\n');
    }
  });
  const sockets = new WebSocketServer({ server, path: '/socket' });
  sockets.on('connection', (socket, request) => {
    seen.push({ method: 'WEBSOCKET', url: request.url, headers: request.headers });
    socket.on('message', (data, isBinary) => socket.send(isBinary ? data : `echo: ${data}`, { binary: isBinary }));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: server.address().port,
    seen,
    close() {
      for (const socket of sockets.clients) socket.terminate();
      server.close();
      server.closeAllConnections();
    },
  };
}

async function text(request) {
  let whole = '';
  request.setEncoding('utf8');
  for await (const piece of request) whole += piece;
  return whole;
}

function page(notes) {
  const items = notes.map((note) => `<li>${escape(note)}</li>`).join('');
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Notes</title>
<link rel="icon" href="data:,">
<h1>Notes</h1>
<ul id="notes">${items}</ul>
<form method="post" action="/notes"><input name="note"><button>Add</button></form>
</html>
`;
}

function escape(text) {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
