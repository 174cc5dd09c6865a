-- Moves an issuer's epoch forward, never back. All times are in milliseconds.
--
-- KEYS[1] revoked:{issuer}
-- ARGV[1] the caller's clock, Unix time; ARGV[2] for how long the epoch is to be kept
--
-- The epoch is the later of both clocks: were one behind, what was proven a moment ago would live.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = tonumber(redis.call('GET', KEYS[1]) or '') or 0
local epoch = math.max(now, tonumber(ARGV[1]), before)
local text = string.format('%.0f', epoch)
redis.call('SET', KEYS[1], text, 'PXAT', string.format('%.0f', epoch + tonumber(ARGV[2])))
return text
