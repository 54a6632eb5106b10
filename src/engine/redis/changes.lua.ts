/**
 * Judges changes and folds them into the records that they change, as `src/hub/changes.ts` does.
 * Records are the JSON texts of their items: from, sender, id, data, bytes, whether the data is
 * JSON, and what few of them have besides. Texts are compared as they are, since all nodes write
 * them alike.
 */
export const changesLua = `
local MAX_REACTIONS, MAX_USERS = 32, 1000
-- The default bounds of a stream's node are lower.
local NODE_ENTRIES, NODE_BYTES = 128, 16384

local function items(line)
  local list, i, n = {}, 2, #line
  while i < n do
    local c, j = string.sub(line, i, i), n - 1
    if c == '"' then
      j = i + 1
      while true do
        local k = string.find(line, '["\\\\]', j)
        if string.sub(line, k, k) == '"' then
          j = k
          break
        end
        j = k + 2
      end
    elseif c ~= '{' then
      j = (string.find(line, ',', i, true) or n) - 1
    end
    list[#list + 1] = string.sub(line, i, j)
    i = j + 2
  end
  return list
end

local function lineOf(record) return '[' .. table.concat(record, ',') .. ']' end

local function linesOf(payload)
  local lines = {}
  for line in string.gmatch(payload, '[^\\n]+') do lines[#lines + 1] = (string.gsub(line, ',$', '')) end
  return lines
end

-- Returns a JSON text's value; nil for one that Lua cannot read, such as half of a surrogate pair.
local function parse(text)
  local ok, value = pcall(cjson.decode, text)
  if ok then return value end
end
local function textOf(item) return (parse('[' .. item .. ']') or {})[1] end

-- The records of the batch by seq, and the entries that were read, by their last seq.
local fresher, loaded = {}, {}

local function entryWith(of)
  for _, each in pairs(loaded) do
    if of >= each.first and of <= each.last then return each end
  end
  local entry = entryAt(of)
  if not entry then return nil end
  local last, count, term, total = decode(entry)
  if not last or not count or not term or not total or of < last - count + 1 then return nil end
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  local each = { id = entry[1], first = last - count + 1, last = last, fields = fields, lines = linesOf(fields.p or '') }
  loaded[last] = each
  return each
end

-- Returns the items of a record; nil if it is not retained.
local function find(of, head, first)
  if of > head then return fresher[of] end
  local each = of >= first and entryWith(of)
  local line = each and each.lines[of - each.first + 1]
  return line and items(line)
end

local function replace(of, head, record, erases)
  if of > head then
    fresher[of] = record
    return
  end
  local each = entryWith(of)
  each.lines[of - each.first + 1] = lineOf(record)
  each.isChanged = true
  each.erases = each.erases or erases
end

local function extraOf(record)
  if not record[7] then return { kind = 'message' } end
  return parse(record[7]) or { kind = 'unknown' }
end

-- Returns why a draft is refused; nil if it is not. Last is the seq before it, head that before the batch.
local function judge(change, line, last, head, first)
  if change.op == 'reply' then return change.of > last and 'not_found' or nil end
  local target = change.of <= last and find(change.of, head, first)
  local extra = target and extraOf(target)
  if not extra or extra.kind ~= 'message' or extra.deleted then return 'not_found' end
  local draft = items(line)
  if change.op == 'edit' or change.op == 'delete' then
    if draft[2] == '""' or target[2] == '""' then return 'forbidden' end
    if draft[2] == target[2] then return nil end
    local isOwn = change.byUser and draft[1] == target[1] and string.sub(target[2], 1, 5) ~= '"api:'
    return not isOwn and 'forbidden' or nil
  end
  local reaction, user = textOf(draft[4]), textOf(draft[1])
  if not reaction or not user then return 'not_found' end
  if change.op == 'unreact' then return nil end
  local total, hasReaction = 0, false
  for _, each in ipairs(extra.reactions or {}) do
    total = total + #each[2]
    if each[1] == reaction then
      hasReaction = true
      for _, name in ipairs(each[2]) do
        if name == user then return nil end
      end
    end
  end
  if total >= MAX_USERS or (not hasReaction and #(extra.reactions or {}) >= MAX_REACTIONS) then
    return 'too_many_reactions'
  end
end

local function react(reactions, op, reaction, user)
  for i, each in ipairs(reactions) do
    if each[1] == reaction then
      for j, name in ipairs(each[2]) do
        if name == user then
          if op == 'unreact' then table.remove(each[2], j) end
          if #each[2] == 0 then table.remove(reactions, i) end
          return
        end
      end
      if op == 'react' then each[2][#each[2] + 1] = user end
      return
    end
  end
  if op == 'react' then reactions[#reactions + 1] = { reaction, { user } } end
end

-- Removes the text of an edit that is replaced.
local function withoutText(edit, of, head, first)
  local record = edit and find(edit, head, first)
  local extra = record and extraOf(record)
  if not extra or extra.kind ~= 'change' or extra.of ~= of then return end
  record[4], record[6] = '""', '0'
  record[7] = '{"kind":"change","op":"edit","of":' .. int(of) .. ',"replaced":true}'
  replace(edit, head, record, true)
end

-- Folds a change with this seq into its record.
local function fold(change, draft, seq, head, first)
  local of, op = change.of, change.op
  local record = find(of, head, first)
  local extra = extraOf(record)
  local text = '{"kind":"message"' .. (extra.reply and ',"reply":' .. int(extra.reply) or '') .. ',"changed":' .. int(seq)
  if op == 'edit' or op == 'delete' then
    withoutText(extra.edited, of, head, first)
    record[4], record[6] = draft[4], draft[6]
  end
  if op == 'delete' then
    record[4], record[6], record[7] = '""', '0', text .. ',"deleted":true}'
    replace(of, head, record, true)
    return
  end
  if op == 'edit' then extra.edited = seq end
  local reactions = extra.reactions or {}
  if op ~= 'edit' then react(reactions, op, textOf(draft[4]), textOf(draft[1])) end
  if extra.edited then text = text .. ',"edited":' .. int(extra.edited) end
  if #reactions > 0 then text = text .. ',"reactions":' .. cjson.encode(reactions) end
  record[7] = text .. '}'
  replace(of, head, record, false)
end

local function move(id, last, fields, payload)
  local member = table.concat({ int(last), fields.c, fields.t, fields.e, fields.b }, ' ') .. '\\n' .. payload
  local before = redis.call('ZRANGEBYSCORE', moved, int(last), int(last))
  redis.call('ZADD', moved, int(last), member)
  for _, each in ipairs(before) do
    if each ~= member then redis.call('ZREM', moved, each) end
  end
  redis.call('XDEL', stream, id)
end

-- Moves the entries that may share a node with one that was removed: the node is freed with the last
-- of them, and with it the bytes of the removed one.
local function moveNeighbours(id)
  for _, command in ipairs({ 'XREVRANGE', 'XRANGE' }) do
    local bytes = 0
    for _, entry in ipairs(redis.call(command, stream, id, command == 'XRANGE' and '+' or '-', 'COUNT', NODE_ENTRIES)) do
      local fields = {}
      for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
      if bytes > NODE_BYTES or not (fields.c and fields.t and fields.e and fields.b and fields.p) then break end
      bytes = bytes + #fields.p
      move(entry[1], lastOf(entry), fields, fields.p)
    end
  end
end

-- Moves the entries with changed records to the sorted set.
local function moveChanged()
  for last, each in pairs(loaded) do
    if each.isChanged then
      move(each.id, last, each.fields, table.concat(each.lines, ',\\n'))
      if each.erases then moveNeighbours(each.id) end
    end
  end
end
`;
