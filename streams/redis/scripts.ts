/**
 * The Lua scripts. Each is one atomic step on one slot; everything that can be refused is refused before its first write.
 *
 * Rules that all of them keep:
 *   - what they write is named in KEYS: on a slot that is being moved to another node Redis then refuses the script as a
 *     whole (ASK, TRYAGAIN) instead of failing it half-way;
 *   - every key is read once with a command of its type before anything is written, so WRONGTYPE comes before any write;
 *   - `#!lua` makes Redis (7.0 on) refuse a script at its start when memory is used up, unless its flags say otherwise:
 *     taking a task over and forgetting sent outputs must work then, they are how memory becomes free;
 *   - repeating one whose reply was lost changes nothing.
 */
import { createHash } from 'node:crypto';

export interface RedisScript {
  readonly name: string;
  readonly source: string;
  readonly sha: string;
}

function script(name: string, source: string, flags = ''): RedisScript {
  const text = `#!lua${flags}\n${source.trim()}\n`;
  return { name, source: text, sha: createHash('sha1').update(text).digest('hex') };
}

/** Arguments of one unpack: Lua's stack takes about 8,000. */
const SLICE = 1_000;

/**
 * Fencing, as the port demands it. Answers `applied`, `owner`, `commit ID` or `absent` when the commit must not be
 * applied. Expects: owner, previous, next = ARGV[1..3]; head = KEYS[1].
 */
const FENCE = `
local head = redis.call('HMGET', KEYS[1], 'owner', 'commit', 'pending', 'state')
if not head[2] or head[4] then return 'absent' end
if head[2] == ARGV[3] then return 'applied' end
if head[1] ~= ARGV[1] or ARGV[1] == '' then return 'owner' end
if head[2] ~= ARGV[2] then return 'commit ' .. head[2] end
if head[3] then return 'pending' end
`;

/** For scans: keeps what a row or timer was before its first change since the scan began. */
const REMEMBER = `
local function remember(views, field, key, timer)
  for _, view in ipairs(views) do
    if redis.call('HEXISTS', view, field) == 0 then
      local old
      if timer then old = redis.call('ZSCORE', key, timer) and '' else old = redis.call('GET', key) end
      redis.call('HSET', view, field, old and ('+' .. old) or '-')
    end
  end
end
`;

/**
 * A commit that fits one script.
 *   KEYS  head, timers, outbox, outputs of the commit, pending, views 1–4, rows to put, rows to delete
 *   ARGV  owner, previous, next, offset, meta, 1 with outputs, packed outputs, length of the rows' prefix, number of
 *         groups, (TTL in ms or 0, rows) a group, number of timers to remove, the values in the order of their rows, the
 *         timers to remove, the timers to add
 */
export const COMMIT = script(
  'commit',
  `${FENCE}${REMEMBER}
redis.call('ZCARD', KEYS[2])
redis.call('LLEN', KEYS[3])
redis.call('HLEN', KEYS[4])
local views = {}
for i = 6, 9 do if redis.call('HLEN', KEYS[i]) > 0 then views[#views + 1] = KEYS[i] end end
local groups = tonumber(ARGV[9])
local at = 10 + 2 * groups
local removed = tonumber(ARGV[at])
local row, value = 10, at + 1
local rows = 0
for g = 1, groups do rows = rows + tonumber(ARGV[9 + 2 * g]) end
local timer = value + rows

redis.call('HSET', KEYS[1], 'commit', ARGV[3], 'offset', ARGV[4], 'meta', ARGV[5])
if #views > 0 then
  local bare = tonumber(ARGV[8]) + 1
  for i = row, #KEYS do remember(views, 'r' .. string.sub(KEYS[i], bare), KEYS[i]) end
  for i = timer, #ARGV do remember(views, 't' .. ARGV[i], KEYS[2], ARGV[i]) end
end
for g = 1, groups do
  local ttl, count = ARGV[8 + 2 * g], tonumber(ARGV[9 + 2 * g])
  if ttl == '0' then
    for i = 0, count - 1, ${SLICE} do
      local pairs = {}
      for j = i, math.min(i + ${SLICE - 1}, count - 1) do
        pairs[#pairs + 1] = KEYS[row + j]
        pairs[#pairs + 1] = ARGV[value + j]
      end
      redis.call('MSET', unpack(pairs))
    end
  else
    for i = 0, count - 1 do redis.call('SET', KEYS[row + i], ARGV[value + i], 'PX', ttl) end
  end
  row, value = row + count, value + count
end
for i = row, #KEYS, ${SLICE} do
  redis.call('UNLINK', unpack(KEYS, i, math.min(i + ${SLICE - 1}, #KEYS)))
end
local added = timer + removed
for i = timer, added - 1, ${SLICE} do
  redis.call('ZREM', KEYS[2], unpack(ARGV, i, math.min(i + ${SLICE - 1}, added - 1)))
end
for i = added, #ARGV, ${SLICE} do
  local members = {}
  for j = i, math.min(i + ${SLICE - 1}, #ARGV) do
    members[#members + 1] = '0'
    members[#members + 1] = ARGV[j]
  end
  redis.call('ZADD', KEYS[2], unpack(members))
end
if ARGV[6] == '1' then
  redis.call('HSET', KEYS[4], '0', ARGV[7])
  redis.call('RPUSH', KEYS[3], ARGV[3])
end
return 'committed'
`,
);

