-- Reads the events of the fleet that came or changed since a listener read them last.
--
-- KEYS  1 lines, 2 their order (event.2.lua)
-- ARGV  1 @ as it was read last, or '', 2 the score that was read last, 3 most lines
-- Answers @, '' = there are no lines; the score that is read now; then the id of each line, and the line. Where @ is
-- another one, all that was before is lost: it reads from the begin on.

local lines, order = KEYS[1], KEYS[2]
local first = redis.call('HGET', lines, '@') or ''
local from = first == ARGV[1] and ARGV[2] or '0'
local LONGEST = 32768 -- bytes; nobody writes as long a line
local found = redis.call('ZRANGE', order, '(' .. from, '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[3], 'WITHSCORES')
local answer = { first, found[#found] or from }
for i = 1, #found, 2 do
  local line = redis.call('HGET', lines, found[i])
  if line and #line <= LONGEST then
    answer[#answer + 1] = found[i]
    answer[#answer + 1] = line
  end
end
return answer
