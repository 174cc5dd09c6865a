-- Times are in milliseconds. A debt is what a bucket lacks of being full, in parts of a token: a
-- token has `length` of them, and a bucket regains `rate` of them in a millisecond.
--
-- The arithmetic of token_bucket.debt_at and settle. For each charge
--   KEYS  the bucket: its debt, a space, and the time of that
-- and for each limit
--   ARGV  rate, length of a window, capacity
-- The one count of a charge is the debt. A charge can be read at any time.

local call, floor, max = redis.call, math.floor, math.max
local token_bucket = {keys = 1, counts = 1, has_windows = false}

function token_bucket.read(at, rate, length, capacity, now)
  local debt = 0
  local kept, since = string.match(call('GET', KEYS[at + 1]) or '', '^(%d+) (%d+)$')
  if kept then
    debt = max(0, kept - max(0, now - since) * rate)
  end
  return floor(max(0, capacity * length - debt) / length), debt
end

function token_bucket.add(at, rate, length, _, now, cost, debt)
  debt = max(0, debt + cost * length)
  if debt == 0 then
    call('DEL', KEYS[at + 1])
  else
    local full_in = math.ceil(debt / rate)
    call('SET', KEYS[at + 1], string.format('%d %d', debt, now), 'PX', full_in)
  end
  return debt
end
