/** Dashboards, alert rules and scrape targets ask for what there is: metrics that the code registers, services that run. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../streams/metrics.js';
import { parseYaml } from '../../streams/yaml.js';

const ROOT = process.cwd();
const PREFIX = 'freshet_default_';
const text = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const yaml = (file: string): unknown => parseYaml(text(file), file, 'CONFIG_INVALID');

/** Names given where a counter, gauge or histogram is made, or in a table of such names. */
const SOURCES = ['streams', 'serving', 'jobs'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => text(join(folder, file))),
);
const CODE = SOURCES.join('\n');

async function isRegistered(name: string, ofProcess: string): Promise<boolean> {
  const bare = name.replace(/_(bucket|sum|count)$/, '');
  if (ofProcess.includes(`# TYPE ${PREFIX}${bare} `)) return true;
  return [bare, name].some((one) => new RegExp(`(\\(\\s*|\\[)'${one}',|^  ${one}: '`, 'm').test(CODE));
}

async function unknownMetrics(expressions: readonly string[]): Promise<string[]> {
  const ofProcess = await createMetrics({ namespace: 'default', includeProcess: true }).render();
  const names = new Set(
    expressions.flatMap((expression) =>
      [...expression.matchAll(/freshet_default_([a-z0-9_]+)/g)].map((match) => match[1]!),
    ),
  );
  const unknown: string[] = [];
  for (const name of names) if (!(await isRegistered(name, ofProcess))) unknown.push(name);
  return unknown;
}

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly datasource: { readonly uid: string };
  readonly targets: readonly { readonly expr: string }[];
}
interface Rule {
  readonly alert: string;
  readonly expr: string;
}

const dashboard = JSON.parse(text('deploy/grafana/dashboards/freshet.json')) as { readonly panels: readonly Panel[] };
const rules = (yaml('deploy/alerts.yml') as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules);
const expressions = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));

describe('the Grafana dashboard', () => {
  it('asks for metrics that the engine has', async () => {
    expect(expressions.length).toBeGreaterThan(20);
    expect(expressions.filter((expression) => !expression.includes(PREFIX))).toEqual([]);
    expect(await unknownMetrics(expressions)).toEqual([]);
  });

  it('names the data source that is provisioned, and each panel once', () => {
    const [source] = (yaml('deploy/grafana/provisioning/datasources/prometheus.yaml') as { datasources: object[] })
      .datasources as { uid: string; url: string }[];
    expect(new Set(dashboard.panels.map(({ datasource }) => datasource.uid))).toEqual(new Set([source!.uid]));
    expect(source!.url).toBe('http://prometheus:9090');
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });

  it('lies where Grafana is told to look', () => {
    const { providers } = yaml('deploy/grafana/provisioning/dashboards/freshet.yaml') as {
      providers: { options: { path: string } }[];
    };
    const mounts = (yaml('docker-compose.yml') as { services: { grafana: { volumes: string[] } } }).services.grafana
      .volumes;
    expect(mounts).toContain(`./deploy/grafana/dashboards:${providers[0]!.options.path}:ro`);
  });
});

describe('alert rules', () => {
  it('ask for metrics that the engine has', async () => {
    expect(rules.length).toBeGreaterThan(5);
    expect(await unknownMetrics(rules.map(({ expr }) => expr))).toEqual([]);
    expect(await unknownMetrics(['rate(freshet_default_no_such_thing_total[5m])'])).toEqual(['no_such_thing_total']);
  });

  it('ask for jobs and roles that are scraped, at the port that the configuration opens', () => {
    const { scrape_configs: jobs } = yaml('deploy/prometheus.yml') as {
      scrape_configs: { job_name: string; dns_sd_configs: { names: string[]; port: number }[] }[];
    };
    const [{ names, port }] = jobs[0]!.dns_sd_configs as [{ names: string[]; port: number }];
    const asked = rules.flatMap(({ expr }) => [...expr.matchAll(/job="(\w+)", role="(\w+)"/g)]);
    expect(asked.length).toBeGreaterThan(1);
    for (const [, job, role] of asked) {
      expect(job).toBe(jobs[0]!.job_name);
      expect(names).toContain(role);
    }
    expect((yaml('deploy/freshet.yaml') as { operations: { port: number } }).operations.port).toBe(port);
  });
});
