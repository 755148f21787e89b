-- Adds what a node saw to the events of the fleet. When another node has seen the same, an event of this key a short
-- time before or after, its line gets one more witness; else there is a new line. To add an event twice is to add it once.
--
-- KEYS  1 lines: id → `ms key mac json`, ms: when, by Redis's clock, and a line `id mac` for each further witness;
--         @KEY → id of the last line of that key, and @ → when there were no lines yet, by Redis's clock in µs
--       2 their order: ids, scores rise with each line that comes or changes
-- ARGV  1 most lines, then for each event: id, node, key, most ms between two of this key that are the same, its age in
--       ms, mac, mac as a witness, json
-- Answers for each event: the id of its line, and the line.

local lines, order = KEYS[1], KEYS[2]
local most = tonumber(ARGV[1])
local PARTS = 8
local LONGEST = 16384 -- bytes of a line with its witnesses
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local top = redis.call('ZRANGE', order, -1, -1, 'WITHSCORES')
local score = math.max(tonumber(top[2] or 0), time[1] * 1000000 + time[2])

local function nodeOf(id)
  return id:match('^(.*)%.[^.]+%.[^.]+$')
end

-- Whether the event itself, or another one of its node, is a witness of a line.
local function witnessed(id, line, event, node)
  if id == event then return true, false end
  local other = nodeOf(id) == node
  for witness in line:gmatch('\n(%S+) ') do
    if witness == event then return true, false end
    other = other or nodeOf(witness) == node
  end
  return false, other
end

local function write(id, line)
  score = score + 1
  redis.call('HSET', lines, id, line)
  redis.call('ZADD', order, string.format('%.0f', score), id)
end

local function add(id, node, key, together, age, mac, witnessMac, json)
  local known = redis.call('HGET', lines, id)
  if known then return id, known end
  local atMs = math.max(0, nowMs - tonumber(age))
  local last = redis.call('HGET', lines, '@' .. key)
  local line = last and redis.call('HGET', lines, last)
  if line then
    local own, other = witnessed(last, line, id, node)
    if own then return last, line end
    local lastMs = tonumber(line:match('^(%d+) '))
    local same = lastMs and math.abs(atMs - lastMs) <= tonumber(together)
    if same and not other and #line < LONGEST then
      line = line .. '\n' .. id .. ' ' .. witnessMac
      write(last, line)
      return last, line
    end
  end
  line = string.format('%.0f %s %s %s', atMs, key, mac, json)
  write(id, line)
  redis.call('HSET', lines, '@' .. key, id)
  return id, line
end

if not redis.call('HGET', lines, '@') then redis.call('HSET', lines, '@', string.format('%.0f', score)) end
local answer = {}
for i = 2, #ARGV, PARTS do
  answer[#answer + 1], answer[#answer + 2] = add(unpack(ARGV, i, i + PARTS - 1))
end

for _, id in ipairs(redis.call('ZRANGE', order, 0, -(most + 1))) do
  local line = redis.call('HGET', lines, id)
  local key = line and line:match('^%d+ (%x+) ')
  if key and redis.call('HGET', lines, '@' .. key) == id then redis.call('HDEL', lines, '@' .. key) end
  redis.call('HDEL', lines, id)
  redis.call('ZREM', order, id)
end
return answer
