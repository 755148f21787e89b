-- Removes a decommissioned prober: from the index, from the rosters of all listeners, and its hash.
--
-- KEYS  1 the index of probers, 2 forgotten probers, 3 its hash
-- ARGV  1 channel, 2 hint, 3 its name, 4 its last known boot id or '', 5 mac or ''

local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREM', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[3], string.format('%.0f %s %s', nowMs, ARGV[4], ARGV[5]))
redis.call('UNLINK', KEYS[3]) -- in the background, however large; a live prober writes it again
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