/**
 * A commit whose rows and timers were staged in several scripts: here it happens, at once; what was staged becomes
 * `pending` and everybody who meets it moves it in before going on.
 *   KEYS  head, timers, outbox, outputs of the commit, pending, staged
 *   ARGV  owner, previous, next, offset, meta, staged parts of the outputs, staged fields
 */
export const COMMIT_STAGED = script(
  'commit-staged',
  `${FENCE}
redis.call('ZCARD', KEYS[2])
redis.call('LLEN', KEYS[3])
redis.call('HLEN', KEYS[5])
local parts = tonumber(ARGV[6])
local fields = tonumber(ARGV[7])
if redis.call('HLEN', KEYS[4]) ~= parts or redis.call('HLEN', KEYS[6]) ~= fields then return 'unstaged' end
redis.call('HSET', KEYS[1], 'commit', ARGV[3], 'offset', ARGV[4], 'meta', ARGV[5])
if fields > 0 then
  redis.call('HSET', KEYS[1], 'pending', ARGV[3])
  redis.call('RENAME', KEYS[6], KEYS[5])
  redis.call('PERSIST', KEYS[5])
end
if parts > 0 then
  redis.call('PERSIST', KEYS[4])
  redis.call('RPUSH', KEYS[3], ARGV[3])
end
return 'committed'
`,
);

/**
 * Moves some of a pending commit in. Anybody may: each field is moved once, by whoever comes first.
 *   KEYS  head, pending, timers, views 1–4, then the rows of the fields that are rows
 *   ARGV  id of the pending commit, then the fields: 'r' and a row's key, in the order of KEYS, or 't' and a timer
 * A staged value is '-' (delete) or '+', the TTL in ms or 0, ':', the row.
 */
export const MOVE_IN = script(
  'move-in',
  `${REMEMBER}
if redis.call('HGET', KEYS[1], 'pending') ~= ARGV[1] then return 0 end
redis.call('HLEN', KEYS[2])
redis.call('ZCARD', KEYS[3])
local views = {}
for i = 4, 7 do if redis.call('HLEN', KEYS[i]) > 0 then views[#views + 1] = KEYS[i] end end
local row = 8
for i = 2, #ARGV do
  local field = ARGV[i]
  local staged = redis.call('HGET', KEYS[2], field)
  local isRow = string.byte(field) == 114
  if staged then
    if isRow then
      remember(views, field, KEYS[row])
      if staged == '-' then redis.call('UNLINK', KEYS[row])
      else
        local colon = string.find(staged, ':', 2, true)
        local ttl = string.sub(staged, 2, colon - 1)
        if ttl == '0' then redis.call('SET', KEYS[row], string.sub(staged, colon + 1))
        else redis.call('SET', KEYS[row], string.sub(staged, colon + 1), 'PX', ttl) end
      end
    else
      local timer = string.sub(field, 2)
      remember(views, field, KEYS[3], timer)
      if staged == '-' then redis.call('ZREM', KEYS[3], timer) else redis.call('ZADD', KEYS[3], 0, timer) end
    end
    redis.call('HDEL', KEYS[2], field)
  end
  if isRow then row = row + 1 end
end
if redis.call('HLEN', KEYS[2]) == 0 then
  redis.call('HDEL', KEYS[1], 'pending')
  return 0
end
return 1
`,
  ' flags=allow-oom',
);

