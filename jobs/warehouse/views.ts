/**
 * Views over the analysts' tables (tables.ts): what most reports start from.
 *
 * Each reads with FINAL or groups by what makes a row unique, so that an event that a producer sent twice counts once.
 * The grouping column of a report (hour, day) is a function of the sorting key, so a filter on it reads those days only.
 */

/** Months never share a key that FINAL would have to bring together, and a month is merged by itself then. */
const BY_MONTH = 'SETTINGS do_not_merge_across_partitions_select_final = 1';

/** The last word on each session: late records correct it (revision) or merge it into another (withdrawn). */
const SESSIONS_LATEST = `CREATE VIEW IF NOT EXISTS sessions_latest AS
SELECT * FROM (SELECT * FROM sessions ORDER BY revision DESC, appendedAt DESC LIMIT 1 BY user, session)
WHERE NOT withdrawn`;

const ITEMS_LATEST = `CREATE VIEW IF NOT EXISTS items_latest AS
SELECT * FROM (SELECT * FROM items ORDER BY appendedAt DESC, _offset DESC LIMIT 1 BY itemId)
WHERE NOT deleted`;

const HOURLY_FUNNEL = `CREATE VIEW IF NOT EXISTS hourly_funnel AS
SELECT toStartOfHour(ts) AS hour, uniqExact(user) AS users,
  countIf(step = 'served') AS served, countIf(step = 'viewed') AS viewed,
  countIf(step = 'view') AS itemViews, countIf(step = 'click') AS clicks,
  countIf(step = 'addToCart') AS cartAdds, countIf(step = 'purchase') AS purchases
FROM (
  SELECT ts, user, stage AS step FROM impressions FINAL
  UNION ALL
  SELECT ts, user, type AS step FROM interactions FINAL
)
GROUP BY hour ${BY_MONTH}`;

/**
 * Viewed places, and which of them were clicked: the click names the request and the item. Who put an item there is known
 * from the served impression; the viewed one, which the client sends, may leave it out.
 */
const CTR_BY_PLACE = `CREATE VIEW IF NOT EXISTS ctr_by_place AS
SELECT day, placement, position, source, policy, count() AS views, countIf(clicked = 1) AS clicks, clicks / views AS ctr
FROM (
  SELECT requestId, position, itemId, toDate(minIf(ts, stage = 'viewed')) AS day, any(placement) AS placement,
    max(source) AS source, max(policy) AS policy
  FROM impressions GROUP BY requestId, position, itemId HAVING countIf(stage = 'viewed') > 0
) AS places
LEFT JOIN (
  SELECT requestId, itemId, 1 AS clicked FROM interactions
  WHERE type = 'click' AND requestId != '' GROUP BY requestId, itemId
) AS answers USING (requestId, itemId)
GROUP BY day, placement, position, source, policy`;

const SESSION_QUALITY = `CREATE VIEW IF NOT EXISTS session_quality AS
SELECT toDate(start) AS day, count() AS sessions, uniqExact(user) AS users, avg(bounced) AS bounceRate,
  avg(conversions > 0) AS conversionRate, avg(durationMs) / 1000 AS meanSeconds,
  quantile(0.5)(durationMs) / 1000 AS medianSeconds, avg(pageViews) AS pageViewsPerSession,
  avg(interactions) AS interactionsPerSession
FROM sessions_latest GROUP BY day`;

const REWARD_BY_POLICY = `CREATE VIEW IF NOT EXISTS reward_by_policy AS
SELECT toDate(viewedAt) AS day, placement, policy, count() AS places, uniqExact(requestId) AS slates,
  avg(reward) AS meanReward, stddevSamp(reward) AS deviation, countIf(has(feedback, 'click')) / places AS ctr
FROM rewards FINAL GROUP BY day, placement, policy ${BY_MONTH}`;

export const VIEWS: readonly string[] = [
  SESSIONS_LATEST,
  ITEMS_LATEST,
  HOURLY_FUNNEL,
  CTR_BY_PLACE,
  SESSION_QUALITY,
  REWARD_BY_POLICY,
];

/** Outcomes by experiment and variant, one row a day: a viewed place is one trial. */
const EXPERIMENT_METRICS = `CREATE VIEW IF NOT EXISTS experiment_metrics AS
SELECT experiment, variant, toDate(viewedAt) AS day, uniqExact(user) AS users, uniqExact(requestId) AS slates,
  count() AS places, countIf(has(feedback, 'click')) AS clicks, clicks / places AS ctr,
  countIf(has(feedback, 'purchase')) AS purchases, avg(reward) AS meanReward, stddevSamp(reward) AS deviation,
  sum(reward) AS rewardSum, sum(reward * reward) AS rewardSquares
FROM rewards FINAL
ARRAY JOIN mapKeys(assignments) AS experiment, mapValues(assignments) AS variant
GROUP BY experiment, variant, day ${BY_MONTH}`;

/** Ms from the event's own time to its receipt, and from receipt to the log, by hour and producer. */
const EVENT_LATENCY = `CREATE VIEW IF NOT EXISTS event_latency AS
SELECT toStartOfHour(receivedAt) AS hour, producer, count() AS events,
  quantile(0.5)(dateDiff('millisecond', ts, receivedAt)) AS reportMedianMs,
  quantile(0.99)(dateDiff('millisecond', ts, receivedAt)) AS reportP99Ms,
  quantile(0.5)(dateDiff('millisecond', receivedAt, appendedAt)) AS logMedianMs,
  quantile(0.99)(dateDiff('millisecond', receivedAt, appendedAt)) AS logP99Ms
FROM interactions FINAL GROUP BY hour, producer ${BY_MONTH}`;

/** Ms from a place being served to its being viewed, and to its click, by day and placement; places seen only once. */
const REACTION_LATENCY = `CREATE VIEW IF NOT EXISTS reaction_latency AS
SELECT day, placement, count() AS places, countIf(viewedMs IS NOT NULL) AS viewed,
  quantile(0.5)(viewedMs) AS viewMedianMs, quantile(0.99)(viewedMs) AS viewP99Ms,
  quantile(0.5)(clickedMs) AS clickMedianMs, quantile(0.99)(clickedMs) AS clickP99Ms
FROM (
  SELECT toDate(servedAt) AS day, placement,
    if(viewedAt > toDateTime64(0, 3), dateDiff('millisecond', servedAt, viewedAt), NULL) AS viewedMs,
    if(clickedAt > toDateTime64(0, 3), dateDiff('millisecond', servedAt, clickedAt), NULL) AS clickedMs
  FROM (
    SELECT requestId, itemId, any(placement) AS placement, minIf(ts, stage = 'served') AS servedAt,
      minIf(ts, stage = 'viewed') AS viewedAt
    FROM impressions GROUP BY requestId, itemId HAVING countIf(stage = 'served') > 0
  ) AS places
  LEFT JOIN (
    SELECT requestId, itemId, min(ts) AS clickedAt FROM interactions
    WHERE type = 'click' AND requestId != '' GROUP BY requestId, itemId
  ) AS clicks USING (requestId, itemId)
)
GROUP BY day, placement`;

/** Version 3. */
export const EXPERIMENT_AND_LATENCY_VIEWS: readonly string[] = [EXPERIMENT_METRICS, EVENT_LATENCY, REACTION_LATENCY];
