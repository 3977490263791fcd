/**
 * People with an open feed, as a client app has it: connected to one serving node, and to another when that one goes.
 */
import { WebSocket } from 'ws';
import { systemClock } from '../../streams/clock.js';
import type { Random } from '../../streams/random.js';

interface FeedMessage {
  readonly type: string;
  readonly version?: string;
}

/** A node that says nothing for this long stands still. The node's own heartbeats come more often. */
const SILENT_MS_MAX = 10_000;
const RECONNECT_MS = 500;

export class ChaosSubscriber {
  /** Of the newest feed received. */
  version: string | undefined;
  reconnects = -1;
  private socket: WebSocket | undefined;
  private isClosed = false;
  private heardMs = 0;
  private readonly watch;

  constructor(
    readonly user: string,
    private readonly urls: readonly string[],
    private readonly random: Random,
  ) {
    this.connect();
    this.watch = systemClock.setInterval(RECONNECT_MS, () => {
      if (systemClock.monotonic() - this.heardMs > SILENT_MS_MAX) this.socket?.terminate();
    });
  }

  close(): void {
    this.isClosed = true;
    this.watch.cancel();
    this.socket?.terminate();
  }

  private connect(): void {
    if (this.isClosed) return;
    this.reconnects++;
    this.heardMs = systemClock.monotonic();
    const socket = new WebSocket(`${this.random.pick(this.urls).replace('http', 'ws')}/v1/feed`);
    this.socket = socket;
    socket.on('open', () => {
      socket.send(JSON.stringify({ type: 'subscribe', userId: this.user, placement: 'home', limit: 5 }));
    });
    socket.on('message', (bytes: Buffer) => {
      this.heardMs = systemClock.monotonic();
      const message = JSON.parse(bytes.toString()) as FeedMessage;
      if (message.type === 'feed') this.version = message.version;
      if (message.type === 'ping') socket.send(JSON.stringify({ type: 'pong' }));
    });
    socket.on('error', () => undefined);
    socket.on('close', () => void systemClock.setTimer(RECONNECT_MS, () => this.connect()));
  }
}
