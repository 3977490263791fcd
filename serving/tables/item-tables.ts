/**
 * The item side of serving, in memory: everything retrieval reads, built by applying item-state records.
 *
 * Every value carries the input offset it was written at; of one key the highest wins and anything else is ignored, so
 * records may arrive in any order, twice, or with gaps (compaction). A withdrawn key remembers its version. Not safe
 * for concurrent use: one thread applies and reads. Nothing here reads a clock: times are event times and `now`.
 *
 * Memory is bounded by `itemsMax`, `sessionsMax` and the widths of the rows, and reported by `usage()`.
 */
import { ItemVectorTable } from '../../operators/item-vectors.js';
import { tryParseTableKey } from '../../operators/item/table-key.js';
import type { AnyRecord } from '../../schemas/records.js';
import { CatalogueTable } from './catalogue-table.js';
import { CtrTable } from './ctr-table.js';
import { ItemInterner, NO_ITEM } from './item-interner.js';
import { NeighbourTable } from './neighbour-table.js';
import type { PopularityTableConfig } from './popularity-table.js';
import { PopularityTable } from './popularity-table.js';
import type { SessionTableConfig } from './session-table.js';
import { SessionTable } from './session-table.js';
import { grown } from '../../streams/typed-growth.js';
import type { VectorSearch } from './vector-search.js';
import { VectorKernels } from './vector-kernels.js';
import { ExactVectorSearch } from './vector-search.js';

export interface ItemTablesConfig {
  /** Most items known; default 1,000,000. */
  readonly itemsMax?: number;
  /** Id and length of the vectors that are kept; others are ignored. */
  readonly space?: string;
  readonly dimensions?: number;
  readonly popularity?: PopularityTableConfig;
  readonly sessions?: SessionTableConfig;
  /** Neighbours kept of an item; default 32, what the item stage publishes. */
  readonly neighboursMax?: number;
}

export interface ItemTablesUsage {
  readonly items: number;
  readonly itemsRefused: number;
  readonly sessions: number;
  readonly vectors: number;
  /** Bytes of all typed arrays; texts and maps of ids come on top, about 150 bytes an item. */
  readonly bytes: number;
}

// Facets with one version an item; the session ring keeps its versions by block.
const CATALOGUE = 0;
const POPULARITY = 1;
const CTR = 2;
const NEIGHBOURS = 3;
const FACETS = 4;

export class ItemTables {
  readonly items: ItemInterner;
  readonly catalogue: CatalogueTable;
  readonly popularity: PopularityTable;
  readonly ctr = new CtrTable();
  readonly neighbours: NeighbourTable;
  readonly sessions: SessionTable;
  readonly vectors: ItemVectorTable;
  readonly vectorSearch: VectorSearch;
  private versions = new Float64Array(1024 * FACETS).fill(-1);
  private applied = 0;

  constructor(config: ItemTablesConfig = {}) {
    const itemsMax = config.itemsMax ?? 1_000_000;
    this.items = new ItemInterner(itemsMax);
    this.catalogue = new CatalogueTable(this.items);
    this.popularity = new PopularityTable(this.items, this.catalogue, config.popularity);
    this.neighbours = new NeighbourTable(this.items, config.neighboursMax);
    this.sessions = new SessionTable(this.items, config.sessions);
    const dimensions = config.dimensions ?? 64;
    const kernels = new VectorKernels(dimensions);
    this.vectors = new ItemVectorTable({
      space: config.space ?? 'items-1',
      dimensions,
      itemsMax,
      allocate: (length) => kernels.rows(length),
    });
    this.vectorSearch = new ExactVectorSearch(this.vectors, this.items, kernels);
  }

  /** Values applied so far: moves whenever anything a recommendation rests on did. */
  get changes(): number {
    return this.applied;
  }

  /** Applies a table value. Returns whether it was news; records of other topics are ignored. */
  apply(record: AnyRecord): boolean {
    const isNews = this.applyIfNewer(record);
    if (isNews) this.applied++;
    return isNews;
  }

