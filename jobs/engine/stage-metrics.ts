/**
 * What the stages of this process have done, as metrics. Tasks count by themselves from when they were opened; looked at
 * now and then, what they counted since the last look is added up by stage, so that a partition that moves away takes
 * nothing back.
 */
import type { Counter, Metrics } from '../../streams/metrics.js';
import type { TaskStatistics } from '../../streams/runtime/task-options.js';

const COUNTED = {
  records: ['stage_records_total', 'Input records processed.'],
  timersFired: ['stage_timers_total', 'Timers fired.'],
  commits: ['stage_commits_total', 'Batches committed.'],
  outputs: ['stage_outputs_total', 'Events sent to topics.'],
  repeatsDropped: ['stage_repeats_total', 'Outputs of other tasks that came again and were dropped.'],
  late: ['stage_late_total', 'Records later than allowed.'],
  deadLetters: ['stage_dead_letters_total', 'Records that could not be processed.'],
} as const satisfies Partial<Record<keyof TaskStatistics, readonly [name: string, help: string]>>;

type Counted = keyof typeof COUNTED;

export class StageMetrics {
  private readonly seen = new Map<string, TaskStatistics>();

  constructor(private readonly metrics: Metrics) {}

  /** `statistics` by task, such as `users/3`; the objects are the tasks' own. */
  look(statistics: ReadonlyMap<string, TaskStatistics>): void {
    for (const [name, now] of statistics) {
      const before = this.seen.get(name);
      const stage = name.slice(0, name.lastIndexOf('/'));
      for (const key of Object.keys(COUNTED) as Counted[]) {
        // A task that was opened anew counts from 0.
        const from = before === undefined || before[key] > now[key] ? 0 : before[key];
        this.counter(key, stage).inc(now[key] - from);
      }
      this.seen.set(name, { ...now });
    }
    for (const name of [...this.seen.keys()]) if (!statistics.has(name)) this.seen.delete(name);
  }

  private counter(key: Counted, stage: string): Counter {
    const [name, help] = COUNTED[key];
    return this.metrics.counter(name, help, { stage });
  }
}
