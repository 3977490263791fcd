/**
 * The WebSocket end of the feed: takes over upgrades of the HTTP server, beats, drains. The only file that knows the
 * WebSocket library.
 *
 * A page of another origin is refused in the handshake. A missing or unknown key, and too many connections, are told by
 * a close code after it, since browsers show no more of a failed handshake than that it failed.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { isEngineError } from '../../schemas/errors.js';
import type { Clock, TimerHandle } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import type { Metrics } from '../../streams/metrics.js';
import type { Random } from '../../streams/random.js';
import type { Access } from '../http/access.js';
import type { ViewedReport } from '../http/recommendations.js';
import { FeedConnection, type FeedLimits, type FeedSocket } from './feed-connection.js';
import type { FeedHub } from './feed-hub.js';
import { CLOSE, FEED_SUBPROTOCOL } from './protocol.js';

export interface FeedServerOptions {
  readonly hub: FeedHub;
  readonly access: Access;
  readonly limits: FeedLimits & { readonly connectionsMax: number; readonly messageBytesMax: number };
  readonly heartbeatMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly viewed: (report: ViewedReport) => Promise<void>;
}

/** Clients of a draining node come back within this time, evenly spread. */
const RECONNECT_SPREAD_MS = 5_000;
/** How long a draining node waits for closing handshakes. */
const DRAIN_MS_MAX = 2_000;

export class FeedServer {
  private readonly server: WebSocketServer;
  private readonly connections = new Map<WebSocket, FeedConnection>();
  private heartbeat: TimerHandle | undefined;
  private isDraining = false;
  private drained: (() => void) | undefined;

  constructor(private readonly options: FeedServerOptions) {
    this.server = new WebSocketServer({
      noServer: true,
      maxPayload: options.limits.messageBytesMax,
      perMessageDeflate: false,
      clientTracking: false,
      handleProtocols: (protocols) => (protocols.has(FEED_SUBPROTOCOL) ? FEED_SUBPROTOCOL : false),
    });
    options.metrics.gaugeOf('feed_connections', 'Open feed connections.', () => this.connections.size);
  }

  get connectionCount(): number {
    return this.connections.size;
  }

  open(): void {
    this.heartbeat = this.options.clock.setInterval(this.options.heartbeatMs, () => {
      for (const connection of this.connections.values()) connection.beat();
    });
  }

  /** Takes over a socket that asked for an upgrade. Never throws. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { access, limits } = this.options;
    try {
      access.requireOrigin(request.headers);
    } catch {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    this.server.handleUpgrade(request, socket, head, (client) => {
      // Without a listener an error of this one client would end the process.
      client.on('error', () => client.terminate());
      if (this.isDraining) return client.close(CLOSE.draining, 'reconnect in 0 ms');
      if (this.connections.size >= limits.connectionsMax) return client.close(CLOSE.limit, 'too many connections');
      try {
        this.connect(client, access.requireCaller(request.headers));
      } catch (error) {
        client.close(CLOSE.unauthorized, isEngineError(error) ? error.message.slice(0, 120) : 'unauthorized');
      }
    });
  }

  /** Tells everybody to come back elsewhere, and waits until they have gone. */
  async drain(): Promise<void> {
    this.isDraining = true;
    this.heartbeat?.cancel();
    const { random, clock } = this.options;
    for (const connection of this.connections.values()) connection.drain(random.int(RECONNECT_SPREAD_MS));
    if (this.connections.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = clock.setTimer(DRAIN_MS_MAX, resolve);
        this.drained = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    for (const client of this.connections.keys()) client.terminate();
    this.server.close();
  }

  private connect(client: WebSocket, producerId: string): void {
    const { hub, limits, clock, logger, viewed } = this.options;
    const socket = new Socket(client, () => connection.onFlushed());
    const connection = new FeedConnection({ socket, producerId, hub, limits, clock, logger, viewed });
    this.connections.set(client, connection);
    client.on('message', (data, isBinary) => connection.receive(isBinary ? '' : textOf(data)));
    client.on('close', () => {
      this.connections.delete(client);
      connection.closed();
      if (this.connections.size === 0) this.drained?.();
    });
  }
}

class Socket implements FeedSocket {
  constructor(
    private readonly client: WebSocket,
    private readonly flushed: () => void,
  ) {}

  get bufferedBytes(): number {
    return this.client.bufferedAmount;
  }

  get isOpen(): boolean {
    return this.client.readyState === WebSocket.OPEN;
  }

  send(text: string): void {
    this.client.send(text, this.flushed);
  }

  close(code: number, reason: string): void {
    this.client.close(code, reason);
  }

  terminate(): void {
    this.client.terminate();
  }
}

function textOf(data: WebSocket.RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString('utf8');
  return Buffer.isBuffer(data) ? data.toString('utf8') : Buffer.from(data).toString('utf8');
}
