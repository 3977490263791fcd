/**
 * Versioned, forward-only changes of the warehouse's tables.
 *
 * What was applied stands in a table beside the data, with a checksum of its statements. The list of a build must
 * continue that history exactly; anything else means that code and data do not belong together, and nothing is run.
 */
import { createHash } from 'node:crypto';
import { EngineError, invariant } from '../../schemas/errors.js';
import type { Migration, WarehouseRow } from './warehouse.js';

export interface MigrationStore {
  query(sql: string): Promise<Record<string, unknown>[]>;
  execute(sql: string): Promise<void>;
  insertRows(table: string, rows: readonly WarehouseRow[]): Promise<void>;
}

const HISTORY = '_freshet_migrations';

export const HISTORY_DDL = `CREATE TABLE IF NOT EXISTS ${HISTORY} (
  version UInt32, name String, checksum String, applied_at DateTime64(3) DEFAULT now64(3)
) ENGINE = MergeTree ORDER BY version`;

/** Processes that start together may all do this: the statements are repeatable, the history is read by version. */
export async function applyMigrations(store: MigrationStore, migrations: readonly Migration[]): Promise<void> {
  migrations.forEach((migration, i) => {
    invariant(
      migration.version === i + 1,
      `Migration '${migration.name}' has version ${migration.version}, expected ${i + 1}`,
    );
  });
  const history = await store.query(
    `SELECT version, any(name) AS name, groupUniqArray(checksum) AS checksums FROM ${HISTORY} GROUP BY version ORDER BY version`,
  );
  requireSameHistory(history, migrations);
  for (const migration of migrations.slice(history.length)) {
    for (const statement of migration.statements) await store.execute(statement);
    const { version, name } = migration;
    await store.insertRows(HISTORY, [{ version, name, checksum: checksumOf(migration) }]);
  }
}

function requireSameHistory(history: readonly Record<string, unknown>[], migrations: readonly Migration[]): void {
  if (history.length > migrations.length) {
    throw new EngineError(
      'MANIFEST_MISMATCH',
      `The warehouse is at version ${history.length}, this build knows ${migrations.length}; run the newer build`,
    );
  }
  history.forEach((applied, i) => {
    const migration = migrations[i];
    const checksums = applied['checksums'];
    const isSame =
      Array.isArray(checksums) && checksums.length === 1 && checksums[0] === (migration && checksumOf(migration));
    if (Number(applied['version']) === i + 1 && isSame) return;
    throw new EngineError(
      'MANIFEST_MISMATCH',
      `Migration ${i + 1} was applied as '${String(applied['name'])}' with other statements than '${migration?.name}' ` +
        'has now; put the old ones back and add a new version',
    );
  });
}

function checksumOf(migration: Migration): string {
  return createHash('sha256').update(JSON.stringify(migration.statements)).digest('hex');
}
