/**
 * Installs the dependencies exactly as locked, when they are not there yet.
 *
 * A stamp inside node_modules names the lockfile it was installed from. An existing tree that already matches the
 * lockfile is only stamped. Otherwise `npm ci`; that refuses a lockfile that lacks optional binaries of platforms
 * other than the one it was written on, so `npm install --no-save` follows, which keeps to the same locked versions.
 *
 * Invariant: afterwards every installed package has the locked version, or this throws.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock.mjs';

export async function installIfNeeded(root) {
  const stamp = join(root, 'node_modules', '.freshet-lock');
  const hash = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(`${process.version} ${process.platform} ${process.arch}`)
    .digest('hex');
  const isStamped = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;
  if (isStamped()) return;
  await withLock(root, 'install', async () => {
    if (isStamped()) return;
    if (differences(root).length > 0) await install(root);
    const left = differences(root);
    if (left.length > 0) throw new Error(`The installed packages differ from package-lock.json: ${left.join(', ')}`);
    writeFileSync(stamp, hash);
  });
}

async function install(root) {
  console.error('Installing dependencies …');
  const exact = await npm(root, ['ci']);
  if (exact.code === 0) return;
  const tolerant = await npm(root, ['install', '--no-save']);
  if (tolerant.code !== 0) {
    throw new Error(`npm could not install the dependencies:\n${exact.output}\n${tolerant.output}`);
  }
}

async function npm(root, args) {
  const child = spawn('npm', [...args, '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: process.platform === 'win32',
  });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  const [code] = await once(child, 'close');
  return { code, output };
}

/** Packages whose installed version is not the locked one, by npm's own record of what it installed. */
function differences(root) {
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return ['nothing is installed'];
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages;
  const locked = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const paths = new Set([...Object.keys(installed), ...Object.keys(locked)]);
  paths.delete('');
  return [...paths].filter((path) => {
    const has = installed[path];
    const wants = locked[path];
    // Optional packages are binaries of one platform: absent on the others, and perhaps unknown to the lockfile.
    if (has === undefined) return !wants.optional && !wants.devOptional;
    if (wants === undefined) return !has.optional && !has.devOptional;
    return has.version !== wants.version;
  });
}
