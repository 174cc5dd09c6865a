-- Takes registrations away.
--   KEYS  the registrations
--   ARGV  registrations
-- The reply is how many there were.

local gone = 0
for _, name in ipairs(ARGV) do
  gone = gone + redis.call('ZREM', KEYS[1], name)
end
return gone
