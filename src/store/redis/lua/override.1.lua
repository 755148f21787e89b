-- Writes overrides: for each pattern the newest wins: the higher version, then the greater node name, then (for a node
-- that lost its file and counted anew) the later madeMs. supersedes() in override.ts is the same order.
-- A value is `ms json`: when it was set, by Redis's clock, from which listeners tell its age.
-- Publishes a hint if anything is new; removes entries that ended more than KEPT_MS ago by Redis's clock. A stored
-- entry that is malformed, or whose version no count can have reached, wins over nothing.
--
-- KEYS  1 the overrides
-- ARGV  1 channel, 2… pattern, version, node, json, age in ms, pattern, …
-- Answers Redis's clock in ms, and the value of the winner, for each pattern given.

local overrides, channel = KEYS[1], ARGV[1]
local KEPT_MS = 30 * 24 * 3600 * 1000
local MOST_JUMP = 1e9
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)

-- By bytes: `<` would follow the server's locale.
local function greater(a, b)
  for i = 1, math.min(#a, #b) do
    if a:byte(i) ~= b:byte(i) then return a:byte(i) > b:byte(i) end
  end
  return #a > #b
end

-- Its time and meaning; nothing when it can't be read.
local function read(value)
  local ms, json = value:match('^(%d+) (.*)$')
  local ok, entry = pcall(cjson.decode, json)
  if ms and ok and type(entry) == 'table' then return tonumber(ms), entry end
end

local function stands(known, version, node, json)
  if type(known.version) ~= 'number' or known.version > version + MOST_JUMP then return false end
  if type(known.node) ~= 'string' then return false end
  if version ~= known.version then return known.version > version end
  if node ~= known.node then return greater(known.node, node) end
  return (tonumber(known.madeMs) or 0) >= (cjson.decode(json).madeMs or 0)
end

local standing = { string.format('%.0f', nowMs) }
local fresh = 0
for i = 2, #ARGV, 5 do
  local pattern, version, node, json, age = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4])
  local stored = redis.call('HGET', overrides, pattern)
  local _, known
  if stored then
    _, known = read(stored)
  end
  if known and stands(known, version, node, json) then
    standing[#standing + 1] = stored
  else
    local value = string.format('%.0f %s', math.max(0, nowMs - age), json)
    redis.call('HSET', overrides, pattern, value)
    standing[#standing + 1] = value
    fresh = fresh + 1
  end
end
if fresh == 0 then return standing end

local all = redis.call('HGETALL', overrides)
for i = 1, #all, 2 do
  local setMs, known = read(all[i + 1])
  if setMs then
    local endMs = math.huge
    if known.action == 'undone' then
      endMs = setMs
    elseif type(known.untilMs) == 'number' and type(known.madeMs) == 'number' then
      endMs = setMs + known.untilMs - known.madeMs
    end
    if endMs < nowMs - KEPT_MS then redis.call('HDEL', overrides, all[i]) end
  end
end
redis.call('HSET', overrides, '@rev', time[1] .. '.' .. time[2])
redis.call('PUBLISH', channel, 'overrides')
return standing
