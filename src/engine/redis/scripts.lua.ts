import { createHash } from 'node:crypto';

/** A Lua script as Redis knows it. */
export interface Script {
  readonly text: string;
  /** The name to run it by. */
  readonly sha: string;
}

// The beginning of both scripts. `#!lua` without flags makes Redis refuse a script before its first
// command: on a replica, out of memory, or without the replicas that it must write to. So a refused
// batch leaves nothing behind.
const prelude = `#!lua
-- Pumphouse, format 1
local meta, stream = KEYS[1], KEYS[2]
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local token = string.sub(replid, 1, 10)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function int(number) return string.format('%.0f', number) end

-- Adds a term to the list of 'token:first seq', of which the last 32 are kept.
local function begin(terms, first)
  local list = {}
  for term in string.gmatch(terms, '[^,]+') do list[#list + 1] = term end
  list[#list + 1] = token .. ':' .. int(first)
  return table.concat(list, ',', math.max(1, #list - 31))
end

local function expire(ms)
  for i = 1, 4 do redis.call('PEXPIRE', KEYS[i], ms) end
end
`;

/**
 * Creates a room's log, or begins a term in it after a restart or failover of Redis.
 *
 * KEYS: meta, log, ids 0, ids 1. ARGV: id of a new log, milliseconds until an empty room expires.
 * Returns the meta's log, terms, seq and first.
 */
export const openScript = script(`${prelude}
local m = redis.call('HMGET', meta, 'log', 'terms', 'seq', 'first', 'replid')
if not m[1] then
  m = { ARGV[1], token .. ':1', '0', '1' }
  redis.call('DEL', stream, KEYS[3], KEYS[4])
  redis.call('HSET', meta, 'log', m[1], 'terms', m[2], 'seq', 0, 'first', 1, 'replid', replid,
    'time', 0, 'bytes', 0, 'base', 0, 'oldest', 0)
  redis.call('PEXPIRE', meta, ARGV[2])
elseif m[5] ~= replid then
  local seq = tonumber(m[3])
  if not seq or not m[2] then return redis.error_reply('PUMPHOUSE the key ' .. meta .. ' is malformed') end
  m[2] = begin(m[2], seq + 1)
  redis.call('HSET', meta, 'terms', m[2], 'replid', replid)
end
return { m[1], m[2], m[3], m[4] }
`);

/**
 * Appends a batch to a room's log.
 *
 * KEYS: meta, log, ids 0, ids 1. ARGV: 1 channel, 2 id of a new log, 3 the node's run, 4 number of
 * the batch, 5 retained bytes, 6 retained milliseconds, 7 expiry in milliseconds, 8 number of
 * drafts, 9 bytes of each draft, 10 and 11 the window of ids in milliseconds and messages,
 * 12 payload, 13… hash of each draft's id or an empty string, absent when no draft has one.
 *
 * Returns log, term, seq before the batch, seq after it, time, first seq, and the outcomes: the seq
 * of each draft, negative for a duplicate. Without outcomes all drafts are stored. Returns 'fenced'
 * when the run has appended a later batch.
 */
