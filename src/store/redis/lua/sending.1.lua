-- Writes who sends a message to receivers, and which of them have it: for its sender, or for a node that takes it over.
--
-- KEYS  1 who sends each message
-- ARGV  1 id of the message, 2 the value, without the time: `node boot-id receiver,receiver,… mac`
--       3 the boot id of the sender that may be there, 4 the value that may be there; '' for none
-- Answers 1; 0: another node sends it.

local sendings, id, value, boot, seen = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local MOST = 2000
local KEPT_MS = 2 * 24 * 3600 * 1000
local there = redis.call('HGET', sendings, id)
if there and there ~= seen then
  local of = there:match('^%d+ %S+ (%S+) ')
  if boot == '' or of ~= boot then return 0 end
end
local time = redis.call('TIME')
redis.call('HSET', sendings, id, string.format('%.0f %s', time[1] * 1000 + math.floor(time[2] / 1000), value))
if redis.call('HLEN', sendings) > MOST then
  local all, entries = redis.call('HGETALL', sendings), {}
  for i = 1, #all, 2 do
    entries[#entries + 1] = { tonumber(all[i + 1]:match('^(%d+) ')) or 0, all[i] }
  end
  table.sort(entries, function(a, b) return a[1] < b[1] end)
  for i = 1, #entries - MOST / 2 do redis.call('HDEL', sendings, entries[i][2]) end
end
redis.call('PEXPIRE', sendings, KEPT_MS)
return 1
