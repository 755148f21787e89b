-- A prober that is gone for good leaves the index, and the rosters of all who listen.
--
-- KEYS  1 the index of probers
-- ARGV  1 channel, 2 its name

redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[1], cjson.encode({ 'f', ARGV[2] }))
return 1
