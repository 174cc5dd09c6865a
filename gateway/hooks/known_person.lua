-- Writes that a person has signed in before, unless the marker is there.
--   KEYS  the marker of the person's first sign-in
--   ARGV  "look" to change nothing
-- The reply is 1 where the marker was absent, else 0.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
if ARGV[1] ~= 'look' then
  redis.call('HSET', KEYS[1], 'state', 'done', 'event', '')
end
return 1
