import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpClient } from '../../../jobs/bench/load-http.js';

const cleanups: (() => void)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

async function open(connections: number, listener: RequestListener): Promise<HttpClient> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = new HttpClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, connections);
  cleanups.push(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  return client;
}

describe('load generator over HTTP', () => {
  it('sends every request once, over no more connections than it may open', async () => {
    const sockets = new Set<unknown>();
    const bodies: string[] = [];
    const client = await open(3, (request, response) => {
      sockets.add(request.socket);
      let body = '';
      request.on('data', (bytes: Buffer) => (body += bytes.toString()));
      request.on('end', () => {
        bodies.push(body);
        const answer = `${request.method} ${request.url} ü`;
        response.writeHead(202, { 'content-length': Buffer.byteLength(answer) }).end(answer);
      });
    });
    const texts = Array.from({ length: 3_000 }, (_, i) => JSON.stringify({ i }));
    const answers = await Promise.all(texts.map((text) => client.post('/v1/events', text)));
    expect(bodies.sort()).toEqual([...texts].sort());
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.toString()}`))).toEqual(
      new Set(['202 POST /v1/events ü']),
    );
    expect(sockets.size).toBe(3);
    expect((await client.get('/x')).body.toString()).toBe('GET /x ü');
  });

  it('reads an answer that comes in pieces', async () => {
    const client = await open(1, (_request, response) => {
      response.writeHead(200, { 'content-length': 6 });
      response.write('abc');
      process.nextTick(() => response.end('def'));
    });
    expect((await client.get('/')).body.toString()).toBe('abcdef');
  });

  it('tells how long a server that refuses wants to be left alone', async () => {
    const client = await open(1, (request, response) => {
      if (request.url === '/busy') response.writeHead(429, { 'retry-after': '2', 'content-length': 0 }).end();
      else response.writeHead(202, { 'content-length': 0 }).end();
    });
    expect(await client.get('/busy')).toMatchObject({ status: 429, retryAfterMs: 2_000 });
    expect(await client.get('/free')).toMatchObject({ status: 202, retryAfterMs: undefined });
  });

  it('fails the request whose connection breaks, and opens another for the next', async () => {
    let requests = 0;
    const client = await open(1, (request, response) => {
      if (requests++ === 0) request.socket.destroy();
      else response.writeHead(200, { 'content-length': 0 }).end();
    });
    await expect(client.get('/')).rejects.toThrow();
    expect((await client.get('/')).status).toBe(200);
  });
});
