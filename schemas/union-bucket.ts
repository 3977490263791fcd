/**
 * The JavaScript type by which a value picks its union branch: values are not wrapped, so a union may hold at most one
 * branch of each bucket (avsc enforces that when a schema is parsed).
 */
import type { AvroNode } from './avro.js';

export type UnionBucket = 'null' | 'boolean' | 'number' | 'string' | 'bytes' | 'array' | 'object';

export function bucketOf(node: AvroNode): UnionBucket {
  switch (node.type) {
    case 'null':
    case 'boolean':
    case 'string':
    case 'bytes':
    case 'array':
      return node.type;
    case 'int':
    case 'long':
    case 'float':
    case 'double':
      return 'number';
    case 'enum':
      return 'string';
    case 'fixed':
      return 'bytes';
    default:
      return 'object';
  }
}
