import { createHash } from 'node:crypto';
import { changesLua } from './changes.lua.ts';

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
local meta, stream, moved = KEYS[1], KEYS[2], KEYS[5]
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local token = string.sub(replid, 1, 10)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function int(number) return string.format('%.0f', number) end

-- The token and the first seq of the last of the terms.
local function lastTerm(terms)
  local name, first = string.match(terms, '([^,:]+):(%d+)$', math.max(1, #terms - 30))
  return name, tonumber(first)
end

-- Adds a term to the list of 'token:first seq', of which the last 32 are kept. Terms of which nothing
-- is left are removed. A second term with one replication id has another part of it as its token.
local function begin(terms, first)
  local list, offset = {}, 1
  for term in string.gmatch(terms, '[^,]+') do
    if tonumber(string.match(term, ':(%d+)$')) <= first then list[#list + 1] = term end
  end
  while string.find(terms, token, 1, true) do
    offset = offset + 1
    token = string.sub(replid, offset, offset + 9)
  end
  list[#list + 1] = token .. ':' .. int(first)
  return table.concat(list, ',', math.max(1, #list - 31))
end

-- An entry's last seq, number of records, term and total bytes. Foreign ones have none.
local function decode(entry)
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  return tonumber(string.match(entry[1], '^(%d+)%-0$')), tonumber(fields.c), fields.e, tonumber(fields.b)
end

-- An entry of a stream cannot be rewritten. One with a changed record is in a sorted set instead, by
-- its last seq: a text of that, of the number of its records, time, term and total bytes, and its
-- records.
local function movedEntry(member)
  local last, c, t, e, b, p = string.match(member, '^(%d+) (%d+) (%d+) (%S+) (%d+)\\n(.*)$')
  if not last then return nil end
  return { last .. '-0', { 'c', c, 't', t, 'e', e, 'b', b, 'p', p } }
end
local function lastOf(entry) return tonumber(string.match(entry[1], '^(%d+)')) or 0 end

-- The entries at or after a seq, at most so many. A moved one replaces what is left in the stream.
local function entriesAt(seq, count)
  local entries = redis.call('XRANGE', stream, int(seq) .. '-0', '+', 'COUNT', count)
  local members = redis.call('ZRANGEBYSCORE', moved, int(seq), '+inf', 'LIMIT', 0, count)
  if #members == 0 then return entries end
  local merged, i, j = {}, 1, 1
  while #merged < count and (entries[i] or members[j]) do
    local other = members[j] and movedEntry(members[j])
    if other and (not entries[i] or lastOf(other) <= lastOf(entries[i])) then
      if entries[i] and lastOf(other) == lastOf(entries[i]) then i = i + 1 end
      merged[#merged + 1] = other
      j = j + 1
    elseif entries[i] then
      merged[#merged + 1] = entries[i]
      i = i + 1
    else
      j = j + 1
    end
  end
  return merged
end

-- The first entry at or after a seq, and the last of all.
local function entryAt(seq) return entriesAt(seq, 1)[1] end
local function topEntry()
  local top = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  local member = redis.call('ZREVRANGE', moved, 0, 0)[1]
  local other = member and movedEntry(member)
  if other and (not top or lastOf(other) >= lastOf(top)) then return other end
  return top
end

-- Whether the stream contradicts the meta: it ends elsewhere, or where the last term begins it has an
-- entry of another one. Scripts are atomic, but Redis 7.0 may execute a part of one when it loads an
-- append-only file that was cut off within it. An empty stream has been trimmed.
local function isTorn(terms, seq)
  local top = topEntry()
  if not top then return false end
  if decode(top) ~= seq then return true end
  local name, first = lastTerm(terms)
  local entry = entryAt(first)
  return entry and select(3, decode(entry)) ~= name
end

local function expire(ms)
  for i = 1, 5 do redis.call('PEXPIRE', KEYS[i], ms) end
end
`;

/**
 * Creates a room's log, begins a term in it after a restart or failover of Redis, and mends it.
 *
 * KEYS: meta, log, ids 0, ids 1, moved. ARGV: id of a new log, milliseconds until an empty room
 * expires, 1 to mend it within a term, too. Returns the meta's log, terms, seq and first. If the
 * log was mended, the first and last seq of what it has lost follow, the last one lower if it lost
 * nothing.
 */
export const openScript = script(`${prelude}
-- Has the stream accept entries after its last one.
local function setEnd(last)
  local reply = redis.pcall('XSETID', stream, int(last) .. '-0')
  if type(reply) ~= 'table' or not reply.err then return end
  -- Valkey 8 accepts no id below that of a removed entry, so a copy takes the stream's place.
  local copy = stream .. ':copy'
  redis.call('DEL', copy)
  local entries = redis.call('XRANGE', stream, '-', '+', 'COUNT', 100)
  while #entries > 0 do
    for _, entry in ipairs(entries) do redis.call('XADD', copy, entry[1], unpack(entry[2])) end
    entries = redis.call('XRANGE', stream, '(' .. entries[#entries][1], '+', 'COUNT', 100)
  end
  redis.call('RENAME', copy, stream)
end

local function remove(entry)
  redis.call('XDEL', stream, entry[1])
  redis.call('ZREMRANGEBYSCORE', moved, int(lastOf(entry)), int(lastOf(entry)))
end

-- Removes the entries that contradict the meta, and all that is stored of their messages.
-- Returns the seq of the end, its total bytes, and the first and last seq of what is lost.
local function mend(terms, seq)
  local name, first = lastTerm(terms)
  local removed = 0
  local entry = entryAt(first)
  while entry and select(3, decode(entry)) ~= name do
    removed = math.max(removed, decode(entry) or 0)
    remove(entry)
    entry = entryAt(first)
  end
  local top = topEntry()
  while top and (decode(top) or seq + 1) > seq do
    remove(top)
    top = topEntry()
  end
  local last, bytes = math.min(seq, first - 1), 0
  if top then
    last, bytes = decode(top), select(4, decode(top))
    setEnd(last)
  else
    redis.call('DEL', stream, moved)
    redis.call('HSET', meta, 'oldest', 0)
  end
  local from, to = last + 1, seq
  if last >= first then
    -- The messages of the term that were stored after the removed ones are whole.
    local id, count = decode(entryAt(first))
    if last == seq then from, to = first, id - (count or 1) end
  end
  local gone = math.max(removed, last == seq and to or 0)
  for i = 3, 4 do
    local ids = redis.call('HGETALL', KEYS[i])
    for j = 1, #ids, 2 do
      local number = tonumber(ids[j + 1])
      if number > last or (number >= first and number <= gone) then redis.call('HDEL', KEYS[i], ids[j]) end
    end
  end
  local fields = redis.call('HGETALL', meta)
  for j = 1, #fields, 2 do
    if string.sub(fields[j], 1, 2) == 'r:' then
      local stored = tonumber(string.match(fields[j + 1], '^%d+ %d+ %S+ %S+ %d+ (%d+)'))
      if not stored or stored > last then redis.call('HDEL', meta, fields[j]) end
    end
  end
  redis.call('HDEL', meta, 'renewed')
  return last, bytes, from, to
end

local m = redis.call('HMGET', meta, 'log', 'terms', 'seq', 'first', 'replid', 'base')
if not m[1] then
  m = { ARGV[1], token .. ':1', '0', '1' }
  redis.call('DEL', stream, KEYS[3], KEYS[4], moved)
  redis.call('HSET', meta, 'log', m[1], 'terms', m[2], 'seq', 0, 'first', 1, 'replid', replid,
    'time', 0, 'bytes', 0, 'base', 0, 'oldest', 0)
  redis.call('PEXPIRE', meta, ARGV[2])
  return { m[1], m[2], m[3], m[4] }
end
local seq, first = tonumber(m[3]), tonumber(m[4])
if not (seq and first and m[2] and lastTerm(m[2])) then
  return redis.error_reply('PUMPHOUSE the key ' .. meta .. ' is malformed')
end
local isBroken = (m[5] ~= replid or ARGV[3] == '1') and isTorn(m[2], seq)
if not isBroken and ARGV[3] == '1' and redis.call('EXISTS', stream) == 1 then
  -- An entry that was removed may have left a last id that no new entry is above.
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then isBroken = info[i + 1] ~= int(seq) .. '-0' end
  end
end
if not isBroken then
  if m[5] ~= replid then
    m[2] = begin(m[2], seq + 1)
    redis.call('HSET', meta, 'terms', m[2], 'replid', replid)
  end
  return { m[1], m[2], m[3], m[4] }
end
local last, bytes, from, to = mend(m[2], seq)
m[2] = begin(m[2], last + 1)
first = math.min(first, last + 1)
redis.call('HSET', meta, 'terms', m[2], 'replid', replid, 'seq', int(last), 'first', int(first),
  'bytes', int(math.max(bytes or 0, tonumber(m[6]) or 0)))
return { m[1], m[2], int(last), int(first), int(from), int(to) }
`);

/**
 * Appends a batch to a room's log.
 *
 * KEYS: meta, log, ids 0, ids 1, moved. ARGV: 1 channel, 2 id of a new log, 3 the node's run, 4
 * number of the batch, 5 retained bytes, 6 retained milliseconds, 7 expiry in milliseconds, 8
 * number of drafts, 9 bytes of each draft, 10 and 11 the window of ids in milliseconds and
 * messages, 12 payload, 13 the drafts that are changes or replies, 14… hash of each draft's id or
 * an empty string, absent when no draft has one.
 *
 * Returns log, term, seq before the batch, seq after it, time, first seq, and the outcomes: the
 * seq of each draft, negative for a duplicate, or why it is refused. Without outcomes all drafts
 * are stored. Returns 'fenced' when the run has appended a later batch, and 'torn' when the log is
 * to be mended first.
 */
export const appendScript = script(`${prelude}
${changesLua}
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
  redis.call('DEL', stream, KEYS[3], KEYS[4], moved)
elseif not (terms and seq and first and time and bytes and base and oldest and lastTerm(terms)) then
  return redis.error_reply('PUMPHOUSE the key ' .. meta .. ' is malformed')
elseif m[5] ~= replid then
  if isTorn(terms, seq) then return { 'torn' } end
  terms = begin(terms, seq + 1)
else
  token = lastTerm(terms)
end
local at = math.max(now, time)

-- Changes, by index of their draft. Few batches have any.
local changes
for index, op, of, byUser in string.gmatch(ARGV[13], '(%d+) (%a+) (%d+) (%d)') do
  changes = changes or {}
  changes[tonumber(index)] = { op = op, of = tonumber(of), byUser = byUser == '1' }
end
local lines = changes and linesOf(ARGV[12])

-- Recognize retries, also within the batch, and judge changes.
local hasIds = #ARGV > 13
local last, outcomes, fresh = seq, {}, {}
local isPartial = false
if hasIds or changes then
  local known0 = hasIds and redis.call('HMGET', KEYS[3], unpack(ARGV, 14)) or {}
  local known1 = hasIds and redis.call('HMGET', KEYS[4], unpack(ARGV, 14)) or {}
  local within = {}
  for i = 1, count do
    local id = hasIds and ARGV[13 + i] or ''
    local prior = id ~= '' and (within[id] or known0[i] or known1[i])
    local refusal = not prior and changes and changes[i] and judge(changes[i], lines[i], last, seq, first)
    if prior then
      isPartial = true
      outcomes[i] = '-' .. prior
    elseif refusal then
      isPartial = true
      outcomes[i] = refusal
    else
      last = last + 1
      outcomes[i] = int(last)
      if changes then
        fresher[last] = items(lines[i])
        if changes[i] and changes[i].op ~= 'reply' then fold(changes[i], fresher[last], last, seq, first) end
      end
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
  if not isPartial or tonumber(outcomes[i]) and tonumber(outcomes[i]) > 0 then added = added + tonumber(size) end
end
if changes then
  local kept = {}
  for number = seq + 1, last do kept[#kept + 1] = lineOf(fresher[number]) end
  payload = table.concat(kept, ',\\n')
elseif isPartial then
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
  if type(entry) == 'table' and entry.err then
    if string.find(entry.err, 'smaller than the target stream', 1, true) then return { 'torn' } end
    return entry
  end
  if changes then moveChanged() end
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
  local from, drops, done = 0, 0, false
  while not done and drops < 256 do
    local entries = entriesAt(from, 9)
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
      from = lastOf(entries[j + 1])
    end
  end
  if drops > 0 then
    redis.call('XTRIM', stream, 'MINID', int(first) .. '-0')
    redis.call('ZREMRANGEBYSCORE', moved, '-inf', int(first - 1))
  end
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

local reply = { log, token, int(seq), int(last), int(at), int(first), isPartial and table.concat(outcomes, ',') or nil }
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
