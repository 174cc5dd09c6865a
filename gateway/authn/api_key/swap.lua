-- Replaces a value if it has not changed (compare and set); its time to live stays the same.
--   KEYS  the key
--   ARGV  the expected value in each of its two forms, as it is and armoured, both in hex; the new
--         value
-- The reply is 1 if the value was replaced, else 0.

local function hex(byte)
  return string.format('%02x', string.byte(byte))
end
local value = string.gsub(redis.call('GET', KEYS[1]) or '', '.', hex)
if value ~= ARGV[1] and value ~= ARGV[2] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[3], 'KEEPTTL')
return 1
