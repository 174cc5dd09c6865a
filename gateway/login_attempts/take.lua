-- No times, no counts.
--
-- Takes a nonce away, once, for the browser that it was given to.
--   KEYS  the nonce's key
--   ARGV  the hash of the browser's secret, with which the record begins
-- The reply is the record, or false where there is none or it is another browser's.

local record = redis.call('GET', KEYS[1])
if not record or string.sub(record, 1, #ARGV[1]) ~= ARGV[1] then
  return false
end
redis.call('DEL', KEYS[1])
return record