  private applyIfNewer(record: AnyRecord): boolean {
    switch (record.kind) {
      case 'ItemCatalogueState': {
        const item = this.claim(record.itemId, CATALOGUE, record.version);
        if (item === NO_ITEM) return false;
        const before = this.catalogue.categoriesOf(item);
        this.catalogue.apply(item, record);
        this.popularity.moveCategories(item, before, this.catalogue.categoriesOf(item));
        return true;
      }
      case 'ItemPopularityState': {
        const item = this.claim(record.itemId, POPULARITY, record.version);
        if (item !== NO_ITEM) this.popularity.apply(item, record);
        return item !== NO_ITEM;
      }
      case 'ItemCtrState': {
        const item = this.claim(record.itemId, CTR, record.version);
        if (item !== NO_ITEM) this.ctr.apply(item, record);
        return item !== NO_ITEM;
      }
      case 'ItemNeighboursState': {
        const item = this.claim(record.itemId, NEIGHBOURS, record.version);
        if (item !== NO_ITEM) this.neighbours.apply(item, record);
        return item !== NO_ITEM;
      }
      case 'ItemSessionsState': {
        const item = this.items.intern(record.itemId);
        if (item === NO_ITEM || record.version < this.sessions.versionOf(item, record.block)) return false;
        this.sessions.apply(item, record);
        return true;
      }
      case 'ItemEmbeddingState':
        if (record.space !== this.vectors.space || this.items.intern(record.itemId) === NO_ITEM) return false;
        return this.vectors.upsert(record.itemId, record.version, record.vector);
      default:
        return false;
    }
  }

  /** Applies a withdrawn key (a table record without a value), written at `version`. */
  withdraw(key: string, version: number): boolean {
    const parsed = tryParseTableKey(key);
    if (parsed === undefined) return false;
    const { itemId, facet, block } = parsed;
    if (facet === 'embedding') return this.counted(this.vectors.remove(itemId, version));
    if (facet === 'sessions') {
      const item = this.items.intern(itemId);
      if (item === NO_ITEM || version < this.sessions.versionOf(item, block)) return false;
      this.sessions.remove(item, block, version);
      return this.counted(true);
    }
    const item = this.claim(itemId, FACET_NUMBERS[facet], version);
    if (item === NO_ITEM) return false;
    if (facet === 'catalogue') {
      this.popularity.moveCategories(item, this.catalogue.categoriesOf(item), []);
      this.catalogue.remove(item);
    } else if (facet === 'popularity') this.popularity.remove(item);
    else if (facet === 'ctr') this.ctr.remove(item);
    else this.neighbours.remove(item);
    return this.counted(true);
  }

  usage(): ItemTablesUsage {
    const parts = [this.popularity, this.ctr, this.neighbours, this.sessions, this.vectors];
    return {
      items: this.items.count,
      itemsRefused: this.items.refused,
      sessions: this.sessions.sessionCount,
      vectors: this.vectors.count(),
      bytes: parts.reduce((sum, part) => sum + part.bytes, this.versions.byteLength),
    };
  }

  private counted(changed: boolean): boolean {
    if (changed) this.applied++;
    return changed;
  }

  /** Index of the item unless a higher version is known; NO_ITEM otherwise. Of equal versions the one that came last counts. */
  private claim(itemId: string, facet: number, version: number): number {
    const item = this.items.intern(itemId);
    if (item === NO_ITEM) return NO_ITEM;
    this.versions = grown(this.versions, (item + 1) * FACETS, -1);
    const at = item * FACETS + facet;
    if (version < this.versions[at]!) return NO_ITEM;
    this.versions[at] = version;
    return item;
  }
}

const FACET_NUMBERS = { catalogue: CATALOGUE, popularity: POPULARITY, ctr: CTR, neighbours: NEIGHBOURS } as const;
