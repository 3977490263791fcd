/**
 * A TCP proxy that tests put between a client and a server, to lose answers, to cut connections, to hold everything up.
 *
 * Bytes pass as they come; `setPort` says where to, which may be known only after the proxy's own port is.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

export class TcpProxy {
  private readonly pairs = new Set<{ readonly client: Socket; readonly server: Socket }>();
  private target = 0;
  private losesAnswers = false;
  private holds = false;
  private answerLost: () => void = () => undefined;

  private constructor(
    private readonly listener: Server,
    readonly port: number,
  ) {}

  static async open(): Promise<TcpProxy> {
    const listener = createServer({ pauseOnConnect: true });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const proxy = new TcpProxy(listener, (listener.address() as { port: number }).port);
    listener.on('connection', (client) => proxy.accept(client));
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  setPort(port: number): void {
    this.target = port;
  }

  private accept(client: Socket): void {
    const server = connect(this.target, '127.0.0.1');
    const pair = { client, server };
    this.pairs.add(pair);
    const end = (): void => {
      this.pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.on('error', end).on('close', end);
    client.on('data', (bytes) => server.write(bytes));
    server.on('data', (bytes) => {
      if (this.losesAnswers) this.answerLost();
      else client.write(bytes);
    });
    if (!this.holds) client.resume();
  }

  /** Lets requests through and swallows the answers, until `heal`. Resolves when the first one was swallowed. */
  loseAnswers(): Promise<void> {
    this.losesAnswers = true;
    return new Promise((resolve) => (this.answerLost = resolve));
  }

  /** Nothing passes in either direction, and nothing is cut: a network that is gone. Until `heal`. */
  hold(): void {
    this.holds = true;
    for (const { client, server } of this.pairs) {
      client.pause();
      server.pause();
    }
  }

  /** Cuts all connections. */
  cut(): void {
    for (const { client, server } of [...this.pairs]) {
      client.destroy();
      server.destroy();
    }
  }

  heal(): void {
    this.losesAnswers = false;
    this.holds = false;
    for (const { client, server } of this.pairs) {
      client.resume();
      server.resume();
    }
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.listener.close(resolve));
  }
}
