/** The manifests for Kubernetes, put together as kustomize does and held against each other, the engine and the compose file. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freshetConfig } from '../../jobs/config.js';
import { parseYaml } from '../../streams/yaml.js';

interface Container {
  readonly args: readonly string[];
  readonly image: string;
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts: readonly { readonly name: string }[];
  readonly envFrom: readonly { readonly configMapRef?: { readonly name: string } }[];
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
}
interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}
type Labels = Readonly<Record<string, string>>;
interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly selector?: { readonly matchLabels?: Labels };
    readonly template?: {
      readonly metadata: { readonly labels: Labels };
      readonly spec: {
        readonly containers: readonly Container[];
        readonly volumes: readonly { readonly name: string; readonly configMap?: { readonly name: string } }[];
        readonly securityContext: { readonly runAsNonRoot: boolean };
      };
    };
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
    readonly scaleTargetRef?: { readonly kind: string; readonly name: string };
    readonly ports?: readonly { readonly targetPort?: string }[];
    readonly metrics?: readonly { readonly external?: { readonly metric: { readonly name: string } } }[];
    readonly maxReplicas?: number;
  };
}
interface Kustomization {
  readonly resources: readonly string[];
  readonly configMapGenerator: readonly {
    readonly name: string;
    readonly files?: readonly string[];
    readonly literals?: readonly string[];
  }[];
  readonly images: readonly { readonly name: string }[];
}

const DEPLOY = join(process.cwd(), 'deploy');
const read = (file: string): string => readFileSync(join(DEPLOY, file), 'utf8');
const kustomization = parseYaml(read('kustomization.yaml'), 'kustomization', 'CONFIG_INVALID') as Kustomization;
const resources = kustomization.resources.flatMap((file) =>
  read(file)
    .split(/^---$/m)
    .map((part) => parseYaml(part, file, 'CONFIG_INVALID') as Resource),
);
const workloads = resources.filter(({ spec }) => spec?.template !== undefined);
const containerOf = ({ spec }: Resource): Container => spec.template!.spec.containers[0]!;

describe('kustomization', () => {
  it('takes files that there are, and every manifest once', () => {
    for (const { files = [] } of kustomization.configMapGenerator) {
      for (const file of files) expect(existsSync(join(DEPLOY, file))).toBe(true);
    }
    const names = resources.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('HorizontalPodAutoscaler/stream');
  });

  it('gives the engine a configuration that loads', () => {
    const literals = kustomization.configMapGenerator.flatMap((map) => map.literals ?? []);
    const environment = Object.fromEntries(literals.map((literal) => literal.split('=', 2) as [string, string]));
    const config = freshetConfig.load({
      file: join(DEPLOY, 'freshet.yaml'),
      environment: { ...environment, FRESHET_CLICKHOUSE_PASSWORD: 'secret' },
    });
    expect(config).toMatchObject({ streams: { storage: 'distributed' }, operations: { host: '0.0.0.0' } });
    const operations = workloads.map((one) => containerOf(one).ports.find(({ name }) => name === 'operations'));
    expect(operations.map((port) => port?.containerPort)).toEqual(workloads.map(() => config.operations.port));
    const scaled = resources.find(({ kind, metadata }) => kind.startsWith('Horizontal') && metadata.name === 'stream');
    expect(scaled!.spec.maxReplicas).toBe(config.streams.partitions);
  });
});

describe('workloads', () => {
  it('are the roles, each with the image, as nobody’s root, and with probes on ports that they open', () => {
    const roles = workloads.map((one) => containerOf(one).args[containerOf(one).args.indexOf('--roles') + 1]);
    expect(roles.sort()).toEqual(['serve', 'stream', 'warehouse']);
    for (const workload of workloads) {
      const { image, ports, startupProbe, livenessProbe, readinessProbe } = containerOf(workload);
      expect(kustomization.images.map(({ name }) => name)).toContain(image);
      expect(workload.spec.template!.spec.securityContext.runAsNonRoot).toBe(true);
      for (const { httpGet } of [startupProbe, livenessProbe, readinessProbe]) {
        expect(['/healthz', '/readyz']).toContain(httpGet.path);
        expect(ports.map(({ name }) => name)).toContain(httpGet.port);
      }
    }
  });

  it('mount volumes that they have and read maps that are generated', () => {
    const maps = kustomization.configMapGenerator.map(({ name }) => name);
    for (const workload of workloads) {
      const { volumes } = workload.spec.template!.spec;
      const claims = workload.spec.volumeClaimTemplates ?? [];
      const names = [...volumes.map(({ name }) => name), ...claims.map(({ metadata }) => metadata.name)];
      for (const { name } of containerOf(workload).volumeMounts) expect(names).toContain(name);
      for (const { configMap } of volumes) if (configMap !== undefined) expect(maps).toContain(configMap.name);
      for (const { configMapRef } of containerOf(workload).envFrom) {
        if (configMapRef !== undefined) expect(maps).toContain(configMapRef.name);
      }
    }
  });

  it('are selected by their own labels, and scaled by a metric that the engine has', () => {
    for (const { spec } of workloads) expect(spec.template!.metadata.labels).toMatchObject(spec.selector!.matchLabels!);
    const names = workloads.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    const scalers = resources.filter(({ kind }) => kind === 'HorizontalPodAutoscaler');
    for (const { spec } of scalers)
      expect(names).toContain(`${spec.scaleTargetRef!.kind}/${spec.scaleTargetRef!.name}`);
    const metrics = scalers
      .flatMap(({ spec }) => spec.metrics ?? [])
      .flatMap(({ external }) => external?.metric.name ?? []);
    expect(metrics).toEqual(['freshet_default_stream_lag_records']);
    const status = readFileSync(join(process.cwd(), 'serving/node/status.ts'), 'utf8');
    expect(status).toContain(`'${metrics[0]!.replace('freshet_default_', '')}'`);
  });
});
