-- What a prober or a node says of itself, in one step: its hash is changed, its lease renewed, and all who listen told.
--
-- KEYS  1 its hash, 2 the index of its kind, 3 (nodes only) the overrides, whose @rev goes out with each beat
-- ARGV  1 channel, 2 kind (p, n), 3 name, 4 boot id, 5 region, 6 lease in ms
--       7 the n that its hash must have, 8 the n after this; n counts its changes and never goes backwards
--       9 whole (all that it says) or some (changes), 10 what goes out: all, some, read (a notice), beat (beats only)
--       11 its heartbeat or '', 12… field, value, field, value …; value '' = taken back
-- Answers {ok, boot id of a rival or ''}, {missing}: all has to be written again, {ended}: a later boot has the name.

local hash, index, overrides = KEYS[1], KEYS[2], KEYS[3]
local channel, kind, name, boot, region, lease = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local had, n, mode, told, beat = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local FIRST = 12
local CHUNK = 4000 -- an even number below what unpack() can take
local REMEMBERED = 400 -- bytes of ended boot ids
local INDEX_MS = 48 * 3600 * 1000

local stored = redis.call('HMGET', hash, '@boot', '@n', '@ended', '@rival')
local ended, rival = stored[3] or '', stored[4]
if stored[1] == boot then
  if mode == 'some' and stored[2] ~= had then return { 'missing' } end
  if mode == 'whole' and (tonumber(stored[2]) or 0) >= tonumber(n) then return { 'missing' } end
else
  if string.find(ended, boot, 1, true) then
    redis.call('HSET', hash, '@rival', boot)
    return { 'ended' }
  end
  if mode == 'some' then return { 'missing' } end
  if stored[1] then ended = string.sub(stored[1] .. ' ' .. ended, 1, REMEMBERED) end
end

local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
if mode == 'whole' then
  redis.call('DEL', hash)
  redis.call('HSET', hash, '@boot', boot, '@region', region, '@ended', ended)
  for i = FIRST, #ARGV, CHUNK do
    redis.call('HSET', hash, unpack(ARGV, i, math.min(i + CHUNK - 1, #ARGV)))
  end
  redis.call('ZREMRANGEBYSCORE', index, '-inf', nowMs - INDEX_MS)
else
  if rival then redis.call('HDEL', hash, '@rival') end
  for i = FIRST, #ARGV, 2 do
    if ARGV[i + 1] == '' then
      redis.call('HDEL', hash, ARGV[i])
    else
      redis.call('HSET', hash, ARGV[i], ARGV[i + 1])
    end
  end
end
redis.call('HSET', hash, '@n', n)
if beat ~= '' then redis.call('HSET', hash, '@beat', beat) end
if beat ~= '' or mode == 'whole' then
  redis.call('PEXPIRE', hash, lease)
  redis.call('ZADD', index, nowMs, name)
end

if told ~= 'beat' or beat ~= '' then
  local rev = overrides and redis.call('HGET', overrides, '@rev') or ''
  local notice = { kind, name, boot, region, n, told, rev, beat }
  if told == 'all' or told == 'some' then
    for i = FIRST, #ARGV do notice[#notice + 1] = ARGV[i] end
  end
  redis.call('PUBLISH', channel, cjson.encode(notice))
end
return { 'ok', rival or '' }
