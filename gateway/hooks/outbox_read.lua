-- Reads what follows the cursor, or another place.
--   KEYS  the outbox, a stream; its cursor, the id of the last entry that was handed on
--   ARGV  how many entries at most, and the place ("": the cursor)
-- The reply begins with the cursor ("" at first). For each entry follow its id, the event, and the
-- endpoints that its recorder has named: "" where it has none, or one of a length that none of ours
-- has.

local MAX_BYTES = 65536

local cursor = redis.call('GET', KEYS[2]) or ''
local reply = {cursor}
local place = ARGV[2] ~= '' and ARGV[2] or cursor
local from = place == '' and '-' or '(' .. place
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[1])) do
  local fields, found = entry[2], {event = '', endpoints = ''}
  for i = 1, #fields, 2 do
    if #fields[i + 1] <= MAX_BYTES then
      found[fields[i]] = fields[i + 1]
    end
  end
  reply[#reply + 1] = entry[1]
  reply[#reply + 1] = found.event
  reply[#reply + 1] = found.endpoints
end
return reply