/** Puts a task on the list. KEYS list; ARGV name. */
export const REGISTER = script('register', `return redis.call('SADD', KEYS[1], ARGV[1])`, ' flags=allow-oom');

/** KEYS head; ARGV owner. Answers commit, offset, meta, pending; `false` when the task is being restored or dropped. */
export const ACQUIRE = script(
  'acquire',
  `
local head = redis.call('HMGET', KEYS[1], 'commit', 'offset', 'meta', 'pending', 'state')
if head[5] then return false end
if not head[1] then
  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'commit', '', 'offset', '0', 'meta', '')
  return { '', '0', '', false }
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
return { head[1], head[2], head[3], head[4] }
`,
  ' flags=allow-oom',
);

/**
 * Forgets the oldest outputs, if they still are what the caller saw.
 *   KEYS head, outbox, then the outputs' keys; ARGV owner, then the commits' ids, oldest first
 */
export const TRIM = script(
  'trim',
  `
local head = redis.call('HMGET', KEYS[1], 'owner', 'state')
if head[1] ~= ARGV[1] or head[2] then return 'owner' end
local count = #ARGV - 1
local ids = redis.call('LRANGE', KEYS[2], 0, count - 1)
for i = 1, count do if ids[i] ~= ARGV[i + 1] then return 'moved' end end
redis.call('LPOP', KEYS[2], count)
redis.call('UNLINK', unpack(KEYS, 3))
return 'trimmed'
`,
  ' flags=allow-oom',
);

/**
 * Due timers with the rows of their keys. The rows' keys come out of the timers, so they cannot be named in KEYS; it only
 * reads, and on a slot that is being moved it fails as a whole.
 *   KEYS timers; ARGV prefix of rows, bounds as ZRANGE takes them, most timers
 */
export const DUE_TIMERS = script(
  'due-timers',
  `
local timers = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[3], 'BYLEX', 'LIMIT', 0, ARGV[4])
if #timers == 0 then return { timers, timers } end
local keys = {}
for i, timer in ipairs(timers) do
  keys[i] = ARGV[1] .. string.sub(timer, string.find(timer, '\\0', 7, true) + 1)
end
local rows = redis.pcall('MGET', unpack(keys))
if rows.err then return redis.error_reply('TRYAGAIN rows of timers are being moved: ' .. rows.err) end
return { timers, rows }
`,
  ' flags=no-writes,allow-oom',
);

/** Opens a view for a scan. KEYS head, views 1–4; ARGV id, ms to live. Answers its number, or why there is none. */
export const OPEN_VIEW = script(
  'open-view',
  `
local head = redis.call('HMGET', KEYS[1], 'commit', 'pending', 'state')
if not head[1] or head[3] then return 'absent' end
if head[2] then return 'pending' end
for i = 2, 5 do
  if redis.call('HGET', KEYS[i], 'view') == ARGV[1] then return i - 2 end
end
for i = 2, 5 do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    redis.call('HSET', KEYS[i], 'view', ARGV[1])
    redis.call('PEXPIRE', KEYS[i], ARGV[2])
    return i - 2
  end
end
return 'busy'
`,
);

/** The head of a restored task, with nobody as its owner. KEYS head; ARGV what `state` must be, commit, offset, meta. */
export const PUBLISH_HEAD = script(
  'publish-head',
  `
if redis.call('HGET', KEYS[1], 'state') ~= ARGV[1] then return 'disturbed' end
redis.call('HSET', KEYS[1], 'owner', '', 'commit', ARGV[2], 'offset', ARGV[3], 'meta', ARGV[4])
redis.call('HDEL', KEYS[1], 'state')
return 'published'
`,
);

/** KEYS document; ARGV 1 where it must be there, what it must say, what it is to say. */
export const REPLACE_DOCUMENT = script(
  'replace-document',
  `
local found = redis.call('GET', KEYS[1])
if found == ARGV[3] then return 'replaced' end
if ARGV[1] == '1' then
  if found ~= ARGV[2] then return 'differs' end
elseif found then return 'differs' end
redis.call('SET', KEYS[1], ARGV[3])
return 'replaced'
`,
);
