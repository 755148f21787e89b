-- Finds the messages that tell of changes, and claims those that none tells of for a message of this node, in one step:
-- so no change is told by two nodes. Who sends a message is in KEYS[2] (sending.1.lua).
--
-- KEYS  1 what was told last of each thing, 2 who sends each message
-- ARGV  1 id of the message, '' to claim nothing; 2 who sends it, without the time, as sending.1.lua writes it
--       3 slack in ms, 4 how far apart sightings of one change may be in ms
--       5… of each change: what, state, age in ms, age of the state before in ms or '', mac or '',
--          and a value that is there but not to be believed, or ''
-- Answers for each change '' (none tells of it) or the value in KEYS[1]: `ms state id mac`, ms by Redis's clock.
--
-- A change was told if the same state was, and not before the state in between began; or if something later was.

local told, sendings = KEYS[1], KEYS[2]
local id, sender, slack, together = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local MOST = 20000
local KEPT_MS = 2 * 24 * 3600 * 1000
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)

local function isTold(value, state, atMs, sinceMs)
  local ms, was = value:match('^(%d+) (%S+) %S+ ')
  if not ms then return false end
  ms = tonumber(ms)
  if was ~= state then return ms > atMs end
  if not sinceMs then return math.abs(ms - atMs) <= together end
  return ms >= sinceMs - slack
end

local answer, claimed = {}, 0
for i = 5, #ARGV, 6 do
  local about, state, mac, doubted = ARGV[i], ARGV[i + 1], ARGV[i + 4], ARGV[i + 5]
  local atMs = nowMs - tonumber(ARGV[i + 2])
  local sinceAge = tonumber(ARGV[i + 3])
  local value = redis.call('HGET', told, about)
  if value and value ~= doubted and isTold(value, state, atMs, sinceAge and nowMs - sinceAge) then
    answer[#answer + 1] = value
  elseif id == '' then
    answer[#answer + 1] = ''
  else
    value = string.format('%.0f %s %s %s', math.max(0, atMs), state, id, mac)
    redis.call('HSET', told, about, value)
    answer[#answer + 1] = value
    claimed = claimed + 1
  end
end
if claimed == 0 then return answer end

redis.call('HSET', sendings, id, string.format('%.0f %s', nowMs, sender))
if redis.call('HLEN', told) > MOST then
  local all, entries = redis.call('HGETALL', told), {}
  for i = 1, #all, 2 do
    entries[#entries + 1] = { tonumber(all[i + 1]:match('^(%d+) ')) or 0, all[i] }
  end
  table.sort(entries, function(a, b) return a[1] < b[1] end)
  for i = 1, #entries - MOST / 2 do redis.call('HDEL', told, entries[i][2]) end
end
redis.call('PEXPIRE', told, KEPT_MS)
redis.call('PEXPIRE', sendings, KEPT_MS)
return answer
