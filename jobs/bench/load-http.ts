/**
 * A small HTTP/1.1 client for load: keep-alive connections, one request under way on each, the rest wait in order.
 *
 * Written on sockets because Node's own client costs the generator several times as much a request, and a generator
 * that shares two cores with the engine would measure itself. It understands what our server sends: a status and a
 * body with Content-Length; anything else is an error, not a guess.
 */
import { connect, type Socket } from 'node:net';

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
  /** What `Retry-After` asks for, in ms, where it is there. */
  readonly retryAfterMs: number | undefined;
}

interface Waiting {
  readonly bytes: string;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

const HEADER_END = Buffer.from('\r\n\r\n');
const STATUS_AT = 'HTTP/1.1 '.length;

export class HttpClient {
  private readonly idle: Connection[] = [];
  private readonly connections: Connection[] = [];
  private readonly host: string;
  private readonly port: number;
  private waiting: Waiting[] = [];
  private taken = 0;

  constructor(
    url: string,
    private readonly connectionsMax: number,
  ) {
    ({ hostname: this.host } = new URL(url));
    this.port = Number(new URL(url).port);
  }

  get(path: string): Promise<Answer> {
    return this.request('GET', path, '');
  }

  /** `json` is the text as it is sent. */
  post(path: string, json: string): Promise<Answer> {
    return this.request('POST', path, json);
  }

  /** Requests under way fail. */
  close(): void {
    for (const connection of this.connections) connection.close();
  }

  private request(method: string, path: string, body: string): Promise<Answer> {
    const content =
      body === '' ? '' : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
    const bytes = `${method} ${path} HTTP/1.1\r\nHost: ${this.host}:${this.port}\r\n${content}\r\n${body}`;
    return new Promise((resolve, reject) => {
      this.waiting.push({ bytes, resolve, reject });
      this.serve();
    });
  }

  /** Gives waiting requests to idle connections. */
  private serve(): void {
    while (this.taken < this.waiting.length) {
      const connection = this.idle.pop() ?? this.open();
      if (connection === undefined) return;
      connection.send(this.waiting[this.taken++]!);
      // Taken from the front without moving the rest each time.
      if (this.taken < this.waiting.length && this.taken < 1_024) continue;
      this.waiting = this.waiting.slice(this.taken);
      this.taken = 0;
    }
  }

  private open(): Connection | undefined {
    if (this.connections.length >= this.connectionsMax) return undefined;
    const connection = new Connection(connect({ host: this.host, port: this.port, noDelay: true }), (isUsable) => {
      if (isUsable) this.idle.push(connection);
      else this.forget(connection);
      this.serve();
    });
    this.connections.push(connection);
    return connection;
  }

  private forget(connection: Connection): void {
    for (const list of [this.connections, this.idle]) {
      const at = list.indexOf(connection);
      if (at >= 0) list.splice(at, 1);
    }
  }
}

class Connection {
  private current: Waiting | undefined;
  private received: Buffer = Buffer.alloc(0);
  private isClosed = false;

  constructor(
    private readonly socket: Socket,
    /** Called when the next request may be sent, or with false when the connection is gone. */
    private readonly ready: (isUsable: boolean) => void,
  ) {
    socket.on('data', (bytes: Buffer) => this.receive(bytes));
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('The server closed the connection')));
  }

  send(waiting: Waiting): void {
    this.current = waiting;
    this.socket.write(waiting.bytes);
  }

  close(): void {
    this.socket.destroy();
  }

  private receive(bytes: Buffer): void {
    this.received = this.received.length === 0 ? bytes : Buffer.concat([this.received, bytes]);
    const headerEnd = this.received.indexOf(HEADER_END);
    if (headerEnd < 0) return;
    const header = this.received.toString('latin1', 0, headerEnd);
    const length = /\r\ncontent-length: *(\d+)/i.exec(header)?.[1];
    if (length === undefined) return this.fail(new Error(`An answer without Content-Length: ${header}`));
    const bodyAt = headerEnd + HEADER_END.length;
    const end = bodyAt + Number(length);
    if (this.received.length < end) return;
    const answer = {
      status: Number(header.slice(STATUS_AT, STATUS_AT + 3)),
      body: this.received.subarray(bodyAt, end),
      retryAfterMs: retryAfterMsOf(header),
    };
    const { current } = this;
    this.received = Buffer.alloc(0);
    this.current = undefined;
    current?.resolve(answer);
    this.ready(true);
  }

  private fail(error: Error): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.socket.destroy();
    this.current?.reject(error);
    this.current = undefined;
    this.ready(false);
  }
}

function retryAfterMsOf(header: string): number | undefined {
  const seconds = /\r\nretry-after: *(\d+)/i.exec(header)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1_000;
}
