/**
 * Who of a group works on which partitions of its topic: balanced, and as few moves as possible.
 *
 * Kafka's group protocol lets one member, the leader, decide. Here every member says what it works on and since which
 * generation. A partition that moves is given to nobody in the round in which its old member still has it: that member
 * finishes, joins again without it, and the next round gives it to its new member. So a partition never has two members
 * that are alive, and the others go on undisturbed, although the protocol itself is the eager one.
 *
 * Invariant: each partition is given to one member at most; to none only while its old member has to let it go.
 */
import { WireReader, WireWriter } from './wire.js';

export interface MemberClaim {
  readonly memberId: string;
  /** What it works on. */
  readonly owned: readonly number[];
  /** Of the membership in which it got them; the higher one is right where two claim the same. */
  readonly generation: number;
}

export interface Assignment {
  /** By member, ascending. */
  readonly partitions: ReadonlyMap<string, readonly number[]>;
  /** Partitions given to nobody, until their old members let them go. */
  readonly pending: readonly number[];
}

export function assignSticky(claims: readonly MemberClaim[], partitionCount: number): Assignment {
  const members = [...claims].sort((left, right) => (left.memberId < right.memberId ? -1 : 1));
  const owners = ownersOf(members, partitionCount);
  const wanted = balance(members, owners, partitionCount);
  const partitions = new Map<string, number[]>(members.map(({ memberId }) => [memberId, []]));
  const pending: number[] = [];
  for (let partition = 0; partition < partitionCount; partition++) {
    const target = wanted[partition]!;
    const owner = owners[partition];
    if (owner === undefined || owner === target) partitions.get(target)!.push(partition);
    else pending.push(partition);
  }
  return { partitions, pending };
}

/** The member that works on each partition at present. */
function ownersOf(members: readonly MemberClaim[], partitionCount: number): (string | undefined)[] {
  const owners = new Array<string | undefined>(partitionCount).fill(undefined);
  const generations = new Array<number>(partitionCount).fill(-Infinity);
  for (const { memberId, owned, generation } of members) {
    for (const partition of owned) {
      if (partition >= partitionCount || generation <= generations[partition]!) continue;
      owners[partition] = memberId;
      generations[partition] = generation;
    }
  }
  return owners;
}

/** Everybody keeps what it has up to its share; what is over goes to those with the least. */
function balance(
  members: readonly MemberClaim[],
  owners: readonly (string | undefined)[],
  partitionCount: number,
): string[] {
  const share = Math.floor(partitionCount / members.length);
  let larger = partitionCount % members.length;
  const wanted = new Array<string>(partitionCount);
  const counts = new Map(members.map(({ memberId }) => [memberId, 0]));
  const kept = (memberId: string): number[] => owners.flatMap((owner, i) => (owner === memberId ? [i] : []));
  // Those with the most keep the larger shares, where shares are not even.
  const byLoad = [...members].sort((left, right) => kept(right.memberId).length - kept(left.memberId).length);
  for (const { memberId } of byLoad) {
    const own = kept(memberId);
    const limit = larger > 0 && own.length > share ? share + 1 : share;
    if (limit > share) larger--;
    for (const partition of own.slice(0, limit)) {
      wanted[partition] = memberId;
      counts.set(memberId, counts.get(memberId)! + 1);
    }
  }
  for (let partition = 0; partition < partitionCount; partition++) {
    if (wanted[partition] !== undefined) continue;
    const least = members.reduce(
      (best, { memberId }) => (counts.get(memberId)! < counts.get(best)! ? memberId : best),
      members[0]!.memberId,
    );
    wanted[partition] = least;
    counts.set(least, counts.get(least)! + 1);
  }
  return wanted;
}

const VERSION = 0;

/** What a member sends when it joins, in the form of Kafka's consumer protocol, so that tools can read it. */
export function encodeMetadata(topic: string, claim: Omit<MemberClaim, 'memberId'>): Buffer {
  const own = new WireWriter();
  own.int32(claim.generation).array(claim.owned, (partition) => own.int32(partition));
  const bytes = own.bytes();
  return new WireWriter().int16(VERSION).int32(1).string(topic).int32(bytes.length).raw(bytes).bytes();
}

/** Throws CODEC_CORRUPT. */
export function decodeMetadata(memberId: string, metadata: Buffer): MemberClaim {
  const reader = new WireReader(metadata);
  reader.skip(2);
  reader.array(() => reader.string());
  const own = reader.slice(reader.int32());
  if (own === undefined || own.length === 0) return { memberId, owned: [], generation: -1 };
  const claim = new WireReader(own);
  const generation = claim.int32();
  return { memberId, generation, owned: claim.array(() => claim.int32()) };
}

export function encodeAssignment(topic: string, partitions: readonly number[], isPending: boolean): Buffer {
  const writer = new WireWriter();
  writer
    .int16(VERSION)
    .int32(1)
    .string(topic)
    .array(partitions, (partition) => writer.int32(partition));
  return writer
    .int32(1)
    .int8(isPending ? 1 : 0)
    .bytes();
}

export interface OwnAssignment {
  readonly partitions: readonly number[];
  /** Partitions are waiting to be let go by their old members. */
  readonly isPending: boolean;
}

/** Nothing at all is sent to a member that gets nothing. */
export function decodeAssignment(assignment: Buffer): OwnAssignment {
  if (assignment.length === 0) return { partitions: [], isPending: false };
  const reader = new WireReader(assignment);
  reader.skip(2);
  const partitions = reader.array(() => (reader.string(), reader.array(() => reader.int32()))).flat();
  const userBytes = reader.slice(reader.int32());
  return { partitions, isPending: userBytes?.[0] === 1 };
}
