-- Reads dead letters, the oldest first. KEYS: see dead_letters.py.
--   ARGV  the place after which to begin ("": with the first), and how many at most
-- The reply has, for each: its place, and the fields that dead_keep.lua writes.

local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local reply = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[2])) do
  local fields, found = entry[2], {}
  for i = 1, #fields, 2 do
    found[fields[i]] = fields[i + 1]
  end
  reply[#reply + 1] = entry[1]
  for _, name in ipairs({'event', 'endpoint', 'id', 'attempts', 'last', 'at'}) do
    reply[#reply + 1] = found[name] or ''
  end
end
return reply
