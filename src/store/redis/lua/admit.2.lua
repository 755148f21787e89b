-- Writes live probers to the index, which tells new listeners what to read; only nodes write there.
--
-- KEYS  1 the index of probers, 2 forgotten probers
-- ARGV  names

local INDEX_MS = 48 * 3600 * 1000
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, #ARGV do
  redis.call('ZADD', KEYS[1], nowMs, ARGV[i])
  redis.call('HDEL', KEYS[2], ARGV[i])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', nowMs - INDEX_MS)
local forgotten = redis.call('HGETALL', KEYS[2])
for i = 1, #forgotten, 2 do
  local ms = tonumber(forgotten[i + 1]:match('^(%d+) '))
  if not ms or ms < nowMs - INDEX_MS then redis.call('HDEL', KEYS[2], forgotten[i]) end
end
return 1
