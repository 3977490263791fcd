/**
 * Back-pressure at the edge: says no, early and clearly, before a request is read that the engine has no room for.
 *
 * Gauges are looked at in the background every `lookMs`, never on a request's path; requests under way and unsynced
 * bytes are counted as they are. Nothing is acknowledged without room for it on disk.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Clock, TimerHandle } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';

/** What the node can say of its own state. */
export interface AdmissionGauges {
  /** Input records not yet processed by the stream stages; 0 where they run elsewhere and nobody says. */
  streamLag(): Promise<number>;
  /** Free bytes of the disk that holds the log; Infinity where it is somebody else's. */
  freeDiskBytes(): Promise<number>;
  /** Why nothing is written for a while, if so. */
  refusal?(): EngineError | undefined;
  /** Bytes taken and not yet durable. */
  unsyncedBytes(): number;
}

export interface AdmissionLimits {
  readonly streamLagMax: number;
  readonly freeDiskBytesMin: number;
  readonly unsyncedBytesMax: number;
  readonly inFlightMax: number;
}

export interface AdmissionOptions {
  readonly gauges: AdmissionGauges;
  readonly limits: AdmissionLimits;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What is taken between two looks must fit into the reserve of the disk. */
const LOOK_MS = 100;

export class Admission {
  /** As of the last look. */
  streamLag = 0;
  private freeDiskBytes = Infinity;
  private requestsInFlight = 0;
  private closing = false;
  private looking = false;
  private timer: TimerHandle | undefined;

  constructor(private readonly options: AdmissionOptions) {}

  async open(): Promise<void> {
    await this.look();
    this.timer = this.options.clock.setInterval(LOOK_MS, () => void this.look());
  }

  /** From now on nothing new is let in. */
  close(): void {
    this.closing = true;
    this.timer?.cancel();
  }

  get inFlight(): number {
    return this.requestsInFlight;
  }

  /** Counts a request in; `leave` counts it out. @throws NOT_READY while closing, OVERLOADED */
  enter(): void {
    if (this.closing) throw new EngineError('NOT_READY', 'The node is closing; use another, or try again later.');
    const { inFlightMax } = this.options.limits;
    if (this.requestsInFlight >= inFlightMax)
      throw overloaded('requests under way', this.requestsInFlight, inFlightMax);
    this.requestsInFlight++;
  }

  leave(): void {
    this.requestsInFlight--;
  }

  /** @throws STORAGE_FULL, OVERLOADED, REPARTITIONING */
  requireRoomToWrite(): void {
    const { limits, gauges } = this.options;
    const refusal = gauges.refusal?.();
    if (refusal !== undefined) throw refusal;
    if (this.freeDiskBytes < limits.freeDiskBytesMin) {
      throw new EngineError(
        'STORAGE_FULL',
        `${this.freeDiskBytes} bytes are free on the disk of the log; ${limits.freeDiskBytesMin} are kept in reserve. Nothing was taken.`,
      );
    }
    if (this.streamLag > limits.streamLagMax)
      throw overloaded('records not yet processed', this.streamLag, limits.streamLagMax);
    const unsynced = gauges.unsyncedBytes();
    if (unsynced > limits.unsyncedBytesMax)
      throw overloaded('bytes not yet durable', unsynced, limits.unsyncedBytesMax);
  }

  /** Reads the gauges that take time. A gauge that fails keeps its last value. */
  async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    const { gauges, logger } = this.options;
    try {
      [this.streamLag, this.freeDiskBytes] = await Promise.all([gauges.streamLag(), gauges.freeDiskBytes()]);
    } catch (error) {
      logger.warn('a gauge of admission could not be read', { error });
    } finally {
      this.looking = false;
    }
  }
}

function overloaded(what: string, value: number, most: number): EngineError {
  return new EngineError('OVERLOADED', `There are ${value} ${what}; the limit is ${most}. Try again later.`);
}
