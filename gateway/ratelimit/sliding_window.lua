-- Times are in milliseconds, counts in requests.
--
-- The arithmetic of sliding_window.settle. For each charge
--   KEYS  three counters: of the window before `window`, of `window`, and of the one after it
-- and for each limit
--   ARGV  rate, length of a window, window (its number, by the client's clock)
-- The two counts of a charge are that of the current window and that of the previous one. A charge
-- cannot be read if the server's clock is neither in `window` nor in the next one.

local call, floor, max = redis.call, math.floor, math.max
local sliding_window = {keys = 3, counts = 2, has_windows = true}

function sliding_window.read(at, rate, length, window, now)
  local ahead = floor(now / length) - window
  if ahead ~= 0 and ahead ~= 1 then
    return nil, 0, 0
  end
  local counts = call('MGET', KEYS[at + 1 + ahead], KEYS[at + 2 + ahead])
  local previous, current = tonumber(counts[1] or 0), tonumber(counts[2] or 0)
  local covered = floor(previous * (length - now % length) / length)
  return rate - current - covered, current, previous
end

function sliding_window.add(at, _, length, window, now, cost, current, previous)
  local key = KEYS[at + 2 + floor(now / length) - window]
  current = max(0, current + cost)
  call('SET', key, current, 'PX', 2 * length)
  return current, previous
end
