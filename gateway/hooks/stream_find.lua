-- Looks for an event in a part of the outbox.
--   KEYS  the outbox, a stream
--   ARGV  the place after which to begin ("": with the first), how many entries, the event's id
-- The reply: the place of the last entry of this part ("" where there is none), and the events that
-- hold the id.

local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local reply = {''}
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[2])) do
  reply[1] = entry[1]
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == 'event' and string.find(fields[i + 1], ARGV[3], 1, true) then
      reply[#reply + 1] = fields[i + 1]
    end
  end
end
return reply
