-- Times are in milliseconds, counts in requests.
--
-- The arithmetic of fixed_window.settle. For each charge
--   KEYS  two counters: of `window`, and of the one after it
-- and for each limit
--   ARGV  rate, length of a window, window (its number, by the client's clock)
-- The one count of a charge is that of the current window. A charge cannot be read if the server's
-- clock is neither in `window` nor in the next one.

local call, floor, max = redis.call, math.floor, math.max
local fixed_window = {keys = 2, counts = 1, has_windows = true}

function fixed_window.read(at, rate, length, window, now)
  local ahead = floor(now / length) - window
  if ahead ~= 0 and ahead ~= 1 then
    return nil, 0
  end
  local count = tonumber(call('GET', KEYS[at + 1 + ahead]) or 0)
  return rate - count, count
end

function fixed_window.add(at, _, length, window, now, cost, count)
  local key = KEYS[at + 1 + floor(now / length) - window]
  count = max(0, count + cost)
  call('SET', key, count, 'PX', length)
  return count
end
