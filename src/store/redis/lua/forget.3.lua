-- A prober that is gone for good leaves the index, and the rosters of all who listen, and nothing of it stays.
--
-- KEYS  1 the index of probers, 2 those forgotten, 3 its hash
-- ARGV  1 channel, 2 hint, 3 its name, 4 the boot id that was heard last or '', 5 mac or ''

local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREM', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[3], string.format('%.0f %s %s', nowMs, ARGV[4], ARGV[5]))
redis.call('UNLINK', KEYS[3]) -- in the background, however large it is; who still lives will write it again
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
