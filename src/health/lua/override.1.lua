-- Puts overrides up: of each pattern the newest stands, the higher version, of equal ones the greater node's name, and
-- of one node, that lost its file and counted anew, the later made (standsOver() in override.ts is the same order).
-- Those that are new here go out; those that have been over for KEPT_MS by Redis's own clock are taken away.
--
-- KEYS  1 the overrides
-- ARGV  1 channel, 2… pattern, version, node, json, pattern, …

local overrides, channel = KEYS[1], ARGV[1]
local KEPT_MS = 30 * 24 * 3600 * 1000
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)

-- By bytes: `<` would follow the server's locale.
local function greater(a, b)
  for i = 1, math.min(#a, #b) do
    if a:byte(i) ~= b:byte(i) then return a:byte(i) > b:byte(i) end
  end
  return #a > #b
end

local function split(value)
  local ms, json = value:match('^(%d+) (.*)$')
  return tonumber(ms), json
end

local fresh = {}
for i = 2, #ARGV, 4 do
  local pattern, version, node, json = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3]
  local stored = redis.call('HGET', overrides, pattern)
  local newer = true
  if stored then
    local _, text = split(stored)
    local known = cjson.decode(text)
    if version ~= known.version then
      newer = version > known.version
    elseif node ~= known.node then
      newer = greater(node, known.node)
    else
      newer = (cjson.decode(json).madeMs or 0) > (known.madeMs or 0)
    end
  end
  if newer then
    redis.call('HSET', overrides, pattern, string.format('%.0f %s', nowMs, json))
    fresh[#fresh + 1] = json
  end
end
if #fresh == 0 then return 0 end

local all = redis.call('HGETALL', overrides)
local before = ''
for i = 1, #all, 2 do
  if all[i] == '@rev' then
    before = all[i + 1]
  else
    local putMs, json = split(all[i + 1])
    local known = cjson.decode(json)
    local over = known.action == 'undone' or (type(known.untilMs) == 'number' and known.untilMs < nowMs)
    if over and putMs < nowMs - KEPT_MS then redis.call('HDEL', overrides, all[i]) end
  end
end
local rev = time[1] .. '.' .. time[2]
redis.call('HSET', overrides, '@rev', rev)
local notice = { 'o', before, rev }
for i = 1, #fresh do notice[#notice + 1] = fresh[i] end
redis.call('PUBLISH', channel, cjson.encode(notice))
return #fresh
