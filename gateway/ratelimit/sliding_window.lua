-- Times are in milliseconds, counts in requests.
--
-- Charges several callers in one step, with the arithmetic of sliding_window.settle. For each charge
--   KEYS  three counters: of the window before `window`, of `window`, and of the one after it
--   ARGV  rate, length of a window, requests asked for, window (its number, by the client's clock)
-- The reply begins with the server's time. For each charge follow three numbers: how many requests
-- were allowed, the count of the current window (with them), and that of the previous one. Allowed
-- is -1, and nothing is charged, if the server's clock is neither in `window` nor in the next one.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local reply = {now}
for charge = 0, #KEYS / 3 - 1 do
  local rate, length, asked, window =
    tonumber(ARGV[4 * charge + 1]), tonumber(ARGV[4 * charge + 2]),
    tonumber(ARGV[4 * charge + 3]), tonumber(ARGV[4 * charge + 4])
  local ahead = math.floor(now / length) - window
  local allowed, current, previous = -1, 0, 0
  if ahead == 0 or ahead == 1 then
    local before, key = KEYS[3 * charge + 1 + ahead], KEYS[3 * charge + 2 + ahead]
    local counts = redis.call('MGET', before, key)
    previous, current = tonumber(counts[1] or 0), tonumber(counts[2] or 0)
    local covered = math.floor(previous * (length - now % length) / length)
    allowed = math.max(0, math.min(asked, rate - current - covered))
    if allowed > 0 then
      current = current + allowed
      redis.call('SET', key, string.format('%d', current), 'PX', 2 * length)
    end
  end
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = allowed, current, previous
end
return reply
