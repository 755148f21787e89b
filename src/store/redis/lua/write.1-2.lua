-- Writes what a prober or a node has to say, in one step: changes its hash, renews its lease, publishes a hint.
--
-- KEYS  1 its hash, 2 (nodes only) the index of nodes
-- ARGV  1 channel, 2 hint, 3 name, 4 boot id, 5 region, 6 lease in ms
--       7 the n that the hash must have, 8 the n after this call; n counts its changes and never goes backwards
--       9 whole (all fields) or some (changes), 10 its heartbeat or '', 11 these changes as a line of @log or ''
--       12 @sum, 13 @mac, both '' without a secret, 14… field, value, field, value …; value '' removes the field
-- Answers {ok, boot id of a rival or '', Redis's clock in ms or ''}; {missing}: everything has to be written again;
-- {ended}: a later boot has the name.
--
-- @log holds the last changes, one line each, `n …`: a listener that has read all but those needs no more (since.n.lua).
-- The message has the last line, after the boot id: a listener that has all before it reads nothing.

local hash, index = KEYS[1], KEYS[2]
local channel, hint, name, boot, region, lease = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local had, n, mode, beat, line, sum, mac = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13]
local FIRST = 14
local CHUNK = 4000 -- an even number below what unpack() can take
local REMEMBERED = 400 -- bytes of ended boot ids
local LOG = 16384 -- bytes of changes
local INDEX_MS = 48 * 3600 * 1000

local clock = ''
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

if mode == 'whole' then
  redis.call('UNLINK', hash)
  redis.call('HSET', hash, '@boot', boot, '@region', region, '@ended', ended)
  for i = FIRST, #ARGV, CHUNK do
    redis.call('HSET', hash, unpack(ARGV, i, math.min(i + CHUNK - 1, #ARGV)))
  end
else
  if rival then redis.call('HDEL', hash, '@rival') end
  for i = FIRST, #ARGV, 2 do
    if ARGV[i + 1] == '' then
      redis.call('HDEL', hash, ARGV[i])
    else
      redis.call('HSET', hash, ARGV[i], ARGV[i + 1])
    end
  end
  if n ~= had then
    local log = ''
    if line ~= '' then
      log = (redis.call('HGET', hash, '@log') or '') .. line .. '\n'
      if #log > LOG then
        local cut = log:find('\n', #log - LOG, true)
        log = log:sub(cut + 1)
      end
    end
    redis.call('HSET', hash, '@log', log)
  end
end
redis.call('HSET', hash, '@n', n)
if beat ~= '' then redis.call('HSET', hash, '@beat', beat) end
if mac ~= '' then redis.call('HSET', hash, '@sum', sum, '@mac', mac) end
if beat ~= '' or mode == 'whole' then
  redis.call('PEXPIRE', hash, lease)
  if index then
    local time = redis.call('TIME')
    local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
    clock = string.format('%.0f', nowMs)
    redis.call('ZADD', index, nowMs, name)
    redis.call('ZREMRANGEBYSCORE', index, '-inf', nowMs - INDEX_MS)
  end
end
if hint ~= '' then
  if line ~= '' then hint = hint .. ' ' .. boot .. ' ' .. line end
  redis.call('PUBLISH', channel, hint)
end
return { 'ok', rival or '', clock }
