/**
 * One writer's way of changing the layout: each write goes on top of what this writer read or wrote before, or fails. So of two
 * who change it at once, or of one who slept while another took over, one is told, and nothing of it is in force.
 *
 *   open ──announce──▶ announced ──update…──▶ another generation in force
 *                       │    ▲ └──withdraw──▶ as it was
 *                       └beat┘ (a beat that stands still for long is taken for a dead author's: any process may withdraw it)
 */
import { EngineError } from '../../schemas/errors.js';
import { LAYOUT_DOCUMENT, parseLayout } from './layout.js';
import type { Layout } from './layout.js';
import type { LogAndStore } from './views.js';

export class LayoutChange {
  private writing: Promise<void> = Promise.resolve();
  private lost = false;

  /** Use `open`. */
  private constructor(
    private readonly physical: LogAndStore,
    private text: string | undefined,
    private current: Layout,
  ) {}

  /** Begins with what the layout says now. Throws as `readLayout`. */
  static async open(physical: LogAndStore): Promise<LayoutChange> {
    const text = await physical.store.readDocument(LAYOUT_DOCUMENT);
    return new LayoutChange(physical, text, parseLayout(text, physical.log));
  }

  /** As last read or written here. */
  get layout(): Layout {
    return this.current;
  }

  /** Somebody else has changed the layout since: nothing can be written here any more. */
  get isLost(): boolean {
    return this.lost;
  }

  /** One after another. Throws ENGINE_RUNNING when somebody else has changed the layout; this writer is of no use then. */
  update(change: (layout: Layout) => Layout): Promise<void> {
    const written = this.writing.then(() => this.write(change(this.current)));
    this.writing = written.catch(() => undefined);
    return written;
  }

  /** Takes the place of whoever announced something before. `token`: random, never used before. */
  announce(token: string): Promise<void> {
    return this.update((layout) => ({ ...layout, closing: { token, beat: 0 } }));
  }

  /** Does nothing when there is no announcement. */
  beat(): Promise<void> {
    return this.update((layout) => {
      const { closing } = layout;
      return closing === undefined ? layout : { ...layout, closing: { ...closing, beat: closing.beat + 1 } };
    });
  }

  /** The generation in force goes on. Does nothing when there is no announcement. */
  withdraw(): Promise<void> {
    return this.update(({ format, inForce, generations }) => ({ format, inForce, generations }));
  }

  private async write(next: Layout): Promise<void> {
    const text = JSON.stringify(next);
    if (text === JSON.stringify(this.current)) return;
    if (!(await this.physical.store.replaceDocument(LAYOUT_DOCUMENT, this.text, text))) {
      this.lost = true;
      throw new EngineError(
        'ENGINE_RUNNING',
        'Somebody else changed which generation is in force, or took back that another one is prepared; the old partitions stay in force. Let other repartitions finish, and try again.',
      );
    }
    this.text = text;
    this.current = next;
  }
}
