/** Compares the bearer token of a request with the one of this run, in constant time. */
import { timingSafeEqual } from 'node:crypto';

export function randomTokenMatches(header: string | undefined, token: string): boolean {
  const given = Buffer.from(header ?? '');
  const wanted = Buffer.from(`Bearer ${token}`);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}