export const appendScript = script(`${prelude}
local run, number, count = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[8])
local runField = 'r:' .. run
local m = redis.call('HMGET', meta, 'log', 'terms', 'seq', 'first', 'replid', 'time', 'bytes', 'base',
  'oldest', 'newer', 'since', 'ids', 'renewed', runField)

-- The last batch again: its reply was lost. An earlier one: the node has given it up.
if m[14] then
  local last, reply = string.match(m[14], '^(%d+) %d+ (.*)$')
  last = tonumber(last)
  if last and number < last then return { 'fenced' } end
  if last == number then
    local again = {}
    for part in string.gmatch(reply, '[^ ]+') do again[#again + 1] = part end
    return again
  end
end

local log, terms, seq, first = m[1], m[2], tonumber(m[3]), tonumber(m[4])
local time, bytes, base, oldest = tonumber(m[6]), tonumber(m[7]), tonumber(m[8]), tonumber(m[9])
if not log then
  log, terms, seq, first, time, bytes, base, oldest = ARGV[2], token .. ':1', 0, 1, 0, 0, 0, 0
  m[10], m[11], m[12], m[13] = false, false, false, false
  redis.call('DEL', stream, KEYS[3], KEYS[4])
elseif not (terms and seq and first and time and bytes and base and oldest) then
  return redis.error_reply('PUMPHOUSE the key ' .. meta .. ' is malformed')
elseif m[5] ~= replid then
  terms = begin(terms, seq + 1)
end
local at = math.max(now, time)

-- Recognize retries, also within the batch.
local hasIds = #ARGV > 12
local last, outcomes, fresh = seq, {}, {}
local duplicates = false
if hasIds then
  local known0 = redis.call('HMGET', KEYS[3], unpack(ARGV, 13))
  local known1 = redis.call('HMGET', KEYS[4], unpack(ARGV, 13))
  local within = {}
  for i = 1, count do
    local id = ARGV[12 + i]
    local prior = id ~= '' and (within[id] or known0[i] or known1[i])
    if prior then
      duplicates = true
      outcomes[i] = '-' .. prior
    else
      last = last + 1
      outcomes[i] = int(last)
      if id ~= '' then
        within[id] = outcomes[i]
        fresh[#fresh + 1] = id
        fresh[#fresh + 1] = outcomes[i]
      end
    end
  end
else
  last = seq + count
end

local added, payload = 0, ARGV[12]
local i = 0
for size in string.gmatch(ARGV[9], '%d+') do
  i = i + 1
  if not duplicates or string.sub(outcomes[i], 1, 1) ~= '-' then added = added + tonumber(size) end
end
if duplicates then
  local kept = {}
  i = 0
  for line in string.gmatch(payload, '[^\\n]+') do
    i = i + 1
    if string.sub(outcomes[i], 1, 1) ~= '-' then kept[#kept + 1] = (string.gsub(line, ',$', '')) end
  end
  payload = table.concat(kept, ',\\n')
end

local previousTotal = bytes
if last > seq then
  -- First of all writes to an existing log: it fails when the stream is not the meta's.
  local entry = redis.pcall('XADD', stream, int(last) .. '-0', 'c', int(last - seq), 't', int(at),
    'e', token, 'b', int(bytes + added), 'p', payload)
  if type(entry) == 'table' and entry.err then return entry end
  bytes = bytes + added
  if oldest == 0 then base, oldest = previousTotal, at end
end

if #fresh > 0 then
  local newer = m[10] == '1' and 4 or 3
  local since, ids = tonumber(m[11]), tonumber(m[12]) or 0
  if not since or now - since >= tonumber(ARGV[10]) or ids >= tonumber(ARGV[11]) then
    newer = newer == 3 and 4 or 3
    redis.call('UNLINK', KEYS[newer])
    if since and now - since >= 2 * tonumber(ARGV[10]) then redis.call('UNLINK', KEYS[newer == 3 and 4 or 3]) end
    since, ids = now, 0
    redis.call('HSET', KEYS[newer], unpack(fresh))
    redis.call('PEXPIRE', KEYS[newer], ARGV[7])
  else
    redis.call('HSET', KEYS[newer], unpack(fresh))
  end
  redis.call('HSET', meta, 'newer', newer == 4 and '1' or '0', 'since', int(since), 'ids', int(ids + #fresh / 2))
end

-- Trimming waits until the log exceeds its limits by a fraction, then drops many entries at once.
local maxBytes, maxAge = tonumber(ARGV[5]), tonumber(ARGV[6])
if last > seq and (bytes - base > maxBytes * 1.125 or oldest < at - maxAge * 1.03125) then
  local from, drops, done = '-', 0, false
  while not done and drops < 256 do
    local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', 9)
    if #entries < 2 then break end
    for j = 1, #entries - 1 do
      local fields = entries[j][2]
      if not (bytes - base > maxBytes or (tonumber(fields[4]) or 0) < at - maxAge) then
        done = true
        break
      end
      drops = drops + 1
      base = math.max(base, tonumber(fields[8]) or base)
      first = tonumber(string.match(entries[j][1], '^%d+')) + 1
      oldest = tonumber(entries[j + 1][2][4]) or at
      from = entries[j + 1][1]
    end
  end
  if drops > 0 then redis.call('XTRIM', stream, 'MINID', int(first) .. '-0') end
end

-- Runs that appended nothing for an hour have no batch on its way.
if not m[14] then
  local all = redis.call('HGETALL', meta)
  for j = 1, #all, 2 do
    if string.sub(all[j], 1, 2) == 'r:' then
      local when = tonumber(string.match(all[j + 1], '^%d+ (%d+)'))
      if not when or when < now - 3600000 then redis.call('HDEL', meta, all[j]) end
    end
  end
end

local reply = { log, token, int(seq), int(last), int(at), int(first), duplicates and table.concat(outcomes, ',') or nil }
redis.call('HSET', meta, 'log', log, 'terms', terms, 'seq', int(last), 'first', int(first), 'replid', replid,
  'time', int(at), 'bytes', int(bytes), 'base', int(base), 'oldest', int(oldest),
  runField, ARGV[4] .. ' ' .. int(now) .. ' ' .. table.concat(reply, ' '))
local renewed = tonumber(m[13])
if not renewed or now - renewed >= 3600000 then
  expire(ARGV[7])
  redis.call('HSET', meta, 'renewed', int(now))
end

if last > seq then
  redis.call('PUBLISH', ARGV[1], table.concat({ 'r' .. log, token, int(seq), int(last - seq), int(at),
    int(first), run, ARGV[4] }, ' ') .. '\\n' .. payload)
end
return reply
`);

function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}
