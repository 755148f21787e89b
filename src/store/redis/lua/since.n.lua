-- What probers and nodes have written since a listener read them last: the heads of many hashes in one call, and
-- changes as far as @log has them. A value longer than any of Meridian's is not handed out, nor a hash without a
-- lease: nobody maintains it.
--
-- KEYS  the hashes of probers or nodes
-- ARGV  1 lease in ms, 2… for each hash: the boot id and the n that were read last, '' and '' for none
-- Answers for each hash {}: it does not exist; {why}: it is not handed out; or
--   {state, size, @boot, @region, @n, @beat, @sum, @mac, line, line …}, with the number of fields, and as state
--   same: nothing but perhaps the heartbeat is new; some: the lines are new; whole: the hash has to be read

local lease = tonumber(ARGV[1])
local LONGEST = 4096 -- bytes of a value of the head
local LOG = 16384 -- as write.1-2.lua keeps it
local LINES = 512

local function since(hash, boot, n)
  local ttl = redis.call('PTTL', hash)
  if ttl == -2 then return {} end
  if ttl < 0 or ttl > lease then return { 'its lease has no end, or a late one' } end
  local head = redis.pcall('HMGET', hash, '@boot', '@region', '@n', '@beat', '@sum', '@mac')
  if head.err then
    if head.err:find('WRONGTYPE', 1, true) then return { 'it is no hash' } end
    return error(head.err)
  end
  if redis.call('HSTRLEN', hash, '@log') > LOG then return { 'its log is too long' } end
  if redis.call('HSTRLEN', hash, '@ended') > LONGEST then return { 'its head is too long' } end
  local answer = { 'whole', redis.call('HLEN', hash) }
  for i = 1, 6 do
    local value = head[i] or ''
    if #value > LONGEST then return { 'its head is too long' } end
    answer[2 + i] = value
  end
  if head[1] ~= boot then return answer end
  if head[3] == n then
    answer[1] = 'same'
    return answer
  end
  local heard = tonumber(n)
  local first = true
  for line in (redis.call('HGET', hash, '@log') or ''):gmatch('[^\n]+') do
    local of = tonumber(line:match('^(%d+) '))
    if not of or not heard then return answer end
    if first and of > heard + 1 then return answer end
    first = false
    if of > heard then answer[#answer + 1] = line end
    if #answer > 8 + LINES then return { unpack(answer, 1, 8) } end
  end
  if #answer > 8 then answer[1] = 'some' end
  return answer
end

local answers = {}
for i, hash in ipairs(KEYS) do
  answers[i] = since(hash, ARGV[2 * i], ARGV[2 * i + 1])
end
return answers
