/**
 * Transpiles the packages to dist/: one .js beside one source map per .ts, same tree, ESM, nothing bundled.
 *
 * Types are not looked at here (`check` does that), which keeps a full build below a second or two. Assets that code
 * reads at run time are copied. What was built is remembered by name, size and time, so an unchanged tree costs one
 * directory walk and a removed source leaves no stale output.
 */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, extname, join, relative } from 'node:path';

const PACKAGES = ['schemas', 'streams', 'operators', 'serving', 'jobs'];
const ASSETS = new Set([
  '.avsc',
  '.html',
  '.css',
  '.js',
  '.svg',
  '.png',
  '.ico',
  '.yaml',
  '.json',
  '.sql',
  '.csv',
  '.lua',
  '.py',
  '.java',
]);

export async function buildIfNeeded(root) {
  const sources = PACKAGES.flatMap((name) => walk(join(root, name)));
  const stamp = join(root, 'dist', '.built');
  const state = fingerprint(root, sources);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === state) return;

  const startedMs = performance.now();
  const modules = sources.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'));
  const assets = sources.filter((path) => ASSETS.has(extname(path)));
  const esbuild = await import('esbuild');
  try {
    rmSync(stamp, { force: true });
    await esbuild.build({
      absWorkingDir: root,
      entryPoints: modules.map((path) => relative(root, path)),
      outdir: 'dist',
      outbase: '.',
      format: 'esm',
      platform: 'node',
      target: 'node20',
      sourcemap: true,
      sourcesContent: false,
      logLevel: 'warning',
    });
  } finally {
    await esbuild.stop();
  }
  for (const path of assets) {
    const target = join(root, 'dist', relative(root, path));
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(path, target);
  }
  removeStale(root, modules, assets);
  writeFileSync(stamp, state);
  console.error(`Built ${modules.length} modules in ${Math.round(performance.now() - startedMs)} ms`);
}

function walk(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true })
    .sort((left, right) => (left.name < right.name ? -1 : 1))
    .flatMap((item) => {
      const path = join(directory, item.name);
      return item.isDirectory() ? walk(path) : [path];
    });
}

function fingerprint(root, sources) {
  const hash = createHash('sha256').update(readFileSync(new URL(import.meta.url)));
  for (const path of sources) {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${relative(root, path)} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

function removeStale(root, modules, assets) {
  const dist = join(root, 'dist');
  const expected = new Set(assets.map((path) => join(dist, relative(root, path))));
  for (const path of modules) {
    const output = join(dist, relative(root, path)).replace(/\.ts$/, '.js');
    expected.add(output).add(`${output}.map`);
  }
  for (const path of PACKAGES.flatMap((name) => walk(join(dist, name)))) {
    if (!expected.has(path)) rmSync(path);
  }
}
