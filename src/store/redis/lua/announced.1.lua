-- Says that a node is announced and answers, or takes that back, and tells who else is: in one step, so that of two nodes
-- that leave at the same time the second does not find the first.
--
-- KEYS  1 who is announced
-- ARGV  1 name of the node, 2 the value, without the time: `boot-id mac`; '' to take it back
--       3 for how long a value counts, in ms
-- Answers name, `boot-id mac`, … of the others that count.

local key, name, value, lease = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local KEPT_MS = 3600 * 1000
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)

if value == '' then
  redis.call('HDEL', key, name)
else
  redis.call('HSET', key, name, string.format('%.0f %s', nowMs, value))
  redis.call('PEXPIRE', key, KEPT_MS)
end

local all, others = redis.call('HGETALL', key), {}
for i = 1, #all, 2 do
  local ms, text = all[i + 1]:match('^(%d+) (.*)$')
  local age = ms and nowMs - tonumber(ms)
  if not age or math.abs(age) > KEPT_MS then
    redis.call('HDEL', key, all[i])
  elseif all[i] ~= name and math.abs(age) < lease then
    others[#others + 1] = all[i]
    others[#others + 1] = text
  end
end
return others
