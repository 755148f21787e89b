-- Removes a decommissioned prober or node: from its index, from what all listeners know, and its hash.
--
-- KEYS  1 the index of its kind, 2 forgotten processes, 3 its hash
-- ARGV  1 channel, 2 hint, 3 its name, 4 its field in 2, 5 its last known boot id or '',
--       6 id of the request, 7 mac or ''

local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREM', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[4], string.format('%.0f %s %s %s', nowMs, ARGV[5], ARGV[6], ARGV[7]))
redis.call('UNLINK', KEYS[3]) -- in the background, however large; a live process writes it again
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
