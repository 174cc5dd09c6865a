-- Moves an issuer's epoch forward, never back. All times are in milliseconds.
--   KEYS  revoked:{issuer}
--   ARGV  the caller's clock (Unix time), how long to keep the epoch
-- The reply is the epoch, as text.
--
-- The epoch is the later of both clocks. Otherwise a clock that is behind would leave recent proofs
-- valid.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = tonumber(redis.call('GET', KEYS[1]) or '') or 0
local epoch = math.max(now, tonumber(ARGV[1]), before)
local text = string.format('%.0f', epoch)
redis.call('SET', KEYS[1], text, 'PXAT', string.format('%.0f', epoch + tonumber(ARGV[2])))
return text
