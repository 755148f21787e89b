-- Reads all overrides together with Redis's clock, from which each one's age follows.
--
-- KEYS  1 the overrides
-- Answers @now, Redis's clock in ms, and then the hash: field, value, field, value …

local time = redis.call('TIME')
local answer = { '@now', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)) }
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields do answer[2 + i] = fields[i] end
return answer
