/**
 * Exponential decay of counts in event time: the arithmetic that popularity, CTR, co-visitation and profiles share.
 *
 * A decayed count is a pair (value, refTime): `value` is what it was worth at `refTime`, and it halves every half-life.
 * Weights add after both sides are brought to the later of the two times, so the order in which records arrive does
 * not change the result beyond rounding: a late record is itself decayed to the reference time.
 *
 *   worth(t) = value × 2^(−(t − refTime) / halfLife)        (Cormode et al., Forward Decay, ICDE 2009, section 3)
 *
 * Worked example: 8 at noon with a half-life of 1 h is 4 at 13:00; adding 1 then makes (5, 13:00).
 */

/** Share of a count that is left after `elapsedMs`, in [0, 1]; 1 when no time passed or it would run backwards. */
export function decayFactor(elapsedMs: number, halfLifeMs: number): number {
  return elapsedMs <= 0 ? 1 : Math.exp((-Math.LN2 * elapsedMs) / halfLifeMs);
}

/** What a count of `value` at `refTime` is worth at `time`; unchanged when `time` is earlier. */
export function decayedValue(value: number, refTime: number, time: number, halfLifeMs: number): number {
  return value * decayFactor(time - refTime, halfLifeMs);
}

/**
 * Folds `amount`, seen at `time`, into a count valid at `refTime`; the result is valid at max(refTime, time), which
 * the caller stores as the new reference time.
 */
export function addDecayed(value: number, refTime: number, amount: number, time: number, halfLifeMs: number): number {
  return time >= refTime
    ? value * decayFactor(time - refTime, halfLifeMs) + amount
    : value + amount * decayFactor(refTime - time, halfLifeMs);
}

/** Whether `current` differs from `published` by more than a relative `epsilon`; any difference counts when it is 0. */
export function movedBeyond(current: number, published: number, epsilon: number): boolean {
  const distance = Math.abs(current - published);
  return epsilon === 0 ? distance > 0 : distance > epsilon * Math.max(Math.abs(published), Number.MIN_VALUE);
}
