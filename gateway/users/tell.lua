-- Times are Unix times in milliseconds.
--
-- Writes the record of a user that apps read. It ends with the last proof that was told of. A value
-- that no gateway wrote is left as it is.
--   KEYS  the record
--   ARGV  the text before the end and that after it; the end of a proof, or 0 to change a record
--         that is there, and nothing else
-- The reply is 1 if the record was written, else 0.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = tonumber(ARGV[3])
local kind = redis.call('TYPE', KEYS[1])['ok']
if kind == 'string' then
  local old = redis.call('GET', KEYS[1])
  local is_new = string.find(old, '"gateway":{"seal":"', 1, true)
  local is_old = string.find(old, ',"fetched_at_ms":', 1, true) and string.find(old, ',"seal":"', 1, true)
  if not is_new and not is_old then return 0 end
  local left = redis.call('PTTL', KEYS[1])
  if left > 0 then ends = math.max(ends, now + left) end
elseif kind ~= 'none' then
  return 0
end
if ends <= now then return 0 end
local text = string.format('%.0f', ends)
redis.call('SET', KEYS[1], ARGV[1] .. text .. ARGV[2], 'PXAT', text)
return 1
