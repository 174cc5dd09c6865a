-- Deletes the record of a user that apps read, unless no gateway wrote it.
--   KEYS  the record
-- The reply is how many records were deleted.

if redis.call('TYPE', KEYS[1])['ok'] ~= 'string' then return 0 end
local old = redis.call('GET', KEYS[1])
local is_new = string.find(old, '"gateway":{"seal":"', 1, true)
local is_old = string.find(old, ',"fetched_at_ms":', 1, true) and string.find(old, ',"seal":"', 1, true)
if not is_new and not is_old then return 0 end
return redis.call('DEL', KEYS[1])
