-- Takes entries out of an outbox that were moved.
--   KEYS  the outbox, a stream
--   ARGV  ids of entries
-- The reply is how many are left; an outbox without entries is deleted.

for _, id in ipairs(ARGV) do
  redis.call('XDEL', KEYS[1], id)
end
local left = redis.call('XLEN', KEYS[1])
if left == 0 then
  redis.call('DEL', KEYS[1])
end
return left
