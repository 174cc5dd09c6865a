-- Looks for deliveries of an event in a part of those of one endpoint. KEYS: see queue.py.
--   ARGV  the member of the order after which to begin ("": with the first), how many, and the id
--         of the event
-- The reply: the last member of this part ("" where there is none); then, for each whose event
-- holds the id, the event, what is noted of attempts, and when the subject is due, in Unix
-- milliseconds ("" for both where there is none).

local due, order, events, attempts = KEYS[1], KEYS[2], KEYS[3], KEYS[7]
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local reply = {''}
for _, member in ipairs(redis.call('ZRANGEBYLEX', order, from, '+', 'LIMIT', 0, ARGV[2])) do
  reply[1] = member
  local number = string.sub(member, -16)
  local event = redis.call('HGET', events, number)
  if event and string.find(event, ARGV[3], 1, true) then
    local length = string.match(member, '^%d+')
    local subject = string.sub(member, #length + 2, #length + 1 + length)
    reply[#reply + 1] = event
    reply[#reply + 1] = redis.call('HGET', attempts, number) or ''
    reply[#reply + 1] = redis.call('ZSCORE', due, subject) or ''
  end
end
return reply
